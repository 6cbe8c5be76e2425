"""Performs what the owners of the partitions ask for, and reports back to them. It decides nothing."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, assert_never

from processor.engine.limits import Cost
from processor.engine.partition import answers
from processor.engine.partition.actions import Action, AskJob, Post, Seek, StandStill, WriteLetters
from processor.engine.partition.owner import Partition
from processor.engine.partition.request import Request, Stage
from processor.engine.verdict import PostVerdict, Retry, of_post
from processor.runtime.calls import Calls
from processor.runtime.jobs import Jobs
from processor.runtime.letters import Letters
from processor.runtime.ports import Clock, Destination, Source
from processor.runtime.schemas import SchemaCache


@dataclass(slots=True, eq=False)
class _Work:
    """What is done for one partition, until its epoch ends."""

    last: set[asyncio.Task[Any]] = field(default_factory=set)
    """What is worth its end when the partition goes: POSTs that await their answers, and dead letters."""
    jobs: set[asyncio.Task[Any]] = field(default_factory=set)
    halts: ExitStack = field(default_factory=ExitStack)
    """Halts that end with the epoch."""


@dataclass(slots=True, eq=False)
class _Sender:
    """A request in the queue of the gate."""

    request: Request
    partition: Partition
    driver: "Driver"

    @property
    def cost(self) -> Cost:
        return self.request.cost

    @property
    def failures(self) -> int:
        return self.request.failures

    @property
    def is_wanted(self) -> bool:
        return self.request.stage is Stage.QUEUED

    def send(self) -> bool:
        return self.driver.send(self.request, self.partition)


class Driver:
    """For all partitions of a process; owned by the event loop's thread.

    `failed` is called with whatever should never be raised: then the process must not go on.
    """

    def __init__(
        self,
        destination: Destination,
        calls: Calls,
        jobs: Jobs,
        letters: Letters,
        schemas: SchemaCache,
        clock: Clock,
    ) -> None:
        self.failed: Callable[[Exception], None]
        self._destination = destination
        self._calls = calls
        self.gate = calls.gate
        self._jobs = jobs
        self._letters = letters
        self._schemas = schemas
        schemas.ended = self._ended
        self._clock = clock
        self._work: defaultdict[Partition, _Work] = defaultdict(_Work)

    def perform(self, partition: Partition, actions: Sequence[Action], source: Source) -> None:
        """Begin all of it."""
        work = self._work[partition]
        for action in actions:
            match action:
                case Post(request):
                    self.gate.queue(_Sender(request, partition, self))
                case AskJob(request):
                    self._start(self._ask_job(request, partition), work.jobs)
                case WriteLetters():
                    self._start(self._write(action, partition), work.last)
                case StandStill(reason, cause, advice):
                    where, stops = action.place, str(partition.id) if action.place else ""
                    held = self.gate.held(reason, where, cause, advice, concerns=stops, is_cured_at_end=False)
                    work.halts.enter_context(held)
                case Seek(offset):
                    source.seek(partition.id, partition.epoch, offset)
                case _:
                    assert_never(action)

    def send(self, request: Request, partition: Partition) -> bool:
        """POST a request that has room, if its partition still says so."""
        if not partition.may_post(request, self._clock.monotonic(), self._clock.wall()):
            return False
        task = self._start(self._post(request, partition), self._work[partition].last)
        task.add_done_callback(partial(self._posted, request, partition, self._clock.monotonic()))
        return True

    async def finish(self, partitions: Iterable[Partition], within_s: float) -> None:
        """Wait for what is worth its end; the rest ends now."""
        works = [self._work[each] for each in partitions]
        for task in [task for work in works for task in work.jobs]:
            task.cancel()
        self.gate.forget_unwanted()  # what they held is free, and others need not wait for the end of this
        if last := {task for work in works for task in work.last}:
            _, late = await asyncio.wait(last, timeout=within_s)
            for task in late:
                task.cancel()

    def drop(self, partitions: Collection[Partition]) -> None:
        """End whatever is done for them."""
        for work in [self._work.pop(each) for each in partitions if each in self._work]:
            for task in work.last | work.jobs:
                task.cancel()
            work.halts.close()
        for each in partitions:
            self._schemas.forget(each.id)
        self.gate.forget_unwanted()

    @property
    def is_fetching_schemas(self) -> bool:
        """Whether a schema is on its way."""
        return self._schemas.is_fetching

    async def close(self) -> None:
        """Give up the schemas that are on their way."""
        await self._schemas.close()

    def _start(self, coroutine: Coroutine[Any, Any, Any], tasks: set[asyncio.Task[Any]]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    async def _post(self, request: Request, partition: Partition) -> PostVerdict | None:
        """POST, once; None when it was not to be done after all."""
        if partition.is_going:
            return None
        if request.deletes is not None:
            post = self._destination.delete(request.deletes)
        else:
            post = self._destination.post(request.kind, request.body, request.idempotency_key, batch=request.is_batch)
        is_suspect = self._calls.is_suspect(request.suspicion)
        answer = await self._calls.timed(request.endpoint, post, request.call, is_suspect=is_suspect)
        verdict = of_post(answer, request.kind, batch=request.is_batch)
        if isinstance(verdict, Retry) and not is_suspect:
            return self._calls.as_limit(verdict, request.failures)
        return verdict

    def _posted(
        self, request: Request, partition: Partition, sent_at: float, task: asyncio.Task[PostVerdict | None]
    ) -> None:
        """Count and report the answer, also of a POST that was given up, even before it began."""
        try:
            self._report(request, partition, sent_at, task)
        except Exception as error:  # noqa: BLE001 - a defect: in a callback of a task nobody else would learn of it
            self.failed(error)

    def _report(
        self, request: Request, partition: Partition, sent_at: float, task: asyncio.Task[PostVerdict | None]
    ) -> None:
        verdict = None if task.cancelled() or task.exception() else task.result()
        self._calls.answered(verdict, sent_at, is_suspect=self._calls.is_suspect(request.suspicion))
        answers.answered(request, verdict, self._clock.monotonic())
        if not partition.is_going:  # whoever owns it next finds out for himself, and this process may be leaving
            self._calls.halt_or_resume(verdict)
        # The next one takes its place at once: an answer that comes while there is room says nothing of the limit.
        self.gate.serve()

    async def _ask_job(self, request: Request, partition: Partition) -> None:
        assert request.entry.job_id is not None, "a job without an id"
        end = await self._jobs.end(request.kind, request.entry.job_id, str(partition.id), was_denied=request.was_denied)
        answers.job_ended(request, end, self._clock.monotonic())
        self.gate.wake()

    async def _write(self, action: WriteLetters, partition: Partition) -> None:
        await self._letters.write(partition.id, action.letters, action.attempts)
        partition.letters_acknowledged(action.batch)
        self.gate.wake()
