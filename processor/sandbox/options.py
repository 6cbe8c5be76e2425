"""What a sandbox is like for its whole life; what goes wrong during it is in faults.py."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, final

from processor.sandbox.faults import Faults

MIB = 1024 * 1024


class WallClock(Protocol):
    """Where the sandbox reads the time.

    Nothing in the sandbox waits for it: job completion, the refill of the rate limit and the expiry of
    idempotency keys are computed from `now()` at each request, so a test may advance time by assignment.
    """

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        ...


@final
class SystemWallClock:
    """The computer's own clock."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return time.time()


class Role(StrEnum):
    """What `GET /me` may say of a key (docs/fullstory-api.md#authentication); USER is a Standard key."""

    UNKNOWN = "UNKNOWN"
    ADMIN = "ADMIN"
    USER = "USER"
    VIEW_ONLY = "VIEW_ONLY"
    UMBRELLA_MANAGER = "UMBRELLA_MANAGER"
    ARCHITECT = "ARCHITECT"


class Nested(StrEnum):
    """What an upsert does to a nested object that the user has: no source says (docs/fullstory-api.md#users)."""

    MERGE = "merge"
    REPLACE = "replace"


DEFAULT_KEYS: Mapping[str, Role] = MappingProxyType({"na1.architect": Role.ARCHITECT, "na1.standard": Role.USER})


@final
@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """Settings of one sandbox. Numbers FullStory documents are the defaults; the others give their reason."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: any free port
    keys: Mapping[str, Role] = field(default_factory=lambda: DEFAULT_KEYS)
    org_id: str = "SANDBOX-na1"
    seed: int = 0  # of everything left to chance: durations, order inside a job, faults, ids
    faults: Faults = field(default_factory=Faults)  # what the sandbox starts with, and returns to on reset

    job_duration_s: tuple[float, float] = (0.05, 0.5)  # undocumented; short, for people who wait for a demo
    job_retention_s: float | None = None  # undocumented; a finished job is answered 404 afterwards
    hard_job_ids: bool = False  # whether ids of jobs hold what a path must escape, as none of the samples does
    page_size: int = 1_000  # undocumented; of users, imports and errors
    nested: Nested = Nested.MERGE

    max_items: int = 50_000
    running_jobs: int = 100
    max_jobs: int = 200
    max_operations: int = 500_000
    hard_stop_retry_after_s: int = 1  # undocumented
    requests_per_s: float | None = None  # a limit exists but its number is unpublished; None: unlimited
    burst: int = 10
    retry_after_as_date: bool = False
    early_grace_s: float = 0.25  # a request already on its way when a Retry-After was announced is not early

    max_body_bytes: int = 8 * MIB  # undocumented; small enough that a full batch of real events has to be split
    max_event_name: int = 250  # documented for the browser only; the stricter reading
    full_sessions: frozenset[str] = frozenset()  # session ids that have reached their page limit
    item_error_message: str = "the item could not be imported"  # text of an injected item failure
    replay_500: bool = True  # whether an answer of exactly 500 is stored under its Idempotency-Key
    idempotency_ttl_s: float = 24 * 3600.0
    request_log: int = 10_000  # how many requests `GET /sandbox/requests` remembers
