"""The worker's page in a real Chromium: what it shows, that it stays true, and that it fits a phone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.operation.browser import OVERFLOW, Page, look
from tests.operation.pages import BUSY, GAPS, HALTED, WIDTHS, WorkerWorld, partitions

BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@asynccontextmanager
async def relay(url: str, flows: asyncio.Event) -> AsyncIterator[str]:
    """Stand between a browser and an address; while nothing flows, what is sent either way stays here."""
    target = urlsplit(url)

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                await flows.wait()
                sink.write(data)
        sink.close()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, there = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(pass_on(reader, there), pass_on(beyond, writer))

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_the_worker_fits_every_screen_and_the_browser_has_nothing_to_complain(tmp_path: Path, *, is_dark: bool) -> None:
    """The page fits each screen, in the preferred colours, without an error in the console."""

    async def use(page: Page) -> tuple[list[int], list[str], str]:
        overflow = []
        async with WorkerWorld(HALTED).serve() as url:
            for width in WIDTHS.values():
                await page.visit(url, width=width, is_dark=is_dark)
                overflow.append(await page.value(OVERFLOW))
            await page.until("document.querySelectorAll('svg polyline').length === 3")
            return overflow, page.problems, await page.value(BACKGROUND)

    overflow, problems, background = look(tmp_path, use)

    assert overflow == [0, 0]
    assert problems == []
    assert background == ("rgb(18, 22, 29)" if is_dark else "rgb(246, 247, 249)")


def test_a_halt_in_many_places_fits_a_phone_and_links_once_to_what_to_do(tmp_path: Path) -> None:
    """The first ones stand below each other, the others are counted."""

    async def use(page: Page) -> tuple[int, list[str], int]:
        async with WorkerWorld(GAPS).serve() as url:
            await page.visit(url, width=WIDTHS["phone"])
            lines = "[...document.querySelectorAll('.state p')].map(each => each.textContent)"
            links = "document.querySelectorAll('.state a[href=\"/runbook#halt-gap\"]').length"
            return await page.value(OVERFLOW), await page.value(lines), await page.value(links)

    overflow, lines, links = look(tmp_path, use)

    assert (overflow, links) == (0, 1)
    assert [f"segment.track[{each}] lacks records" in line for each, line in enumerate(lines[:10])] == [True] * 10
    assert "And 30 more of this kind." in lines[10]


def test_the_workers_page_goes_with_the_time(tmp_path: Path) -> None:
    """The page updates what changed in the worker, and keeps what the reader unfolded."""

    async def use(page: Page) -> tuple[str, bool, bool]:
        world = WorkerWorld(BUSY)
        async with world.serve() as url:
            await page.visit(url, width=1_400)
            await page.value("window.sameDocument = document.querySelector('.numbers dd').firstChild")
            await page.value("document.querySelector('details').open = true")
            world.state = replace(BUSY, halts=HALTED.halts)
            await page.until("document.querySelector('.state h2').textContent === 'Halted'")
            return (
                await page.value("document.querySelector('.state .line').textContent"),
                await page.value("window.sameDocument === document.querySelector('.numbers dd').firstChild"),
                await page.value("document.querySelector('details').open"),
            )

    said, is_same, is_open = look(tmp_path, use)

    assert said.startswith("FullStory answers 401")
    assert is_same
    assert is_open


def test_the_keyboard_stays_where_it_is_while_the_page_goes_with_the_time(tmp_path: Path) -> None:
    """An element keeps the focus while the numbers around it change."""

    async def use(page: Page) -> str:
        world = WorkerWorld(BUSY)
        async with world.serve() as url:
            await page.visit(url, width=1_400)
            await page.value("document.querySelector('summary').focus()")
            world.state = replace(BUSY, partitions=partitions(39))
            await page.until("document.querySelector('summary').textContent === '27 more'")
            focus: str = await page.value("document.activeElement.localName")
            return focus

    assert look(tmp_path, use) == "summary"


def test_a_worker_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    """If the worker is gone the page says so, instead of showing old numbers."""

    async def use(page: Page) -> None:
        async with WorkerWorld(BUSY).serve() as url:
            await page.visit(url, width=1_400)
        await page.until("document.querySelector('.state h2').textContent === 'No answer'")

    look(tmp_path, use)


def test_a_worker_that_hangs_is_said_to_be_gone(tmp_path: Path) -> None:
    """If the worker accepts connections without answering, the page says so until it answers."""

    async def use(page: Page) -> None:
        flows = asyncio.Event()
        flows.set()
        async with WorkerWorld(BUSY).serve() as url, relay(url, flows) as relayed:
            await page.visit(relayed, width=1_400)
            flows.clear()
            await page.until("document.querySelector('.state h2').textContent === 'No answer'")
            flows.set()
            await page.until("document.querySelector('.state h2').textContent === 'Held back'")

    look(tmp_path, use)
