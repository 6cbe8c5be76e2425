"""What a process that delivers beside the workers keeps the same until its end, however often it is killed and resumed.

A run is known by what is committed for a group of its own: for each partition the offset where the run ends, and, as
text, when it began, what that makes of `--since 2h`, and what was allowed. So a resumed run delivers the same, and
forms the same requests again, under the same keys.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self, final

import click
import orjson

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.letters import for_all
from processor.adapters.kafka.marks import mark
from processor.adapters.kafka.offsets import Stored, offsets_in
from processor.adapters.kafka.reading import TopicReader
from processor.adapters.kafka.redriving import in_group
from processor.adapters.kafka.selected import Selections
from processor.model.errors import SourceError
from processor.model.records import OffsetRange, TopicPartition

KEEP_EVERY_S = 3_600.0
"""Kafka forgets commits of a group without members after a while, seven days by default: a run may take longer."""


@final
@dataclass(frozen=True, slots=True)
class RunTerms:
    """What is kept; times are those of the wall clock."""

    ends: Mapping[TopicPartition, int]
    now_ms: int
    since_ms: int | None
    until_ms: int | None
    allowed: Mapping[str, Any]
    """By the options' names."""

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

    def insist(self, allowed: Mapping[str, Any]) -> None:
        """Raise `click.UsageError` if something else is allowed now."""
        others = [name for name in sorted(allowed) if allowed[name] != self.allowed.get(name)]
        if changed := [f"--{name.replace('_', '-')}" for name in others]:
            raise click.UsageError(
                "a run of this selection has not ended, and was begun with other options; end it with the same first. "
                f"Otherwise than then: {', '.join(changed)}"
            )


@final
class DeliveryRun:
    """One run, and where it has come to; `group` is the selection's. Lives between `with` and its end; it blocks."""

    def __init__(self, kafka: KafkaSettings, group: str, topic: str) -> None:
        self.group = group
        kafka = for_all(kafka)
        self._progress = in_group(kafka, group)
        self._keeping = in_group(kafka, f"{group}.run")
        self._topic = topic
        self._terms: RunTerms
        self._stored: dict[TopicPartition, int] = {}
        self._resets: dict[TopicPartition, Stored] = {}
        self._kept_at = float("-inf")
        self._left: int | None = 0
        self.reached: dict[TopicPartition, int] = {}
        """Before these offsets nothing is left to do."""
        self.reader = TopicReader(self._progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.reader.__exit__(kind, error, traceback)

    def latest(self) -> RunTerms | None:
        """Return what the latest run keeps, as far as Kafka still knows."""
        partitions = self.reader.partitions(self._topic)
        self._stored = offsets_in(self.reader.committed(partitions))
        with TopicReader(self._keeping) as reader:
            return RunTerms.read(reader.committed(partitions))

    def is_over(self, terms: RunTerms) -> bool:
        """Say whether the latest run had nothing left to do when it was asked for."""
        return all(self._stored.get(each, end) >= end for each, end in terms.ends.items())

    def resume(self, terms: RunTerms) -> None:
        """Go on with the latest run."""
        self._terms = terms
        self.reached = {each: self._stored.get(each, 0) for each in terms.ends}

    def start(self, terms: RunTerms, starts: Mapping[TopicPartition, int]) -> None:
        """Begin another run, which starts there."""
        self._terms = terms
        self.reached = {**starts}
        self._resets = {each: Stored(at, "") for each, at in starts.items() if self._stored.get(each) != at}

    def begin(self) -> None:
        """Have Kafka know of the run before anything of it is sent."""
        mark(self._progress, self._resets)
        self._keep()

    def committed(self) -> Mapping[TopicPartition, Stored]:
        """Return what the group has committed."""
        return self.reader.committed(self._terms.ends)

    def left(self, selections: Selections) -> int | None:
        """Return how much of these is left, as far as Kafka answers; None where every partition is at its end."""
        with suppress(SourceError):
            stored = offsets_in(self.committed())
            self._keep()
            behind = (each.count(OffsetRange(stored.get(id_, 0), each.end)) for id_, each in selections.items())
            self._left = None if self._terms.has_ended(stored) else sum(behind)
        return self._left

    def _keep(self) -> None:
        if time.monotonic() >= self._kept_at + KEEP_EVERY_S:
            mark(self._keeping, self._terms.marks())
            self._kept_at = time.monotonic()
