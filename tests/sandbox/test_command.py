"""`segment-fullstory sandbox` as a program: docs/fullstory-api.md#sandbox."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import orjson
import pytest
from click.testing import CliRunner

from processor.commands.sandbox import sandbox
from processor.sandbox import Echo, Faults, Gateway, Role

DOCUMENT = Path(__file__).parents[2] / "docs" / "fullstory-api.md"


def parse(*arguments: str) -> dict[str, Any]:
    """Return the parameters that the arguments give."""
    return sandbox.make_context("sandbox", list(arguments)).params


def test_without_options_there_are_two_keys_and_no_faults() -> None:
    """The defaults of the command are those of the sandbox."""
    parameters = parse()
    faults = {name: parameters[name] for name in Faults.__slots__ if name in parameters}
    defaults = Faults().as_json()
    assert faults == {name: defaults[name] for name in faults}
    assert parameters["keys"] == {"na1.architect": Role.ARCHITECT, "na1.standard": Role.USER}
    assert parameters["host"] == "127.0.0.1"


def test_every_fault_that_makes_sense_at_the_start_has_an_option() -> None:
    """Only the end of an outage, and the duration that `--job-seconds` sets, are left to run time."""
    assert set(Faults.__slots__) - set(parse()) == {"outage_until", "job_duration_s"}


def test_every_fault_and_its_option_are_documented() -> None:
    """The table of faults names each field and each option that sets one."""
    text = DOCUMENT.read_text(encoding="utf-8")
    options = [option.opts[0] for option in sandbox.params if option.name in Faults.__slots__]
    missing = [name for name in (*Faults.__slots__, *options) if f"`{name}`" not in text]
    assert missing == []


def test_keys_are_given_with_their_roles() -> None:
    """A key may itself hold an equals sign, and given keys replace the defaults."""
    assert parse("--key", "a=b==USER", "--key", "c=ADMIN")["keys"] == {"a=b=": Role.USER, "c": Role.ADMIN}


def test_echoes_and_gateways_are_listed_with_what_they_do() -> None:
    """Each value of both options is taken, and has a line in the help."""
    lines = CliRunner().invoke(sandbox, ["--help"], terminal_width=200).output.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("    ")]
    for option, values in (("echo", list(Echo)), ("gateway", list(Gateway))):
        assert [parse(f"--{option}", value.value)[option] for value in values] == values
        assert [value for value in values if value not in listed] == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--key", "k"], "'k' is not KEY=ROLE with a role of UNKNOWN, ADMIN"),
        (["--key", "k=BOSS"], "'k=BOSS' is not KEY=ROLE"),
        (["--key", "=USER"], "'=USER' is not KEY=ROLE"),
        (["--job-seconds", "5", "1"], "the shortest, 5, exceeds the longest, 1"),
        (["--job-seconds", "-1", "1"], "-1.0 is not in the range x>=0"),
        (["--throttle", "2"], "2.0 is not in the range 0<=x<=1"),
        (["--echo", "loud"], "'loud' is not one of 'exact', 'reordered'"),
        (["--gateway", "nginx"], "'nginx' is not one of 'html-200', 'json-200'"),
        (["--outage", "200"], "200 is not in the range 400<=x<=599"),
        (["--requests-per-second", "0"], "0.0 is not in the range x>0"),
        (["--port", "70000"], "70000 is not in the range 0<=x<=65535"),
        (["--page-size", "0"], "0 is not in the range x>=1"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_wrong(arguments: list[str], complaint: str) -> None:
    """The command refuses to start, with click's status for wrong usage."""
    result = CliRunner().invoke(sandbox, arguments, terminal_width=200)
    assert result.exit_code == 2
    assert complaint in result.output


def test_a_port_in_use_is_said_without_a_traceback() -> None:
    """The address is named and the status is 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(sandbox, ["--port", port])
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: cannot listen on 127.0.0.1, port {port}")


def test_the_program_serves_with_its_options_until_it_is_told_to_stop() -> None:
    """Started on any free port it prints its address, key and faults, honours them, and ends cleanly on SIGTERM."""
    start = [sys.executable, "-c", "from processor.commands.sandbox import sandbox; sandbox()"]
    options = ["--port", "0", "--key", "k=USER", "--org-id", "O-1", "--latency", "0.01", "--failing-items", "1"]
    with subprocess.Popen([*start, *options], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            match = re.fullmatch(r"FullStory sandbox: (http://127\.0\.0\.1:\d+)\n", program.stdout.readline())
            assert match is not None
            request = Request(f"{match[1]}/me", headers={"Authorization": "Basic k"})  # noqa: S310 - our own address
            with urlopen(request) as response:  # noqa: S310
                assert orjson.loads(response.read())["orgId"] == "O-1"
            with urlopen(f"{match[1]}/sandbox/faults") as response:  # noqa: S310
                faults = orjson.loads(response.read())
            assert (faults["latency_s"], faults["item_failure_ratio"]) == (0.01, 1.0)
        finally:
            program.send_signal(signal.SIGTERM)
        said = program.stdout.read()
    assert "key k (USER)" in said
    assert f"  export PROCESSOR_FULLSTORY__BASE_URL={match[1]} PROCESSOR_FULLSTORY__API_KEY=k\n" in said
    assert "On purpose, FullStory:\n  answers after 0.01 s\n  refuses every item\n" in said
    assert program.returncode == 0
