"""Whose key this is: asked before anything is sent, so that nobody's events end in another organisation."""

import asyncio
from dataclasses import dataclass
from typing import Literal, assert_never

from processor.engine.halts import PROBED
from processor.engine.notices import Observer, Retried
from processor.engine.retry import Backoff, Chance
from processor.engine.speaker import ApiCall
from processor.engine.verdict import Answer, Halt, NoAnswer, Retry, of_trouble
from processor.model.reasons import HaltReason
from processor.runtime.calls import heard
from processor.runtime.gate import Gate
from processor.runtime.ports import Clock, Destination

Mode = Literal["auto", "batch", "single"]

_OF_KEYS = PROBED | {HaltReason.WRONG_ORG}
"""What the answer to the question for the account can be a halt for."""

_DELETES_ACTION = "Use a key of level Architect or Admin, or take delete out of PROCESSOR_MAPPING__MESSAGE_TYPES."

_FULL_ROLES = frozenset({"ADMIN", "ARCHITECT"})
"""Roles whose keys may read which items of a job failed, and delete users (docs/fullstory-api.md#authentication)."""


@dataclass(frozen=True, slots=True)
class KeyAccount:
    """What FullStory says of a key."""

    org_id: str
    role: str

    @property
    def reads_errors(self) -> bool:
        """Whether the key may read which items of a job failed."""
        return self.role in _FULL_ROLES

    @property
    def deletes_users(self) -> bool:
        """Whether the key may delete users."""
        return self.role in _FULL_ROLES

    def uses_batches(self, mode: Mode) -> bool:
        """Say whether requests of several items are sent: by default where the answers can be understood."""
        return mode == "batch" or (mode == "auto" and self.reads_errors)


async def identify_account(
    destination: Destination,
    org_id: str | None,
    gate: Gate,
    clock: Clock,
    chance: Chance,
    observe: Observer,
    *,
    deletes_users: bool = False,
) -> KeyAccount:
    """Ask until FullStory says whose key this is; a key that is refused, or another's, is a halt until changed.

    So is one that may not delete users where the worker `deletes_users`: its refusal would come with each deletion.
    """
    failures = 0
    while True:
        account = judge(await heard(gate, clock, destination.me(), ApiCall.ME))
        match account:
            case KeyAccount() if org_id not in (None, account.org_id):
                cause = f"the key belongs to organisation {account.org_id}, and PROCESSOR_FULLSTORY__ORG_ID is {org_id}"
                _halt(gate, HaltReason.WRONG_ORG, cause)
                await asyncio.sleep(gate.limits.probe_interval_s)
            case KeyAccount() if deletes_users and not account.deletes_users:
                cause = f"the key's role is {account.role}, which may not delete users"
                _halt(gate, HaltReason.FORBIDDEN, cause, _DELETES_ACTION)
                await asyncio.sleep(gate.limits.probe_interval_s)
            case KeyAccount():
                gate.resume(*_OF_KEYS)
                return account
            case Retry():
                failures += 1
                observe(Retried(account.reason, account.detail, account.status, "key"))
                await asyncio.sleep(account.after_s or Backoff().delay_s(failures, chance))
            case Halt():
                _halt(gate, account.reason, account.detail)
                await asyncio.sleep(gate.limits.probe_interval_s)
            case _:
                assert_never(account)


def _halt(gate: Gate, reason: HaltReason, cause: str, action: str = "") -> None:
    """Stand still for this; what was said of the key before holds no more."""
    gate.halt(reason, cause, action)
    gate.resume(*(_OF_KEYS - {reason}))


def judge(answer: Answer | NoAnswer) -> KeyAccount | Retry | Halt:
    """Judge the answer to the question whose key this is."""
    if (trouble := of_trouble(answer, ApiCall.ME)) is not None:
        return trouble
    assert isinstance(answer, Answer), "no answer is trouble"
    return KeyAccount(answer.body["orgId"], answer.body["role"])
