"""How many requests may await an answer: additive increase, multiplicative decrease.

The limit grows by one for each limit's worth of good answers that were given while it was in use, for an idle worker
learns nothing about FullStory; it shrinks by a fifth, at most once a second, when FullStory fails. Latency has no say:
it grows with the size of a request.
"""

_DECREASE = 0.8
_DECREASE_AT_MOST_EVERY_S = 1.0


class Concurrency:
    """The limit, and what awaits an answer."""

    def __init__(self, initial: int, maximum: int) -> None:
        self._maximum = float(maximum)
        self._limit = float(min(initial, maximum))
        self._good_answers = 0
        self._last_decrease = float("-inf")
        self.awaiting = 0

    @property
    def limit(self) -> int:
        """How many requests may await an answer."""
        return int(self._limit)

    @property
    def room(self) -> int:
        """How many more may be sent; negative after the limit has shrunk."""
        return self.limit - self.awaiting

    def succeeded(self) -> None:
        """One that still counts as awaiting was answered well."""
        if self.room <= 0:
            self._good_answers += 1
            if self._good_answers >= self.limit:
                self._limit = min(self._limit + 1, self._maximum)
                self._good_answers = 0

    def failed(self, now: float) -> None:
        """One was answered with a failure of FullStory, or not at all."""
        if now - self._last_decrease >= _DECREASE_AT_MOST_EVERY_S:
            self._limit = max(1.0, self._limit * _DECREASE)
            self._last_decrease = now
        self._good_answers = 0
