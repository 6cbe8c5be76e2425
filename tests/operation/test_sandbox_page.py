"""The sandbox's page in a real Chromium: it says what is in force, its buttons act, and it fits a phone."""

import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from processor.sandbox import Faults, Role, Sandbox, SandboxOptions
from tests.operation.browser import OVERFLOW, Page, look
from tests.operation.pages import busy_sandbox

DESK, PHONE = 1_280, 390
STORM = Faults(
    latency_s=0.05, latency_jitter_s=0.2, error_ratio=0.3, drop_after_ratio=0.05, job_failure_ratio=0.05,
    item_failure_ratio=0.01,
)  # fmt: skip
MOOD = "document.querySelector('.weather h2').textContent"
CONDITIONS = "[...document.querySelectorAll('.weather li')].map((each) => each.firstChild.textContent.trim())"
SETTINGS = "document.querySelector('#settings').textContent"
CALM = "Nothing goes wrong on purpose"


def button(name: str) -> str:
    """Return the expression of the button with this name."""
    return f"[...document.querySelectorAll('button')].find((each) => each.textContent === '{name}')"


@asynccontextmanager
async def sandbox(**options: Any) -> AsyncIterator[tuple[Sandbox, str]]:
    """Run a sandbox; give it and its address."""
    async with Sandbox(SandboxOptions(**options)) as server:
        yield server, f"{server.url}/"


def visited(folder: Path, use: Callable[[Page, Sandbox], Awaitable[Any]], **options: Any) -> Any:
    """Open the page of a sandbox with these options on a phone, use both, and return what that gives."""

    async def visit(page: Page) -> Any:
        async with sandbox(**options) as (server, url):
            await page.visit(url, width=PHONE)
            await page.until(f"{MOOD} !== ''")
            return await use(page, server)

    return look(folder, visit)


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_it_fits_every_screen_and_the_browser_has_nothing_to_complain(
    tmp_path: Path, width: int, *, is_dark: bool
) -> None:
    """The page fits each screen without errors, figures that touch, or buttons too small for a thumb."""
    gaps = """[...document.querySelectorAll('.answers, dl, .buttons')].flatMap((group) => {
      const boxes = [...group.children].map((each) => each.getBoundingClientRect());
      return boxes.slice(1).map((box, at) => {
        const before = boxes[at];
        return box.top >= before.bottom ? box.top - before.bottom : box.left - before.right;
      });
    })"""

    async def use(page: Page) -> None:
        async with busy_sandbox() as url, aiohttp.ClientSession() as client:
            await client.post(f"{url}sandbox/faults", json=STORM.as_json() | {"outage_status": 503})
            await client.get(f"{url}v2/users")
            await client.post(f"{url}sandbox/faults", json={"outage_status": None})
            await client.post(f"{url}v2/events/batch", json={})
            await page.visit(url, width=width, is_dark=is_dark)
            await page.until("document.querySelectorAll('#users tr').length > 10")
            assert await page.value(OVERFLOW) == 0
            assert min(await page.value(gaps)) >= 4
            heights = "[...document.querySelectorAll('.buttons button')].map((each) => each.offsetHeight)"
            assert min(await page.value(heights)) >= 36
            assert page.problems == []

    look(tmp_path, use)


def test_without_faults_it_says_so(tmp_path: Path) -> None:
    """Without faults the page is green and lists nothing."""

    async def use(page: Page, _server: Sandbox) -> list[Any]:
        return [await page.value(MOOD), await page.value(CONDITIONS)]

    assert visited(tmp_path, use) == [CALM, []]


def test_it_says_whatever_the_sandbox_says_of_itself(tmp_path: Path) -> None:
    """The page lists faults of options, the rate limit and other limits in words, each with its time."""

    async def use(page: Page, server: Sandbox) -> list[Any]:
        times = "[...document.querySelectorAll('.weather li span')].map((each) => each.textContent)"
        return [
            await page.value(MOOD),
            await page.value(CONDITIONS) == [f"FullStory {each.text}" for each in server.weather()],
            all(each.startswith("since ") for each in await page.value(times)),
            len(server.weather()),
        ]

    found = visited(tmp_path, use, faults=STORM, requests_per_s=10.0, burst=20, max_body_bytes=100_000)

    assert found == ["Not as usual, on purpose", True, True, 7]


def test_an_outage_with_an_end_shows_the_end(tmp_path: Path) -> None:
    """The page shows the end of an outage, also of one begun elsewhere, and drops it then."""

    async def use(page: Page, server: Sandbox) -> str:
        async with aiohttp.ClientSession() as client:
            body = {"outage_status": 503, "outage_s": 60}
            await client.post(f"{server.url}/sandbox/faults", json=body)
            await page.until(f"{MOOD} === 'Nothing can be delivered, on purpose'")
            said: str = await page.value("document.querySelector('.weather li').textContent")
            await client.post(f"{server.url}/sandbox/faults", json={"outage_status": None})
            await page.until(f"{MOOD} === '{CALM}'")
            return said

    said = visited(tmp_path, use)

    assert said.startswith("FullStory answers 503 to every request since ")
    assert said.endswith(" s left)")


BUTTONS = [
    "Outage", "Errors", "Throttle half", "Slow answers", "Drop requests", "Lose answers", "Slow jobs", "Failing jobs",
    "Failing items", "Forget jobs", "Echo as protobuf", "Page of a gateway", "Limit the rate",
]  # fmt: skip


def test_every_button_lets_one_thing_go_wrong_and_ends_it(tmp_path: Path) -> None:
    """One click on a button starts its fault at once, and another ends it."""

    async def use(page: Page, server: Sandbox) -> list[str]:
        untouched = server.faults.as_json()
        for name in BUTTONS:
            await page.value(f"{button(name)}.click()")
            await page.until(f"{button(name)}.getAttribute('aria-pressed') === 'true'")
            (condition,) = server.weather()
            assert await page.value(CONDITIONS) == [f"FullStory {condition.text}"]
            await page.value(f"{button(name)}.click()")
            await page.until(f"{button(name)}.getAttribute('aria-pressed') === 'false' && {MOOD} === '{CALM}'")
            assert server.weather() == []
            assert server.faults.as_json() == untouched
        return page.problems

    assert visited(tmp_path, use) == []


def test_a_button_is_pressed_for_its_fault_however_strong_and_ends_it(tmp_path: Path) -> None:
    """A button also ends a fault that an option switched on."""

    async def use(page: Page, server: Sandbox) -> list[Any]:
        pressed = "[...document.querySelectorAll('[aria-pressed=true]')].map((each) => each.textContent)"
        before = await page.value(pressed)
        for name in before:
            await page.value(f"{button(name)}.click()")
        await page.until(f"{MOOD} === '{CALM}'")
        return [before, server.weather()]

    faults = Faults(error_ratio=0.01, latency_jitter_s=0.1, retry_after_s=5)
    assert visited(tmp_path, use, faults=faults, requests_per_s=3.0) == [
        ["Errors", "Slow answers", "Limit the rate"],
        [],
    ]


def test_the_key_is_revoked_and_given_back(tmp_path: Path) -> None:
    """One click revokes the key, another restores it with its role, also after the page was loaded anew."""

    async def use(page: Page, server: Sandbox) -> list[Any]:
        await page.value(f"{button('Revoke the key')}.click()")
        await page.until(f"{MOOD} === 'Nothing can be delivered, on purpose'")
        seen = [await page.value(CONDITIONS), await page.value(SETTINGS), dict(server.keys.roles)]
        await page.visit(f"{server.url}/", width=PHONE)
        await page.until(f"{button('Give back the key')} !== undefined")
        await page.value(f"{button('Give back the key')}.click()")
        await page.until(f"{button('Revoke the key')} !== undefined && {MOOD} === '{CALM}'")
        return [*seen, dict(server.keys.roles)]

    assert visited(tmp_path, use, keys={"mine": Role.ADMIN}) == [
        ["FullStory answers 401 to the key mine, which is revoked"],
        "Every key is revoked: give one back first.",
        {},
        {"mine": Role.ADMIN},
    ]


def test_each_of_several_keys_has_its_button(tmp_path: Path) -> None:
    """Revoking one of several keys leaves the others in force."""

    async def use(page: Page, server: Sandbox) -> list[Any]:
        await page.value(f"{button('Revoke the key na1.architect')}.click()")
        await page.until(f"{MOOD} === 'Not as usual, on purpose'")
        return [list(server.keys.roles), (await page.value(SETTINGS)).endswith("API_KEY=na1.standard")]

    assert visited(tmp_path, use) == [["na1.standard"], True]


def test_the_empty_page_has_the_settings_to_paste_until_a_request_arrives(tmp_path: Path) -> None:
    """Until a request arrives, the page shows the base URL and a key as a shell reads them."""
    key = "it's $(odd) é"

    async def use(page: Page, server: Sandbox) -> list[Any]:
        shown = [await page.value("!document.querySelector('#connect').hidden")]
        settings = shlex.split(await page.value(SETTINGS))
        async with aiohttp.ClientSession() as client:
            await client.get(f"{server.url}/me")
        await page.until("document.querySelector('#connect').hidden")
        base_url = settings[1] == f"PROCESSOR_FULLSTORY__BASE_URL={server.url}"
        return [*shown, settings[0], base_url, *settings[2:]]

    found = visited(tmp_path, use, keys={"weak": Role.USER, key: Role.ARCHITECT})

    assert found == [True, "export", True, f"PROCESSOR_FULLSTORY__API_KEY={key}"]


def test_what_is_selected_to_be_copied_stays_selected(tmp_path: Path) -> None:
    """A selection outlives the page's renewal every second."""

    async def use(page: Page, _server: Sandbox) -> str:
        await page.value("getSelection().selectAllChildren(document.querySelector('#settings'))")
        await page.value("document.querySelector('#counters').firstChild.id = 'old'")
        await page.until("document.querySelector('#old') === null")
        selected: str = await page.value("getSelection().toString()")
        return selected

    assert visited(tmp_path, use).startswith("export PROCESSOR_FULLSTORY__BASE_URL=")


def test_a_sandbox_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    """If the sandbox is gone the page says so, and a click says that nothing happened."""

    async def use(page: Page) -> str:
        async with sandbox() as (_, url):
            await page.visit(url, width=PHONE)
            await page.until(f"{MOOD} === '{CALM}'")
        await page.until(f"{MOOD} === 'The sandbox does not answer'")
        await page.value(f"{button('Outage')}.click()")
        await page.until("document.querySelector('#said').textContent !== ''")
        said: str = await page.value("document.querySelector('#said').textContent")
        return said

    assert look(tmp_path, use) == "Outage: the sandbox does not answer"


def test_users_events_and_jobs_are_shown(tmp_path: Path) -> None:
    """The page lists users, events and jobs, the newest first."""

    async def use(page: Page) -> list[str]:
        async with busy_sandbox() as url:
            await page.visit(url, width=DESK)
            await page.until("document.querySelectorAll('#users tr').length > 10")
            return [
                await page.value(f"document.querySelector('#{table} td').textContent") for table in ("users", "events")
            ]

    assert look(tmp_path, use) == ["user-23", "Order Completed"]
