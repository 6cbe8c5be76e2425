"""The course of a demo: join, produce, deliver the rest, leave, account. All of it on one event loop."""

import asyncio
import signal
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, final

from structlog.typing import FilteringBoundLogger

from processor.adapters.kafka.mock import MockCluster
from processor.app.run import Process, open_process
from processor.commands.demo.closing import Closing
from processor.commands.demo.display import Display, Phase, Progress
from processor.commands.demo.producer import Traffic
from processor.commands.demo.scene import (
    DEAD_LETTER_TOPIC,
    GROUP,
    HOST,
    TOPIC,
    Script,
    sandbox_options,
    worker_settings,
)
from processor.commands.demo.tally import Rate, WorkerTally
from processor.commands.demo.wording import refuses_items
from processor.sandbox import Sandbox
from processor.workload.account import Arrival, FoundLetter, letter_of

TURN_S = 0.02

PATIENCE_S = 60.0
"""How long nothing may move before the demo is given up: longer than the 45 s after which the embedded Kafka takes a
member back that had slept, and far longer than any fault of the sandbox."""


class Addresses(NamedTuple):
    """Where the demo can be watched."""

    worker: str
    fullstory: str
    kafka: str


class Systems(NamedTuple):
    """What is at work in a demo."""

    cluster: MockCluster
    sandbox: Sandbox
    worker: Process


class Audience(Protocol):
    """Is told what is going on."""

    display: Display

    def opening(self, addresses: Addresses) -> None:
        """Everything is up."""
        ...

    def closing(self, closing: Closing) -> None:
        """The records are accounted for; everything is still up."""
        ...

    def staying(self, addresses: Addresses) -> None:
        """Everything stays up until a signal."""
        ...


async def play(script: Script, log: FilteringBoundLogger, audience: Audience) -> Closing:
    """Play to the end of the script and account for every record; with `script.keep`, stay until SIGINT or SIGTERM.

    The first signal ends the traffic, the second one delivery, and both keep the account.
    """
    tally = WorkerTally()
    with MockCluster(TOPIC, DEAD_LETTER_TOPIC) as cluster:
        async with Sandbox(sandbox_options(script)) as sandbox:
            settings = worker_settings(cluster.bootstrap_servers, sandbox.url)
            async with open_process(settings, log, lambda: settings, tally) as worker:
                where = Addresses(f"http://{HOST}:{worker.port}/", f"{sandbox.url}/", cluster.bootstrap_servers)
                audience.opening(where)
                systems = Systems(cluster, sandbox, worker)
                course = Course(script, systems, tally, log, audience.display)
                with audience.display:
                    await course.run()
                closing = _closing(course, systems, tally)
                audience.closing(closing)
                if course.stays:
                    audience.staying(where)
                    await course.stay()
                return closing


def _closing(course: "Course", systems: Systems, tally: WorkerTally) -> Closing:
    cluster, sandbox = systems.cluster, systems.sandbox
    weather = sandbox.past_weather()
    committed = cluster.committed(TOPIC, GROUP)
    return Closing(
        course.traffic.account.balance(
            (Arrival(effect.kind, effect.item) for effect in sandbox.truth.effects),
            course.letters,
            may_reject=any(map(refuses_items, weather)),
            committed=committed if course.is_cut_short else None,
        ),
        tally,
        course.in_flight,
        cluster.ends(TOPIC),
        committed,
        course.failures,
        course.is_cut_short,
        weather,
        course.delivered_after_s,
    )


@final
class Course:
    """The parts at work together, turn by turn; the worker does its own work between the turns."""

    def __init__(
        self,
        script: Script,
        systems: Systems,
        tally: WorkerTally,
        log: FilteringBoundLogger,
        display: Display,
    ) -> None:
        cluster, sandbox, worker = systems
        self.traffic = Traffic(cluster, script)
        self.letters: list[FoundLetter] = []
        self.failures: list[str] = []
        self.delivered_after_s = 0.0
        self.stays = False
        """Whether the worker still runs when `run` has ended: then `stay` comes next."""
        self._script = script
        self._cluster = cluster
        self._sandbox = sandbox
        self._worker = worker
        self._tally = tally
        self._log = log
        self._display = display
        self._dead_letters = cluster.tail(DEAD_LETTER_TOPIC)
        self._began_at: float | None = None
        self._positions: dict[int, int] = {}
        self._rate = Rate()
        self._has_been_out = False
        self._interrupted, self._cut_short, self._stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._working: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @property
    def is_cut_short(self) -> bool:
        """Whether the user did not wait for the rest to be delivered."""
        return self._cut_short.is_set()

    async def run(self) -> None:
        """Go from phase to phase; `failures` then says what went wrong."""
        _on_signals(self._interrupted.set, self._cut_short.set)
        self._working = asyncio.ensure_future(self._worker.run(self._stop))
        await self._until(Phase.JOINING, lambda: self._is_over or self._worker.worker.state().has_joined)
        self._began_at = time.monotonic()
        await self._until(Phase.PRODUCING, lambda: self._is_over or self._elapsed_s >= self._script.duration_s)
        await self._until(Phase.FINISHING, lambda: self._working.done() or self.is_cut_short or self._is_settled)
        self.delivered_after_s = self._elapsed_s
        self.stays = self._script.keep and not (self._is_over or self.failures)
        if self.stays:
            await self._until(Phase.COMMITTING, lambda: self._is_over or self._is_committed)
        else:
            await self._leave()
        ends = self._cluster.ends(DEAD_LETTER_TOPIC)
        await self._until(Phase.READING, lambda: self._dead_letters.offsets == ends)

    async def stay(self) -> None:
        """Wait for a signal, or for the worker's end, then let the worker leave."""
        self._working.add_done_callback(lambda _: self._interrupted.set())
        await self._interrupted.wait()
        await self._leave()

    async def _leave(self) -> None:
        self._stop.set()
        await self._until(Phase.LEAVING, self._working.done)
        if self._working.done() and (error := self._working.exception()) is not None:
            self._log.critical("the worker ended", exc_info=error)
            self.failures.append(f"the worker ended: {type(error).__name__}: {error}")

    @property
    def _is_over(self) -> bool:
        return self._interrupted.is_set() or self._working.done()

    @property
    def _is_committed(self) -> bool:
        return self._cluster.committed(TOPIC, GROUP) == self._cluster.ends(TOPIC)

    async def _until(self, phase: Phase, is_over: Callable[[], bool]) -> None:
        """Take turns until the phase is over, or until nothing has moved for too long: that is a failure."""
        moved_at = shown_at = time.monotonic()
        moved = self._moved
        while not is_over():
            self._take_turn(phase)
            now = time.monotonic()
            if now - shown_at >= self._display.interval_s:
                shown_at = now
                self._display.show(self._progress(phase))
            if moved != self._moved or any(condition.is_total for condition in self._sandbox.weather()):
                moved, moved_at = self._moved, now
            elif now - moved_at > PATIENCE_S:
                self.failures.append(f"{phase}: nothing has moved for {PATIENCE_S:g} s")
                return
            await asyncio.sleep(TURN_S)

    def _take_turn(self, phase: Phase) -> None:
        if phase is Phase.PRODUCING:
            self.traffic.advance(self._elapsed_s, self._tally.consumed - self._tally.released)
            self._begin_outage()
        self._cluster.serve()
        self.letters += [letter_of(record.headers or []) for record in self._dead_letters.read()]
        self._positions |= {each.id.partition: each.position for each in self._worker.worker.state().partitions}

    def _begin_outage(self) -> None:
        """Begin the script's outage, once."""
        outage = None if self._has_been_out else self._script.outage(self._elapsed_s)
        if outage is not None:
            self._has_been_out = True
            self._sandbox.faults.update(dict(outage), time.time())

    def _progress(self, phase: Phase) -> Progress:
        return Progress(
            phase,
            self._elapsed_s,
            len(self.traffic.account),
            self.traffic.is_held_back,
            self._lag,
            self.in_flight,
            {reason: halt.cause for reason, halt in self._worker.worker.state().halts.items()},
            self._tally,
            self._rate.see(time.monotonic(), self._tally.delivered.total()),
            self._sandbox.weather(),
            time.time(),
        )

    @property
    def in_flight(self) -> int:
        """Records that the worker holds."""
        return sum(each.buffered_records + each.in_flight_records for each in self._worker.worker.state().partitions)

    @property
    def _elapsed_s(self) -> float:
        """Since the first record was due."""
        return 0.0 if self._began_at is None else time.monotonic() - self._began_at

    @property
    def _lag(self) -> int:
        """Records in the topic from the first unsettled one of each partition on."""
        return sum(end - self._positions.get(partition, 0) for partition, end in self.traffic.ends.items())

    @property
    def _is_settled(self) -> bool:
        return self.traffic.is_acknowledged and self._lag == 0

    @property
    def _moved(self) -> int:
        """Grows with whatever happens to a record."""
        return len(self.traffic.account) + self._tally.consumed + self._tally.settled + len(self.letters)


def _on_signals(*reactions: Callable[[], None]) -> None:
    """Have one of them called for each SIGINT or SIGTERM, in this order; later signals do what they always do."""
    loop = asyncio.get_running_loop()
    coming = deque(reactions)

    def react() -> None:
        coming.popleft()()
        if not coming:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, react)
