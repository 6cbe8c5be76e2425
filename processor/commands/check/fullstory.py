"""What FullStory's answers mean for the worker."""

from collections.abc import Iterator
from typing import assert_never

from processor.commands.check import catalogue
from processor.commands.check.catalogue import Found
from processor.engine.verdict import Answer, Halt, NoAnswer, Retry, RetryReason
from processor.runtime.account import Account, judge
from processor.settings import Settings

MAX_SKEW_S = 60.0


def of_account(settings: Settings, answer: Answer | NoAnswer) -> Iterator[Found]:
    """Judge the answer to `GET /me`."""
    account = judge(answer)
    expected = settings.fullstory.org_id
    match account:
        case Account() if expected not in (None, account.org_id):
            seen = f"the key is of organisation {account.org_id}, PROCESSOR_FULLSTORY__ORG_ID is {expected}"
            yield Found(catalogue.FULLSTORY_WRONG_ORG, seen)
        case Account():
            yield from _of_role(settings, account)
        case Retry():
            cause = "timed out" if account.reason is RetryReason.TIMEOUT else account.detail
            how = f"answers {account.status}" if account.status else f"does not answer ({cause})"
            yield Found(catalogue.FULLSTORY_UNREACHABLE, f"FullStory at {settings.fullstory.base_url} {how}")
        case Halt():
            yield Found(catalogue.FULLSTORY_REFUSED, f"{account.detail} ({settings.fullstory.base_url})")
        case _:
            assert_never(account)


def _of_role(settings: Settings, account: Account) -> Iterator[Found]:
    mode = settings.delivery.mode
    sends = "requests of many items" if account.uses_batches(mode) else "one request for each record"
    seen = f"organisation {account.org_id}, role {account.role}; PROCESSOR_DELIVERY__MODE={mode}: {sends}"
    yield Found(catalogue.FULLSTORY_ACCOUNT, seen)
    if not account.reads_errors and mode == "auto":
        yield Found(catalogue.FULLSTORY_SINGLE, f"role {account.role}")
    if not account.reads_errors and mode == "batch":
        policy = settings.delivery.unattributed
        yield Found(catalogue.FULLSTORY_UNATTRIBUTED, f"role {account.role}, PROCESSOR_DELIVERY__UNATTRIBUTED={policy}")


def of_clock(skew_s: float | None) -> Found:
    """Judge how far FullStory's clock is ahead of ours."""
    if skew_s is None:
        return Found(catalogue.CLOCK_UNKNOWN, "no Date in the answer")
    if abs(skew_s) > MAX_SKEW_S:
        return Found(catalogue.CLOCK_SKEW, f"FullStory's clock is {skew_s:+.0f} s from ours")
    return Found(catalogue.CLOCK_AGREES, f"within {MAX_SKEW_S:.0f} s")
