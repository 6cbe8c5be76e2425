"""The commands of docs/configuration.md do what the page says, as a user runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.program import ROOT, run
from tests.kafka.reader import Reader
from tests.kafka.tools import write_script

KEY = "na1.c2VjcmV0LWtleQ"
ENVIRONMENT = {
    "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": "kafka-1:9092,kafka-2:9092",
    "PROCESSOR_KAFKA__TOPICS": "segment.identify,segment.track",
    "PROCESSOR_KAFKA__GROUP_ID": "segment-fullstory",
    "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "dlq.segment",
    "PROCESSOR_KAFKA__PROPERTIES": f'{{"security.protocol": "SASL_SSL", "sasl.password": "{KEY}"}}',
    "PROCESSOR_FULLSTORY__API_KEY": KEY,
}


def test_the_page_works_word_by_word(tmp_path: Path) -> None:
    """The commands of docs/configuration.md print what the page shows."""
    commands = tmp_path / "bin"
    commands.mkdir()
    write_script(commands / "segment-fullstory", f"env PYTHONPATH='{ROOT}' '{sys.executable}' -m processor \"$@\"")

    with Reader(tmp_path, ENVIRONMENT | {"PATH": f"{commands}:{os.environ['PATH']}"}) as reader:
        reader.follow((ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"))

    assert (tmp_path / "segment-fullstory.toml").read_bytes() == (tmp_path / "worker.toml").read_bytes()


def test_settings_and_run_report_the_same_errors() -> None:
    """`settings` and `run` report the same errors on standard error with the same exit code."""
    wrong = {**ENVIRONMENT, "PROCESSOR_HTTP__PORT": "x", "PROCESSOR_KAFKA__TOPICS": "", "PROCESSOR_LOG__LEVEL": "loud"}

    shown, ran = run("settings", environment=wrong), run("run", environment=wrong)

    assert shown.code == ran.code == 2
    assert shown.err.strip() == ran.err.strip()
    assert len(ran.err.splitlines()) == 3
    assert ran.out == ""


@pytest.mark.parametrize(
    "proxy",
    [
        "http://worker:s3cret#1@proxy:3128",
        "http://worker:s3cret@proxy:port",
        "http://worker:s3cret@\N{SNOWMAN}:3128",
    ],
)
def test_a_proxy_that_cannot_be_used_ends_the_worker_without_its_login(proxy: str) -> None:
    """`run` says which variable is wrong, and shows neither a traceback nor anything of the login."""
    done = run("run", environment={**ENVIRONMENT, "https_proxy": proxy})

    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("https_proxy: ")
    assert "s3cret" not in done.err


@pytest.mark.parametrize("form", ["text", "json", "toml"])
def test_a_reader_that_stops_early_is_no_error(form: str) -> None:
    """A closed pipe, as after `settings | head -1`, ends the program without a traceback."""
    command = f"set -o pipefail; '{sys.executable}' -m processor settings --format {form} | head -c 1"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROCESSOR_")}

    done = subprocess.run(
        ["bash", "-c", command], env=environment | ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert len(done.stdout) == 1
    assert done.stdout != "\x1b"
    assert done.stderr == ""


def test_help_lists_every_command_with_a_whole_sentence() -> None:
    """The help shows no command's summary cut off."""
    shown = run("--help").out

    assert "..." not in shown.partition("Commands:")[2]
    assert re.search(r"settings +Show the settings in force, or write a new file\.", shown)
