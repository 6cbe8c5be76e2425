"""How much may be in flight, and when nothing may be sent."""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from processor.engine.limits import PLANNED_JOBS, PLANNED_OPERATIONS, Cost, Limits, LimitSettings, Load


def limits_of(**values: float) -> Limits:
    """Return limits of a process that owns everything."""
    limits = Limits(LimitSettings(**values), lambda: 0.5)  # type: ignore[arg-type]
    limits.share(1, 1)
    return limits


def send(limits: Limits, count: int = 1, operations: int = 1) -> None:
    """Send requests, each allowed."""
    for _ in range(count):
        assert limits.admits(0.0, Cost(operations, 1))
        limits.sent(0.0, Cost(operations, 1))


@pytest.mark.parametrize(
    ("org_share", "owned", "partitions", "jobs"),
    [
        (0.8, 4, 4, 80),
        (0.8, 1, 4, 20),
        (1.0, 1, 1, 100),
        (0.8, 0, 4, 1),
        (0.8, 1, 1_000, 1),
        (0.0, 4, 4, 1),
        (0.8, 0, 0, 1),
    ],
)
def test_a_process_has_its_part_of_the_organisations_allowance(
    org_share: float, owned: int, partitions: int, jobs: int
) -> None:
    """A process may use the share of the allowance that its partitions have, and at least one request."""
    limits = limits_of(org_share=org_share, initial_concurrency=64)
    limits.share(owned, partitions)
    for _ in range(jobs):
        send(limits, 1)
        limits.answered(0.0, 0.0, Load.UNKNOWN)
    assert limits.room(0.0) == 0


def test_operations_are_counted_as_jobs_are() -> None:
    """A request that would pass the allowance waits until enough of them are finished."""
    limits = limits_of(org_share=0.1)
    send(limits, 1, 20_000)
    assert limits.admits(0.0, Cost(5_000, 1))
    assert not limits.admits(0.0, Cost(5_001, 1))
    limits.answered(0.0, 0.0, Load.FINE)
    assert not limits.admits(0.0, Cost(5_001, 1))
    limits.finished(Cost(20_000, 1))
    assert limits.admits(0.0, Cost(5_001, 1))


def test_one_request_is_always_allowed() -> None:
    """With nothing else in flight, a request larger than the whole allowance is admitted."""
    limits = limits_of(org_share=0.0)
    send(limits, 1, 50_000)
    assert not limits.admits(0.0, Cost(1, 1))


def test_a_retry_after_blocks_everything_until_then() -> None:
    """The latest Retry-After holds, and each returns by how much it extended the wait."""
    limits = limits_of()
    assert limits.block(30.0, 10.0) == 20.0
    assert limits.block(25.0, 10.0) == 0.0
    assert limits.block(40.0, 10.0) == 10.0
    assert limits.block(5.0, 10.0) == 0.0
    assert (limits.room(39.9), limits.room(40.0)) == (0, 4)
    assert (limits.next_chance(39.9), limits.next_chance(40.0)) == (40.0, None)
    assert not limits.admits(39.9, Cost(1, 1))


def test_concurrency_grows_with_evidence() -> None:
    """The limit grows by one for each limit's worth of good answers given while it was in use."""
    limits = limits_of(initial_concurrency=2, max_concurrency=3)
    for expected in (2, 3, 3, 3, 3, 3):
        send(limits, limits.room(0.0))
        limits.answered(0.0, 0.0, Load.FINE)
        assert limits.concurrency == expected


def test_concurrency_does_not_grow_while_it_is_not_used() -> None:
    """Good answers to one request at a time say nothing about two."""
    limits = limits_of(initial_concurrency=2)
    for _ in range(20):
        send(limits)
        limits.answered(0.0, 0.0, Load.FINE)
        limits.finished(Cost(1, 1))
    assert limits.concurrency == 2


def test_concurrency_shrinks_by_a_fifth_at_most_once_a_second() -> None:
    """A burst of overloaded answers shrinks the limit once, and never below one."""
    limits = limits_of(initial_concurrency=10)
    seen = []
    for now in (0.0, 0.5, 1.0, 1.5, *range(2, 30)):
        limits.sent(0.0, Cost(1, 1))
        limits.answered(now, 0.0, Load.FAILING)
        seen.append(limits.concurrency)
    assert seen[:5] == [8, 8, 6, 6, 5]
    assert seen[-1] == 1


def test_an_answer_that_says_nothing_of_load_changes_no_concurrency() -> None:
    """An answer without word of load leaves both the limit and the gathered evidence."""
    limits = limits_of(initial_concurrency=2)
    send(limits, 2)
    limits.answered(0.0, 0.0, Load.FINE)
    limits.sent(0.0, Cost(1, 1))
    limits.answered(0.0, 0.0, Load.UNKNOWN)
    limits.sent(0.0, Cost(1, 1))
    limits.answered(0.0, 0.0, Load.FINE)
    assert limits.concurrency == 3


def test_more_than_the_highest_concurrency_is_never_begun_with() -> None:
    """The initial limit never exceeds the highest that the operator allows."""
    assert limits_of(initial_concurrency=4, max_concurrency=1).concurrency == 1


def test_a_halt_lets_one_probe_through_each_interval() -> None:
    """A halt admits one request each interval, whatever it is answered, until `resume`."""
    limits = limits_of(probe_interval_s=15.0)
    limits.halt(100.0)
    assert (limits.is_halted, limits.probe_interval_s) == (True, 15.0)
    assert (limits.room(114.9), limits.next_chance(114.9)) == (0, 115.0)
    assert limits.room(115.0) == 1
    limits.sent(115.0, Cost(1, 1))
    assert (limits.room(116.0), limits.next_chance(116.0)) == (0, None)
    limits.answered(116.0, 0.0, Load.FAILING)
    assert (limits.room(130.9), limits.next_chance(130.9)) == (0, 131.0)
    assert limits.room(131.0) == 1
    limits.resume()
    assert (limits.is_halted, limits.room(131.0)) == (False, 3)


def test_a_wait_is_counted_as_it_passes() -> None:
    """What overlaps counts once, and what is yet to come does not."""
    limits = limits_of()
    limits.block(30.0, 10.0)
    limits.block(40.0, 20.0)
    assert [limits.throttled_s(now) for now in (20.0, 25.0, 40.0, 60.0)] == [10.0, 15.0, 30.0, 30.0]
    limits.block(70.0, 65.0)
    assert [limits.throttled_s(now) for now in (65.0, 66.0, 99.0)] == [30.0, 31.0, 35.0]


def test_a_block_holds_for_probes_too() -> None:
    """A probe waits for a block as well as for its interval."""
    limits = limits_of(probe_interval_s=15.0)
    limits.halt(0.0)
    limits.block(100.0, 0.0)
    assert (limits.room(50.0), limits.next_chance(50.0), limits.room(100.0)) == (0, 100.0, 1)


class LimitsMachine(RuleBasedStateMachine):
    """Requests in any order of admission, answer and end, with halts, blocks and changing shares."""

    @initialize(
        org_share=st.floats(0, 1), initial=st.integers(1, 10), highest=st.integers(1, 20), probe=st.floats(0.1, 60)
    )
    def begin(self, org_share: float, initial: int, highest: int, probe: float) -> None:
        """Choose the settings."""
        self.settings = LimitSettings(org_share, initial, highest, probe)
        self.limits = Limits(self.settings, lambda: 0.5)
        self.now = 1_000.0
        self.awaiting: list[tuple[float, int]] = []
        self.in_job: list[int] = []
        self.share(1, 1)

    @rule(owned=st.integers(0, 8), others=st.integers(0, 8))
    def share(self, owned: int, others: int) -> None:
        """Partitions come or go."""
        self.limits.share(owned, owned + others)
        part = self.settings.org_share * owned / max(owned + others, 1)
        self.max_jobs = max(1, math.floor(PLANNED_JOBS * part))
        self.max_operations = max(1.0, PLANNED_OPERATIONS * part)

    @rule(seconds=st.floats(0, 100))
    def pass_time(self, seconds: float) -> None:
        """Time goes on."""
        self.now += seconds

    @rule(operations=st.integers(1, 60_000))
    def ask(self, operations: int) -> None:
        """A request goes out if it is admitted: within every limit, and never while nothing may be sent."""
        limits = self.limits
        if not limits.admits(self.now, Cost(operations, 1)):
            return
        assert limits.room(self.now) > 0
        assert self.now >= limits.blocked_until
        is_alone = limits.jobs == 0
        limits.sent(self.now, Cost(operations, 1))
        assert len(self.awaiting) < limits.concurrency or limits.is_probing
        assert limits.jobs <= self.max_jobs or limits.is_probing
        assert is_alone or limits.operations <= self.max_operations
        self.awaiting.append((self.now, operations))

    @precondition(lambda self: self.awaiting)
    @rule(data=st.data(), load=st.sampled_from(Load), is_job=st.booleans())
    def answer(self, data: st.DataObject, load: Load, is_job: bool) -> None:  # noqa: FBT001 - hypothesis calls it
        """Any request is answered; a job goes on, other answers are final."""
        sent_at, operations = self.awaiting.pop(data.draw(st.integers(0, len(self.awaiting) - 1)))
        before = self.limits.concurrency
        if load is Load.THROTTLED:
            self.limits.block(self.now + 1, self.now)
        self.limits.answered(self.now, sent_at, load)
        after = self.limits.concurrency
        assert {Load.FAILING: after <= before, Load.FINE: after - before in (0, 1)}.get(load, after == before)
        if is_job:
            self.in_job.append(operations)
        else:
            self.limits.finished(Cost(operations, 1))

    @precondition(lambda self: self.in_job)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """Any job ends."""
        self.limits.job_ended(self.in_job.pop(data.draw(st.integers(0, len(self.in_job) - 1))))

    @rule(seconds=st.floats(0, 100))
    def block(self, seconds: float) -> None:
        """FullStory names a time."""
        before = max(self.limits.blocked_until, self.now)
        added = self.limits.block(self.now + seconds, self.now)
        assert added == pytest.approx(max(self.now + seconds - before, 0.0))

    @rule()
    def halt(self) -> None:
        """Delivery stands still: nothing goes out before the probe is due."""
        self.limits.halt(self.now)
        assert self.limits.room(self.now) == 0

    @rule()
    def resume(self) -> None:
        """It goes on."""
        self.limits.resume()

    @invariant()
    def counts_are_true(self) -> None:
        """What is in flight is what was sent and has not ended."""
        limits = self.limits
        assert limits.jobs == len(self.awaiting) + len(self.in_job)
        assert limits.operations == sum(operations for _, operations in self.awaiting) + sum(self.in_job)
        assert 1 <= limits.concurrency <= self.settings.max_concurrency
        if self.now >= limits.blocked_until and not limits.is_probing and limits.rate == math.inf:
            room = min(self.max_jobs - limits.jobs, limits.concurrency - len(self.awaiting))
            assert limits.room(self.now) == max(room, 0)

    @invariant()
    def waiting_has_an_end(self) -> None:
        """Without room either time or an answer or the end of a job brings some (law 8)."""
        limits = self.limits
        if limits.room(self.now) > 0:
            assert limits.admits(self.now, Cost(1, 1)) or limits.jobs > 0
            assert limits.next_chance(self.now) is None
        else:
            chance = limits.next_chance(self.now)
            assert chance is not None or limits.jobs > 0
            assert chance is None or chance > self.now
        assert not limits.admits(self.now, Cost(1, 1)) or limits.room(self.now) > 0


TestLimitsMachine = LimitsMachine.TestCase
TestLimitsMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def test_a_request_of_one_item_is_no_job() -> None:
    """A request of one item counts as an operation and not as a job, so that jobs in progress do not stop it."""
    limits = limits_of(org_share=0.01, initial_concurrency=8)
    send(limits, 1)
    limits.answered(0.0, 0.0, Load.UNKNOWN)
    assert (limits.room(0.0), limits.admits(0.0, Cost(1, 1)), limits.admits(0.0, Cost(1, 0))) == (0, False, True)
    limits.sent(0.0, Cost(1, 0))
    assert (limits.jobs, limits.operations) == (1, 2)


def test_a_process_beside_the_workers_takes_its_part_of_what_may_be_in_progress() -> None:
    """Jobs and operations are bounded by its share of theirs, and it has a rate from the beginning."""
    limits = Limits(LimitSettings(org_share=1.0, initial_concurrency=64, lane_share=0.2), lambda: 0.5)
    limits.share(1, 1)

    assert limits.rate == 1.0
    assert limits.room(1.0) == 0
    assert limits.admits(2.5, Cost(1, 1))
    limits.adopt(Cost(1, 20))
    assert not limits.admits(2.5, Cost(1, 1))


def test_a_request_is_followed_by_a_wait_as_long_as_its_operations_take() -> None:
    """So many a second at most, without a burst after a pause; questions for jobs wait for nothing."""
    limits = Limits(LimitSettings(max_rate=100.0), lambda: 0.5)
    limits.share(1, 1)
    limits.sent(10.0, Cost(50, 1))

    assert (limits.room(10.4), limits.next_chance(10.0), limits.may_ask(10.0)) == (0, 10.5, True)
    assert limits.admits(10.5, Cost(50, 1))
    assert limits.next_chance(10.0, asks=True) is None
    limits.sent(60.0, Cost(50, 1))
    assert limits.next_chance(60.0) == 60.5
