"""The ports: what the runtime needs of the world, as Protocols.

All methods are called on the event loop's thread. Fakes live in tests/fakes, the real things in processor/adapters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from processor.engine.verdict import Answer, NoAnswer
from processor.model.reasons import Kind
from processor.model.records import Headers, Record, TopicPartition


class Clock(Protocol):
    """Time. Waiting is the event loop's business."""

    def monotonic(self) -> float:
        """Return seconds that never go back; the zero is arbitrary."""
        ...

    def wall(self) -> float:
        """Return seconds since the epoch."""
        ...


@dataclass(frozen=True, slots=True)
class Assignment:
    """A partition that this process now owns; records follow from `start` (None: nothing was ever committed)."""

    id: TopicPartition
    epoch: int
    start: int | None


@dataclass(frozen=True, slots=True)
class Fetched:
    """Consecutive records of one partition, in offset order; `bytes` is their sum of `held_bytes`."""

    id: TopicPartition
    epoch: int
    records: list[Record]
    bytes: int


class SourceListener(Protocol):
    """Who a source tells; called on the event loop's thread, never two at a time for one partition."""

    def assigned(self, assignments: Sequence[Assignment], partitions_in_topics: int) -> None:
        """Take over partitions; `partitions_in_topics` counts all partitions of the subscribed topics."""
        ...

    def fetched(self, chunk: Sequence[Fetched]) -> None:
        """Take records; those of an epoch that has ended are to be dropped."""
        ...

    async def revoking(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Finish what can be finished soon; return what to commit before the partitions go. Nothing later counts."""
        ...

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """The partitions belong to somebody else already: drop them, commit nothing."""
        ...

    def committed(self, offsets: Mapping[TopicPartition, int], error: str | None) -> None:
        """A commit was answered; with an error the outcome is unknown for every partition of it."""
        ...

    def trouble(self, detail: str) -> None:
        """Kafka's client reports a fault from which it recovers by itself."""
        ...

    def failed(self, error: Exception) -> None:
        """The source cannot go on; the process is to end."""
        ...


class Source(Protocol):
    """Records of the subscribed topics, and commits. Each partition belongs to one epoch at a time."""

    def start(self, listener: SourceListener) -> None:
        """Join the group and begin to tell the listener."""
        ...

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Fetch no more of these until `resume`; heartbeats go on. Chunks on their way may still arrive."""
        ...

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Fetch these again."""
        ...

    def commit(self, offsets: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Commit `(epoch, offset)`; partitions no longer owned in that epoch are left out. One call at a time."""
        ...

    async def stop(self) -> None:
        """Leave the group, after `revoking` for all that is owned; returns when the connection is closed."""
        ...


class Destination(Protocol):
    """FullStory's API. Every call has a deadline and returns a value, whatever happens."""

    async def post(self, kind: Kind, body: bytes, key: str, *, batch: bool) -> Answer | NoAnswer:
        """POST one item, or a batch; `key` is the Idempotency-Key."""
        ...

    async def job(self, kind: Kind, job_id: str) -> Answer | NoAnswer:
        """Ask for a job's state."""
        ...

    async def errors(self, kind: Kind, job_id: str, page_token: str) -> Answer | NoAnswer:
        """Ask for a page of a job's failed items; the first page has an empty token."""
        ...

    async def me(self) -> Answer | NoAnswer:
        """Ask whose key this is."""
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record for the dead-letter topic: key and value are the original bytes; `headers` are all of them."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class DeadLetters(Protocol):
    """The dead-letter topic."""

    async def write(self, letter: DeadLetter) -> None:
        """Return when the broker has acknowledged the letter; raise `DeadLetterError` otherwise."""
        ...


class Schemas(Protocol):
    """Where the text of a schema is found by its id."""

    async def fetch(self, schema_id: int) -> str | None:
        """Return the schema's text, None when there is none; raise `RegistryUnavailableError` when it can't be asked."""
        ...
