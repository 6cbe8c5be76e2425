"""One request: items that travel together under one key, and how far they have come."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from processor.engine.limits import Cost
from processor.engine.partition.journal_format import Entry
from processor.engine.partition.order import Turn
from processor.engine.speaker import ApiCall, post_of
from processor.engine.suspicion import Suspicion
from processor.events.payload import Item, request_body
from processor.model.reasons import Kind

if TYPE_CHECKING:
    from processor.engine.partition.batch import Batch


class Stage(StrEnum):
    """How far a request has come."""

    HELD = "held"
    """It waits for its turn: an earlier identify of one of its users is on its way."""
    READY = "ready"
    """It waits for a commit that covers it."""
    QUEUED = "queued"
    """It was handed over as an action, and waits for room."""
    POSTED = "posted"
    """It awaits its answer."""
    RESTING = "resting"
    """It failed, and is tried again later."""
    IN_JOB = "in job"
    """FullStory works on it."""
    ENDED = "ended"
    """Each of its items took effect, has failed for good, or travels in another request now."""
    GIVEN_UP = "given up"
    """The epoch ended: whoever owns the partition next goes on with it."""


class Happening(StrEnum):
    """What may happen to a request."""

    TURN_CAME = "its turn came"
    COVERED = "Kafka knows its key"
    UNCOVERED = "the lease ended, or its key grew old"
    GRANTED = "there is room"
    DELIVERED = "taken"
    ACCEPTED = "taken into a job"
    RETRY = "passing fault"
    HALT = "fault of the set-up"
    SPLIT = "refused as a whole"
    REJECTED = "rejected"
    RESTED = "rested"
    JOB_COMPLETED = "job completed"
    JOB_FAILED = "job failed in part"
    JOB_UNKNOWN = "job unknown"
    JOB_UNKNOWN_EARLY = "job unknown before its turn came"
    EPOCH_ENDED = "the partition goes"


_GOES = {Happening.EPOCH_ENDED: Stage.GIVEN_UP}

TRANSITIONS: Mapping[Stage, Mapping[Happening, Stage]] = {
    Stage.HELD: {Happening.TURN_CAME: Stage.READY, **_GOES},
    Stage.READY: {Happening.COVERED: Stage.QUEUED, Happening.SPLIT: Stage.ENDED, **_GOES},
    Stage.QUEUED: {Happening.GRANTED: Stage.POSTED, Happening.UNCOVERED: Stage.READY, **_GOES},
    Stage.POSTED: {
        Happening.DELIVERED: Stage.ENDED,
        Happening.ACCEPTED: Stage.IN_JOB,
        Happening.RETRY: Stage.RESTING,
        Happening.HALT: Stage.READY,
        Happening.SPLIT: Stage.ENDED,
        Happening.REJECTED: Stage.ENDED,
        **_GOES,
    },
    Stage.RESTING: {Happening.RESTED: Stage.READY, **_GOES},
    Stage.IN_JOB: {
        Happening.JOB_COMPLETED: Stage.ENDED,
        Happening.JOB_FAILED: Stage.ENDED,
        Happening.JOB_UNKNOWN: Stage.READY,
        Happening.JOB_UNKNOWN_EARLY: Stage.HELD,
        **_GOES,
    },
    Stage.ENDED: {},
    Stage.GIVEN_UP: {},
}
"""All that can happen, and what comes of it; docs/architecture.md draws it."""


Halves = Sequence[tuple[Entry, Sequence[Item]]]
"""Entries, each with its items."""


@dataclass(slots=True)
class Singles:
    """An entry whose items are sent one by one."""

    entry: Entry
    lines: int
    """How many lines of it go on."""
    then: "Halves" = ()
    """What is sent after all of them."""
    has_failed: bool = False
    """Whether FullStory refused one of its records."""


@dataclass(slots=True)
class Line:
    """What has to be sent in a row, item by item: all of one user."""

    singles: Singles
    rest: deque[tuple[Item, int]]
    """Items that follow, each with the attempt that its key counts from."""


class Opening(NamedTuple):
    """How requests begin; the fields are those of `Request`."""

    turn: Turn | None = None
    """That of the request from which they follow; None: they take their own."""
    is_first: bool = False
    rounds: int = 0
    then: Halves = ()
    is_resting: bool = False
    part_of: Suspicion | None = None


@dataclass(slots=True, eq=False)
class Request:
    """One request. Only its batch changes it."""

    batch: "Batch"
    entry: Entry
    items: Sequence[Item]
    since: float
    """Since when, on the monotonic clock, its key may have been used."""
    turn: Turn
    """Its place in the order of users; what follows from it shares that."""
    then: "Halves" = ()
    """What is sent once FullStory has taken it: the other halves of what was split. They wait, for what is learned of
    one (how large a body may be) saves requests for the others."""
    line: Line | None = None
    """Where it is one item of several that are sent one by one; else it goes to the batch endpoint."""
    is_first: bool = False
    """Whether its turn is not accepted before it is."""
    rounds: int = 0
    """How many jobs with its items failed by FullStory's own fault, in a row."""
    stage: Stage = Stage.READY
    posts: int = 0
    """How often it was POSTed."""
    failures: int = 0
    """Answers that meant to try again, in a row; `server_errors` of them, under the present key, were 500s."""
    server_errors: int = 0
    part_of: Suspicion | None = None
    """That of what was split because of it; what follows from this request is a part of that, too."""
    suspicion: Suspicion = field(init=False)
    was_denied: bool = False
    """Whether FullStory denied to know a job that it had named for it."""
    size: int = field(init=False)
    """Of its body, in bytes."""
    _body: bytes | None = field(init=False, default=None)
    _body_hash: bytes = field(init=False)

    def __post_init__(self) -> None:
        body = self.body
        self.size = len(body)
        self._body_hash = blake2b(body, digest_size=16).digest()
        if self.stage is Stage.IN_JOB:
            self._body = None
        self.suspicion = self.part_of.of_part() if self.part_of else Suspicion()

    @property
    def body(self) -> bytes:
        """What is POSTed: always the same bytes, made again where they were let go."""
        if self._body is None:
            self._body = request_body(self.items) if self.is_batch else self.items[0].body
        return self._body

    def on(self, happening: Happening) -> None:
        """Go on to the stage that the table names; whatever it does not name never happens."""
        self.stage = TRANSITIONS[self.stage][happening]

    def taken(self) -> None:
        """FullStory has taken it: what it failed by before says nothing of what comes, and its body is held no more.

        Most of its life it waits for its job, and would hold each item twice.
        """
        self._body = None
        self.failures = self.server_errors = 0
        self.suspicion = Suspicion()

    @property
    def was_sent_before(self) -> bool:
        """Whether it may have arrived before its last POST: by an earlier one, or by that of another process."""
        return self.posts > 1 or self.batch.is_taken_up

    @property
    def is_batch(self) -> bool:
        """Whether it goes to the batch endpoint; otherwise it holds one item."""
        return self.line is None

    @property
    def kind(self) -> Kind:
        """Users, events or deletions."""
        return self.entry.kind

    @property
    def deletes(self) -> str | None:
        """The uid of the user to delete, where that is what it asks for."""
        return self.items[0].uid if self.kind is Kind.DELETION else None

    @property
    def cost(self) -> Cost:
        """What it counts for while it is in progress."""
        return Cost(self.entry.items, int(self.is_batch))

    @property
    def records(self) -> int:
        """How many records it stands for."""
        return sum(len(item.records) for item in self.items)

    @property
    def call(self) -> ApiCall:
        """What it asks of FullStory."""
        return post_of(self.kind, batch=self.is_batch)

    @property
    def endpoint(self) -> str:
        """What metrics call the endpoint."""
        return f"{self.kind}s/batch" if self.is_batch else f"{self.kind}s"

    @property
    def idempotency_key(self) -> str:
        """The same for every repeat of this request, by whichever process, and for nothing else.

        The nonce is drawn once for a plan and stands in the journal, so the same records sent again on purpose (an
        offset reset, a redrive) are not swallowed by what FullStory remembers (docs/fullstory-api.md#idempotency). The
        offsets tell apart two requests of one plan that say the same.
        """
        digest = blake2b(key=self.batch.plan.nonce, digest_size=16, person=self.kind.encode())
        digest.update(b"%d %d %d " % (self.items[0].records[0], self.items[-1].records[-1], self.entry.attempt))
        digest.update(self._body_hash)
        return digest.hexdigest()
