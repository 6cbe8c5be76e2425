"""What a backfill delivers: fixed for each partition when it begins, and taken up again if it was killed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import click

from processor.adapters.kafka.facts import ask
from processor.adapters.kafka.reading import TopicReader
from processor.commands.common.delivery_run import DeliveryRun, RunTerms
from processor.commands.common.opened_topic import Opened
from processor.commands.common.standing import CommitStanding, standings
from processor.commands.common.time_ranges import written_within
from processor.events.timestamps import in_milliseconds, iso_of_ms
from processor.model.records import OffsetRange, TopicPartition


@final
class RefusedError(click.ClickException):
    """A backfill that makes no sense."""

    exit_code = 2


@final
@dataclass(frozen=True, slots=True)
class BackfillOrder:
    """What the operator wants delivered again; times are in milliseconds since the epoch."""

    selection: str
    """Its name: the same command again goes on with what it began."""
    now_ms: int
    since_ms: int
    until_ms: int | None
    max_age_s: int
    """Of a record that changes a user."""
    allows_stale: bool = False
    begins_anew: bool = False

    @property
    def allowed(self) -> dict[str, Any]:
        """What may not change before the end, by the options' names."""
        return {"max_age": self.max_age_s, "allow_stale": self.allows_stale}


@final
@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """What is to be delivered, and what an operator should know of it."""

    terms: RunTerms
    ranges: Mapping[TopicPartition, OffsetRange]
    """What is left of each partition."""
    earlier: int = 0
    """How many offsets earlier processes have dealt with."""
    deleted_before_ms: int | None = None
    """In at least one partition, what may have been written before this time is deleted."""
    ahead: int = 0
    """How many offsets of the time the workers have yet to come to: these are left to them."""

    @property
    def left(self) -> int:
        """How many offsets are to be read."""
        return sum(each.end - each.start for each in self.ranges.values())

    @property
    def notes(self) -> list[str]:
        """What of the time is not delivered, a sentence each."""
        notes = []
        if not self.left:
            notes.append("It has ended before; --from-beginning delivers it once more.")
        if self.deleted_before_ms is not None:
            since = iso_of_ms(self.deleted_before_ms)
            notes.append(f"The topic has deleted records of that time: only from {since} on does it hold all of them.")
        if self.ahead:
            notes.append(
                f"{self.ahead:,} more offsets of that time are the workers' to deliver: they come to them yet."
            )
        return notes

    @property
    def stale_before_ms(self) -> int | None:
        """Identifies of records before this time are passed over; None where all are delivered."""
        is_any = self.terms.allowed.get("allow_stale")
        return None if is_any else self.terms.now_ms - int(self.terms.allowed["max_age"]) * 1_000


def run_of(opened: Opened, order: BackfillOrder) -> DeliveryRun:
    """Return what Kafka keeps of this backfill, under a group of its own."""
    return DeliveryRun(opened.kafka, f"{opened.kafka.group_id}.backfill.{order.selection}", opened.topic)


def planned(run: DeliveryRun, opened: Opened, order: BackfillOrder) -> BackfillPlan:
    """Go on with what the same command began, or begin; raise `RefusedError`, `SourceError`, `click.UsageError`."""
    terms = run.latest()
    if terms is None or order.begins_anew:
        return _begun(run, opened, order)
    if not run.is_over(terms):
        terms.insist(order.allowed)
    run.resume(terms)
    starts = written_within(run.reader, run.reader.available(terms.ends), terms.since_ms, None)
    ranges = {each: OffsetRange(min(run.reached[each], end), end) for each, end in terms.ends.items()}
    earlier = sum(max(each.start - starts[id_].start, 0) for id_, each in ranges.items())
    return BackfillPlan(terms, ranges, earlier)


def _begun(run: DeliveryRun, opened: Opened, order: BackfillOrder) -> BackfillPlan:
    held = run.reader.available(run.reader.partitions(opened.topic))
    written = written_within(run.reader, held, order.since_ms, order.until_ms)
    found, group = _standings(opened, held), opened.kafka.group_id
    if not any(each.is_of_topic for each in found.values()):
        raise RefusedError(
            f"the group {group} has committed nothing of {opened.topic}: its workers deliver everything that is there"
        )
    if beyond := [str(each) for each, standing in found.items() if standing.offset > held[each].end]:
        raise RefusedError(
            f"the offset of the group {group} lies behind the end of {', '.join(beyond)}: "
            "it is of another topic, which had the name before"
        )
    first_ms = _deleted_before(run.reader, held, written, order.since_ms)
    ranges = {each: _bounded(range_, found[each]) for each, range_ in written.items()}
    ahead = sum(each.end - ranges[id_].end for id_, each in written.items())
    if not any(each.start < each.end for each in ranges.values()):
        raise RefusedError(_why_empty(opened.topic, group, first_ms, ahead))
    terms = RunTerms(
        {each: range_.end for each, range_ in ranges.items()},
        order.now_ms,
        order.since_ms,
        order.until_ms,
        order.allowed,
    )
    run.start(terms, {each: range_.start for each, range_ in ranges.items()})
    return BackfillPlan(terms, ranges, deleted_before_ms=first_ms, ahead=ahead)


def _standings(opened: Opened, held: Mapping[TopicPartition, OffsetRange]) -> dict[TopicPartition, CommitStanding]:
    """Return how far the workers are in each partition; an offset of a topic that is gone is none."""
    cluster = ask(opened.kafka)
    with TopicReader(opened.kafka) as workers:
        return standings(workers.committed(held), cluster, opened.kafka.group_id)


def _bounded(written: OffsetRange, standing: CommitStanding) -> OffsetRange:
    """Return what of a range the workers have settled: what they have not would be delivered by both at once."""
    return written._replace(end=max(min(written.end, standing.offset), written.start))


def _deleted_before(
    reader: TopicReader,
    held: Mapping[TopicPartition, OffsetRange],
    written: Mapping[TopicPartition, OffsetRange],
    since_ms: int,
) -> int | None:
    """Return from when on all partitions hold what was written since then, where some may have held more before."""
    cut = {
        each: held[each] for each, range_ in written.items() if 0 < held[each].start == range_.start < held[each].end
    }
    firsts = (in_milliseconds(record.timestamp_ms) for found in reader.read_ranges(cut, 1).values() for record in found)
    return max((each for each in firsts if each > since_ms), default=None)


def _why_empty(topic: str, group: str, first_ms: int | None, ahead: int) -> str:
    if first_ms is not None:
        return f"nothing of that time is in {topic} any more: its records are there from {iso_of_ms(first_ms)} on"
    if ahead:
        return f"the workers of {group} have not come to the records of that time yet: they deliver them"
    return f"nothing was written to {topic} in that time"
