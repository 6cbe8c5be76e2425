"""What becomes of what was selected of a topic."""

from collections import Counter
from collections.abc import Mapping
from typing import final

from processor.adapters.kafka.offsets import Stored
from processor.adapters.kafka.selected import MissingOffsets, SelectedSource, Selections, unsettled
from processor.commands.common.next_steps import NEXT_STEPS
from processor.commands.common.terminal import Terminal
from processor.engine.notices import Notice, Settled
from processor.model.records import TopicPartition
from processor.runtime.ports import Source


@final
class Delivery:
    """What became of what was selected, in this process."""

    def __init__(self, selections: Selections) -> None:
        self._selections = selections
        self._missing = MissingOffsets(selections)
        self.delivered: Counter[str] = Counter()
        self.filtered: Counter[str] = Counter()
        self.dead_lettered: Counter[str] = Counter()
        self.missing = 0
        """How many never came, of those that need nothing more."""
        self.left = 0
        """Where the process was told to stop before the end."""

    def through(self, source: Source) -> Source:
        """Let nothing through but what was selected; once for each worker that follows another."""
        return SelectedSource(source, self._selections, self._missing)

    def observe(self, notice: Notice) -> None:
        """Count what settles."""
        if isinstance(notice, Settled):
            self.delivered.update(notice.delivered)
            self.filtered.update(notice.filtered)
            self.dead_lettered.update(notice.dead_lettered)

    @property
    def expired(self) -> int:
        """How many were deleted from the topic before they were read."""
        return self._missing.expired

    def end(self, stored: Mapping[TopicPartition, Stored]) -> None:
        """Take note of what is committed in the end."""
        self.missing = self._missing.settled(stored)
        self.left = unsettled(self._selections, stored)

    @property
    def ended(self) -> int:
        """How many came, and need nothing more."""
        return self.delivered.total() + self.filtered.total() + self.dead_lettered.total()

    def as_json(self) -> dict[str, dict[str, int]]:
        """Return what became of those that came, for machines."""
        counts = {"delivered": self.delivered, "filtered": self.filtered, "dead_lettered": self.dead_lettered}
        return {name: {str(each): count for each, count in told.items() if count} for name, told in counts.items()}

    def show(self, terminal: Terminal) -> None:
        """Print the same for people, with what to do."""
        for kind, count in self.delivered.most_common():
            show_row(f"  delivered: {kind}", count, "", terminal)
        for why, count in self.filtered.most_common():
            show_row(f"  filtered: {why}", count, NEXT_STEPS[why], terminal)
        for reason, count in self.dead_lettered.most_common():
            show_row(f"  dead-lettered: {reason}", count, NEXT_STEPS[reason], terminal)


def show_row(what: str, count: int, more: str, terminal: Terminal) -> None:
    """Print a line of an account."""
    terminal.print(f"{what:<28} {count:>12,}  {more}".rstrip())
