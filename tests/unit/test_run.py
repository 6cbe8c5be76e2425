"""`segment-fullstory run` where it cannot work: what is said, and with which exit code."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60
KEY = "na1.c2VjcmV0LWtleQ"

WORKING = {
    "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "PROCESSOR_KAFKA__TOPICS": "segment-events",
    "PROCESSOR_KAFKA__GROUP_ID": "fullstory",
    "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "segment-events-dlq",
    "PROCESSOR_FULLSTORY__API_KEY": KEY,
    "PROCESSOR_FULLSTORY__BASE_URL": "http://127.0.0.1:1",
    "PROCESSOR_HTTP__HOST": "127.0.0.1",
    "PROCESSOR_HTTP__PORT": "0",
}


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Give a port that somebody else listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def run(environment: dict[str, str], *options: str) -> tuple[int, str]:
    """Run the worker; return its exit code and what it said."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PROCESSOR_")}
    command = [sys.executable, "-m", "processor", "run", *options]
    done = subprocess.run(
        command, env=bare | environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False, cwd=ROOT
    )
    return done.returncode, done.stderr


def test_without_any_setting_every_one_that_is_needed_is_named() -> None:
    """All errors come at once, each with its variable and an example; there is no traceback, and the exit code is 2."""
    code, said = run({})

    assert code == 2
    assert "Traceback" not in said
    assert "5 required settings are not set" in said
    for name in ("KAFKA__BOOTSTRAP_SERVERS", "KAFKA__TOPICS", "KAFKA__GROUP_ID", "KAFKA__DEAD_LETTER_TOPIC"):
        assert f"  PROCESSOR_{name}=" in said
    assert "  PROCESSOR_FULLSTORY__API_KEY=na1.EXAMPLE" in said


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"PROCESSOR_BATCH__LINGER_S": "soon"}, "PROCESSOR_BATCH__LINGER_S"),
        ({"PROCESSOR_KAFKA__TOPIC": "segment"}, "did you mean PROCESSOR_KAFKA__TOPICS?"),
        ({"PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "segment-events"}, "every dead letter would be read again"),
        (
            {"PROCESSOR_KAFKA__PROPERTIES": '{"enable.auto.commit": true}'},
            "only the offsets of settled records are committed",
        ),
        ({"PROCESSOR_KAFKA__PROPERTIES": '{"sasl.mechanisn": "PLAIN"}'}, 'No such configuration property: "sasl.m'),
        ({"PROCESSOR_FULLSTORY__BASE_URL": "http://api.example.com"}, "in clear text; use https"),
        ({"PROCESSOR_FULLSTORY__BASE_URL": "https://api.eu1.fullstory.com"}, "the data centre na1"),
        ({"PROCESSOR_FULLSTORY__API_KEY_FILE": "/nowhere"}, "PROCESSOR_FULLSTORY__API_KEY_FILE"),
        (
            {"PROCESSOR_MEMORY__BUDGET_BYTES": "17000000", "PROCESSOR_BATCH__MAX_BYTES": "8000000"},
            "too small for batch",
        ),
        ({"PROCESSOR_SCHEMA_REGISTRY__URL": "registry"}, "PROCESSOR_SCHEMA_REGISTRY__URL"),
    ],
)
def test_a_wrong_setting_is_explained(wrong: dict[str, str], expected: str) -> None:
    """Each kind of mistake is named in a line, with exit code 2, without a traceback and without the key."""
    code, said = run(WORKING | wrong)

    assert code == 2, said
    assert expected in said
    assert "Traceback" not in said
    assert KEY not in said


def test_a_port_in_use_is_named(taken_port: int) -> None:
    """A port in use, which only shows when it is opened, is a configuration error."""
    code, said = run(WORKING | {"PROCESSOR_HTTP__PORT": str(taken_port)})

    assert code == 2
    assert f"PROCESSOR_HTTP__PORT: port {taken_port}" in said
    assert "Traceback" not in said


def test_a_missing_file_is_named() -> None:
    """A configuration file that does not exist is an error that names it."""
    code, said = run(WORKING, "--config", "/nowhere.toml")

    assert code == 2
    assert "/nowhere.toml" in said
    assert "Traceback" not in said
