"""How many requests a second: learned from refusals alone, for the limit is not published and others share it.

FullStory limits the rate of requests and lets a burst pass (docs/fullstory-api.md#limits), as a bucket of tokens would:
what it answers 429 found the bucket empty. Hence the rules:

1. Before the first refusal there is no rate, and the limit of concurrency alone holds.
2. Between two refusals, which both found the bucket empty, exactly the allowance was taken. So after each refusal the
   rate starts a little below what was taken since the one before, and then grows with the cube of time: for long it
   stays near what is known to be right, then it looks ever faster for more.
3. Only time in which it is used up counts, for growth and for measuring: a quiet hour says nothing about the limit.
4. The first refusal tells little: from there the rate doubles again and again until a second one tells more, which one
   that follows at once does not.
5. A burst hides the limit for a while, so a short time between refusals says little: the rate then only shrinks.
6. The fewer requests a process makes, the slower it grows, so that refusals stay rare among them. Processes that share
   a limit need no other way to agree: who takes more is refused more often.
7. Who had more than it wanted for most of the time was refused for what others took: that tells nothing about its own
   rate, and it may make up for the silence.
"""

import math
from collections import deque

from processor.engine.retry import Chance

_KEPT = 0.95
"""Of what was taken between two refusals, the part with which the rate starts again."""
_GROWTH = 1.5e-4
"""Growth after a second, as a part of the rate; with the cube of time it is twofold after 19 s."""
_DOUBLES_IN_S = 5.0
"""After a first refusal, until there is a second."""
_HELP = 3.0
"""Requests a second that each grows as if it had besides: so those catch up that have little of a shared limit."""
_PERIOD_S = 13.0
"""How long such a growth takes from one refusal to the next, with one process and a burst of two seconds."""
_REQUESTS_PER_REFUSAL = 180
"""A process that makes fewer requests in a period grows slower."""
_MAX_STRETCH = 4.0
_TELLING_S = 4.0
"""How far apart two refusals have to be to tell the rate between them."""
_RECENT_S = 8.0
_SURGE = 1.6
"""A rate that could grow so much since the last refusal tells of a higher limit: recent time counts more."""
_SHRUNK = 0.97
_MIN_RATE = 1.0
_USED_UP = 0.6
"""For a smaller part of the time, the rate was not what held a process back."""
_MAKES_UP = 2.0
_SLACK_S = 0.1
"""For so long may requests fall behind the rate and still catch up."""
_MIN_SLACK = 2.0
ROUNDING = 1e-6
"""Of a request; without it a timer could end a moment before there is room."""


def slack_of(rate: float) -> float:
    """Return how many requests may be saved up at a rate."""
    return max(_MIN_SLACK, rate * _SLACK_S)


class Pace:
    """The rate of one process; `now` is monotonic and never goes back."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self.rate = math.inf
        """Requests a second."""
        self._start_rate = math.inf
        """The rate from which the growth began."""
        self._is_known = False
        """Whether two refusals, far enough apart, have told of the rate."""
        self._grown_s = 0.0
        self._stretch = 1.0
        self._passed_s = 0.0
        """Time since the last refusal, without the silence after it."""
        self._tokens = 0.0
        self._at = -math.inf
        self._quiet_until = -math.inf
        self._first_at: float | None = None
        self._is_used_up = True
        self._measured_s = 0.0
        """Time since the last refusal that told a rate, without that in which less was wanted."""
        self._taken = 0
        """Requests that were taken in that time."""
        self._taken_after_refusal = 0
        self._recent: deque[float] = deque()
        self._best = 0.0
        """The highest rate that was ever taken for a while."""

    def room(self, now: float) -> float:
        """Return how many requests may be sent now."""
        if now < self._quiet_until:
            return 0.0
        self._advance(now)
        return self._tokens + ROUNDING if self.is_limiting else math.inf

    def next_chance(self, now: float, requests: int = 1) -> float | None:
        """Return when there will be room for so many; None when there is, or will not be by time alone.

        Rather a little early than late: the rate grows meanwhile. What is missing is earned from the last look on, in a
        silence that taught nothing, too: so the silence and the debt of probes are waited for at once.
        """
        if self.room(now) >= requests or requests > self._slack:
            return None
        missing_s = 0.0
        if self.is_limiting:
            missing = max(requests - self._tokens, 0.0)
            missing_s = missing / self._grown(self._grown_s + missing / self.rate / self._stretch)
        return max(self._quiet_until, self._at + missing_s)

    @property
    def is_limiting(self) -> bool:
        """Whether there is a rate at all."""
        return self.rate < math.inf

    def sent(self, now: float) -> None:
        """Count a request; the caller asked for room at this very moment."""
        if self._first_at is None:
            self._first_at = now
        if self.is_limiting:
            self._tokens -= 1

    def taken(self, now: float) -> None:
        """A request was answered, and not because of the rate refused."""
        self._taken += self._is_used_up
        self._taken_after_refusal += 1
        self._recent.append(now)
        while self._recent[0] < now - _RECENT_S:
            self._recent.popleft()
        self._best = max(self._best, len(self._recent) / _RECENT_S)

    def refused(self, now: float, sent_at: float, until: float) -> None:
        """A request that was sent at `sent_at` was refused; none is welcome before `until`."""
        belongs_to_last = sent_at < self._quiet_until
        self._quiet_until = max(self._quiet_until, until)
        if belongs_to_last or self._first_at is None:
            return
        if self._taken_after_refusal == 0:  # whatever it is that FullStory has too much of, it is not the rate
            self._measured_s, self._taken = self._quiet_until - now, 0
            return
        if self.is_limiting:
            self._learn(now)
        else:  # a burst is part of it, or it is long ago: too much, and the next refusals tell
            lasted_s = min(max(now - self._first_at, 1.0), _RECENT_S)
            self._start_rate = max(self._recent_rate(now, lasted_s), self._best, _MIN_RATE)
            self._measured_s, self._taken = 0.0, 0
        self._taken_after_refusal = 0
        self.rate = self._start_rate
        self._grown_s = self._passed_s = 0.0
        stretch = _REQUESTS_PER_REFUSAL / self._start_rate / _PERIOD_S if self._is_known else 1.0
        self._stretch = min(max(stretch, 1.0), _MAX_STRETCH)
        self._tokens = self._chance()  # processes that were told the same time do not come back together
        self._measured_s += self._quiet_until - now
        self._at = self._quiet_until

    def _learn(self, now: float) -> None:
        """Set the rate from which the growth begins anew."""
        taken = self._taken / max(self._measured_s, 1.0)
        if self._grown_s * self._stretch < _USED_UP * self._passed_s and self._passed_s > _TELLING_S:
            self._start_rate = max(min(self.rate, _MAKES_UP * self._recent_rate(now, _RECENT_S)), _MIN_RATE)
            return
        if self._measured_s < _TELLING_S:
            self._start_rate = max(min(self._start_rate * _SHRUNK, taken), _MIN_RATE)
            return
        if self.rate > _SURGE * self._start_rate and self._measured_s > _RECENT_S:
            taken = max(taken, (taken + self._recent_rate(now, _RECENT_S)) / 2)
        self._is_known = True
        self._start_rate = max(_KEPT * taken, _MIN_RATE)
        self._measured_s, self._taken = 0.0, 0

    def _recent_rate(self, now: float, seconds: float) -> float:
        return sum(at > now - seconds for at in self._recent) / seconds

    def _advance(self, now: float) -> None:
        """Let time pass since the last look."""
        elapsed, self._at = now - self._at, max(now, self._at)
        if not self.is_limiting or elapsed <= 0:
            return
        self._passed_s += elapsed
        slack = self._slack
        self._tokens = min(self._tokens + elapsed * self.rate, slack)
        self._is_used_up = self._tokens < slack
        if self._is_used_up:
            self._measured_s += elapsed
            self._grown_s += elapsed / self._stretch
            self.rate = self._grown(self._grown_s)

    def _grown(self, seconds: float) -> float:
        """Return the rate after so long."""
        if self._is_known:
            return self._start_rate + (self._start_rate + _HELP) * _GROWTH * seconds**3
        return self._start_rate * 2 ** (seconds / _DOUBLES_IN_S)

    @property
    def _slack(self) -> float:
        return slack_of(self.rate)
