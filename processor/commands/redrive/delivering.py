"""The worker, delivering the letters that were chosen until all of them have settled, and what became of them."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import replace
from typing import final

from processor.adapters.kafka.chosen_letters import LettersSource
from processor.adapters.telemetry.logs import logging_to
from processor.adapters.telemetry.outlet import outlet_to
from processor.app.lane import Lane
from processor.app.run import run_until
from processor.commands.common.reading_progress import ReadingProgress
from processor.commands.common.signals import stop_on_signal
from processor.commands.redrive.choosing import Chosen
from processor.engine.notices import Notice, Settled
from processor.runtime.ports import Source
from processor.settings import Settings

LOOK_EVERY_S = 1.0


@final
class Delivery:
    """What became of the chosen letters in this process."""

    def __init__(self, chosen: Chosen) -> None:
        self._chosen = chosen
        self._sources: list[LettersSource] = []
        self.delivered: Counter[str] = Counter()
        self.filtered: Counter[str] = Counter()
        self.dead_lettered: Counter[str] = Counter()

    def through(self, source: Source) -> Source:
        """Let nothing through but the chosen letters; once for each worker that follows another."""
        self._sources.append(letters := LettersSource(source, self._chosen))
        return letters

    def observe(self, notice: Notice) -> None:
        """Count what settles."""
        if isinstance(notice, Settled):
            self.delivered.update(notice.delivered)
            self.filtered.update(notice.filtered)
            self.dead_lettered.update(notice.dead_lettered)

    @property
    def expired(self) -> int:
        """How many were deleted from the topic before they were read."""
        return sum(each.expired for each in self._sources)

    @property
    def ended(self) -> int:
        """How many need nothing more."""
        return self.delivered.total() + self.filtered.total() + self.dead_lettered.total() + self.expired


async def deliver(
    delivery: Delivery, count: int, reload: Callable[[], Settings], is_done: Callable[[], bool], pace: Lane
) -> None:
    """Deliver until `is_done`, which may block, or until a signal; raise what `run_until` raises.

    `count` is how many letters there are, `pace` how fast they may go. Logs go to standard error.
    """
    progress = ReadingProgress("redriving", "letters")
    progress.show(count)
    settings = reload()
    with (
        outlet_to(sys.stderr) as stderr,
        redirect_stderr(stderr),
        logging_to(sys.stderr, settings.log.level, settings.log.format) as log,
    ):
        stop = stop_on_signal()

        async def end_when_done() -> None:
            try:
                while not await asyncio.to_thread(is_done):
                    progress.show(count - delivery.ended)
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
