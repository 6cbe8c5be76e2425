"""How many requests a second a process makes that takes what others leave of a limit, which nobody knows.

The others come first. They tell what they do with their commits (`neighbours`), a second or two later. Hence the rules:

1. The limit is learned as a total, of what all together take. A bucket of tokens lets through no more than its rate and
   what was saved up. So whenever anybody is refused, which is when the bucket is empty, each stretch of time that ends
   then tells a rate that the limit has at least, and the highest of them is close to it.
2. What remains of a little less than this limit, beside what the others take of late, is the rate. So they can take
   more at any time: until it shows, they use up what the bucket has saved.
   Several that give way at a time take equal parts of what remains, or less where another one takes more: if each took
   what the others leave, all would take it at once, and then nobody.
3. A part of the limit grows with the cube of time: for long it stays below what is known, then it looks for more. Who
   passes the limit makes all be refused, most often those who take the most. So it does that the more rarely, the more
   often the same limit was found.
4. After a refusal, whose ever, it makes as few requests as it may for some seconds: the others are to catch up.
5. It always makes a few, a part of the limit that is a tenth of its share: otherwise it would never end beside others
   that want all.
6. Before the first refusal it begins with one request a second, and doubles that again and again. Without word of
   others it knows of its own requests alone, and keeps away further.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from processor.engine.pace import ROUNDING, slack_of
from processor.engine.retry import Chance

_FIRST_RATE = 1.0
_DOUBLES_IN_S = 8.0
_KEPT = 0.98
"""Of the limit, the part that is used at first, and long after."""
_KEPT_BLINDLY = 0.7
"""Likewise, without word of others."""
_PROBES_AFTER_S = 150.0
"""How long it takes to grow to the limit as it is known."""
_MOST_TRUST = 4
"""How many times as long it takes at most: where the same limit was found again."""
_SAME = 0.06
_BURST_S = 2.0
"""How many seconds' worth of tokens may have been saved up."""
_TELLING_S = 10.0
"""So long a stretch of time tells of the limit: what others did is known to a second or so."""
_SHORT_S = 4.0
"""If there was a refusal so recently, the limit is known to be too high, and not what it is."""
_SHRUNK = 0.8
_REMEMBERED_S = 60.0
_RECENT_S, _JUST_NOW_S = 6.0, 2.5
"""By so many seconds the others' rate is known, and by so few if it has grown."""
_CATCH_UP_S = 4.0
_SAME_REFUSAL_S = 4.0
"""Refusals that follow each other so soon are of one empty bucket: others' are seen later."""
_LEAST_RATE = 1.0
_LEAST_OF_SHARE = 0.1
_LOOK_EVERY_S = 1.0


class Others(NamedTuple):
    """What others have asked of FullStory since any moment, all together."""

    taken: int
    """Requests that it took."""
    refused: int
    """Requests that it refused for their rate."""
    by_lanes: int = 0
    """Of what was taken: by those who give way to others, too."""
    lanes: int = 0
    """How many of these there are."""


class _Point(NamedTuple):
    """What was taken by a moment, as far as is known then."""

    at: float
    own: int
    by_others: int
    by_lanes: int = 0

    def taken_since(self, before: "_Point") -> int:
        """Return what was taken by all since then."""
        return self.own - before.own + self.by_others - before.by_others


class Leftover:
    """The rate of one process, in the place of a `Pace`; `now` is monotonic and never goes back."""

    def __init__(self, chance: Chance, share: float) -> None:
        self._chance = chance
        self._share = share
        self.rate = _FIRST_RATE
        """Requests a second."""
        self._limit: float | None = None
        """What is known of the rate that all have together."""
        self._emptied_at = float("-inf")
        """When the bucket was last known to be empty."""
        self._taken_then = 0
        """How much had been taken by then, by all."""
        self._trust = 1
        self._grown_s = 0.0
        self._points: deque[_Point] = deque()
        self._own = 0
        self._others: Others | None = None
        self._others_rate = 0.0
        self._workers_rate = 0.0
        """Of the others that come first."""
        self._lanes_rate = 0.0
        self._tokens = 0.0
        self._at: float | None = None
        self._quiet_until = float("-inf")
        self._least_until = float("-inf")

    def room(self, now: float) -> float:
        """Return how many requests may be sent now."""
        if now < self._quiet_until:
            return 0.0
        self._advance(now)
        return self._tokens + ROUNDING

    def next_chance(self, now: float, requests: int = 1) -> float | None:
        """Return when there will be room for so many; None when there is, or will not be by time alone."""
        if self.room(now) >= requests or requests > self._slack:
            return None
        since = now if self._at is None else self._at
        return max(self._quiet_until, since + max(requests - self._tokens, 0.0) / self.rate)

    def sent(self, _now: float) -> None:
        """Count a request; the caller asked for room at this very moment."""
        self._tokens -= 1

    def taken(self, now: float) -> None:
        """A request was answered, and not because of the rate refused."""
        self._own += 1
        if self._others is None and (not self._points or now >= self._points[-1].at + _LOOK_EVERY_S):
            self._remember(now)

    def refused(self, now: float, sent_at: float, until: float) -> None:
        """A request that was sent at `sent_at` was refused; none is welcome before `until`."""
        belongs_to_last = sent_at < self._quiet_until
        self._quiet_until = max(self._quiet_until, until)
        if not belongs_to_last:
            self._learn(now)

    def beside(self, now: float, others: Others) -> None:
        """Others have come so far, as far as is known."""
        before, self._others = self._others, others
        if before is None:
            self._points.clear()
        self._remember(now)
        self._others_rate = self._rate_of(now, lambda point: point.by_others)
        self._workers_rate = self._rate_of(now, lambda point: point.by_others - point.by_lanes)
        self._lanes_rate = self._rate_of(now, lambda point: point.by_lanes)
        if before is not None and others.refused > before.refused:
            self._learn(now)

    def _rate_of(self, now: float, taken_by: Callable[[_Point], int]) -> float:
        """Return what some have taken a second of late, or just now if that is more than chance makes it."""
        rates, taken = [], taken_by(self._points[-1])
        for seconds in (_RECENT_S, _JUST_NOW_S):
            since = next(each for each in self._points if each.at >= now - seconds)
            rates.append((taken - taken_by(since)) / max(now - since.at, 1.0))
        of_late, just_now = rates
        return just_now if just_now - of_late > 3 * math.sqrt(of_late / _JUST_NOW_S) else of_late

    def _remember(self, now: float) -> None:
        """Remember how far all have come."""
        others = self._others or Others(0, 0)
        self._points.append(_Point(now, self._own, others.taken, others.by_lanes))
        while self._points[0].at < now - _REMEMBERED_S:
            self._points.popleft()

    def _learn(self, now: float) -> None:
        """The bucket is empty, or was a moment ago."""
        self._least_until = max(self._quiet_until, now) + _CATCH_UP_S
        taken = self._own + (self._others.taken if self._others else 0)
        if now < self._emptied_at + _SAME_REFUSAL_S or taken == self._taken_then:
            return  # if nothing was taken since, it is not the rate of which FullStory has too much
        self._taken_then = taken
        found = self._found(now)
        is_same = found is not None and self._limit is not None and abs(found / self._limit - 1) < _SAME
        self._trust = min(2 * self._trust, _MOST_TRUST) if is_same else 1 if self._others else _MOST_TRUST
        if found is None:
            found = _SHRUNK * (self.rate + self._others_rate if self._limit is None else self._limit)
        self._limit = max(found, _LEAST_RATE)
        self._emptied_at = now
        self._grown_s = 0.0
        self._tokens = self._chance()

    def _found(self, now: float) -> float | None:
        """Return the highest rate that the limit has at least, as the time until this refusal tells."""
        if not self._points:
            return None
        late_s = now - self._points[-1].at if self._others else 0.0
        end = self._points[-1]._replace(own=self._own)
        since = [each for each in self._points if self._emptied_at <= each.at <= now - _SHORT_S]
        telling = [each for each in since if each.at <= now - _TELLING_S] or since[:1]
        return max(
            (
                (end.taken_since(each) + late_s * self._others_rate)
                / (now - each.at + min(_BURST_S, each.at - self._emptied_at))
                for each in telling
            ),
            default=None,
        )

    def _advance(self, now: float) -> None:
        """Let time pass since the last look."""
        elapsed = 0.0 if self._at is None else max(now - self._at, 0.0)
        self._at = now if self._at is None else max(now, self._at)
        self.rate = self._rate_now(now)
        self._tokens = min(self._tokens + elapsed * self.rate, self._slack)
        if self._tokens < self._slack and now >= self._least_until:  # a quiet hour says nothing about the limit
            self._grown_s += elapsed

    def _rate_now(self, now: float) -> float:
        if self._limit is None:
            return float(_FIRST_RATE * 2 ** (self._grown_s / _DOUBLES_IN_S))
        least = max(self._limit * self._share * _LEAST_OF_SHARE, _LEAST_RATE)
        if now < self._least_until:
            return least
        kept = _KEPT if self._others else _KEPT_BLINDLY
        part = kept + (1 - kept) * (self._grown_s / _PROBES_AFTER_S / self._trust) ** 3
        left = self._limit * part - self._workers_rate
        lanes = self._others.lanes if self._others else 0
        return max(left - max(self._lanes_rate, left * lanes / (1 + lanes)), least)

    @property
    def _slack(self) -> float:
        return slack_of(self.rate)
