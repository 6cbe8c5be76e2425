"""What this FullStory does on purpose, in words: each fault, limit, option and change of a key, and since when."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, final

from processor.sandbox.echo import STYLES
from processor.sandbox.faults import Echo, Faults
from processor.sandbox.gateway import GATEWAYS
from processor.sandbox.keys import Keys
from processor.sandbox.limits import TokenBucket
from processor.sandbox.options import SandboxOptions
from processor.sandbox.wire import Json

REMEMBERED = 1_000
"""How many conditions that have ended are kept."""

TOO_MANY_REQUESTS = 429


class Statement(NamedTuple):
    """One thing done on purpose, without its time."""

    name: str
    text: str
    status: int | None = None
    is_total: bool = False
    until: float | None = None


@final
@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that this FullStory does on purpose. Times are those of the sandbox's clock."""

    name: str
    """The field of `Faults` or `SandboxOptions` behind it, or `keys`."""
    text: str
    """What it does; a sentence begins with "FullStory"."""
    status: int | None
    """The HTTP status that it answers, where it answers one."""
    is_total: bool
    """Whether it leaves nothing to be delivered while it lasts."""
    since: float
    until: float | None
    """When it ends by itself, or when it ended."""

    def as_json(self) -> Json:
        """Return the fields by name."""
        return asdict(self)


@final
class Weather:
    """Tells what is in force, and remembers what was.

    A condition begins and ends when `look` notices it, so whoever changes a fault, the limit or a key looks at once.
    """

    def __init__(self, options: SandboxOptions, faults: Faults, bucket: TokenBucket, keys: Keys, now: float) -> None:
        self._options = options
        self._faults = faults
        self._bucket = bucket
        self._keys = keys
        self._in_force: dict[Statement, float] = {}
        self._ended: deque[Condition] = deque(maxlen=REMEMBERED)
        self.look(now)

    def look(self, now: float) -> list[Condition]:
        """Return what is in force; what is total comes first."""
        found = sorted(self._statements(now), key=lambda statement: not statement.is_total)
        for statement, since in self._in_force.items():
            if statement not in found:
                ended = now if statement.until is None else min(now, statement.until)
                self._ended.append(Condition(*statement[:4], since, ended))
        self._in_force = {statement: self._in_force.get(statement, now) for statement in found}
        return [Condition(*statement[:4], since, statement.until) for statement, since in self._in_force.items()]

    def history(self, now: float) -> list[Condition]:
        """Return all that has been in force, oldest first."""
        in_force = self.look(now)
        return sorted([*self._ended, *in_force], key=lambda condition: condition.since)

    def _statements(self, now: float) -> Iterator[Statement]:
        yield from _of_requests(self._faults, now)
        yield from _of_work(self._faults)
        yield from _of_limit(**self._bucket.as_json())
        yield from _of_keys(self._options.keys, self._keys)
        yield from _of_options(self._options, self._faults)


def _of_requests(faults: Faults, now: float) -> Iterator[Statement]:
    if faults.gateway is not None:
        gateway = GATEWAYS[faults.gateway]
        where = f", for paths with {faults.gateway_path}" if faults.gateway_path else ""
        is_total = gateway.applies is None and not where
        yield Statement("gateway", f"is behind a gateway that {gateway.text}{where}", gateway.status, is_total)
    outage = faults.outage(now)
    if outage is not None:
        text = f"answers {outage} to every request" + _retry_after(outage, faults)
        yield Statement("outage_status", text, outage, is_total=True, until=faults.outage_until)
    if faults.throttle_ratio:
        text = f"answers 429 to {_share(faults.throttle_ratio, 'request')}" + _retry_after(TOO_MANY_REQUESTS, faults)
        yield Statement("throttle_ratio", text, TOO_MANY_REQUESTS, faults.throttle_ratio == 1)
    if faults.error_ratio:
        status = faults.error_status
        text = f"answers {status} to {_share(faults.error_ratio, 'request')}" + _retry_after(status, faults)
        yield Statement("error_ratio", text, status, faults.error_ratio == 1)
    if faults.drop_before_ratio:
        share = _share(faults.drop_before_ratio, "connection")
        text = f"closes {share} before the request takes effect"
        yield Statement("drop_before_ratio", text, None, faults.drop_before_ratio == 1)
    if faults.drop_after_ratio:
        share = _share(faults.drop_after_ratio, "connection")
        yield Statement("drop_after_ratio", f"closes {share} after the request took effect, without an answer")
    if faults.latency_s or faults.latency_jitter_s:
        span = _span((faults.latency_s, faults.latency_s + faults.latency_jitter_s))
        yield Statement("latency_s", f"answers after {span}")


def _of_work(faults: Faults) -> Iterator[Statement]:
    if faults.job_duration_s is not None:
        yield Statement("job_duration_s", f"takes {_span(faults.job_duration_s)} for each new job")
    if faults.slow_job_ratio:
        share = _share(faults.slow_job_ratio, "job")
        yield Statement("slow_job_ratio", f"takes {faults.slow_job_s:g} s longer for {share}")
    if faults.job_failure_ratio:
        yield Statement("job_failure_ratio", f"fails {_share(faults.job_failure_ratio, 'job')} with every item")
    if faults.item_failure_ratio:
        yield Statement("item_failure_ratio", f"refuses {_share(faults.item_failure_ratio, 'item')}")
    if faults.jobs_not_found:
        yield Statement("jobs_not_found", "answers 404 to every question about a job", 404)
    if faults.echo is not Echo.EXACT:
        yield Statement("echo", f"echoes failed items {STYLES[faults.echo].text}")


def _of_limit(requests_per_s: float | None, burst: int) -> Iterator[Statement]:
    if requests_per_s is not None:
        text = f"answers 429 beyond {requests_per_s:g} requests/s and a burst of {burst:,}"
        yield Statement("requests_per_s", text, TOO_MANY_REQUESTS)


def _of_keys(at_start: Mapping[str, str], keys: Keys) -> Iterator[Statement]:
    for key, role in keys.known.items():
        if key not in keys.roles:
            yield Statement("keys", f"answers 401 to the key {key}, which is revoked", 401, not keys.roles)
        elif at_start.get(key) != role:
            yield Statement("keys", f"accepts the key {key} with the role {role}")


def _of_options(options: SandboxOptions, faults: Faults) -> Iterator[Statement]:
    defaults = SandboxOptions()
    for name, (say, status) in _OPTIONS.items():
        value = getattr(options, name)
        is_overruled = name == "job_duration_s" and faults.job_duration_s is not None
        if value != getattr(defaults, name) and not is_overruled:
            yield Statement(name, say(value), status)


_OPTIONS: Mapping[str, tuple[Callable[[Any], str], int | None]] = MappingProxyType(
    {
        "job_duration_s": (lambda span: f"takes {_span(span)} for each job", None),
        "job_retention_s": (lambda seconds: f"forgets a job {seconds:g} s after its end", 404),
        "hard_job_ids": (lambda _: "gives jobs ids that a path must escape", None),
        "page_size": (lambda count: f"puts at most {count:,} users, imports or errors on a page", None),
        "nested": (lambda _: "replaces nested objects as a whole", None),
        "max_items": (lambda count: f"takes at most {count:,} items in a request", 400),
        "running_jobs": (lambda count: f"carries out at most {count:,} jobs at once", None),
        "max_jobs": (lambda count: f"answers 429 beyond {count:,} jobs in progress", TOO_MANY_REQUESTS),
        "max_operations": (lambda count: f"answers 429 beyond {count:,} items in progress", TOO_MANY_REQUESTS),
        "hard_stop_retry_after_s": (
            lambda seconds: f"announces Retry-After: {seconds} when too much is in progress",
            TOO_MANY_REQUESTS,
        ),
        "retry_after_as_date": (lambda _: "announces Retry-After as a date", None),
        "max_body_bytes": (lambda count: f"answers 413 to a body of more than {count:,} bytes", 413),
        "max_event_name": (lambda count: f"refuses event names of more than {count:,} characters", 400),
        "full_sessions": (lambda ids: f"refuses events of the full sessions {', '.join(sorted(ids))}", 400),
        "item_error_message": (lambda message: f'says "{message}" of each item that it refuses', None),
        "replay_500": (lambda _: "does not store an answer of 500 under its Idempotency-Key", None),
        "idempotency_ttl_s": (lambda seconds: f"forgets an Idempotency-Key after {seconds:g} s", None),
    }
)
"""What an option other than the default means, and the status that it brings."""


def _share(ratio: float, of_what: str) -> str:
    return f"every {of_what}" if ratio == 1 else f"{100 * ratio:g} % of {of_what}s"


def _span(span: tuple[float, float]) -> str:
    shortest, longest = span
    return f"{longest:g} s" if shortest == longest else f"{shortest:g} to {longest:g} s"


def _retry_after(status: int, faults: Faults) -> str:
    announces = status == TOO_MANY_REQUESTS or (status >= 500 and faults.retry_after_on_5xx)
    return f" with Retry-After: {faults.retry_after_s}" if announces else ""
