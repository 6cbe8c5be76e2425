"""The end of a batch: what failed for good and becomes a dead letter, and what is told of all when it settles."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from processor.engine.dead_letter_ratio import WINDOW_RECORDS, DeadLetterRatio
from processor.engine.notices import Settled
from processor.events.dead_letters import Attempts
from processor.events.payload import Payload
from processor.events.timestamps import in_milliseconds, seconds_of
from processor.model.outcomes import Rejected
from processor.model.reasons import Kind
from processor.model.records import Record


class Failure(NamedTuple):
    """Records that can never be delivered, all for one reason."""

    records: tuple[int, ...]
    rejected: Rejected


class Settlement:
    """Owned by its batch; `records` are those of the batch, by offset."""

    def __init__(self, payload: Payload, records: dict[int, Record]) -> None:
        self._payload = payload
        self._records = records
        self._failures = [Failure((offset,), rejected) for offset, rejected in payload.rejected]
        self.attempts: Attempts | None = None
        """The POSTs so far; None before the first."""

    def posted(self, wall_s: float) -> None:
        """Count one POST."""
        before = self.attempts
        count, first = (before.count, before.first) if before else (0, wall_s)
        self.attempts = Attempts(count + 1, first, wall_s)

    def failed(self, records: tuple[int, ...], rejected: Rejected) -> None:
        """FullStory refused these for good."""
        self._failures.append(Failure(records, rejected))

    def records_of(self, offsets: Sequence[int]) -> list[Record]:
        """Return the records of a merged item, in order."""
        return [self._records[offset] for offset in offsets]

    def letters(self) -> list[tuple[Record, Rejected]]:
        """Return what has to be dead-lettered."""
        return [(self._records[offset], each.rejected) for each in self._failures for offset in each.records]

    def too_many_letters(self, letters: Sequence[tuple[Record, Rejected]], ratio: DeadLetterRatio) -> str | None:
        """Count the batch; return why so many dead letters are no records' fault, None while they may be."""
        found = ratio.settling(len(self._records), len(letters))
        if found is None:
            return None
        most, _ = Counter(rejected.reason for _, rejected in letters).most_common(1)[0]
        return f"{found:.0%} of about the last {WINDOW_RECORDS} records would be dead-lettered, most as {most}"

    def settled(self) -> Settled:
        """Say what became of each record."""
        reasons = {offset: failure.rejected.reason for failure in self._failures for offset in failure.records}
        payload, records = self._payload, self._records
        good = {kind: [offset for item in payload.items(kind) for offset in item.records] for kind in Kind}
        if reasons:
            good = {kind: [offset for offset in offsets if offset not in reasons] for kind, offsets in good.items()}
        timestamps = [in_milliseconds(records[offset].timestamp_ms) for offsets in good.values() for offset in offsets]
        delivered = Counter({kind: len(offsets) for kind, offsets in good.items()})
        events = zip(payload.events, payload.event_times, strict=True)
        times_s = [seconds_of(at) for item, at in events if item.records[0] not in reasons]
        return Settled(delivered, payload.filtered, Counter(reasons.values()), timestamps, times_s)
