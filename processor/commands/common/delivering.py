"""The worker, delivering what was selected of a topic until all of it has settled."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import replace

from processor.adapters.telemetry.logs import logging_to
from processor.adapters.telemetry.outlet import outlet_to
from processor.app.lane import Lane
from processor.app.run import run_until
from processor.commands.common.delivery import Delivery
from processor.commands.common.reading_progress import ReadingProgress
from processor.commands.common.signals import stop_on_signal
from processor.settings import Settings

LOOK_EVERY_S = 1.0


async def deliver(
    delivery: Delivery,
    reload: Callable[[], Settings],
    left: Callable[[], int | None],
    pace: Lane,
    progress: ReadingProgress,
) -> None:
    """Deliver until `left`, which may block, is None, or until a signal; raise what `run_until` raises.

    `pace` is how fast it may go. Logs go to standard error.
    """
    settings = reload()
    with (
        outlet_to(sys.stderr) as stderr,
        redirect_stderr(stderr),
        logging_to(sys.stderr, settings.log.level, settings.log.format) as log,
    ):
        stop = stop_on_signal()

        async def end_when_done() -> None:
            try:
                while (count := await asyncio.to_thread(left)) is not None:
                    progress.show(count)
                    await asyncio.sleep(LOOK_EVERY_S)
            finally:
                stop.set()

        ending = asyncio.create_task(end_when_done())
        try:
            await run_until(stop, settings, log, reload, delivery.observe, lane=replace(pace, through=delivery.through))
        finally:
            if not ending.cancel():
                ending.result()
    progress.clear()
