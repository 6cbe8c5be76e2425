"""How large a request's body may be: as configured, and after a 413 as large as FullStory has shown to take.

FullStory documents no limit (docs/fullstory-api.md#limits), so it is learned, and kept for the life of the process.
"""

import sys

LEAST_BYTES = 1_024


class BodySize:
    """The limit of one process."""

    def __init__(self, configured: int) -> None:
        self._configured = configured
        self.max_bytes = configured
        self._taken = LEAST_BYTES
        self._refused = sys.maxsize

    def taken(self, size: int) -> None:
        """A body of so many bytes was taken: whatever was thought to be too large and is not larger may pass."""
        self._taken = max(self._taken, size)
        self.max_bytes = max(self.max_bytes, min(size, self._configured))
        if size >= self._refused:
            self._refused = sys.maxsize

    def refused(self, size: int) -> None:
        """A body of so many bytes was refused as too large: half of it, unless more is known to be taken."""
        self._refused = min(self._refused, size)
        known = self._taken if self._taken < size else LEAST_BYTES
        self.max_bytes = min(self.max_bytes, max(size // 2, known))

    def is_untried(self, size: int) -> bool:
        """Say whether no body as large was ever taken."""
        return size > self._taken

    def is_refused(self, size: int) -> bool:
        """Say whether as much has been refused before."""
        return size >= self._refused
