"""`segment-fullstory demo` as a program: it accounts for every record however it ends, and its addresses hold."""

import errno
import os
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from processor.commands.demo.pasting import MAKE

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "processor", "demo"]
DEADLINE_S = 120.0


@pytest.mark.parametrize("faults", ["none", "storm"])
def test_the_program_accounts_for_every_record(faults: str) -> None:
    """Whatever goes wrong at FullStory, nothing is lost; the environment has no effect, and standard error is empty."""
    environment = {**os.environ, "PROCESSOR_KAFKA__TOPICS": "theirs", "PROCESSOR_HTTP__PORT": "1", "PROCESSOR_X": "y"}

    ended = subprocess.run(
        [*PROGRAM, "--duration", "2", "--rate", "200", "--faults", faults, "--seed", "11"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    assert "The account balances; lost: 0" in ended.stdout
    assert "all 4 partitions are committed to their ends" in ended.stdout
    assert "\x1b" not in ended.stdout


def test_the_program_ends_early_with_the_account_of_what_there_was(tmp_path: Path) -> None:
    """SIGINT ends production; what was produced is delivered and accounted for, and the log is kept."""
    log = tmp_path / "log"
    options = ["--duration", "600", "--rate", "200", "--log", str(log)]
    with subprocess.Popen([*PROGRAM, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        for line in program.stdout:
            if line.startswith("producing"):
                program.send_signal(signal.SIGINT)
                break
        said = program.stdout.read()

    assert program.returncode == 0, said
    assert "The account balances; lost: 0" in said
    assert "partitions assigned" in log.read_text(encoding="utf-8")


def test_the_program_stays_up_until_it_is_told_to_end() -> None:
    """With --keep, the pages stay up after the account until one signal ends everything."""
    with conversation("--duration", "1", "--rate", "100", "--faults", "none", "--keep") as (program, said):
        addresses = page_addresses(said)
        before = until(said, "Everything stays up until you press Ctrl-C:")
        kept = page_addresses(said)
        pages = [fetched(url) for url in kept]
        program.send_signal(signal.SIGINT)

    assert program.returncode == 0
    assert "The account balances; lost: 0\n" in before
    assert kept == addresses
    assert [title in page for title, page in zip(("segment-fullstory", "FullStory sandbox"), pages, strict=True)] == [
        True,
        True,
    ]


def test_a_second_signal_leaves_the_rest_in_kafka_and_accounts_for_it() -> None:
    """A second signal does not wait for FullStory: the undelivered records are accounted for, and none is lost."""
    with conversation("--duration", "600", "--rate", "200", "--faults", "none") as (program, said):
        _, fullstory = page_addresses(said)
        fetched(f"{fullstory}sandbox/faults", b'{"outage_status": 503}')
        until(said, "weather  FullStory answers 503 to every request")
        for phase in ("producing", "finishing"):
            until(said, phase)
            program.send_signal(signal.SIGINT)
        rest = "".join(said)

    assert program.returncode == 0, rest
    assert re.search(r"undelivered +[1-9][\d,]*  \(left in Kafka", rest)
    assert "The account balances; lost: 0\n" in rest


def test_faults_that_the_user_switches_on_are_in_the_account() -> None:
    """Items that a fault of the user's makes FullStory refuse are accounted for as rejected."""
    with conversation("--duration", "600", "--rate", "200", "--faults", "none") as (program, said):
        _, fullstory = page_addresses(said)
        fetched(f"{fullstory}sandbox/faults", b'{"item_failure_ratio": 0.05}')
        until(said, "rejected: this FullStory refuses 5 % of items on purpose")
        fetched(f"{fullstory}sandbox/faults", b'{"item_failure_ratio": 0}')
        program.send_signal(signal.SIGINT)
        rest = "".join(said)

    assert program.returncode == 0, rest
    assert "rejected: this FullStory refuses 5 % of items on purpose" in rest.partition("Account of")[2]
    assert "The account balances; lost: 0\n" in rest


def test_a_reader_that_has_seen_enough_ends_the_program_without_a_traceback() -> None:
    """A closed pipe, as after `demo | head`, ends the program without a traceback."""
    with subprocess.Popen(
        [*PROGRAM, "--rate", "50"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.readline()
        program.stdout.close()
        complaints = program.stderr.read()

    assert (program.returncode, complaints) == (1, "")


@contextmanager
def conversation(*options: str) -> Iterator[tuple[subprocess.Popen[str], Iterator[str]]]:
    """Run the program; give it, and the lines that it says."""
    with subprocess.Popen([*PROGRAM, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            yield program, program.stdout
        except BaseException:
            program.kill()
            raise


def until(said: Iterator[str], wanted: str) -> str:
    """Return what is said up to the line that holds what is wanted."""
    lines = []
    for line in said:
        lines.append(line)
        if wanted in line:
            return "".join(lines)
    raise AssertionError(f"{wanted!r} is not in\n{''.join(lines)}")


def page_addresses(said: Iterator[str]) -> list[str]:
    """Return the next two addresses: the worker's page and FullStory's."""
    return [re.findall(r"http://127\.0\.0\.1:\d+/", until(said, name))[-1] for name in ("worker ", "FullStory  ")]


def fetched(url: str, data: bytes | None = None) -> str:
    """Return what an address of the demo answers."""
    with urlopen(url, data, timeout=DEADLINE_S) as answer:  # noqa: S310 - an address of our own
        text: str = answer.read().decode()
        return text


@pytest.mark.parametrize(("no_color", "width"), [("", 60), ("1", 80)])
def test_in_a_terminal_it_has_colours_and_keeps_within_its_columns(no_color: str, width: int) -> None:
    """No line is longer than the terminal is wide, and NO_COLOR is respected."""
    own, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (40, width))
    environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": no_color, MAKE: "make"}
    environment.pop("COLUMNS", None)
    with subprocess.Popen(
        [*PROGRAM, "--duration", "1", "--rate", "100"], cwd=ROOT, env=environment, stdout=theirs, stdin=theirs
    ) as program:
        os.close(theirs)
        said = "".join(read(own))

    plain = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", said)
    assert program.returncode == 0, said
    assert max(map(len, re.split(r"[\r\n]+", plain))) <= width
    assert (re.search(r"\x1b\[[\d;]*3\d", said) is None) is bool(no_color)
    assert "FullStory answers 503 to 2 % of requests" in plain
    assert "The account balances; lost: 0" in plain


def read(terminal: int) -> Iterator[str]:
    """Read what a terminal shows, until nobody writes to it."""
    try:
        while shown := os.read(terminal, 65_536):
            yield shown.decode(errors="replace")
    except OSError as error:
        if error.errno != errno.EIO:  # how Linux says so
            raise
    finally:
        os.close(terminal)
