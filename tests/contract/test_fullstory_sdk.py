"""FullStory's own SDK for Node, version 1.1.0 of npm, takes the sandbox for FullStory."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from processor.sandbox import Sandbox, SandboxOptions
from tests.contract.fullstory_sdk import PROGRAM, installed, missing_node
from tests.needs import need

SCENARIOS = re.findall(r'(?m)^scenario\("(.+?)"', PROGRAM.read_text(encoding="utf-8"))
ANSWER_S = 60.0

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("servers")]


@pytest.fixture(scope="module")
def sdk() -> Path:
    """Give the folder where it is installed."""
    need(missing_node())
    return installed()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_sdk_takes_the_sandbox_for_fullstory(sdk: Path, scenario: str) -> None:
    """What the SDK's page and its own smoke tests promise of FullStory holds; the scenario has the assertions."""
    asyncio.run(play(sdk, scenario, SandboxOptions(job_duration_s=(0.05, 0.1), page_size=2)))


@pytest.mark.parametrize("scenario", [each for each in SCENARIOS if "job" in each])
def test_the_sdk_escapes_the_ids_of_jobs(sdk: Path, scenario: str) -> None:
    """Ids that a path must escape are no harder for it."""
    asyncio.run(play(sdk, scenario, SandboxOptions(job_duration_s=(0.05, 0.1), page_size=2, hard_job_ids=True)))


async def play(sdk: Path, scenario: str, options: SandboxOptions) -> None:
    """Run one scenario against a sandbox of its own; what it complains of is the failure."""
    async with Sandbox(options) as sandbox:
        process = await asyncio.create_subprocess_exec(
            *("node", str(PROGRAM), str(sdk), scenario),
            env={**os.environ, "FS_API_HOST": sandbox.url, "NODE_ENV": "test"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            complaint, _ = await asyncio.wait_for(process.communicate(), ANSWER_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
    assert process.returncode == 0, complaint.decode()
