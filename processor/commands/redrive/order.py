"""What the operator wants brought back, and how far earlier runs of the same selection have come."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from processor.adapters.kafka.letters import letter_ranges
from processor.adapters.kafka.offsets import offsets_in
from processor.adapters.kafka.reading import TopicReader
from processor.commands.common.terminal import have_agreed
from processor.commands.redrive.choice import Permissions
from processor.events.letters import LetterFilter
from processor.model.records import OffsetRange, TopicPartition

Ranges = Mapping[TopicPartition, OffsetRange]


@final
@dataclass(frozen=True, slots=True)
class Order:
    """What the operator wants done."""

    wanted: LetterFilter
    selection: str
    """Its name: runs of one selection go on where the one before ended."""
    permissions: Permissions
    rate: int | None
    begins_anew: bool
    is_agreed: bool
    """Whether nobody needs to be asked."""
    parking: str | None = None
    """The topic that letters are copied to whose records came back too often."""

    @property
    def repeats(self) -> str:
        """Say what comes back again, as a sentence; nothing where nothing does."""
        return " Letters that were brought back before come back again: --from-beginning." if self.begins_anew else ""

    def agree(self, question: Callable[[], str]) -> None:
        """Have a person agree, or end the command; the question is made only if somebody is to be asked."""
        if not self.is_agreed:
            have_agreed(question)


def split(reader: TopicReader, topic: str, order: Order) -> tuple[Ranges, Ranges]:
    """Return what earlier runs of this selection have dealt with, and what is left.

    What is committed beyond a partition's end was of another topic of the name.
    """
    ranges = letter_ranges(reader, topic, order.wanted)
    stored = {} if order.begins_anew or not ranges else offsets_in(reader.committed(ranges))
    earlier, left = dict(ranges), dict(ranges)
    for each, held in ranges.items():
        reached = stored.get(each, held.start)
        middle = max(reached, held.start) if reached <= held.end else held.start
        earlier[each], left[each] = held._replace(end=middle), held._replace(start=middle)
    return earlier, left
