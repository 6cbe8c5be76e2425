"""`segment-fullstory run`: the worker as a process."""

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import click
from structlog.typing import FilteringBoundLogger

from processor import __version__
from processor.adapters.telemetry.logs import logging_to
from processor.app.assemble import process
from processor.commands.common.options import CONFIG
from processor.commands.common.signals import stop_on_signal
from processor.model.errors import ConfigurationError, SourceError
from processor.model.reasons import HaltReason
from processor.runtime.state import ActiveHalt
from processor.settings import Settings, load

YOUNG_OBJECTS = 50_000
"""Batches come and go without cycles, so the collector may look at new objects rarely."""


@click.command
@CONFIG
def run(config: Path | None) -> None:
    """Deliver Segment events from Kafka to FullStory until SIGTERM.

    Settings come from environment variables and from a TOML file (docs/configuration.md). `segment-fullstory settings`
    shows them, and `segment-fullstory check` validates them against your Kafka and FullStory.

    On SIGTERM or SIGINT the worker shuts down gracefully: it commits what FullStory has accepted and leaves the rest to
    the other processes of its consumer group.

    Exit codes: 0 after a graceful shutdown, 1 if the Kafka client fails and cannot recover, 2 if the settings are
    invalid.
    """
    try:
        sys.exit(_serve(config))
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(2)


def _serve(config: Path | None) -> int:
    reload = partial(load, os.environ, config)
    settings = reload()
    with logging_to(sys.stderr, settings.log.level, settings.log.format) as log:

        async def serve() -> None:
            stop = stop_on_signal()
            halts = await _work(settings, stop, log, reload)
            while not stop.is_set():
                log.info("begins anew")
                halts = await _work(reload(), stop, log, reload)
            if halts:
                log.warning("stopped while halted", halts={reason.value: each.cause for reason, each in halts.items()})
            else:
                log.info("stopped")

        try:
            asyncio.run(serve())
        except ConfigurationError:
            raise
        except Exception as error:
            log.critical("the worker cannot go on", error=str(error), exc_info=not _is_expected(error))
            return 1
        return 0


async def _work(
    settings: Settings, stop: asyncio.Event, log: FilteringBoundLogger, reload: Callable[[], Settings]
) -> Mapping[HaltReason, ActiveHalt]:
    """Run one worker to its end; return the halts that were in force when it was told to stop."""
    async with process(settings, log, reload=reload) as worker:
        log.info("started", version=__version__, topics=settings.kafka.topics, http_port=worker.port)
        gc.unfreeze()
        gc.collect()  # what a worker before this one left
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS)
        return await worker.run(stop)


def _is_expected(error: Exception) -> bool:
    """Say whether an error explains itself; any other is a defect, and its traceback is wanted."""
    return isinstance(error, SourceError)
