"""The requests that arrived at the API: the last of them one by one, all of them counted."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import final

from processor.sandbox.faults import Fault
from processor.sandbox.wire import Json


@final
@dataclass(slots=True)
class LoggedRequest:
    """One request. `status` is None while it is in progress and when its connection was dropped."""

    number: int
    at: float
    method: str
    path: str
    endpoint: str
    idempotency_key: str | None = None
    integration_source: str | None = None
    status: int | None = None
    items: int = 0
    fault: Fault | None = None
    replayed: bool = False

    def as_json(self) -> Json:
        """Return the fields by name: an element of `GET /sandbox/requests`."""
        return asdict(self)


@final
class RequestLog:
    """Remembers the last `size` requests and counts all."""

    def __init__(self, size: int) -> None:
        self._last: deque[LoggedRequest] = deque(maxlen=size)
        self._by_endpoint: dict[str, Counter[str]] = {}
        self.faults: Counter[str] = Counter()
        self.total = 0
        self.in_progress = 0

    def __iter__(self) -> Iterator[LoggedRequest]:
        """Walk the last requests, oldest first."""
        return iter(self._last)

    def arrive(self, at: float, method: str, path: str, endpoint: str, headers: Mapping[str, str]) -> LoggedRequest:
        """Note a request; an empty Idempotency-Key is none."""
        self.total += 1
        self.in_progress += 1
        idempotency_key = headers.get("Idempotency-Key") or None
        source = headers.get("Integration-Source")
        entry = LoggedRequest(self.total, at, method, path, endpoint, idempotency_key, source)
        self._last.append(entry)
        return entry

    def leave(self, entry: LoggedRequest) -> None:
        """Count a request by what became of it."""
        self.in_progress -= 1
        outcome = "dropped" if entry.status is None else str(entry.status)
        self._by_endpoint.setdefault(entry.endpoint, Counter())[outcome] += 1
        if entry.fault is not None:
            self.faults[entry.fault.value] += 1

    def counts(self) -> dict[str, dict[str, int]]:
        """Count requests by endpoint and status; `dropped` where the connection was closed instead."""
        return {endpoint: dict(outcomes) for endpoint, outcomes in sorted(self._by_endpoint.items())}

    def with_status(self, status: int) -> int:
        """Count the requests answered so."""
        return sum(outcomes[str(status)] for outcomes in self._by_endpoint.values())
