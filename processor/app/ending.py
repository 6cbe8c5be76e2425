"""How the process ends where it cannot end in good order."""

import asyncio
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, final

from structlog.typing import FilteringBoundLogger

from processor.adapters.telemetry.logs import line_writer
from processor.adapters.telemetry.outlet import Outlet


def end_now(log: FilteringBoundLogger, error: str, where: Sequence[str] = ()) -> NoReturn:
    """End the process with code 1, from any thread and whatever the others do; say why."""
    log.critical("the worker cannot go on", error=error, **({"where": list(where)} if where else {}))
    if (writer := line_writer()) is not None and isinstance(writer.stream, Outlet):
        writer.stream.finish()
    os._exit(1)


async def end_in_time(stop: asyncio.Event, within_s: float, log: FilteringBoundLogger) -> None:
    """See to it that the process has ended so many seconds after `stop` was set.

    Its parts have deadlines of their own. This one holds whatever they wait for: a thread in a file system that does
    not answer, or a loop that a defect keeps busy.
    """
    await stop.wait()
    timer = threading.Timer(within_s, end_now, (log, f"it has not stopped within {within_s:g} s of being told to"))
    timer.daemon = True
    timer.start()


@final
@dataclass(frozen=True, slots=True)
class LoopReport:
    """What is said and done about an event loop that does not answer: a `LoopAlarm`."""

    log: FilteringBoundLogger

    def silent(self, seconds: float, where: Sequence[str]) -> None:
        """Say where it stands."""
        self.log.warning("the event loop does not answer", seconds=round(seconds), where=list(where))

    def answers_again(self, seconds: float) -> None:
        """Say how long it took."""
        self.log.warning("the event loop answers again", seconds=round(seconds))

    def end(self, seconds: float, where: Sequence[str]) -> None:
        """Leave it to whoever starts processes to start another."""
        end_now(self.log, f"the event loop has not answered for {seconds:.0f} s", where)
