"""Worlds worth a look for the two pages, and `python -m tests.operation.pages`, which makes the pictures of docs/."""

import asyncio
import io
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from processor.adapters.telemetry.history import STEP_S, STEPS, History
from processor.adapters.telemetry.page import render
from processor.adapters.telemetry.server import ListenAddress, TelemetryServer, Views
from processor.engine.notices import Consumed, DeadLetterWrite, KeyKnown, Retried, Settled, WaitsFor, WrittenLetter
from processor.engine.partition.state import Blocked, PartitionState
from processor.engine.speaker import ApiCall
from processor.engine.verdict import Answer, Halt, RetryReason, of_trouble
from processor.engine.worker_state import WorkerState
from processor.model.reasons import Bottleneck, DeadLetterReason, FilterReason, HaltReason, Kind
from processor.model.records import ClientFigures, LetterPlace, TopicPartition
from processor.sandbox.options import SandboxOptions
from processor.sandbox.server import Sandbox
from tests.fakes.state import FACTS as SOME
from tests.fakes.state import IDLE, halts
from tests.operation.browser import Page, browser

PICTURES = Path(__file__).parents[2] / "docs" / "images"
NOW_S = 1_771_000_000.0
FACTS = replace(SOME, started_at=NOW_S - 93_600)
TERMINAL_COLUMNS = 124
WIDTHS = {"phone": 390, "desk": 1_280}


def partitions(count: int = 40) -> list[PartitionState]:
    """Return partitions of which one is held up and some are paused."""
    made = [
        PartitionState(
            TopicPartition("segment.track", number),
            buffered_records=(number * 37 + 60) % 400,
            in_flight_records=(number * 211 + 500) % 3_000,
            is_paused=number % 9 == 4,
            position=1_000_000,
            end=1_000_000 + (number * 7_919 + 800) % 12_000,
            oldest_unsettled_ms=int((NOW_S - (94 if number == 0 else number % 17)) * 1_000),
        )
        for number in range(count)
    ]
    return [replace(made[0], blocked=Blocked(1_000_000, 94.0, WaitsFor.JOB, "am9iLTE=")), *made[1:]]


BUSY = replace(
    IDLE,
    partitions=partitions(),
    bytes_held=171 * 2**20,
    bottleneck=Bottleneck.DESTINATION,
    concurrency_limit=12,
    request_rate=27.4,
    jobs_in_flight=38,
    operations_in_flight=21_540,
    client=ClientFigures(3 * 2**20, 0.004),
)
REVOKED = of_trouble(Answer(401, {"code": "unauthorized"}), ApiCall.ME)
assert isinstance(REVOKED, Halt)
HALTED = replace(
    BUSY,
    partitions=[replace(each, oldest_unsettled_ms=int((NOW_S - 754) * 1_000)) for each in BUSY.partitions],
    halts=halts(REVOKED.reason, REVOKED.detail, since=NOW_S - 754),
)
"""In the words that the worker has for it."""

GAPS = replace(BUSY, halts=halts(HaltReason.GAP, *(f"{each.id} lacks records" for each in BUSY.partitions)))
"""More places than are told one by one."""


@dataclass
class WorkerWorld:
    """A worker's port with a state and a history, and a clock that stands still."""

    state: WorkerState = BUSY
    now: float = NOW_S
    history: History = field(init=False)

    def __post_init__(self) -> None:
        self.history = History(self)
        self.history(KeyKnown("o-1A2B3C-na1", "ARCHITECT", is_batch=True))
        held_from = min((halt.since for halt in self.state.halts.values()), default=NOW_S)
        for step in range(STEPS):
            self.now = NOW_S - (STEPS - step) * STEP_S
            self._pass(step, stood_since=held_from if self.now > held_from else None)
        self.now = NOW_S
        in_flight = sum(each.buffered_records + each.in_flight_records for each in self.state.partitions)
        self.history(Consumed("segment.track", in_flight))

    def _pass(self, step: int, *, stood_since: float | None) -> None:
        """Let a step pass: one of a usual day, unless delivery has stood still since then."""
        age_s = 3.0 + step % 3 if stood_since is None else self.now - stood_since
        oldest = PartitionState(TopicPartition("t", 0), 0, 1, False, 0, 1, int((self.now - age_s) * 1_000))  # noqa: FBT003 - as it is declared
        self.history.look(replace(IDLE, partitions=[oldest]))
        if stood_since is not None:
            return
        delivered, filtered = Counter({Kind.EVENT: 4_000 + 900 * (step % 7)}), Counter({FilterReason.INTEGRATIONS: 40})
        refused = +Counter({DeadLetterReason.MALFORMED: step % 11 == 0, DeadLetterReason.UID_TOO_LONG: step % 29 == 0})
        if step % 60 == 0:
            self.history(Retried(RetryReason.SERVER_ERROR, status=503))
        self.history(Consumed("segment.track", delivered.total() + filtered.total() + refused.total()))
        self.history(Settled(delivered, filtered, refused, []))
        for reason in refused:
            written = WrittenLetter(
                TopicPartition("segment.track", step % 40), 1_000_000 + step, reason, LetterPlace(3, 7_000 + step)
            )
            self.history(DeadLetterWrite("ok", letter=written))

    def monotonic(self) -> float:
        """Return the moment."""
        return self.now

    def wall(self) -> float:
        """Return the moment."""
        return self.now

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve the page; give its address."""

        def page() -> str:
            return render(self.state, self.history, FACTS, self.now, self.now)

        registry = CollectorRegistry()
        async with TelemetryServer(
            ListenAddress("127.0.0.1", 0),
            registry,
            lambda: self.state,
            Views(page, self.history.troubles),
            self,
            fail_on_halt=False,
        ) as server:
            yield f"http://127.0.0.1:{server.port}/"


@asynccontextmanager
async def busy_sandbox() -> AsyncIterator[str]:
    """Run a sandbox that has received something; give its address."""
    async with Sandbox(SandboxOptions(job_duration_s=(0.0, 0.0))) as server, aiohttp.ClientSession() as session:
        headers = {"Authorization": "Basic na1.architect"}
        for number in range(24):
            user = {"uid": f"user-{number}", "display_name": f"Person {number}", "properties": {"plan_str": "pro"}}
            event = {
                "name": "Order Completed",
                "timestamp": "2026-02-13T16:26:40.000Z",
                "user": {"uid": f"user-{number}"},
                "properties": {"total": 12.5 + number, "currency": "EUR"},
            }
            for path, body in (("users", user), ("events", event), ("events/batch", {"requests": [event]})):
                async with session.post(f"{server.url}/v2/{path}", json=body, headers=headers) as answer:
                    assert answer.status == 200, await answer.text()
        yield f"{server.url}/"


async def _take(folder: Path) -> None:
    for name, state in (("worker", BUSY), ("worker-halted", HALTED)):
        async with WorkerWorld(state).serve() as url:
            await _shoot(url, name, folder, (("phone", state is BUSY), ("desk", state is HALTED)))
    async with busy_sandbox() as url:
        await _shoot(url, "sandbox", folder, (("desk", False),))
    await _take_demo(folder)


async def _take_demo(folder: Path) -> None:
    """Picture the end of a real demo, as a terminal shows it."""
    command = [sys.executable, "-m", "processor", "demo", "--duration", "8"]
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(TERMINAL_COLUMNS)}
    done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True, check=True)
    account = done.stdout[done.stdout.index("Account of") :].partition("Next:")[0]
    console = Console(record=True, file=io.StringIO(), width=TERMINAL_COLUMNS, force_terminal=True)
    console.print(Text.from_ansi(f"$ make run\n{account.strip()}"))
    (folder / "demo.html").write_text(console.export_html(theme=MONOKAI), encoding="utf-8")
    await _shoot((folder / "demo.html").as_uri(), "demo", folder, (("desk", True),), height=500)


async def _shoot(url: str, name: str, folder: Path, looks: tuple[tuple[str, bool], ...], height: int = 900) -> None:
    for screen, is_dark in looks:
        with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as profile:
            async with browser(Path(profile)) as page:
                await page.visit(url, width=WIDTHS[screen], height=height, is_dark=is_dark)
                await _settled(page)
                picture = await page.picture()
        (PICTURES / f"{name}-{screen}-{'dark' if is_dark else 'light'}.png").write_bytes(picture)


async def _settled(page: Page) -> None:
    await page.until("[...document.querySelectorAll('table')].every((each) => each.rows.length > 0)")


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        asyncio.run(_take(Path(scratch)))
