"""A page of nginx stands where FullStory was, whatever status it has: nothing settles by it, nothing waits for long."""

import time
from datetime import datetime
from pathlib import Path

import pytest

from processor.workload import generate
from tests.gateways.scene import CLEAN, assert_exact, scene, wait_until_told
from tests.kafka.programs import wait_until

SEED = 19_000
TOLD_AFTER_S = 10.0
"""Within this time the worker says why nothing is delivered."""
BEFORE, RECORDS = 50, 600
"""What is delivered before the page stands there, and what comes while it does."""


def page(returned: str, *lines: str) -> dict[str, str]:
    """Return the change by which nginx answers everything so while the flag is there."""
    inside = "".join(f"        {each};\n" for each in (*lines, f"return {returned}"))
    return {
        "    location / {\n": f"    error_page 418 = @page;\n    location @page {{\n{inside}    }}\n"
        "    location / {\n        if (-f FLAG) { return 418; }\n"
    }


JSON = page('200 \'{"status":"maintenance"}\'', "default_type application/json"), ("200", "application/json")
PAGES = {
    "204, single requests": ("na1.standard", page("204"), ("204",)),
    "200 JSON, single requests": ("na1.standard", *JSON),
    "200 JSON, batches": ("na1.architect", *JSON),
    "200 HTML, batches": (
        "na1.architect",
        page("200 '<html>Back soon</html>'", "default_type text/html"),
        ("200", "text/html"),
    ),
    "503 for an hour, batches": (
        "na1.architect",
        page("503", "add_header Retry-After 3600 always"),
        ("503", "text/html"),
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_delivers_nothing_and_ends_with_itself(name: str, tmp_path: Path) -> None:
    """While a page answers, nothing settles and the worker says what answers; soon after, all is delivered once."""
    key, changes, texts = PAGES[name]
    with (
        scene("nginx", tmp_path, changes, FULLSTORY__API_KEY=key) as here,
        here.gateway.running(),
        here.worker() as worker,
    ):
        here.produce(generate(SEED, BEFORE, CLEAN))
        here.wait_until_settled(worker)
        here.gateway.flag.touch()
        begun = time.time()
        here.produce(generate(SEED + 1, RECORDS, CLEAN))
        halts = wait_until_told(worker, "nginx/1.22.1", *texts)
        during = sum(here.committed().values())
        here.gateway.flag.unlink()
        here.wait_until_settled(worker)
        wait_until(lambda: worker.ready()["halts"] == {}, "the halt ends")

        assert datetime.fromisoformat(halts["gateway"]["since"]).timestamp() - begun < TOLD_AFTER_S
        assert during == BEFORE
        assert_exact(here)
