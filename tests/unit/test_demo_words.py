"""What the demo says: rows that fit, numbers that are explained, commands that can be pasted."""

import os
import shlex
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from processor.commands.common.terminal import BAD, BOLD
from processor.commands.demo.pasting import MAKE, pasted
from processor.commands.demo.rows import Row, lay_out
from processor.commands.demo.scene import Script, Severity
from processor.commands.demo.tally import RATE_S, Rate
from processor.commands.demo.wording import letters_explained, retries_explained, weather_in_words
from processor.engine.verdict import RetryReason
from processor.model.reasons import DeadLetterReason
from processor.sandbox import Condition, Faults, Sandbox, SandboxOptions

ROOT = Path(__file__).parents[2]
STORM = Script(duration_s=30, rate=200, seed=3, severity=Severity.STORM)
REASONS = "(rejected 1,084, missing_event_name 12, unknown_schema 7, uid_too_long 3, too_large 1; 95 %: 2.72 s)"


def conditions(faults: Faults, **options: float) -> list[Condition]:
    """Return what a FullStory with these faults says of itself."""
    return Sandbox(SandboxOptions(faults=faults, **options)).weather()  # type: ignore[arg-type]


def plain(rows: list[Row], width: int | None) -> list[str]:
    """Return the lines of the rows without their styles."""
    return ["".join(part if isinstance(part, str) else part[0] for part in line) for line in lay_out(rows, width)]


# Rows


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_rows_fit_the_terminal_and_no_word_breaks(width: int) -> None:
    """Rows wrap between words, and a number stays with its name or unit."""
    lines = plain([Row("dead-lettered", "1,234", REASONS), Row("", "", "explained " * 20), Row("lost", "0")], width)

    assert max(map(len, lines)) <= width
    assert [line for line in lines if line != line.rstrip()] == []
    text = " ".join(line.strip() for line in lines)
    assert REASONS in text
    whole = ("rejected 1,084", "missing_event_name 12", "uid_too_long 3", "95 %", "2.72 s")
    assert [each for each in whole if not any(each in line for line in lines)] == []


def test_numbers_stand_in_a_column_and_details_beside_them() -> None:
    """Numbers begin at the same column, and so do the details beside them."""
    assert plain([Row("produced", "3,600", "(so many)"), Row("lost", "0"), Row("weather", "", "fine")], 80) == [
        "produced  3,600  (so many)",
        "lost          0",
        "weather   fine",
    ]


def test_where_details_have_no_room_they_stand_below() -> None:
    """In a narrow terminal, details begin on a line of their own below the name."""
    assert plain([Row("make run", "", "a FullStory that stays")], 24) == [
        "make run",
        "    a FullStory that",
        "    stays",
    ]


def test_outside_of_a_terminal_nothing_is_wrapped() -> None:
    """Without a terminal each row is one line, so that a tool can search it."""
    assert plain([Row("dead-lettered", "1,234", REASONS)], None) == [f"dead-lettered  1,234  {REASONS}"]


def test_the_style_of_a_row_is_that_of_its_number_or_of_its_words() -> None:
    """A row takes the style of its number, or of its words if it has none; names are bold."""
    ((name, number, detail), (_, words)) = lay_out(
        [Row("lost", "1", "(so many)", BAD), Row("halted", "", "why", BAD)], 80
    )

    assert (name[1], number[1], words[1]) == (BOLD, BAD, BAD)
    assert detail[1] is not BAD


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """The rate counts the last seconds only."""
    rate = Rate()

    assert rate.see(0.0, 0) == 0.0
    assert rate.see(2.0, 1_000) == 500.0
    assert rate.see(2.0 + RATE_S, 1_500) == 100.0
    assert rate.see(100.0, 1_500) == 0.0


# The weather


def test_rejected_records_are_explained_by_the_fault_in_force() -> None:
    """Rejections are explained by the share that the sandbox refuses, or not at all if it refuses none."""
    dead_lettered = Counter({DeadLetterReason.REJECTED: 84})

    assert list(letters_explained(dead_lettered, conditions(Faults(item_failure_ratio=0.01)), 0.0)) == [
        "84 rejected: this FullStory refuses 1 % of items on purpose"
    ]
    assert list(letters_explained(dead_lettered, conditions(Faults(latency_s=1)), 0.0)) == []


def test_spoiled_and_large_records_are_explained() -> None:
    """Records that the traffic spoils or that are too large for the demo's FullStory are explained."""
    dead_lettered = Counter(
        {DeadLetterReason.TOO_LARGE: 2, DeadLetterReason.MALFORMED: 3, DeadLetterReason.UNKNOWN_TYPE: 1}
    )

    assert list(letters_explained(dead_lettered, conditions(Faults(), max_body_bytes=150_000), 0.005)) == [
        "2 too_large: this FullStory answers 413 to a body of more than 150,000 bytes on purpose",
        "4 with other reasons: 0.5 % of the traffic is spoiled on purpose",
    ]


@pytest.mark.parametrize(
    ("reason", "faults", "said"),
    [
        (RetryReason.THROTTLED, Faults(throttle_ratio=0.1), "9 answered 429: this FullStory answers 429 to 10 % of"),
        (RetryReason.SERVER_ERROR, Faults(error_ratio=0.1), "9 answered 5xx: this FullStory answers 503 to 10 % of"),
        (RetryReason.SERVER_ERROR, Faults(outage_status=500), "9 answered 5xx: this FullStory answers 500 to every"),
        (RetryReason.CONNECTION, Faults(drop_before_ratio=0.1), "9 without an answer: this FullStory closes 10 % of"),
        (RetryReason.CONFLICT, Faults(drop_after_ratio=0.1), "9 answered 409: this FullStory closes 10 % of"),
        (RetryReason.TIMEOUT, Faults(latency_s=99), "9 timed out: this FullStory answers after 99 s on purpose"),
    ],
)
def test_requests_that_were_sent_again_are_explained(reason: RetryReason, faults: Faults, said: str) -> None:
    """Each reason for a retry is explained by the fault that causes it, and by no other."""
    retries = Counter({reason: 9})

    (found,) = retries_explained(retries, conditions(faults))

    assert found.startswith(said)
    assert list(retries_explained(retries, conditions(Faults(slow_job_ratio=0.5)))) == []


def test_a_number_with_several_causes_names_them_all_once() -> None:
    """A number names each of its causes once, even if a fault came and went."""
    limited = conditions(Faults(throttle_ratio=0.1), requests_per_s=10.0)

    (found,) = retries_explained(Counter({RetryReason.THROTTLED: 3}), [*limited, *limited])

    assert found.count("answers 429") == 2
    assert " and answers 429 beyond 10 requests/s" in found


def test_the_weather_is_what_acts_now() -> None:
    """While an outage lasts, the weather shows it alone, with its end."""
    outage = replace(conditions(Faults(outage_status=503, error_ratio=0.1))[0], until=1_000_012.0)
    until = time.strftime("%H:%M:%S", time.localtime(1_000_012))

    assert weather_in_words([], 0.0) == "nothing goes wrong on purpose"
    assert weather_in_words(conditions(Faults(), max_body_bytes=1), 0.0) == "nothing goes wrong on purpose"
    assert weather_in_words([outage, *conditions(Faults(error_ratio=0.1))], 1_000_000.0) == (
        f"FullStory answers 503 to every request until {until} (12 s)"
    )
    assert weather_in_words(conditions(Faults(error_ratio=0.1, item_failure_ratio=0.5)), 0.0) == (
        "FullStory answers 503 to 10 % of requests; refuses 50 % of items"
    )


def test_a_storm_has_an_outage_in_the_middle() -> None:
    """Only a storm has one, and it ends while there is traffic."""
    assert STORM.outage(9.9) is None
    assert STORM.outage(10.0) == {"outage_status": 503, "outage_s": 6.0}
    assert replace(STORM, severity=Severity.SOME).outage(29.0) is None


# Commands


def test_started_by_make_the_next_commands_are_make_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below `make`, the proposed commands are make's, quoted as a shell reads them."""
    monkeypatch.setenv(MAKE, "make")

    assert pasted("demo", "--faults storm") == 'make run ARGS="--faults storm"'
    assert pasted("demo") == "make run"
    assert pasted("sandbox") == "make sandbox"


def test_the_program_is_named_as_it_was_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Proposed commands use the program's name if the shell finds it, else the path that the user gave, quoted."""
    monkeypatch.delenv(MAKE, raising=False)
    program = tmp_path / "a folder" / "segment-fullstory"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(program), "demo"])

    monkeypatch.setenv("PATH", "/nowhere")
    assert shlex.split(pasted("demo", "--faults storm")) == [str(program), "demo", "--faults", "storm"]
    monkeypatch.setenv("PATH", str(program.parent))
    assert pasted("sandbox") == "segment-fullstory sandbox"
    monkeypatch.setattr(sys, "argv", [str(ROOT / "processor" / "__main__.py"), "demo"])
    assert shlex.split(pasted("demo")) == [sys.executable, "-m", "processor", "demo"]


@pytest.mark.parametrize("folder", [ROOT, ROOT.parent])
def test_make_says_how_it_was_called(folder: Path) -> None:
    """In its own folder the command is `make`; from elsewhere it names the folder."""
    environment = {"PATH": os.environ["PATH"], "PWD": str(folder)}

    told = subprocess.run(
        ["make", "-C", str(ROOT), "-np", "run"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    wanted = "make" if folder == ROOT else f'make -C "{ROOT}"'
    assert [line for line in told.stdout.splitlines() if line.startswith(f"run: {MAKE} :=")] == [
        f"run: {MAKE} := {wanted}"
    ]
