"""The simulation is not blind: with any one protection switched off, one of its seeds finds a law broken."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from processor.engine.journal import Owner, Plan, Range
from processor.events.payload import WHOLE_RANGE
from processor.runtime import journals
from processor.runtime.lease import Lease
from processor.runtime.letters import Letters
from processor.runtime.owned import Owned
from processor.runtime.ports import Commit, DeadLetter
from processor.runtime.requests import Request
from tests.fakes.source import FakeSource
from tests.simulation.chaos import fault_of

SEEDS = range(300)


def no_wait_for_the_plan(patch: pytest.MonkeyPatch) -> None:
    """A POST goes out while its plan is on its way to Kafka."""

    async def at_once(_lease: Lease, _plan: Plan) -> None:
        pass

    patch.setattr(Lease, "until_covered", at_once)
    patch.setattr(Lease, "covers", lambda _lease, _plan: True)


def no_end_of_the_lease(patch: pytest.MonkeyPatch) -> None:
    """A plan that was acknowledged once may be POSTed for ever."""
    patch.setattr(Lease, "covers", lambda _lease, plan: plan.acknowledged == plan.revision)


def no_filter_by_ownership(patch: pytest.MonkeyPatch) -> None:
    """A commit is made of partitions that have gone meanwhile."""

    async def unfiltered(source: FakeSource, wanted: dict[Any, Commit]) -> None:
        source.broker.store(wanted)
        source._answer_commit(wanted, {})

    patch.setattr(FakeSource, "_commit", unfiltered)


def no_drain(patch: pytest.MonkeyPatch) -> None:
    """What is in flight goes on when its partition goes."""
    patch.setattr(Owned, "stop", lambda _owned: set())
    patch.setattr(Owned, "drop_all", lambda _owned: None)


def no_wait_for_dead_letters(patch: pytest.MonkeyPatch) -> None:
    """A batch settles while its dead letters are on their way."""
    write = Letters._write

    async def in_passing(letters: Letters, letter: DeadLetter, name: str) -> None:
        asyncio.get_running_loop().create_task(write(letters, letter, name))

    patch.setattr(Letters, "_write", in_passing)


def no_key(patch: pytest.MonkeyPatch) -> None:
    """Each POST has a key of its own."""
    numbers = itertools.count()
    patch.setattr(Request, "idempotency_key", property(lambda _request: f"{next(numbers)}"))


def no_recovery(patch: pytest.MonkeyPatch) -> None:
    """The journal is written, and nobody reads it."""

    def blank(_text: str, _owner: Owner, _base: int) -> Sequence[Range]:
        return []

    patch.setattr(journals, "decode", blank)


def no_forced_boundaries(patch: pytest.MonkeyPatch) -> None:
    """What was planned is formed anew by the limits of the day."""
    patch.setattr("processor.runtime.worker.WHOLE_RANGE", replace(WHOLE_RANGE, max_records=3))


MUTATIONS = (
    no_wait_for_the_plan,
    no_end_of_the_lease,
    no_filter_by_ownership,
    no_drain,
    no_wait_for_dead_letters,
    no_key,
    no_recovery,
    no_forced_boundaries,
)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of tasks that a mutation forgot
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_protection_that_is_switched_off_is_missed(mutation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some law is broken, and the simulation says so."""
    mutation(monkeypatch)
    found = next(((seed, fault) for seed, fault in map(fault_of, SEEDS) if fault is not None), None)
    assert found is not None, "no seed missed it"
    print(f"seed {found[0]}: {found[1].strip().splitlines()[-1][:300]}")  # noqa: T201 - shown with -rP
