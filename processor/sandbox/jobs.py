"""Import jobs: accepted at once, carried out later, in an order nobody promises (docs/fullstory-api.md#jobs).

Rule 1: nothing waits. A job's finish time is known when it starts; `settle(now)` carries out every job that is due,
in order of finish time, and must be called before anything that a job could change is read.
Rule 2: at most `running_jobs` batches run; the others queue, and start at the moment a running one finishes.
Rule 3: the items of a job take effect at its finish time, in shuffled order.
"""

import base64
import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from processor.sandbox.faults import Faults, SeededChance
from processor.sandbox.options import SandboxOptions
from processor.sandbox.truth import ItemKind, ItemOrigin, TakenItem, Via
from processor.sandbox.wire import ApiError, Json, not_found, rfc3339

ID_BYTES = 20  # their base64 ends in "=", as ids do in FullStory's samples
HARD = b"\xfb\xef\xff"  # in base64 "++//", which a path must escape
DOOM = ApiError(500, "server_error", "the job failed")


@final
@dataclass(slots=True)
class Job:
    """One import job. A streamed user is a job of one item that counts as no batch."""

    number: int
    origin: ItemOrigin
    items: Sequence[Any]  # empty once they have taken effect
    accepted_at: float
    duration_s: float
    doomed: bool  # by a fault: every item fails
    shared: Json = field(default_factory=dict)
    started_at: float | None = None
    finish_at: float | None = None
    status: str = "PROCESSING"
    status_read: bool = False
    imports: list[TakenItem] = field(default_factory=list)
    errors: list[tuple[Any, ApiError]] = field(default_factory=list)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.items)

    @property
    def id(self) -> str:
        """What it is asked for by; the items that it lets take effect name it as their origin."""
        assert self.origin.job_id is not None, "a job without an id"
        return self.origin.job_id

    @property
    def finished(self) -> bool:
        """Whether its items have taken effect."""
        return self.status != "PROCESSING"

    def metadata(self) -> Json:
        """Return the `job` object; `finished` only when it is."""
        shape: Json = {"id": self.id, "status": self.status, "created": rfc3339(self.accepted_at)}
        if self.finished and self.finish_at is not None:
            shape["finished"] = rfc3339(self.finish_at)
        return shape


Take = Callable[[Any, Json, ItemOrigin, float], TakenItem]


@final
class SandboxJobs:
    """Every job, and which are running; `take` lets one item take effect, or raises `ApiError`."""

    def __init__(self, options: SandboxOptions, faults: Faults, chance: SeededChance, take: Take) -> None:
        self._options = options
        self._faults = faults
        self._chance = chance
        self._take = take
        self._jobs: dict[str, Job] = {}
        self._due: list[tuple[float, int, Job]] = []  # a heap by finish time
        self._queue: deque[Job] = deque()
        self.running = 0
        self.operations = 0
        self.max_in_progress = 0
        self.max_operations = 0

    def __iter__(self) -> Iterator[Job]:
        """Walk them in order of acceptance."""
        return iter(self._jobs.values())

    @property
    def queued(self) -> int:
        """Batches accepted and not yet running."""
        return len(self._queue)

    def has_room(self, items: int) -> bool:
        """Whether the hard stop on batches and operations in progress lets this many items in."""
        in_progress = self.running + self.queued
        return in_progress < self._options.max_jobs and self.operations + items <= self._options.max_operations

    def accept(self, origin: ItemOrigin, items: Sequence[Any], now: float, shared: Json | None = None) -> Job:
        """Create a job; it starts now if there is a free place, else in its turn."""
        job_id = self._new_id()
        job = Job(
            number=len(self._jobs) + 1,
            origin=origin._replace(job_id=job_id),
            items=items,
            accepted_at=now,
            duration_s=self._duration_s(),
            doomed=self._chance.happens(self._faults.job_failure_ratio),
            shared=shared or {},
        )
        self._jobs[job_id] = job
        self.operations += job.size
        if origin.via == "batch" and self.running >= self._options.running_jobs:
            self._queue.append(job)
        else:
            self._start(job, now)
        self.max_in_progress = max(self.max_in_progress, self.running + self.queued)
        self.max_operations = max(self.max_operations, self.operations)
        return job

    def find(self, kind: ItemKind, via: Via, job_id: str, now: float) -> Job:
        """Return the job; raises `ApiError` 404 when unknown, of another kind, forgotten, or by a fault."""
        job = self._jobs.get(job_id)
        retention_s = self._options.job_retention_s
        if job is None or self._faults.jobs_not_found or (job.origin.kind, job.origin.via) != (kind, via):
            raise not_found()
        if job.finished and retention_s is not None and now > (job.finish_at or 0) + retention_s:
            raise not_found()
        return job

    def settle(self, now: float) -> None:
        """Carry out the jobs that are due by now."""
        while self._due and self._due[0][0] <= now:
            finish_at, _, job = heapq.heappop(self._due)
            self._carry_out(job, finish_at)
            self.operations -= job.size
            if job.origin.via == "batch":
                self.running -= 1
                if self._queue:
                    self._start(self._queue.popleft(), finish_at)

    def _start(self, job: Job, now: float) -> None:
        job.started_at = now
        job.finish_at = now + job.duration_s
        heapq.heappush(self._due, (job.finish_at, job.number, job))
        if job.origin.via == "batch":
            self.running += 1

    def _carry_out(self, job: Job, at: float) -> None:
        order = list(range(len(job.items)))
        self._chance.shuffle(order)
        for index in order:
            item = job.items[index]
            if job.doomed:
                job.errors.append((item, DOOM))
                continue
            try:
                job.imports.append(self._take(item, job.shared, job.origin, at))
            except ApiError as error:
                job.errors.append((item, error))
        job.status = "FAILED" if job.errors else "COMPLETED"
        job.items = ()

    def _duration_s(self) -> float:
        faults = self._faults
        shortest, longest = faults.job_duration_s or self._options.job_duration_s
        extra_s = faults.slow_job_s if self._chance.happens(faults.slow_job_ratio) else 0.0
        return self._chance.between(shortest, longest) + extra_s

    def _new_id(self) -> str:
        chosen = self._chance.randbytes(ID_BYTES)
        if not self._options.hard_job_ids:
            return base64.urlsafe_b64encode(chosen).decode()
        return base64.b64encode(chosen[:9] + HARD + chosen[9 + len(HARD) :]).decode()
