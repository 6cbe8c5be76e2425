"""How many requests a second, learned from refusals."""

import math

import pytest

from processor.engine.pace import Pace

BLOCK_S = 1.0


class Server:
    """A bucket of tokens, as FullStory's limit of requests is one, and a process that always has more to send."""

    def __init__(self, rate: float, burst_s: float = 2.0, wanted: float = math.inf) -> None:
        self.rate = rate
        self.burst_s = burst_s
        self.wanted = wanted
        """How many requests a second the process has to send."""
        self.pace = Pace(lambda: 0.5)
        self.now = 1_000.0
        self.taken: list[float] = []
        self.refused: list[float] = []
        self._tokens = rate * burst_s
        self._wished = 0.0

    def live(self, seconds: float, step_s: float = 0.01) -> None:
        """Let time pass; every request is answered at once."""
        until = self.now + seconds
        while self.now < until:
            self.now += step_s
            self._tokens = min(self._tokens + self.rate * step_s, self.rate * self.burst_s)
            self._wished = min(self._wished + min(self.wanted, 1e6) * step_s, 20.0)
            while self._wished >= 1 and self.pace.room(self.now) >= 1:
                self._wished -= 1
                self._request()

    def _request(self) -> None:
        self.pace.sent(self.now)
        if self._tokens >= 1:
            self._tokens -= 1
            self.taken.append(self.now)
            self.pace.taken(self.now)
        else:
            self.refused.append(self.now)
            self.pace.refused(self.now, self.now, self.now + BLOCK_S)

    def used(self, since: float) -> float:
        """Return the part of the allowance that was taken since then."""
        return sum(at >= since for at in self.taken) / (self.now - since) / self.rate


def test_there_is_no_rate_before_the_first_refusal() -> None:
    """Before the first refusal the rate is unlimited."""
    pace = Pace(lambda: 0.5)
    assert (pace.rate, pace.room(0.0), pace.next_chance(0.0)) == (math.inf, math.inf, None)
    for second in range(100):
        pace.sent(second)
        pace.taken(second)
    assert pace.rate == math.inf


@pytest.mark.parametrize("rate", [5.0, 20.0, 100.0, 500.0])
def test_the_allowance_is_used_and_refusals_are_rare(rate: float) -> None:
    """Once the rate is known, 95 % of the allowance is used, with less than one refusal in a hundred requests."""
    server = Server(rate)
    server.live(30.0)
    since, refused = server.now, len(server.refused)
    server.live(300.0)
    assert server.used(since) > 0.95
    assert len(server.refused) - refused < 0.01 * 300.0 * rate


def test_a_limit_that_halves_is_found_at_once() -> None:
    """A limit that halves is found at the cost of few refusals."""
    server = Server(100.0)
    server.live(60.0)
    server.rate /= 2
    refused = len(server.refused)
    server.live(60.0)
    assert len(server.refused) - refused < 20
    assert 45.0 < server.pace.rate < 75.0


def test_a_limit_that_doubles_is_used_within_half_a_minute() -> None:
    """The rate grows slowly near what is known and ever faster beyond, so that a doubled limit is soon used."""
    server = Server(100.0)
    server.live(60.0)
    server.rate *= 2
    server.live(30.0)
    since = server.now
    server.live(30.0)
    assert server.used(since) > 0.9


def test_idle_time_tells_nothing() -> None:
    """Idle time neither raises nor lowers the learned rate."""
    server = Server(100.0)
    server.live(60.0)
    server.wanted = 5.0
    server.live(1.0)
    rate, refused = server.pace.rate, len(server.refused)
    server.live(3_600.0, step_s=0.1)
    assert server.pace.rate == pytest.approx(rate, rel=0.01)
    assert len(server.refused) == refused


def test_two_early_refusals_in_a_row_hold_nobody_up() -> None:
    """Two refusals that come too soon to tell a rate are forgotten within half a minute."""
    server = Server(1e6, wanted=3.0)
    server.live(2.0)
    for _ in range(2):
        server.pace.sent(server.now)
        server.pace.refused(server.now, server.now, server.now + BLOCK_S)
        server.live(BLOCK_S + 1.0)
    server.wanted = math.inf
    server.live(30.0)
    assert server.pace.rate > 20.0


def test_refusals_of_requests_that_were_on_their_way_count_once() -> None:
    """Refusals of requests sent before the wait was announced count as one."""
    pace = Pace(lambda: 0.5)
    for _ in range(10):
        pace.sent(100.0)
        pace.taken(100.5)
    pace.refused(104.0, 103.9, 105.0)
    rate = pace.rate
    for _ in range(5):
        pace.refused(104.1, 103.95, 105.1)
    assert pace.rate == rate
    assert pace.room(105.0) == 0.0


def test_refusals_alone_say_nothing_about_the_rate() -> None:
    """Refusals without any success, as at the hard stop, leave the learned rate."""
    server = Server(100.0)
    server.live(60.0)
    tokens = server._tokens
    server.rate, rate = 0.0, server.pace.rate
    server._tokens = 0.0
    server.live(600.0, step_s=0.1)
    server.rate, server._tokens = 100.0, tokens
    server.live(2.0)
    assert server.pace.rate > 0.7 * min(rate, 100.0)
    since = server.now
    server.live(60.0)
    assert server.used(since) > 0.95


def test_next_chance_is_when_there_is_room() -> None:
    """The time of the next chance is when there is room, and hardly earlier."""
    pace = Pace(lambda: 0.0)
    for second in range(100, 110):
        for _ in range(10):
            pace.sent(second)
            pace.taken(second)
    pace.refused(110.0, 110.0, 111.0)
    chance = pace.next_chance(110.5)
    assert chance is not None
    assert 111.0 + 0.97 / pace.rate < chance <= 111.0 + 1 / pace.rate
    assert pace.room(chance - 0.01) < 1
    looks = 0
    while (again := pace.next_chance(chance + 1e-6)) is not None:
        assert chance < again
        chance, looks = again, looks + 1
    assert looks <= 3
    assert pace.room(chance + 1e-6) >= 1


def test_a_debt_is_paid_off_in_a_silence_that_taught_nothing() -> None:
    """If nothing is taken between two refusals, requests follow when the second one's silence ends, not later."""
    pace = Pace(lambda: 0.0)
    pace.sent(0.0)
    pace.taken(0.0)
    pace.refused(0.0, 0.0, 1.0)
    assert pace.room(2.0) >= 1
    for _ in range(8):  # who finds out whether FullStory is back does not ask for room
        pace.sent(2.0)
    assert pace.room(2.1) < 0
    pace.refused(3.0, 2.0, 40.0)

    assert pace.next_chance(3.0) == 40.0
    assert pace.room(39.9) == 0
    assert pace.room(40.0) >= 1


def test_a_quiet_night_does_not_lower_the_rate_of_the_morning() -> None:
    """Successes while little was wanted do not lower the rate at the next refusal."""
    server = Server(100.0)
    server.live(60.0)
    server.wanted = 1.0
    server.live(8 * 3_600.0, step_s=0.5)
    server.wanted = math.inf
    server.live(20.0)
    since = server.now
    server.live(30.0)
    assert server.used(since) > 0.95


def test_who_had_more_than_it_wanted_makes_up_for_a_refusal_at_once() -> None:
    """It was refused for what others took, each time: what waited meanwhile follows within seconds."""
    server = Server(40.0, wanted=20.0)
    waits = []
    for _ in range(4):
        server.live(100.0)
        server._tokens, refused = -4.0, len(server.refused)  # somebody else has emptied it
        server.live(BLOCK_S + 0.5)
        assert len(server.refused) == refused + 1
        server.live(1.5)
        waits.append(server._wished)
    assert max(waits[1:]) < 2, "the first one may have told of the limit"


def test_a_refusal_after_an_outage_tells_no_rate_below_what_was_taken_before() -> None:
    """A refusal after an outage does not lower the rate below what FullStory took before."""
    pace = Pace(lambda: 0.5)
    for moment in range(200):  # 20 a second, for ten seconds
        pace.sent(moment / 20)
        pace.taken(moment / 20)
    pace.sent(60.0)
    pace.taken(60.0)
    pace.sent(61.0)
    pace.refused(61.1, 61.0, 64.1)
    assert pace.rate == pytest.approx(20.0, rel=0.01)


def test_a_first_refusal_holds_nobody_up_for_long() -> None:
    """After a first refusal, the rate soon grows to what FullStory takes."""
    server = Server(rate=100.0)
    server.pace.sent(server.now)
    server.pace.taken(server.now)
    server.pace.sent(server.now)
    server.pace.refused(server.now, server.now, server.now + BLOCK_S)
    assert server.pace.rate == 1.0
    server.live(40.0)
    since = server.now
    server.live(20.0)
    assert server.used(since) >= 0.9
