"""The check of FullStory: what its answers mean for the worker."""

from collections.abc import Iterator
from typing import assert_never

from processor.adapters.clock import SystemClock
from processor.adapters.fullstory import ApiKey, FullStory, Transport
from processor.adapters.proxies import Proxy
from processor.app.parts import tls_of
from processor.commands.check import findings
from processor.commands.check.checklist import CLOCK, Checklist
from processor.commands.check.findings import Found, Level
from processor.commands.check.probe import probe
from processor.engine.verdict import Answer, Halt, NoAnswer, Retry
from processor.runtime.account import KeyAccount, judge
from processor.settings import Settings

MAX_SKEW_S = 60.0


async def check_fullstory(checklist: Checklist, *, probes: bool) -> None:
    """Check the key, its account and FullStory's clock; `probes` allows to write to FullStory."""
    own, clock = checklist.settings.fullstory, SystemClock()
    key, within_s = ApiKey(own.api_key.get_secret_value()), checklist.left_s()
    with checklist.reporting():
        transport = Transport(
            connect_s=within_s,
            read_s=within_s,
            total_s=within_s,
            proxies=checklist.settings.proxies,
            tls=tls_of(checklist.settings),
        )
        async with FullStory(
            key, clock, base_url=own.base_url, allow_private=own.allow_private, transport=transport
        ) as destination:
            if destination.proxy is not None:
                checklist.add([Found(findings.FULLSTORY_PROXY, of_proxy(destination.proxy))])
            account = list(of_account(checklist.settings, await destination.me()))
            checklist.add(account)
            is_well = all(each.finding.level is not Level.ERROR for each in account)
            if is_well or destination.clock_skew_s is not None:
                checklist.add([of_clock(destination.clock_skew_s)], CLOCK)
            if probes and is_well:
                checklist.add([found async for found in probe(destination, clock)])


def of_proxy(proxy: Proxy) -> str:
    """Say what is on the way to FullStory."""
    return f"through {proxy.masked} ({proxy.variable}): it resolves the name, so private addresses are not refused"


def of_account(settings: Settings, answer: Answer | NoAnswer) -> Iterator[Found]:
    """Judge the answer to `GET /me`."""
    account = judge(answer)
    expected = settings.fullstory.org_id
    match account:
        case KeyAccount() if expected not in (None, account.org_id):
            seen = f"the key is of organisation {account.org_id}, PROCESSOR_FULLSTORY__ORG_ID is {expected}"
            yield Found(findings.FULLSTORY_WRONG_ORG, seen)
        case KeyAccount():
            yield from _of_role(settings, account)
        case Retry():
            how = f"answers {account.status}" if account.status else f"does not answer ({account.detail})"
            yield Found(findings.FULLSTORY_UNREACHABLE, f"FullStory at {settings.fullstory.base_url} {how}")
        case Halt():
            yield Found(findings.FULLSTORY_REFUSED, f"{account.detail} ({settings.fullstory.base_url})")
        case _:
            assert_never(account)


def _of_role(settings: Settings, account: KeyAccount) -> Iterator[Found]:
    mode = settings.delivery.mode
    sends = "requests of many items" if account.uses_batches(mode) else "one request for each record"
    seen = f"organisation {account.org_id}, role {account.role}; PROCESSOR_DELIVERY__MODE={mode}: {sends}"
    yield Found(findings.FULLSTORY_ACCOUNT, seen)
    if settings.mapping.rules().deletes_users and not account.deletes_users:
        yield Found(findings.FULLSTORY_NO_DELETION, f"role {account.role}")
    if not account.reads_errors and mode == "auto":
        yield Found(findings.FULLSTORY_SINGLE, f"role {account.role}")
    if not account.reads_errors and mode == "batch":
        policy = settings.delivery.unattributed
        yield Found(findings.FULLSTORY_UNATTRIBUTED, f"role {account.role}, PROCESSOR_DELIVERY__UNATTRIBUTED={policy}")


def of_clock(skew_s: float | None) -> Found:
    """Judge how far FullStory's clock is ahead of ours."""
    if skew_s is None:
        return Found(findings.CLOCK_UNKNOWN, "no Date in the answer")
    if abs(skew_s) > MAX_SKEW_S:
        return Found(findings.CLOCK_SKEW, f"FullStory's clock is {skew_s:+.0f} s from ours")
    return Found(findings.CLOCK_AGREES, f"within {MAX_SKEW_S:.0f} s")
