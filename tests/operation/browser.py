"""A real Chromium without a window, driven by its own protocol (chromedevtools.github.io/devtools-protocol)."""

import asyncio
import base64
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, final

import aiohttp

from tests.operation.conftest import demand

OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0"),
)
DEADLINE_S = 30.0
LOOK_S = 0.05

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
"""How far the page sticks out of the screen."""


@final
class Page:
    """One page that is open; `problems` are what its console and its security policy complain of."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.problems: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def listen(self) -> None:
        """Take what the browser says, until it is closed."""
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif said["method"] == "Log.entryAdded" and said["params"]["entry"]["level"] in ("error", "warning"):
                self.problems.append(said["params"]["entry"]["text"])
            elif said["method"] == "Runtime.exceptionThrown":
                self.problems.append(str(said["params"]["exceptionDetails"]))

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; raises `AssertionError` when it fails."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        answer = await asyncio.wait_for(self._answers[number], DEADLINE_S)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def visit(self, url: str, *, width: int, height: int = 900, is_dark: bool = False) -> None:
        """Open an address on a screen of this size, and wait until it is loaded."""
        for domain in ("Log", "Runtime", "Page"):
            await self.call(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def value(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, expression: str) -> None:
        """Return when the expression is true in the page."""
        async with asyncio.timeout(DEADLINE_S):
            while not await self.value(expression):  # noqa: ASYNC110 - the browser has no event for it
                await asyncio.sleep(LOOK_S)

    async def picture(self) -> bytes:
        """Return a picture of the whole page, as PNG."""
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 1_300), "scale": 1}
        shot = await self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(shot["data"])


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """Run a browser with one empty page; it ends with the `async with`."""
    with (folder / "chromium.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "chromium", *OPTIONS, f"--user-data-dir={folder / 'profile'}", "about:blank", stdout=log, stderr=log,
            env={**os.environ, "HOME": str(folder)},
        )  # fmt: skip
    try:
        port_file = folder / "profile" / "DevToolsActivePort"
        async with asyncio.timeout(DEADLINE_S):
            while not port_file.exists() or not port_file.read_text(encoding="ascii").strip():
                assert process.returncode is None, (folder / "chromium.log").read_text(errors="replace")[-2_000:]
                await asyncio.sleep(LOOK_S)
        port = port_file.read_text(encoding="ascii").split()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                target = next(each for each in await answer.json() if each["type"] == "page")
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                try:
                    yield page
                finally:
                    listening.cancel()
    finally:
        process.terminate()
        await process.wait()


def look(folder: Path, use: Callable[[Page], Awaitable[Any]]) -> Any:
    """Open a browser, use it, and return what that gives."""
    demand("chromium")

    async def run() -> Any:
        async with browser(folder) as page:
            return await use(page)

    return asyncio.run(run())
