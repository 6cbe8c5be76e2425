"""The ports: what the runtime needs of the world, as Protocols.

All methods are called on the event loop's thread. Fakes live in tests/fakes, the real things in processor/adapters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from processor.engine.commits import CommitFault
from processor.engine.notices import WaitsFor
from processor.engine.partition.owner import Assignment, End
from processor.engine.verdict import Answer, NoAnswer
from processor.events.framing import ApicurioId, SchemaId
from processor.events.languages import AVRO, AVRO_IN_JSON
from processor.model.reasons import HaltReason, Kind
from processor.model.records import ClientFigures, Commit, Headers, LetterPlace, Record, TopicPartition


class Clock(Protocol):
    """Time. Waiting is the event loop's business."""

    def monotonic(self) -> float:
        """Return seconds that never go back; the zero is arbitrary."""
        ...

    def wall(self) -> float:
        """Return seconds since the epoch."""
        ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """Consecutive records of one partition, in offset order; `bytes` is their sum of `held_bytes`."""

    id: TopicPartition
    epoch: int
    records: list[Record]
    bytes: int


class LoopWatch(Protocol):
    """Whether the event loop answers; for the source's thread."""

    def look(self) -> bool:
        """Say whether it is lost; to be called all the time."""
        ...

    def end(self) -> None:
        """End the process, whatever the loop does."""
        ...


class SourceFault(NamedTuple):
    """Why the source gives nothing: the cause as a clause, the action in whole sentences ("" for the general one).

    `where` is the topic or the partition that it concerns, "" where it concerns all.
    """

    cause: str
    action: str = ""
    where: str = ""


class SourceListener(Protocol):
    """Who a source tells; called on the event loop's thread, never two at a time for one partition."""

    def assigned(self, assignments: Sequence[Assignment], partitions_in_topics: int) -> None:
        """Take over partitions; `partitions_in_topics` counts all partitions of the subscribed topics."""
        ...

    def fetched(self, chunk: Sequence[Fetched]) -> None:
        """Take records; those of an epoch that has ended are to be dropped."""
        ...

    def at_end(self, positions: Mapping[TopicPartition, int]) -> None:
        """Everything before these offsets was told by `fetched`, and there was no more at that moment."""
        ...

    async def revoking(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Commit]:
        """Finish what can be finished soon; return what to commit before the partitions go. Nothing later counts."""
        ...

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """The partitions belong to somebody else already: drop them, commit nothing."""
        ...

    def committed(self, commits: Mapping[TopicPartition, Commit], faults: Mapping[TopicPartition, CommitFault]) -> None:
        """A call of `Source.commit` was answered: `commits` are those that it made.

        Where there is a fault the outcome is unknown; the rest is acknowledged.
        """
        ...

    def ends(self, ends: Mapping[TopicPartition, End | WaitsFor]) -> None:
        """Take where owned partitions end, told every few seconds; or which broker is missing that could tell."""
        ...

    def gap(self, partition: TopicPartition, position: int, available: tuple[int, int]) -> None:
        """The position is not in the topic, which holds the offsets `[first, end)`; nothing is fetched of it."""
        ...

    def faults(self, faults: Mapping[HaltReason, Sequence[SourceFault]]) -> None:
        """What keeps the source from reading, all of it; told whenever it changes, and empty when all is well."""
        ...

    def trouble(self, detail: str) -> None:
        """Kafka's client reports a fault from which it recovers by itself."""
        ...

    def failed(self, error: Exception) -> None:
        """The source cannot go on; the process is to end."""
        ...


class Source(Protocol):
    """Records of the subscribed topics, and commits. Each partition belongs to one epoch at a time."""

    @property
    def figures(self) -> ClientFigures:
        """What the client last said of itself."""
        ...

    @property
    def polled_at(self) -> float:
        """When the source last asked Kafka for anything, on the monotonic clock: it should always be moments ago."""
        ...

    def start(self, listener: SourceListener) -> None:
        """Join the group and begin to tell the listener."""
        ...

    def pause(self, epochs: Mapping[TopicPartition, int]) -> None:
        """Fetch no more of these until `resume`; heartbeats go on. Chunks on their way may still arrive.

        Here and below: what concerns a partition that is no longer owned in that epoch is left out.
        """
        ...

    def resume(self, epochs: Mapping[TopicPartition, int]) -> None:
        """Fetch these again."""
        ...

    def seek(self, partition: TopicPartition, epoch: int, offset: int) -> None:
        """Go on from this offset, where a gap had stopped the partition."""
        ...

    def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Commit; answered by `committed`, always, and one call at a time."""
        ...

    async def stop(self) -> None:
        """Leave the group, after `revoking` for all that is owned; returns when the connection is closed."""
        ...


class Destination(Protocol):
    """FullStory's API. Every call has a deadline and returns a value, whatever happens."""

    async def post(self, kind: Kind, body: bytes, key: str, *, batch: bool) -> Answer | NoAnswer:
        """POST one item, or a batch; `key` is the Idempotency-Key."""
        ...

    async def delete(self, uid: str) -> Answer | NoAnswer:
        """Delete the user with this uid."""
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

    async def write(self, letter: DeadLetter) -> LetterPlace | None:
        """Return when the broker has acknowledged the letter, with its place if that is told.

        Raise `DeadLetterError` otherwise.
        """
        ...


class SchemaIncompleteError(Exception):
    """The registry answers, but cannot give a schema, or not all that belongs to it; says which part."""


class SchemaText(NamedTuple):
    """A schema as its author wrote it, and the language as registries call it: AVRO, JSON, PROTOBUF or another."""

    text: str
    language: str = AVRO

    def language_for(self, schema_id: SchemaId) -> str:
        """Return the language in which the records are written that name the schema so."""
        is_in_json = isinstance(schema_id, ApicurioId) and schema_id.is_json and self.language == AVRO
        return AVRO_IN_JSON if is_in_json else self.language


class Schemas(Protocol):
    """Where the text of a schema is found by what records name it by."""

    async def fetch(self, schema_id: SchemaId) -> SchemaText | None:
        """Return the schema, or None when there is none; raise `RegistryUnavailableError` otherwise.

        `SchemaIncompleteError`: it can be had no more than one that is absent, and the error says why.
        """
        ...
