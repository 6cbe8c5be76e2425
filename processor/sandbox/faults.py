"""What goes wrong on purpose: set at the start, changed at run time, drawn from a seeded generator."""

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, final

from processor.sandbox.gateway import Gateway

MIN_FAULT_STATUS = 400
MAX_FAULT_STATUS = 599


class Echo(StrEnum):
    """How a job's error page writes the failed item back (docs/fullstory-api.md#echoes)."""

    EXACT = "exact"
    REORDERED = "reordered"
    NULLS = "nulls"
    POPULATED = "populated"
    DEFAULTS = "defaults"
    DOUBLES = "doubles"
    TEXTS = "texts"
    SECONDS = "seconds"
    PROTO = "proto"
    NONE = "none"


@final
@dataclass(slots=True)
class Faults:
    """The faults in force. Ratios are probabilities per request, per job or per item, from 0 to 1.

    The fields are also the JSON of `GET` and `POST /sandbox/faults`; a POST changes the fields it names. There,
    `outage_s` may be given for `outage_until`, in seconds from now; without either, an outage lasts until cleared.
    """

    latency_s: float = 0.0  # before an accepted request takes effect
    latency_jitter_s: float = 0.0  # added to it, uniformly from 0
    throttle_ratio: float = 0.0  # answered 429
    retry_after_s: int = 1  # announced by injected 429 answers
    retry_after_on_5xx: bool = False  # whether injected 5xx answers announce it too
    error_ratio: float = 0.0  # answered `error_status`, without effect
    error_status: int = 503
    drop_before_ratio: float = 0.0  # connection closed, without effect
    drop_after_ratio: float = 0.0  # connection closed after the effect: the answer is lost
    outage_status: int | None = None  # every request gets this status, until cleared or `outage_until`
    outage_until: float | None = None  # on the sandbox's clock
    job_duration_s: tuple[float, float] | None = None  # of jobs accepted from now on, instead of the option's
    slow_job_ratio: float = 0.0  # jobs that take `slow_job_s` longer
    slow_job_s: float = 30.0  # long beside the usual duration, short beside the worker's patience
    job_failure_ratio: float = 0.0  # jobs of which every item fails
    item_failure_ratio: float = 0.0  # items that always fail: by content, so the same item fails when sent again
    jobs_not_found: bool = False  # reads of any job are answered 404
    echo: Echo = Echo.EXACT  # how failed items are written back
    gateway: Gateway | None = None  # what stands in between and answers in FullStory's place
    gateway_path: str = ""  # only to requests with this text in their paths

    def update(self, changes: dict[str, Any], now: float) -> None:
        """Apply the JSON of `POST /sandbox/faults`; raises `ValueError`, changing nothing, when it makes no sense."""
        for name, value in changes.items():
            _check(name, value)
        if "outage_status" in changes:
            self.outage_until = None
        for name, value in changes.items():
            if name == "outage_s":
                self.outage_until = None if value is None else now + value
            elif name == "job_duration_s" and value is not None:
                self.job_duration_s = (value[0], value[1])
            elif name == "echo":
                self.echo = Echo(value)
            elif name == "gateway" and value is not None:
                self.gateway = Gateway(value)
            else:
                setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)

    def outage(self, now: float) -> int | None:
        """Return the status of the outage in force, if there is one."""
        over = self.outage_until is not None and now >= self.outage_until
        return None if over else self.outage_status


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and value >= 0


def _is_ratio(value: Any) -> bool:
    return _is_number(value) and value <= 1


def _is_status(value: Any) -> bool:
    return type(value) is int and MIN_FAULT_STATUS <= value <= MAX_FAULT_STATUS


def _is_range(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value)) and value[0] <= value[1]


RATIO = _is_ratio, "a number from 0 to 1"
SECONDS = _is_number, "a number of at least 0"
SWITCH = (lambda value: type(value) is bool), "true or false"
RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "latency_s": SECONDS,
    "latency_jitter_s": SECONDS,
    "throttle_ratio": RATIO,
    "retry_after_s": ((lambda value: type(value) is int and value >= 0), "a whole number of at least 0"),
    "retry_after_on_5xx": SWITCH,
    "error_ratio": RATIO,
    "error_status": (_is_status, "an HTTP status from 400 to 599"),
    "drop_before_ratio": RATIO,
    "drop_after_ratio": RATIO,
    "outage_status": ((lambda value: value is None or _is_status(value)), "null or an HTTP status from 400 to 599"),
    "outage_until": ((lambda value: value is None or _is_number(value)), "null or a number of at least 0"),
    "outage_s": ((lambda value: value is None or _is_number(value)), "null or a number of at least 0"),
    "job_duration_s": ((lambda value: value is None or _is_range(value)), "null or [shortest, longest]"),
    "slow_job_ratio": RATIO,
    "slow_job_s": SECONDS,
    "job_failure_ratio": RATIO,
    "item_failure_ratio": RATIO,
    "jobs_not_found": SWITCH,
    "echo": ((lambda value: value in list(Echo)), f"one of {', '.join(Echo)}"),
    "gateway": ((lambda value: value is None or value in list(Gateway)), f"null or one of {', '.join(Gateway)}"),
    "gateway_path": ((lambda value: type(value) is str), "a text"),
}


def _check(name: str, value: Any) -> None:
    if name not in RULES:
        raise ValueError(f"unknown fault {name!r}; known: {', '.join(RULES)}")
    fits, description = RULES[name]
    if not fits(value):
        raise ValueError(f"{name} must be {description}")


class Fault(StrEnum):
    """What was done to one request; the names under which the request log and the statistics count it."""

    DROP_BEFORE = "drop_before"
    THROTTLE = "throttle"
    ERROR = "error"
    DROP_AFTER = "drop_after"
    OUTAGE = "outage"
    GATEWAY = "gateway"


@final
class SeededChance:
    """The sandbox's only source of chance."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - chance, not secrets

    def request_fault(self, faults: Faults) -> Fault | None:
        """Draw the fault that befalls this request: at most one, the first that comes up."""
        ratios = (
            (Fault.DROP_BEFORE, faults.drop_before_ratio),
            (Fault.THROTTLE, faults.throttle_ratio),
            (Fault.ERROR, faults.error_ratio),
            (Fault.DROP_AFTER, faults.drop_after_ratio),
        )
        return next((fault for fault, ratio in ratios if self.happens(ratio)), None)

    def happens(self, ratio: float) -> bool:
        """Decide whether an event of this probability occurs; costs a draw only when it may."""
        return ratio > 0 and self._random.random() < ratio

    def between(self, low: float, high: float) -> float:
        """Draw a number uniformly."""
        return self._random.uniform(low, high)

    def latency(self, faults: Faults) -> float:
        """Draw how long this request takes, in seconds."""
        return faults.latency_s + self.between(0, faults.latency_jitter_s)

    def randbytes(self, count: int) -> bytes:
        """Draw bytes for an id."""
        return self._random.randbytes(count)

    def digits(self, count: int) -> str:
        """Draw a number of exactly this many digits, for an id."""
        return str(self._random.randrange(10 ** (count - 1), 10**count))

    def shuffle(self, order: list[int]) -> None:
        """Bring a job's items into the order in which they take effect."""
        self._random.shuffle(order)
