"""The documentation as a site: it is whole, and it needs no other site."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from tests.operation.browser import browser
from tests.operation.conftest import demand

ROOT = Path(__file__).parents[1]

FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\ssrc=[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preconnect|icon|preload))[^>]*\shref=[\"']?((?:https?:)?//[^\"'\s>]+)"
    r"|(?:url\(|@import )[\"']?((?:https?:)?//[^\"')\s]+)"
)
"""What a browser fetches from elsewhere by itself when it shows a page; a link that a reader follows is none."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the site, built as `make site` builds it."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    return folder


def test_every_page_is_on_the_site_and_in_its_navigation(site: Path) -> None:
    """What stands in docs/ can be found from the first page."""
    home = (site / "index.html").read_text(encoding="utf-8")
    pages = [f"{page.relative_to(ROOT / 'docs').with_suffix('')}.html" for page in ROOT.glob("docs/**/*.md")]
    expected = {"schemas.html", "changelog.html", *(page.replace("README", "index") for page in pages)}

    assert sorted(page for page in expected if not (site / page).exists() or f'href="{page}"' not in home) == []


def test_every_page_can_be_searched(site: Path) -> None:
    """The index of the search is a file of the site, and holds all of it."""
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}

    assert {"deploy.html", "mapping.html", "adr/index.html", "schemas.html", "changelog.html"} <= found


@pytest.mark.servers
def test_the_search_finds_in_a_browser_without_asking_anyone_else(site: Path, tmp_path: Path) -> None:
    """A reader who types a word is led to the pages that have it; the site is all that the browser talks to."""
    demand("chromium")
    found, asked, home = asyncio.run(search(site, tmp_path, "redelivered"))

    assert "Reliability" in found
    assert asked == [home]


async def search(site: Path, folder: Path, word: str) -> tuple[list[str], list[str], str]:
    """Type a word into the search; return the titles found, whom the browser asked, and where the site is."""
    app = web.Application()
    app.router.add_static("/", site)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    home = "http://{}:{}".format(*runner.addresses[0])
    try:
        async with browser(folder) as page:
            await page.visit(f"{home}/index.html?q={word}", width=1_400)
            await page.value("document.querySelector('[data-md-component=search-query]').focus()")
            await page.until("document.querySelector('.md-search-result__item h1') !== null")
            titles = "[...document.querySelectorAll('.md-search-result__item h1')].map(each => each.innerText)"
            origins = "performance.getEntriesByType('resource').map(each => new URL(each.name).origin)"
            return await page.value(titles), await page.value(f"[...new Set({origins})]"), home
    finally:
        await runner.cleanup()


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """The site works where there is no way to the internet: fonts, scripts, styles and pictures are its own."""
    files = [file for kind in ("html", "css") for file in site.rglob(f"*.{kind}")]
    fetched = {f"{file.name}: {found[0]}" for file in files for found in FETCHED.finditer(file.read_text("utf-8"))}

    assert files
    assert fetched == set()


@pytest.mark.parametrize(
    "text",
    ['<script src="https://cdn.example/a.js">', '<link rel="stylesheet" href="//fonts.example/a">', "url(//x/y)"],
)
def test_what_would_be_fetched_is_seen(text: str) -> None:
    """The pattern finds what it is there to find."""
    assert FETCHED.search(text)
    assert not FETCHED.search('<a href="https://segment.com">')
