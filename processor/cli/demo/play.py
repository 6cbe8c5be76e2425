"""The course of a demo: join, produce, deliver the rest, leave, account. All of it on one event loop."""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import final

from structlog.typing import FilteringBoundLogger

from processor.adapters.kafka.mock import MockCluster
from processor.cli.account import Arrival, Letter, letter_of
from processor.cli.composition import Process, process
from processor.cli.demo.closing import Closing
from processor.cli.demo.display import Display, Phase, Progress
from processor.cli.demo.scene import DEAD_LETTER_TOPIC, GROUP, TOPIC, Script, sandbox_options, worker_settings
from processor.cli.demo.tally import Tally
from processor.cli.demo.traffic import Traffic
from processor.sandbox import Sandbox

TURN_S = 0.02

PATIENCE_S = 60.0
"""How long nothing may move before the demo is given up: longer than the 45 s after which the embedded Kafka takes a
member back that had slept, and far longer than any fault of the sandbox."""

Opening = Callable[[str, str, int], None]
"""Told Kafka's address, FullStory's, and the port of the worker's metrics."""


async def play(script: Script, log: FilteringBoundLogger, opening: Opening, display: Display) -> Closing:
    """Play to the end of the script, or to the first SIGINT or SIGTERM, and account for every record."""
    tally = Tally()
    with MockCluster(TOPIC, DEAD_LETTER_TOPIC) as cluster:
        async with (
            Sandbox(sandbox_options(script)) as sandbox,
            process(worker_settings(cluster.bootstrap_servers, sandbox.url), log, tally) as worker,
        ):
            opening(cluster.bootstrap_servers, sandbox.url, worker.port)
            course = Course(script, cluster, worker, tally, log, display)
            with display:
                await course.run()
            arrivals = (Arrival(effect.kind, effect.item) for effect in sandbox.truth.effects)
            return Closing(
                course.traffic.account.balance(arrivals, course.letters, may_reject=script.may_reject),
                tally,
                course.in_flight,
                cluster.ends(TOPIC),
                cluster.committed(TOPIC, GROUP),
                course.failures,
            )


@final
class Course:
    """The parts at work together, turn by turn; the worker does its own work between the turns."""

    def __init__(
        self,
        script: Script,
        cluster: MockCluster,
        worker: Process,
        tally: Tally,
        log: FilteringBoundLogger,
        display: Display,
    ) -> None:
        self.traffic = Traffic(cluster, script)
        self.letters: list[Letter] = []
        self.failures: list[str] = []
        self._duration_s = script.duration_s
        self._cluster = cluster
        self._worker = worker
        self._tally = tally
        self._log = log
        self._display = display
        self._dead_letters = cluster.tail(DEAD_LETTER_TOPIC)
        self._began_at: float | None = None
        self._positions: dict[int, int] = {}

    async def run(self) -> None:
        """Go from phase to phase; `failures` then says what went wrong."""
        interrupted, stop = asyncio.Event(), asyncio.Event()
        _on_first_signal(interrupted.set)
        working = asyncio.ensure_future(self._worker.run(stop))

        def is_over() -> bool:
            return interrupted.is_set() or working.done()

        await self._until(Phase.JOINING, lambda: is_over() or self._worker.worker.state().has_joined)
        self._began_at = time.monotonic()
        await self._until(Phase.PRODUCING, lambda: is_over() or self._elapsed_s >= self._duration_s)
        await self._until(Phase.FINISHING, lambda: working.done() or self._is_settled)
        stop.set()
        await self._until(Phase.LEAVING, working.done)
        if working.done() and (error := working.exception()) is not None:
            self._log.critical("the worker ended", exc_info=error)
            self.failures.append(f"the worker ended: {type(error).__name__}: {error}")
        ends = self._cluster.ends(DEAD_LETTER_TOPIC)
        await self._until(Phase.READING, lambda: self._dead_letters.offsets == ends)

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
            if moved != self._moved:
                moved, moved_at = self._moved, now
            elif now - moved_at > PATIENCE_S:
                self.failures.append(f"{phase}: nothing has moved for {PATIENCE_S:g} s")
                return
            await asyncio.sleep(TURN_S)

    def _take_turn(self, phase: Phase) -> None:
        if phase is Phase.PRODUCING:
            self.traffic.advance(self._elapsed_s, self._tally.consumed - self._tally.released)
        self._cluster.serve()
        self.letters += [letter_of(record.headers or []) for record in self._dead_letters.read()]
        self._positions |= {each.id.partition: each.position for each in self._worker.worker.state().partitions}

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


def _on_first_signal(react: Callable[[], None]) -> None:
    """Have `react` called once; a second signal does what it always does."""
    loop = asyncio.get_running_loop()

    def once() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        react()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, once)
