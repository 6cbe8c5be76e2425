"""What a process takes of a limit that others have first."""

import math
import random
from collections import deque
from collections.abc import Sequence

import pytest

from processor.engine.leftover import Leftover, Others
from processor.engine.pace import Pace

BLOCK_S = 1.0
SEEN_AFTER_S = 1.5
"""How late it is known what others did."""


class Shared:
    """A bucket of tokens that live traffic and processes beside it take from; what is refused is asked again."""

    def __init__(
        self, rate: float, live_share: float, *lanes: Leftover | Pace, is_blind: bool = False, burst_s: float = 2.0
    ) -> None:
        self.rate = rate
        self.burst_s = burst_s
        self.chance = random.Random(3)
        self.lane = lanes[0]
        self.paces = [Pace(self.chance.random), *lanes]
        self.taken = [0 for _ in self.paces]
        self.refused = [0 for _ in self.paces]
        self.late_s = 0.0
        """For how many seconds live traffic was more than half a second late."""
        self.longest = 0.0
        """How many seconds' worth of live traffic waited at most."""
        self.wanted = [rate * live_share, *(math.inf for _ in lanes)]
        self._is_blind = is_blind
        self._sums = [(0, 0) for _ in self.paces]
        """What each has taken, and was refused, since the beginning."""
        self._told: deque[tuple[float, list[tuple[int, int]]]] = deque()
        self._waiting = [0.0 for _ in self.paces]
        self._tokens = rate * burst_s
        self.now = 0.0

    def live(self, seconds: float, step_s: float = 0.02) -> None:
        """Let time pass."""
        self.taken, self.refused = ([0 for _ in self.paces] for _ in range(2))
        self.longest = self.late_s = 0.0
        until = self.now + seconds
        look_at = self.now
        while self.now < until:
            self.now += step_s
            self._tokens = min(self._tokens + self.rate * step_s, self.rate * self.burst_s)
            for number, pace in enumerate(self.paces):
                wanted = min(self.wanted[number], 1e6) * step_s
                if number == 0:  # requests come as they please
                    wanted = float(self.chance.random() < wanted % 1) + wanted // 1
                self._waiting[number] = min(self._waiting[number] + wanted, 1e6)
                while self._waiting[number] >= 1 and pace.room(self.now) >= 1:
                    self._ask(number, pace)
            waits_s = self._waiting[0] / self.wanted[0] if self.wanted[0] else 0.0
            self.longest = max(self.longest, waits_s)
            self.late_s += step_s * (waits_s > 0.5)
            if self.now >= look_at and not self._is_blind:
                look_at = self.now + 1.0
                self._told.append((self.now, [*self._sums]))
                while self._told[0][0] < self.now - SEEN_AFTER_S:
                    self._told.popleft()
                for number, pace in enumerate(self.paces):
                    if isinstance(pace, Leftover):
                        pace.beside(self.now, self.others_of(number, self._told[0][1]))

    def others_of(self, number: int, sums: Sequence[tuple[int, int]] | None = None) -> Others:
        """Return what the others of this one have done, by now or as it was told."""
        others = [each for other, each in enumerate(sums or self._sums) if other != number]
        taken, refused = (sum(each) for each in zip(*others, strict=True))
        return Others(taken, refused, sum(each for each, _ in others[1:]), len(others) - 1)

    def _ask(self, number: int, pace: Pace | Leftover) -> None:
        pace.sent(self.now)
        if self._tokens >= 1:
            self._tokens -= 1
            self._waiting[number] -= 1
            self.taken[number] += 1
            self._sums[number] = (self._sums[number][0] + 1, self._sums[number][1])
            pace.taken(self.now)
        else:
            self.refused[number] += 1
            self._sums[number] = (self._sums[number][0], self._sums[number][1] + 1)
            pace.refused(self.now, self.now, self.now + BLOCK_S)

    def used(self, seconds: float) -> float:
        """Return the part of the limit that was used, of the time that was lived last."""
        return sum(self.taken) / seconds / self.rate


def a_leftover(share: float = 0.2) -> Leftover:
    """Return what gives way to others."""
    return Leftover(lambda: 0.5, share)


@pytest.mark.parametrize(("rate", "live_share"), [(20.0, 0.8), (40.0, 0.575), (100.0, 0.3)])
def test_what_others_leave_is_used_and_they_notice_nothing(rate: float, live_share: float) -> None:
    """Once the limit is found, 95 % of it are used; traffic is late for less than a hundredth of the time."""
    server = Shared(rate, live_share, a_leftover())
    server.live(300.0)
    found_late_s = server.late_s
    server.live(600.0)
    assert server.used(600.0) > 0.95
    assert server.late_s < 0.01 * 600.0
    assert sum(server.refused) <= 3, "it tries for more rarely"
    assert found_late_s < 12.0, "to find the limit, others are refused a few times"


@pytest.mark.parametrize("count", [2, 3])
def test_several_share_what_others_leave(count: int) -> None:
    """One that comes later, too; they use the limit as one alone does, and others notice no more of them."""
    first, *others = (a_leftover() for _ in range(count))
    server = Shared(40.0, 0.575, first, *others)
    server.wanted[2:] = [0.0 for _ in others]
    server.live(200.0)
    server.wanted[2:] = [math.inf for _ in others]
    server.live(300.0)
    found_late_s = server.late_s
    server.live(600.0)
    assert server.used(600.0) > 0.94
    assert min(server.taken[1:]) > 0.8 * max(server.taken[1:])
    assert server.late_s < 0.01 * 600.0
    assert sum(server.refused) <= 6
    assert found_late_s < 12.0


def test_what_takes_more_than_its_part_is_given_way_to() -> None:
    """Such as a redrive that is an equal of the workers: it takes what it can get, and nobody is refused for that."""
    server = Shared(40.0, 0.3, a_leftover(), a_leftover())
    server.live(300.0)
    lane = server.lane
    assert isinstance(lane, Leftover)
    own = lane.rate
    told = server.others_of(1)
    for second in range(1, 11):
        told = told._replace(taken=told.taken + 12 + 21, by_lanes=told.by_lanes + 21)
        lane.beside(server.now + second, told)
        lane.room(server.now + second)
    assert lane.rate < 0.75 * own


def test_beside_others_that_want_all_it_keeps_a_little() -> None:
    """Also when they have more than all: it is to end some time."""
    server = Shared(40.0, 5.0, a_leftover())
    server.live(300.0)
    server.live(300.0)
    assert server.used(300.0) > 0.99
    assert 0.02 < server.taken[1] / sum(server.taken) < 0.08


def test_it_gives_way_within_seconds_when_others_want_more() -> None:
    """What the bucket has saved lasts nearly until that is seen, although they want four times as much at once."""
    server = Shared(40.0, 0.2, a_leftover())
    server.live(400.0)
    server.wanted[0] = 0.8 * server.rate
    server.live(60.0)
    assert sum(server.refused) <= 1
    assert server.late_s < 4.0
    server.wanted[0] = 0.2 * server.rate
    server.live(20.0)
    server.live(60.0)
    assert server.used(60.0) > 0.9


def test_a_limit_that_halves_is_found() -> None:
    """Others are refused some times, and then it keeps away from the new limit."""
    server = Shared(80.0, 0.3, a_leftover())
    server.live(300.0)
    server.rate /= 2
    server.live(120.0)
    assert server.refused[0] < 10
    server.live(300.0)
    assert server.used(300.0) > 0.9
    assert server.late_s < 3.0


def test_a_limit_that_doubles_is_found() -> None:
    """It looks for more ever faster; until then it keeps to what it knows."""
    server = Shared(40.0, 0.5, a_leftover())
    server.live(300.0)
    server.rate *= 2
    server.live(1_200.0)
    server.live(120.0)
    assert server.used(120.0) > 0.9


@pytest.mark.parametrize("burst_s", [0.5, 5.0])
def test_a_burst_that_is_not_as_thought_does_not_mislead_it(burst_s: float) -> None:
    """A shorter one makes it use less, a longer one makes it find the limit a little later."""
    server = Shared(40.0, 0.575, a_leftover(), burst_s=burst_s)
    server.live(600.0)
    server.live(300.0)
    assert server.used(300.0) > 0.8
    assert server.late_s < 0.01 * 300.0


def test_without_word_of_others_it_keeps_away_from_what_it_finds() -> None:
    """Workers of an earlier release tell nothing, and the right to read their commits may be missing."""
    server = Shared(50.0, 0.5, a_leftover(), is_blind=True)
    server.live(300.0)
    server.live(300.0)
    assert server.used(300.0) > 0.8
    assert server.late_s < 0.01 * 300.0


def test_refusals_alone_say_nothing_about_the_limit() -> None:
    """While nothing is taken of anybody, as at the hard stop, it is not the rate that is too high."""
    server = Shared(40.0, 0.5, lane := a_leftover())
    server.live(120.0)
    known = lane._limit
    tokens, server.rate, server._tokens = server._tokens, 0.0, 0.0
    server.live(300.0, step_s=0.1)
    server.rate, server._tokens = 40.0, tokens
    server.live(60.0)
    assert known is not None
    assert lane._limit is not None
    assert lane._limit > 0.75 * known


def test_it_begins_with_one_request_a_second() -> None:
    """A rate that may be too high is no way to begin beside others; it doubles while it is used up, and not else."""
    lane = a_leftover()
    assert (lane.rate, lane.room(1_000.0) < 1) == (1.0, True)
    assert lane.room(1_001.0) >= 1
    assert lane.room(1_600.0) < 3
    assert lane.rate < 1.1


def test_next_chance_is_when_there_is_room() -> None:
    """After a silence, it is when what is missing has been earned since."""
    lane = a_leftover()
    chance = lane.next_chance(100.0)
    assert chance == 101.0
    assert lane.room(chance) >= 1
    assert lane.next_chance(chance) is None
    lane.sent(chance)
    lane.refused(chance, chance, 110.0)
    assert lane.room(109.9) == 0
    assert lane.next_chance(105.0) == 110.0
    assert lane.next_chance(105.0, requests=1_000) is None


def test_refusals_of_one_empty_bucket_count_once() -> None:
    """The worker's refusals are seen later than its own, and several requests may be on their way."""
    server = Shared(40.0, 0.5, lane := a_leftover())
    server.live(200.0)
    known = lane._limit
    now = server.now
    lane.refused(now, now, now + 1.0)
    found = lane._limit
    lane.refused(now + 0.1, now - 0.1, now + 1.1)
    others = server.others_of(1)
    lane.beside(now + 2.0, others._replace(refused=others.refused + 3))
    assert known != found == lane._limit
    assert lane.room(now + 2.0) > 0
    assert lane.rate == 1.0, "it yields"
