"""Answers remembered per Idempotency-Key: docs/fullstory-api.md#idempotency."""

from dataclasses import dataclass
from hashlib import sha256
from typing import final

from processor.sandbox.wire import ApiError, SandboxAnswer

NOT_STORED_ABOVE = 500
UNSTORED = frozenset({409, 429})


@final
@dataclass(slots=True)
class Promise:
    """A key in use: by which request, and with which answer, once there is one."""

    fingerprint: bytes
    at: float
    answer: SandboxAnswer | None = None


@final
class IdempotencyKeys:
    """The answers under each (API key, Idempotency-Key), for 24 hours from the first request.

    Only answers an endpoint gave are offered for storage; a request refused on the way to it (401, 403, 413, 415, 429)
    began no work and leaves the key free.
    """

    def __init__(self, ttl_s: float, *, replay_500: bool) -> None:
        self._ttl_s = ttl_s
        self._replay_500 = replay_500
        self._promises: dict[tuple[str, str], Promise] = {}
        self.replays = 0
        self.conflicts = 0

    def begin(self, key: tuple[str, str], path: str, body: bytes, now: float) -> SandboxAnswer | None:
        """Return the stored answer, or None and reserve the key until `finish`.

        Raises `ApiError` 409 when the key is held by another path or body, or by a request not yet answered.
        """
        self._expire(now)
        fingerprint = sha256(path.encode() + b"\0" + body).digest()
        promise = self._promises.get(key)
        if promise is None:
            self._promises[key] = Promise(fingerprint, now)
            return None
        if promise.fingerprint != fingerprint:
            self.conflicts += 1
            raise ApiError(409, "idempotency_conflict", "the Idempotency-Key was used with a different request")
        if promise.answer is None:
            self.conflicts += 1
            raise ApiError(409, "idempotency_conflict", "a request with this Idempotency-Key is in progress")
        self.replays += 1
        return promise.answer

    def finish(self, key: tuple[str, str], answer: SandboxAnswer | None) -> None:
        """Store the answer, or free the key when there is none or its status is not to be replayed."""
        if answer is None or not self._is_stored(answer.status):
            del self._promises[key]
        else:
            self._promises[key].answer = answer

    def _is_stored(self, status: int) -> bool:
        if status == NOT_STORED_ABOVE:
            return self._replay_500
        return status < NOT_STORED_ABOVE and status not in UNSTORED

    def _expire(self, now: float) -> None:
        """Forget the keys past their time; they stand in the order of their first request."""
        while self._promises:
            key, oldest = next(iter(self._promises.items()))
            if oldest.answer is None or now < oldest.at + self._ttl_s:
                return
            del self._promises[key]
