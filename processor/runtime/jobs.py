"""One job to its end, and what failed in it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar, assert_never

from processor.engine.halts import ENDED_BY_A_READ
from processor.engine.job_polling import CAP_S, FIRST_S, LATE_AFTER_S, STUCK_AFTER_S, UNKNOWN_PATIENCE_S, PollSchedule
from processor.engine.limits import load_of
from processor.engine.notices import JobEnded, JobIsLate, Observer
from processor.engine.speaker import ApiCall
from processor.engine.verdict import (
    Answer,
    ErrorPage,
    Failed,
    Halt,
    JobEnd,
    NoAnswer,
    Retry,
    Running,
    Unknown,
    Unreadable,
    of_errors,
    of_job,
)
from processor.model.reasons import HaltReason, Kind
from processor.runtime.calls import Calls
from processor.runtime.ports import Clock, Destination

_V = TypeVar("_V")


class Jobs:
    """Follows jobs; shared by all batches of a process."""

    def __init__(
        self,
        destination: Destination,
        calls: Calls,
        clock: Clock,
        observe: Observer,
        stuck_after_s: float = STUCK_AFTER_S,
    ) -> None:
        self._destination = destination
        self._calls = calls
        self._gate = calls.gate
        self._clock = clock
        self._observe = observe
        self._stuck_after_s = stuck_after_s
        self._polling = PollSchedule()

    async def end(self, kind: Kind, job_id: str, where: str, *, was_denied: bool = False) -> JobEnd:
        """Follow a job to its end, and read what failed in it; `Unknown` when FullStory has long denied to know it.

        One that does not end is told of, and then shown as a halt for as long as it goes on; `where` names its
        partition. `was_denied`: FullStory has denied a job of the same request before and then named this one. What it
        names and denies in turn is no job that is lost: it is asked for until it is known, and shown as a halt.
        """
        with self._told_when_late(kind, job_id, where) as halts:
            end = await self._end(kind, job_id, where, halts, was_denied=was_denied)
            return replace(end, failures=await self._failures(kind, job_id)) if isinstance(end, Failed) else end

    @contextmanager
    def _told_when_late(self, kind: Kind, job_id: str, where: str) -> Iterator[ExitStack]:
        """Tell once that the job takes long, then show a halt until it has ended, like those that are added to it.

        What failed in it is part of its end: FullStory, or what something in between says, may put that off for ever.
        """
        accepted_at, loop = self._clock.monotonic(), asyncio.get_running_loop()
        detail = f"{where} waits for FullStory's job {job_id}, which does not end"
        stuck = self._gate.held(HaltReason.STUCK_JOB, job_id, detail, concerns=where)
        with ExitStack() as halts:

            def tell() -> None:
                self._observe(JobIsLate(kind, job_id, where, self._clock.monotonic() - accepted_at))

            halts.callback(loop.call_later(LATE_AFTER_S, tell).cancel)
            halts.callback(loop.call_later(self._stuck_after_s, halts.enter_context, stuck).cancel)
            yield halts

    async def _end(self, kind: Kind, job_id: str, where: str, halts: ExitStack, *, was_denied: bool) -> JobEnd:
        accepted_at = self._clock.monotonic()
        waited_s = 0.0
        unknown_since: float | None = None
        is_shown = False
        while True:
            wait_s = self._polling.wait_s(kind, self._clock.monotonic() - accepted_at, is_dear=self._gate.is_short)
            await asyncio.sleep(wait_s)
            waited_s += wait_s
            ask = partial(self._destination.job, kind, job_id)
            verdict: JobEnd | Running = await self._ask(ask, f"{kind}s/batch/job", of_job, ApiCall.JOB)
            if isinstance(verdict, Unknown):
                if unknown_since is None:
                    unknown_since = self._clock.monotonic()
                is_denied = self._clock.monotonic() - unknown_since >= UNKNOWN_PATIENCE_S
                if is_denied and not was_denied:
                    return verdict
                if is_denied and not is_shown:
                    is_shown = True
                    detail = f"{where} waits for job {job_id}, which FullStory names and denies to know, twice"
                    halts.enter_context(self._gate.held(HaltReason.DENIED_JOB, job_id, detail, concerns=where))
            elif not isinstance(verdict, Running):
                duration_s = self._clock.monotonic() - accepted_at
                if waited_s >= duration_s / 2:  # else it could not be asked for, and tells nothing of other jobs
                    self._polling.ended(kind, waited_s)
                self._observe(JobEnded(kind, duration_s))
                return verdict
            else:
                unknown_since = None

    async def _failures(self, kind: Kind, job_id: str) -> list[dict[str, object]] | None:
        """Return the failed items of a job as FullStory echoes them; None when they cannot be read."""
        found: list[dict[str, object]] = []
        token, seen = "", {""}
        patient_until = self._clock.monotonic() + UNKNOWN_PATIENCE_S
        while True:
            ask = partial(self._destination.errors, kind, job_id, token)
            verdict: ErrorPage | Running | Unreadable | Unknown = await self._ask(
                ask, f"{kind}s/batch/errors", of_errors, ApiCall.ERRORS
            )
            match verdict:
                case ErrorPage(failures, next_token):
                    found.extend(failures)
                    if next_token in seen:
                        return found
                    seen.add(next_token)
                    token = next_token
                case Running():
                    await asyncio.sleep(FIRST_S)
                case Unknown() if self._clock.monotonic() < patient_until:
                    await asyncio.sleep(CAP_S)
                case Unreadable() | Unknown():
                    return None
                case _:
                    assert_never(verdict)

    async def _ask(
        self,
        ask: Callable[[], Awaitable[Answer | NoAnswer]],
        endpoint: str,
        judge: Callable[[Answer | NoAnswer], _V | Retry | Halt],
        call: ApiCall,
    ) -> _V:
        """GET until the answer says something about the job."""
        failures = 0
        while True:
            await self._gate.ask()
            asked_at = self._clock.monotonic()
            verdict = judge(await self._calls.timed(endpoint, ask(), call))
            self._calls.note_throttle(verdict)
            self._gate.told(load_of(verdict), asked_at)
            if isinstance(verdict, Retry):
                failures += 1
                await self._calls.back_off(verdict, failures)
            elif isinstance(verdict, Halt):
                self._gate.halt(verdict.reason, verdict.detail)
                await asyncio.sleep(self._gate.limits.probe_interval_s)
            else:
                self._gate.resume(*ENDED_BY_A_READ)
                return verdict
