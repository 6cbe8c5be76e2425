"""The simulation is not blind: with any one protection switched off, one of its seeds finds a law broken."""

import asyncio
import itertools
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from processor.engine.beginnings import Beginnings
from processor.engine.commits import Commits
from processor.engine.limits import Cost, Limits, Load
from processor.engine.notices import Settled
from processor.engine.partition.batch import Batch
from processor.engine.partition.owner import Partition
from processor.engine.partition.request import Request
from processor.engine.partition.settlement import Settlement
from processor.engine.verdict import (
    Answer,
    Completed,
    Delivered,
    JobEnd,
    JobVerdict,
    NoAnswer,
    PostVerdict,
    Retry,
    Unknown,
    of_job,
    of_post,
)
from processor.model.errors import DeadLetterError
from processor.model.reasons import Kind
from processor.model.records import Commit, TopicPartition
from processor.runtime import driver, jobs
from processor.runtime.calls import Calls
from processor.runtime.driver import Driver
from processor.runtime.gate import Gate
from processor.runtime.jobs import Jobs
from processor.runtime.letters import Letters
from processor.runtime.schemas import SchemaCache
from tests.fakes.source import FakeSource
from tests.mutations import (
    a_commit_beyond_what_is_open,
    a_deletion_waits_for_nothing,
    a_linger_twice_as_long,
    any_user_holds_up,
    no_commit_past_markers,
    no_end_of_the_lease,
    no_forced_boundaries,
    no_recovery,
    no_turns_of_users,
    no_wait_for_identifies,
    no_wait_for_the_plan,
    one_place_less,
)
from tests.simulation.chaos import fault_of

SEEDS = range(300)


def no_filter_by_ownership(patch: pytest.MonkeyPatch) -> None:
    """A commit is made of partitions that have gone meanwhile."""

    async def unfiltered(source: FakeSource, wanted: dict[Any, Commit], asked_at: float) -> None:
        source.broker.store(wanted)
        source._answer_commit(wanted, {}, asked_at)

    patch.setattr(FakeSource, "_commit", unfiltered)


def no_drain(patch: pytest.MonkeyPatch) -> None:
    """What is in flight goes on when its partition goes."""

    async def at_once(_driver: Driver, _partitions: Iterable[Partition], within_s: float) -> None:
        del within_s

    patch.setattr(Driver, "finish", at_once)
    patch.setattr(Driver, "drop", lambda _driver, _partition: None)
    patch.setattr(Batch, "give_up", lambda _batch: None)


def no_wait_for_dead_letters(patch: pytest.MonkeyPatch) -> None:
    """A batch settles while its dead letters are on their way."""
    write = Letters._write

    async def in_passing(letters: Letters, writing: Any) -> None:
        asyncio.get_running_loop().create_task(write(letters, writing))

    patch.setattr(Letters, "_write", in_passing)


def no_key(patch: pytest.MonkeyPatch) -> None:
    """Each POST has a key of its own."""
    numbers = itertools.count()
    patch.setattr(Request, "idempotency_key", property(lambda _request: f"{next(numbers)}"))


def no_look_after_a_wait(patch: pytest.MonkeyPatch) -> None:
    """When time alone opens the way again, nobody looks whether something waits."""
    patch.setattr(Limits, "next_chance", lambda _limits, _now, **_options: None)


def no_look_at_a_free_slot(patch: pytest.MonkeyPatch) -> None:
    """An answer frees a slot, and the partitions are not looked at."""
    answered = Gate.answered

    def unseen(gate: Gate, load: Load, sent_at: float) -> None:
        wake, gate.wake = gate.wake, lambda: None
        answered(gate, load, sent_at)
        gate.wake = wake

    patch.setattr(Gate, "answered", unseen)


def a_slot_is_lost(patch: pytest.MonkeyPatch) -> None:
    """A failure is never counted as answered: it takes up a place among those that may await an answer for ever."""
    answered = Limits.answered

    def counted(limits: Limits, now: float, sent_at: float, load: Load) -> None:
        answered(limits, now, sent_at, load)
        limits._concurrency.awaiting += load is Load.FAILING

    patch.setattr(Limits, "answered", counted)


def no_wait_for_jobs(patch: pytest.MonkeyPatch) -> None:
    """A batch settles when its job is accepted."""

    async def at_once(_jobs: Jobs, _kind: Kind, _job_id: str, _where: str, *, was_denied: bool) -> JobEnd:
        del was_denied
        return Completed()

    patch.setattr(Jobs, "end", at_once)


def a_dead_letter_that_fails(patch: pytest.MonkeyPatch) -> None:
    """What the dead-letter topic refuses counts as written."""

    async def tried(letters: Letters, writing: Any) -> None:
        with suppress(DeadLetterError):
            await letters._dead_letters.write(writing.letter)

    patch.setattr(Letters, "_try_write", tried)


def no_silence_after_a_refusal(patch: pytest.MonkeyPatch) -> None:
    """FullStory answers 429 without a time, and the next request follows at once."""
    note = Calls.note_throttle

    def note_times(calls: Calls, verdict: object) -> None:
        if isinstance(verdict, Retry) and verdict.after_s:
            note(calls, verdict)

    patch.setattr(Calls, "note_throttle", note_times)


def a_job_given_back_twice(patch: pytest.MonkeyPatch) -> None:
    """What a job held is given back twice: ever more goes out than the limits allow."""
    finished = Limits.finished

    def twice(limits: Limits, cost: Cost) -> None:
        finished(limits, cost)
        if cost.jobs:
            finished(limits, cost)

    patch.setattr(Limits, "finished", twice)


def a_job_not_given_back(patch: pytest.MonkeyPatch) -> None:
    """A job that failed in part holds its part of the limits for ever."""
    finished, failures = Limits.finished, Jobs._failures
    kept: list[None] = []

    async def noted(jobs: Jobs, kind: Kind, job_id: str) -> list[dict[str, object]] | None:
        found = await failures(jobs, kind, job_id)
        kept.append(None)
        return found

    def rarely(limits: Limits, cost: Cost) -> None:
        if cost.jobs and kept:
            kept.pop()
        else:
            finished(limits, cost)

    patch.setattr(Jobs, "_failures", noted)
    patch.setattr(Limits, "finished", rarely)


def what_settles_counts_twice(patch: pytest.MonkeyPatch) -> None:
    """Of what settles, the notices tell twice: metrics show more than was consumed."""
    settled = Settlement.settled

    def doubled(end: Settlement) -> Settled:
        once = settled(end)
        return replace(once, delivered=once.delivered + once.delivered)

    patch.setattr(Settlement, "settled", doubled)


def a_schema_holds_up_all(patch: pytest.MonkeyPatch) -> None:
    """While a schema is on its way, records that need none wait, too."""
    has_all = SchemaCache.has_all

    def when_quiet(cache: SchemaCache, *arguments: Any) -> bool:
        return has_all(cache, *arguments) and not cache.is_fetching

    patch.setattr(SchemaCache, "has_all", when_quiet)


def a_plan_waits_for_the_next_round(patch: pytest.MonkeyPatch) -> None:
    """A plan is committed when a commit is due anyway, though a POST waits for it."""
    due = Commits.due

    def in_time(commits: Commits, partitions: Iterable[Partition], now: float) -> dict[TopicPartition, Commit]:
        return due(commits, partitions, now) if now >= commits._due_at else {}

    patch.setattr(Commits, "due", in_time)


def any_200_is_believed(patch: pytest.MonkeyPatch) -> None:
    """A success without FullStory's body counts as delivered."""

    def by_number(answer: Answer | NoAnswer, kind: Kind, *, batch: bool) -> PostVerdict:
        if isinstance(answer, Answer) and answer.status == 200 and not batch:
            return Delivered()
        return of_post(answer, kind, batch=batch)

    patch.setattr(driver, "of_post", by_number)


def any_404_is_believed(patch: pytest.MonkeyPatch) -> None:
    """A 404 without FullStory's code denies a job."""

    def by_number(answer: Answer | NoAnswer) -> JobVerdict:
        return Unknown() if isinstance(answer, Answer) and answer.status == 404 else of_job(answer)

    patch.setattr(jobs, "of_job", by_number)


def start_of_a_grown_topic(patch: pytest.MonkeyPatch) -> None:
    """Where the settings say that a group begins, each partition begins that it has not committed."""
    patch.setattr(Beginnings, "of", lambda beginnings, _partition: "end" if beginnings._start == "latest" else "first")


def topic_ids_are_not_compared(patch: pytest.MonkeyPatch) -> None:
    """The group's position counts for whatever topic has the name today."""
    patch.setattr(Partition, "is_recreated", False)


MUTATIONS = (
    start_of_a_grown_topic,
    topic_ids_are_not_compared,
    any_200_is_believed,
    any_404_is_believed,
    no_wait_for_the_plan,
    no_end_of_the_lease,
    no_filter_by_ownership,
    no_drain,
    no_wait_for_dead_letters,
    no_key,
    no_recovery,
    no_forced_boundaries,
    a_linger_twice_as_long,
    no_look_after_a_wait,
    no_look_at_a_free_slot,
    a_slot_is_lost,
    no_wait_for_identifies,
    no_turns_of_users,
    no_wait_for_jobs,
    a_commit_beyond_what_is_open,
    no_commit_past_markers,
    a_dead_letter_that_fails,
    no_silence_after_a_refusal,
    a_job_given_back_twice,
    a_job_not_given_back,
    what_settles_counts_twice,
    one_place_less,
    any_user_holds_up,
    a_schema_holds_up_all,
    a_plan_waits_for_the_next_round,
    a_deletion_waits_for_nothing,
)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of tasks that a mutation forgot
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_protection_that_is_switched_off_is_missed(mutation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some law is broken, and the simulation says so."""
    mutation(monkeypatch)
    found = next(((seed, fault) for seed, fault in map(fault_of, SEEDS) if fault is not None), None)
    assert found is not None, "no seed missed it"
    print(f"seed {found[0]}: {found[1].strip().splitlines()[-1][:300]}")  # noqa: T201 - shown with -rP
