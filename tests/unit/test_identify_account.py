"""Whose key this is, asked until FullStory says so."""

import asyncio
from collections import deque
from typing import Any

import pytest

from processor.engine.limits import Limits, LimitSettings
from processor.engine.notices import Halted, Resumed, Retried
from processor.engine.verdict import Answer, NoAnswer, RetryReason
from processor.model.reasons import HaltReason
from processor.runtime.account import KeyAccount, Mode, identify_account
from processor.runtime.gate import Gate
from processor.simulation.loop import START_S, run_virtually
from tests.fakes.clock import FakeClock
from tests.fakes.fullstory import FakeFullStory
from tests.fakes.observer import RecordingObserver

REFUSED = Answer(401, {"code": "unauthorized"})
ME = Answer(200, {"email": "a@example.com", "orgId": "ORG", "role": "ARCHITECT"})


class Scripted(FakeFullStory):
    """Answers the question for the account as told."""

    def __init__(self, *answers: Answer | NoAnswer) -> None:
        super().__init__()
        self.answers = deque(answers)
        self.asked_at: list[float] = []

    async def me(self) -> Answer | NoAnswer:
        """Return the next answer."""
        self.asked_at.append(asyncio.get_running_loop().time() - START_S)
        return self.answers.popleft()


def identify(*answers: Answer | NoAnswer, org_id: str | None = None) -> tuple[KeyAccount, Scripted, RecordingObserver]:
    """Ask until one of the answers satisfies."""

    async def ask() -> tuple[KeyAccount, Scripted, RecordingObserver]:
        observer, fullstory = RecordingObserver(), Scripted(*answers)
        gate = Gate(Limits(LimitSettings(), lambda: 0.5), FakeClock(), observer)
        account = await identify_account(fullstory, org_id, gate, FakeClock(), lambda: 1.0, observer)
        assert not gate.halts
        assert not gate.limits.is_halted
        return account, fullstory, observer

    return run_virtually(ask())


@pytest.mark.parametrize("org_id", [None, "ORG"])
def test_a_good_answer_is_taken_at_once(org_id: str | None) -> None:
    """A good answer is accepted at once, with or without a configured organisation."""
    account, fullstory, observer = identify(ME, org_id=org_id)
    assert account == KeyAccount("ORG", "ARCHITECT")
    assert (fullstory.asked_at, observer.notices) == ([0.0], [])


def test_another_organisations_key_halts_until_it_is_changed() -> None:
    """The halt for another organisation's key names both, and the next question waits for the probe interval."""
    other = Answer(200, {"orgId": "OTHER", "role": "USER"})
    _, fullstory, observer = identify(other, other, ME, org_id="ORG")
    assert fullstory.asked_at == [0.0, 15.0, 30.0]
    (halted,) = observer.of(Halted)
    assert halted.reason is HaltReason.WRONG_ORG
    assert "OTHER" in halted.cause
    assert "ORG" in halted.cause
    assert [each.reason for each in observer.of(Resumed)] == [HaltReason.WRONG_ORG]


def test_a_passing_fault_is_waited_for() -> None:
    """A passing fault is retried as FullStory says, or ever less often, without a halt."""
    throttled = [Answer(429, {"code": "too_many_requests"}, retry_after_s) for retry_after_s in (60.0, 0.0)]
    unavailable = Answer(503, {"code": "unavailable"})
    answers: list[Answer | NoAnswer] = [NoAnswer(RetryReason.CONNECTION, "refused"), unavailable, *throttled]
    _, fullstory, observer = identify(*answers, ME)
    assert fullstory.asked_at == [0.0, 0.5, 1.5, 61.5, 65.5]
    assert observer.notices == [
        Retried(RetryReason.CONNECTION, "refused", call="key"),
        Retried(RetryReason.SERVER_ERROR, status=503, call="key"),
        Retried(RetryReason.THROTTLED, status=429, call="key"),
        Retried(RetryReason.THROTTLED, status=429, call="key"),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404),
        Answer(204),
        Answer(200, None),
        Answer(200, []),
        Answer(200, {"orgId": 5, "role": "USER"}),
        Answer(200, {"orgId": "ORG"}),
    ],
)
def test_an_answer_that_is_not_fullstorys_says_nothing_of_the_key(answer: Answer) -> None:
    """What stands in between is waited for as an outage is, and named."""
    account, _, observer = identify(*[answer] * 3, ME)
    assert account == KeyAccount("ORG", "ARCHITECT")
    assert [each.reason for each in observer.of(Retried)] == [RetryReason.GATEWAY] * 3
    assert str(answer.status) in observer.of(Retried)[0].detail


def test_an_answer_that_speaks_of_the_key_halts() -> None:
    """Until a good one arrives."""
    _, fullstory, observer = identify(REFUSED, ME)
    assert fullstory.asked_at == [0.0, 15.0]
    assert [notice.reason for notice in observer.of(Halted)] == [HaltReason.UNAUTHORIZED]
    assert [each.reason for each in observer.of(Resumed)] == [HaltReason.UNAUTHORIZED]


@pytest.mark.parametrize(
    ("mode", "role", "expected"),
    [
        ("auto", "ARCHITECT", True),
        ("auto", "ADMIN", True),
        ("auto", "USER", False),
        ("auto", "a new role", False),
        ("batch", "USER", True),
        ("single", "ADMIN", False),
    ],
)
def test_batches_are_used_where_their_failures_can_be_read(mode: Mode, role: str, *, expected: bool) -> None:
    """Batches are used if the key may read job errors, unless the operator decides otherwise."""
    assert KeyAccount("ORG", role).uses_batches(mode) is expected


def test_the_halt_is_seen_while_it_lasts() -> None:
    """The gate shows the halt while it lasts, and no longer."""

    async def story() -> Any:
        observer = RecordingObserver()
        gate = Gate(Limits(LimitSettings(), lambda: 0.5), FakeClock(), observer)
        asking = asyncio.ensure_future(
            identify_account(Scripted(REFUSED, ME), None, gate, FakeClock(), lambda: 1.0, observer)
        )
        await asyncio.sleep(1.0)
        seen = dict(gate.halts)
        await asking
        return seen

    assert run_virtually(story()).keys() == {HaltReason.UNAUTHORIZED}


def test_what_is_shown_of_a_key_is_what_holds_now() -> None:
    """A halt whose cause has made way for another one is not shown beside it."""

    async def ask() -> None:
        observer = RecordingObserver()
        lower = Answer(200, {"orgId": "ORG", "role": "STANDARD"})
        fullstory = Scripted(Answer(200, {"orgId": "OTHER", "role": "ADMIN"}), lower, REFUSED, lower, ME)
        gate = Gate(Limits(LimitSettings(), lambda: 0.5), FakeClock(), observer)
        asking = asyncio.ensure_future(
            identify_account(fullstory, "ORG", gate, FakeClock(), lambda: 1.0, observer, deletes_users=True)
        )
        reasons = (HaltReason.WRONG_ORG, HaltReason.FORBIDDEN, HaltReason.UNAUTHORIZED, HaltReason.FORBIDDEN)
        await asyncio.sleep(1.0)
        for reason in reasons:
            assert gate.halts.keys() == {reason}
            await asyncio.sleep(gate.limits.probe_interval_s)
        assert (await asking).role == "ARCHITECT"
        assert not gate.halts
        assert [each.reason for each in observer.of(Halted)] == list(reasons)
        assert [each.reason for each in observer.of(Resumed)] == list(reasons)

    run_virtually(ask())


def test_a_key_that_may_not_delete_users_is_a_halt_where_users_are_deleted() -> None:
    """It is asked again until the key is another; where nobody is deleted, any role will do."""

    async def ask() -> None:
        observer = RecordingObserver()
        fullstory = Scripted(
            Answer(200, {"orgId": "A", "role": "STANDARD"}), Answer(200, {"orgId": "A", "role": "ADMIN"})
        )
        gate = Gate(Limits(LimitSettings(), lambda: 0.5), FakeClock(), observer)
        account = await identify_account(fullstory, None, gate, FakeClock(), lambda: 1.0, observer, deletes_users=True)
        assert account.role == "ADMIN"
        (halted,) = observer.of(Halted)
        assert halted.reason is HaltReason.FORBIDDEN
        assert "STANDARD" in halted.cause
        assert "Architect" in halted.action
        assert not gate.halts

    run_virtually(ask())
