"""`segment-fullstory run`: the worker as a process."""

import asyncio
import os
import sys
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path

import click

from processor.adapters.telemetry.logs import logging_to
from processor.adapters.telemetry.outlet import outlet_to
from processor.app.run import run_until
from processor.commands.common.options import CONFIG
from processor.commands.common.signals import stop_on_signal
from processor.model.errors import ConfigurationError, SourceError
from processor.settings import load


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
    with outlet_to(sys.stderr) as stderr, redirect_stderr(stderr):  # all that is ever said there, by anybody
        try:
            code = _serve(config)
        except ConfigurationError as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            code = 2
    sys.exit(code)


def _serve(config: Path | None) -> int:
    reload = partial(load, os.environ, config)
    settings = reload()
    with logging_to(sys.stderr, settings.log.level, settings.log.format) as log:

        async def serve() -> None:
            await run_until(stop_on_signal(), settings, log, reload)

        try:
            asyncio.run(serve())
        except ConfigurationError:
            raise
        except Exception as error:
            # An error of Kafka's client explains itself. Any other is a defect, and its traceback is wanted.
            is_expected = isinstance(error, SourceError)
            log.critical("the worker cannot go on", error=str(error), exc_info=not is_expected)
            return 1
        return 0
