"""The owner of a partition keeps the laws in any order of events, and a protection that is switched off is missed.

`partition_machine` has the model and the checks. Hypothesis chooses the setting, the weather and when epochs end; each
rule lets many things happen, or its own work would take longer than the owner's.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from processor.engine.partition import answers, planning
from processor.engine.partition.actions import Action, WriteLetters
from processor.engine.partition.batch import Batch
from processor.engine.partition.journal import Journal
from processor.engine.partition.journal_format import Entry, Plan
from processor.engine.partition.owner import Partition
from processor.engine.partition.request import Halves, Request
from processor.engine.verdict import Completed, Retry
from tests.mutations import (
    a_commit_beyond_what_is_open,
    a_deletion_waits_for_nothing,
    a_linger_twice_as_long,
    any_user_holds_up,
    kafka_is_not_told_of_a_deletion,
    no_end_of_the_lease,
    no_forced_boundaries,
    no_recovery,
    no_turns_of_users,
    no_wait_for_identifies,
    no_wait_for_the_plan,
    one_place_less,
)
from tests.properties.partition_machine import WEATHERS, LawBrokenError, Setting, World

STEPS = 2_000
"""At most so many things happen in one rule."""

SETTINGS = st.builds(
    Setting,
    depth=st.integers(1, 6),
    max_records=st.integers(1, 12),
    linger_s=st.sampled_from((0.0, 0.5, 1.0, 3.0)),
    lease_s=st.sampled_from((3.0, 20.0)),
    unattributed=st.sampled_from(("dead_letter", "accept", "dead_letter", "accept", "halt")),
    is_batch=st.sampled_from((True, True, True, False)),
    metadata_bytes=st.sampled_from((4_095, 4_095, 1_200, 700)),
    users=st.sampled_from((1, 3, 8, 50)),
    nested=st.sampled_from((0.0, 0.3, 1.0)),
    maps_for_real=st.sampled_from((False, False, False, True)),
    deletes=st.booleans(),
    poison_after_s=st.sampled_from((3_600.0, 20.0)),
    max_body_bytes=st.sampled_from((8_000_000, 8_000_000, 400)),
)

told: Counter[str] = Counter()
"""Events of all examples."""


class PartitionMachine(RuleBasedStateMachine):
    """Traffic in any weather; epochs that end in each way; and calm, in which all has to settle."""

    @initialize(setting=SETTINGS, wave=st.sampled_from((planning.WAVE, 2)), seed=st.integers(0, 2**32))
    def begin(self, setting: Setting, wave: int, seed: int) -> None:
        """Begin with an empty topic; batches are small, so few users are many for a wave."""
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(planning, "WAVE", wave)
        self.world = World(setting, seed)

    @rule(steps=st.integers(1, STEPS), weather=st.sampled_from(sorted(WEATHERS)), seed=st.integers(0, 2**32))
    def traffic(self, steps: int, weather: str, seed: int) -> None:
        """Records, answers, commits, time and the rest, in any order."""
        self.world.chance = random.Random(seed)
        self.world.run(steps, weather)

    @rule(how=st.sampled_from(("revoke", "lose", "suspend")))
    def end_epoch(self, how: str) -> None:
        """The partition goes in good order, or is lost, or its process stops and learns that only later."""
        getattr(self.world, how)()

    @rule()
    def calm(self) -> None:
        """All goes well for a while."""
        self.world.settle_all()

    def teardown(self) -> None:
        """Count."""
        if hasattr(self, "world"):
            self.patch.undo()
            told.update(self.world.events)


def run_machine(examples: int, **options: Any) -> None:
    """Run the machine for so many examples."""
    chosen = settings(max_examples=examples, stateful_step_count=25, deadline=None, print_blob=True, **options)
    run_state_machine_as_test(PartitionMachine, settings=chosen)


def test_the_owner_of_a_partition_keeps_the_laws_in_any_order_of_events() -> None:
    """Laws 1 to 4, 7 to 12; -rP shows how many events were told, and how many a second."""
    told.clear()
    began, worked = time.perf_counter(), time.process_time()
    run_machine(60)
    took, worked_s, events = time.perf_counter() - began, time.process_time() - worked, told.total()
    print(f"{events:,} events in {took:.1f} s: {events / took:,.0f} a second")  # noqa: T201 - shown with -rP
    print(f"{events / worked_s:,.0f} a second of this process's own time: {told}")  # noqa: T201 - as above
    for name in ("recover", "form_planned", "letters_acknowledged", "last_commit", "drop"):
        assert told[name], f"no {name} in {events} events"


def a_key_that_is_not_told(patch: pytest.MonkeyPatch) -> None:
    """A key comes into use, and the journal is not revised."""
    patch.setattr(Journal, "_revise", lambda _journal, _plan, _entry: None)


def a_new_key_for_each_retry(patch: pytest.MonkeyPatch) -> None:
    """What may have been taken is sent again under another key."""
    rest = answers._rest

    def renewed(request: Request, verdict: Retry, failures: int, now: float) -> None:
        batch = request.batch
        batch.owner.journal.renew_key(batch.plan, request.entry, is_batch=request.is_batch)
        rest(request, verdict, failures, now)

    patch.setattr(answers, "_rest", renewed)


def a_job_is_forgotten_by_the_journal(patch: pytest.MonkeyPatch) -> None:
    """What FullStory took counts as done in the journal: nobody asks for the job again."""

    def accept(kept: Journal, plan: Plan, entry: Entry, job_id: str) -> None:
        entry.job_id = job_id
        kept.finish(plan, entry)

    patch.setattr(Journal, "accept", accept)


def no_wait_for_jobs(patch: pytest.MonkeyPatch) -> None:
    """A batch settles when its job is accepted."""
    accepted = answers._accepted

    def at_once(request: Request, job_id: str) -> None:
        accepted(request, job_id)
        answers.job_ended(request, Completed(), 0.0)

    patch.setattr(answers, "_accepted", at_once)


def no_wait_for_dead_letters(patch: pytest.MonkeyPatch) -> None:
    """A batch settles while its dead letters are on their way."""
    do = Partition.do

    def in_passing(partition: Partition, action: Action) -> None:
        do(partition, action)
        if isinstance(action, WriteLetters):
            partition.letters_acknowledged(action.batch)

    patch.setattr(Partition, "do", in_passing)
    patch.setattr(World, "write_letters", lambda _world, _epoch: None)


def a_partition_that_goes_on(patch: pytest.MonkeyPatch) -> None:
    """The end of the epoch ends nothing."""
    patch.setattr(Partition, "revoking", lambda _partition: None)


def what_settles_after_the_end(patch: pytest.MonkeyPatch) -> None:
    """What is told when the epoch has ended still counts."""
    settle = Partition.settle

    def late(partition: Partition, *arguments: Any) -> None:
        is_gone, partition.is_gone = partition.is_gone, False
        settle(partition, *arguments)
        partition.is_gone = is_gone

    patch.setattr(Partition, "settle", late)


def a_request_that_nobody_wakes(patch: pytest.MonkeyPatch) -> None:
    """What rests after a failure rests for ever."""
    patch.setattr(Partition, "rest", lambda _partition, _request, _until: None)


def a_half_that_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    """Whenever the first half of what was split is accepted, the second one is sent."""
    go_on = Batch.go_on

    def kept(batch: Batch, halves: Halves, request: Request) -> None:
        go_on(batch, halves, request)
        request.then = halves

    patch.setattr(Batch, "go_on", kept)


MUTATIONS: Sequence[Callable[[pytest.MonkeyPatch], None]] = (
    no_wait_for_the_plan,
    no_end_of_the_lease,
    a_key_that_is_not_told,
    a_new_key_for_each_retry,
    no_recovery,
    no_forced_boundaries,
    a_job_is_forgotten_by_the_journal,
    a_commit_beyond_what_is_open,
    no_wait_for_jobs,
    no_wait_for_dead_letters,
    no_wait_for_identifies,
    no_turns_of_users,
    a_deletion_waits_for_nothing,
    kafka_is_not_told_of_a_deletion,
    a_partition_that_goes_on,
    what_settles_after_the_end,
    a_linger_twice_as_long,
    one_place_less,
    any_user_holds_up,
    a_request_that_nobody_wakes,
    a_half_that_is_sent_again,
)


@pytest.fixture
def patch() -> Iterator[pytest.MonkeyPatch]:
    """Undo a mutation before pytest looks at the failure."""
    with pytest.MonkeyPatch.context() as context:
        yield context


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_protection_that_is_switched_off_is_missed(mutation: Any, patch: pytest.MonkeyPatch) -> None:
    """A law is broken, or the engine ends in an error; most in one of the first ten examples, all within some hundreds.

    Which examples is not fixed by `derandomize`: Hypothesis (6.170) also draws constants of the modules in memory.
    """
    mutation(patch)
    with pytest.raises((LawBrokenError, KeyError)) as found:
        run_machine(2_000, database=None, phases=[Phase.generate], derandomize=True)
    print(found.value)  # noqa: T201 - shown with -rP
