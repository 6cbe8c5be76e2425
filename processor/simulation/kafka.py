"""A topic whose records are made when they are read, and the `Source` port of a member that keeps its partitions."""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import final

from processor.engine.partition.journal_format import JournalPlace
from processor.engine.partition.owner import Assignment, End
from processor.model.records import ClientFigures, Commit, Record, TopicPartition, held_bytes
from processor.runtime.ports import Clock, Fetched, SourceListener
from processor.simulation.numbers import MIN_EVENT_BYTES, Numbers

FETCH_RECORDS = 500
POLL_S = 0.05
"""How long a fetch waits where there is nothing."""
COMMIT_S = 0.01
TELL_ENDS_S = 5.0

IDENTIFY = b'{"type":"identify","userId":"%s","traits":{"at":%d,"pad":"%s"}}'
TRACK = b'{"type":"track","event":"E","userId":"%s","properties":{"at":%d,"pad":"%s"}}'
AT = "at"
"""The trait and the property that tell when the record was written, in milliseconds."""


@final
class SteadyTopic:
    """Records come at a steady rate to every partition alike; each partition is read once, in order."""

    def __init__(self, numbers: Numbers, clock: Clock) -> None:
        self.numbers = numbers
        self.partitions = [TopicPartition("segment", each) for each in range(numbers.partitions)]
        self._clock = clock
        self._begun_at, self._begun_wall_s = clock.monotonic(), clock.wall()
        self._rate = numbers.rate / numbers.partitions / numbers.scale
        backlog = round(numbers.backlog / numbers.scale)
        self._backlog = [backlog // numbers.partitions + (each < backlog % numbers.partitions) for each in self._all]
        self._chance = [Random(f"{numbers.seed} {each}") for each in self._all]  # noqa: S311 - repeatable on purpose
        self._pad = b"x" * (numbers.event_bytes - MIN_EVENT_BYTES)

    @property
    def _all(self) -> range:
        return range(self.numbers.partitions)

    @property
    def elapsed_s(self) -> float:
        """The time since the start."""
        return self._clock.monotonic() - self._begun_at

    def end(self, partition: TopicPartition) -> int:
        """Return how many records there are by now."""
        number = partition.partition
        return self._backlog[number] + int(self.elapsed_s * self._rate + self._phase(number))

    def written(self) -> int:
        """Return how many records that is in all partitions, as many as they stand for."""
        return sum(map(self.end, self.partitions)) * self.numbers.scale

    def read(self, partition: TopicPartition, position: int, most: int) -> list[Record]:
        """Return the next records; the position is where the last ones ended."""
        end = min(position + most, self.end(partition))
        return [self._record(partition.partition, each) for each in range(position, end)]

    def _record(self, number: int, offset: int) -> Record:
        since = offset - self._backlog[number]
        since_s = 0.0 if since < 0 else (since + 1 - self._phase(number)) / self._rate
        at_ms = round((self._begun_wall_s + since_s) * 1_000)
        chance = self._chance[number].random
        uid = b"%d-%d" % (number, int(chance() * self.numbers.simulated_users))
        form = IDENTIFY if chance() < self.numbers.identify_share else TRACK
        return Record(offset, at_ms, uid, form % (uid, at_ms, self._pad), None)

    def _phase(self, number: int) -> float:
        return number / self.numbers.partitions


@final
class Member:
    """One member, on a core of its own: an event's CPU is spent before its record is handed over."""

    def __init__(self, topic: SteadyTopic, partitions: Sequence[TopicPartition], clock: Clock) -> None:
        self._topic = topic
        self._clock = clock
        self._positions = dict.fromkeys(partitions, 0)
        self._paused = set(partitions)
        self._event_s = topic.numbers.cpu_us * topic.numbers.scale / 1e6
        self._worked_s = 0.0
        self._busy_since: float | None = None
        self._listener: SourceListener
        self._tasks: list[asyncio.Task[None]] = []
        self.committed: dict[TopicPartition, Commit] = {}
        """The last commit of each partition."""

    def worked_s(self) -> float:
        """Return how much of its core it has used by now."""
        return self._worked_s + (0.0 if self._busy_since is None else self._clock.monotonic() - self._busy_since)

    # The port

    @property
    def figures(self) -> ClientFigures:
        """Nothing."""
        return ClientFigures()

    @property
    def polled_at(self) -> float:
        """Now: it never hangs."""
        return self._clock.monotonic()

    def start(self, listener: SourceListener) -> None:
        """Take all partitions at once, and fetch."""
        self._listener = listener
        places = {each: JournalPlace(str(each), str(each)) for each in self._positions}
        listener.assigned(
            [Assignment(each, 1, 0, is_new=False, metadata="", place=place) for each, place in places.items()],
            len(self._topic.partitions),
        )
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._fetch()), loop.create_task(self._tell_ends())]

    def pause(self, epochs: Mapping[TopicPartition, int]) -> None:
        """Fetch no more of these."""
        self._paused.update(epochs)

    def resume(self, epochs: Mapping[TopicPartition, int]) -> None:
        """Fetch these again."""
        self._paused.difference_update(epochs)

    def seek(self, partition: TopicPartition, epoch: int, offset: int) -> None:
        """Never asked for: there is no gap."""
        raise AssertionError(f"{partition} of epoch {epoch} has no gap before {offset}")

    def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Acknowledge, a little later."""
        self.committed.update(commits)
        asyncio.get_running_loop().call_later(COMMIT_S, self._listener.committed, commits, {})

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()

    async def _fetch(self) -> None:
        while True:
            chunk = self._read(max(FETCH_RECORDS // self._topic.numbers.scale, 1))
            if not chunk:
                await asyncio.sleep(POLL_S)
                continue
            await self._work(sum(len(each.records) for each in chunk) * self._event_s)
            self._listener.fetched(chunk)

    async def _work(self, seconds: float) -> None:
        self._busy_since = self._clock.monotonic()
        await asyncio.sleep(seconds)
        self._worked_s, self._busy_since = self._worked_s + seconds, None

    def _read(self, most: int) -> list[Fetched]:
        """Read of the partitions in turn, beginning with another one each time."""
        chunk = []
        for each in list(self._positions):
            if most and each not in self._paused and (records := self._topic.read(each, self._positions[each], most)):
                chunk.append(Fetched(each, 1, records, held_bytes(records)))
                most -= len(records)
                self._positions[each] = self._positions.pop(each) + len(records)
        return chunk

    async def _tell_ends(self) -> None:
        while True:
            ends = {each: self._topic.end(each) for each in self._positions}
            self._listener.ends({each: End(end, end) for each, end in ends.items()})
            await asyncio.sleep(TELL_ENDS_S)
