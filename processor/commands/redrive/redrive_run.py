"""What one run of `redrive --to fullstory` keeps the same until its end, however often it is killed and resumed.

A run is known by what is committed for a group of its own: for each partition of the dead-letter topic the offset where
the run ends, and, as text, when it began, what that makes of `--since 2h`, and what was allowed. So a resumed run
chooses the same letters, and forms the same requests again, under the same keys.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any, Self, final

import click
import orjson

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.letters import for_all, letter_ranges
from processor.adapters.kafka.marks import mark
from processor.adapters.kafka.offsets import Stored, offsets_in
from processor.adapters.kafka.reading import TopicReader
from processor.adapters.kafka.redriving import in_group
from processor.commands.redrive.choice import Permissions
from processor.commands.redrive.order import Order, Ranges, split
from processor.events.letters import LetterFilter
from processor.model.errors import SourceError
from processor.model.records import OffsetRange, TopicPartition


@final
@dataclass(frozen=True, slots=True)
class RunTerms:
    """What is kept; times are those of the wall clock."""

    ends: Mapping[TopicPartition, int]
    now_ms: int
    since_ms: int | None
    until_ms: int | None
    allowed: Mapping[str, Any]

    @classmethod
    def new(cls, order: Order, ends: Mapping[TopicPartition, int]) -> Self:
        """Begin one that ends there."""
        wanted, permissions = order.wanted, order.permissions
        return cls(ends, permissions.now_ms, wanted.since_ms, wanted.until_ms, _allowed(permissions))

    @classmethod
    def read(cls, marks: Mapping[TopicPartition, Stored]) -> Self | None:
        """Return what was committed by the latest run; None where nothing was that can be read."""
        ends: dict[str, dict[TopicPartition, int]] = {}
        for each, stored in marks.items():
            ends.setdefault(stored.metadata, {})[each] = stored.offset
        try:
            found = [cls(own, **orjson.loads(text)) for text, own in ends.items() if text]
            return max(found, key=lambda each: each.now_ms, default=None)
        except (ValueError, TypeError):
            return None

    def marks(self) -> dict[TopicPartition, Stored]:
        """Return what is to be committed."""
        told = {name: value for name, value in asdict(self).items() if name != "ends"}
        text = orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()
        return {each: Stored(end, text) for each, end in self.ends.items()}

    def has_ended(self, reached: Mapping[TopicPartition, int]) -> bool:
        """Say whether every partition is committed to where the run ends."""
        return all(reached.get(each, 0) >= end for each, end in self.ends.items())

    def resumed(self, order: Order) -> Order:
        """Return the order as it was when the run began; raises `click.UsageError` if something else is allowed now."""
        now = _allowed(order.permissions)
        if changed := [f"--{name.replace('_', '-')}" for name in sorted(now) if now[name] != self.allowed.get(name)]:
            raise click.UsageError(
                "a run of this selection has not ended, and was begun with other options; end it with the same first. "
                f"Otherwise than then: {', '.join(changed)}"
            )
        return replace(
            order,
            wanted=replace(order.wanted, since_ms=self.since_ms, until_ms=self.until_ms),
            permissions=replace(order.permissions, now_ms=self.now_ms),
        )


@final
class RedriveRun:
    """One run, and where it has come to; `group` is the selection's. Lives between `with` and its end; it blocks."""

    def __init__(self, kafka: KafkaSettings, group: str, topic: str) -> None:
        kafka = for_all(kafka)
        self._progress = in_group(kafka, group)
        self._keeping = in_group(kafka, f"{group}.run")
        self._topic = topic
        self._terms: RunTerms
        self._resets: dict[TopicPartition, Stored] = {}
        self._is_new = False
        self.reached: dict[TopicPartition, int] = {}
        """Before these offsets nothing is left to do."""
        self.reader = TopicReader(self._progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.reader.__exit__(kind, error, traceback)

    def take_up(self, order: Order) -> Order:
        """Go on with the run that has not ended, or begin another; return the order as that run has it."""
        partitions = self.reader.partitions(self._topic)
        stored = offsets_in(self.reader.committed(partitions))
        with TopicReader(self._keeping) as reader:
            terms = RunTerms.read(reader.committed(partitions))
        if (
            terms is not None
            and not order.begins_anew
            and any(stored.get(each, end) < end for each, end in terms.ends.items())
        ):
            self._terms = terms
            self.reached = {each: stored.get(each, 0) for each in terms.ends}
            return terms.resumed(order)
        _, left = split(self.reader, self._topic, order)
        self._is_new = True
        self._terms = RunTerms.new(order, {each: held.end for each, held in left.items()})
        self.reached = {each: held.start for each, held in left.items()}
        self._resets = {each: Stored(at, "") for each, at in self.reached.items() if stored.get(each) != at}
        return order

    def ranges(self, wanted: LetterFilter) -> Ranges:
        """Return what is to be read to choose: also what earlier runs have dealt with."""
        held = letter_ranges(self.reader, self._topic, wanted)
        ends = self._terms.ends
        starts = {each: min(held[each].start, end) if each in held else end for each, end in ends.items()}
        return {each: OffsetRange(starts[each], end) for each, end in ends.items()}

    def begin(self) -> None:
        """Have Kafka know of the run before anything of it is sent."""
        if self._is_new:
            mark(self._progress, self._resets)
            mark(self._keeping, self._terms.marks())

    def committed(self) -> Mapping[TopicPartition, Stored]:
        """Return what the group has committed."""
        return self.reader.committed(self._terms.ends)

    def has_ended(self) -> bool:
        """Say whether nothing is left to do, as far as Kafka answers."""
        try:
            found = self.committed()
        except SourceError:
            return False
        return self._terms.has_ended(offsets_in(found))


def _allowed(permissions: Permissions) -> dict[str, Any]:
    """Return what is allowed, by the options' names."""
    return {
        "max_count": permissions.max_count,
        "max_age": permissions.max_age_s,
        "force": permissions.is_forced,
        "allow_duplicates": permissions.allows_duplicates,
        "allow_stale": permissions.allows_stale,
    }
