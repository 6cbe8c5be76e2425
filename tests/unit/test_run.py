"""The worker as a process: what ends it, and who begins in its place."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from processor.app.run import Process
from processor.engine.halts import ActiveHalt
from processor.model.reasons import HaltReason
from processor.settings import Settings, load
from tests.fakes.state import halts

HALTS = halts(HaltReason.UNAUTHORIZED, "FullStory answers 401")


class StubWorker:
    """In place of a worker: leaves when it is told to, and ends with the error that it is given."""

    def __init__(self) -> None:
        self.is_running = asyncio.Event()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, stop: asyncio.Event) -> Mapping[HaltReason, ActiveHalt]:
        """Wait to be stopped, or to fail."""
        self.is_running.set()
        leaving: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        await asyncio.wait([leaving, self._failure], return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if self._failure.done():
            self._failure.result()
        return HALTS

    def failed(self, error: Exception) -> None:
        """End by this error."""
        self._failure.set_exception(error)


def settings(folder: Path) -> Settings:
    """Return the least that is to be set."""
    return load(
        {
            "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": "localhost:9092",
            "PROCESSOR_KAFKA__TOPICS": "segment",
            "PROCESSOR_KAFKA__GROUP_ID": folder.name,
            "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "letters",
            "PROCESSOR_FULLSTORY__API_KEY": "na1.key",
        }
    )


def test_a_process_ends_when_it_is_stopped() -> None:
    """With the halts that were in force, and without a successor."""

    async def run() -> None:
        worker: Any = StubWorker()
        stop = asyncio.Event()
        process = Process(worker, 1)
        running = asyncio.ensure_future(process.run(stop))
        await worker.is_running.wait()
        stop.set()

        assert await running == HALTS
        assert process.successor is None

    asyncio.run(run())


def test_a_process_that_gives_way_stops_by_itself(tmp_path: Path) -> None:
    """It names the settings of its successor, as they were loaded when they were found to be good."""

    async def run() -> None:
        worker: Any = StubWorker()
        successor = settings(tmp_path)
        process = Process(worker, 1)
        running = asyncio.ensure_future(process.run(asyncio.Event()))
        await worker.is_running.wait()
        process.give_way(successor)

        assert await running == HALTS
        assert process.successor is successor

    asyncio.run(run())


def test_what_fails_beside_the_worker_ends_it() -> None:
    """No part of the process is lost in silence."""

    async def fail() -> None:
        raise OSError("out of files")

    async def run() -> None:
        worker: Any = StubWorker()
        process = Process(worker, 1, [fail])
        await process.run(asyncio.Event())

    with pytest.raises(OSError, match="out of files"):
        asyncio.run(run())
