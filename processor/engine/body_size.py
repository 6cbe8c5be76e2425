"""How large a request's body may be: as configured, and after a 413 as large as FullStory has shown to take.

FullStory documents no limit (docs/fullstory-api.md#limits), so it is learned, and kept for the life of the process.
"""

import sys

LEAST_BYTES = 1_024

GUESS_HOLDS_S = 3_600.0
"""How long it is believed that a body did not pass because of its size, where nobody has said so."""


class BodySize:
    """The limit of one process; `now` is monotonic."""

    def __init__(self, configured: int) -> None:
        self._configured = configured
        self.max_bytes = configured
        self._taken = LEAST_BYTES
        self._refused = sys.maxsize
        self._certain = configured, sys.maxsize
        """Both, without guesses."""
        self._guess_ends_at = float("-inf")

    def taken(self, size: int, now: float) -> None:
        """A body of so many bytes was taken: whatever was thought to be too large and is not larger may pass."""
        if now >= self._guess_ends_at:
            self.max_bytes, self._refused = self._certain
        self._taken = max(self._taken, size)
        self.max_bytes = max(self.max_bytes, min(size, self._configured))
        if size >= self._refused:
            self._refused = sys.maxsize

    def refused(self, size: int) -> None:
        """A body of so many bytes was refused as too large: half of it, unless more is known to be taken."""
        lowered = self._lower(size)
        self._certain = min(self._certain[0], lowered), min(self._certain[1], size)

    def suspected(self, size: int, now: float) -> None:
        """A body of so many bytes did not pass, while smaller ones did: for some time as if it had been refused."""
        self._lower(size)
        self._guess_ends_at = now + GUESS_HOLDS_S

    def _lower(self, size: int) -> int:
        self._refused = min(self._refused, size)
        known = self._taken if self._taken < size else LEAST_BYTES
        lowered = max(size // 2, known)
        self.max_bytes = min(self.max_bytes, lowered)
        return lowered

    def is_untried(self, size: int) -> bool:
        """Say whether no body as large was ever taken."""
        return size > self._taken

    def is_refused(self, size: int) -> bool:
        """Say whether as much has been refused before."""
        return size >= self._refused
