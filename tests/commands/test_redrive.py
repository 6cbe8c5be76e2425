"""`segment-fullstory redrive`, as an operator runs it: docs/dead-letters.md."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from processor.adapters.kafka.mock import MockCluster
from processor.commands.common.letter_selection import selecting, selection_name
from processor.commands.common.next_steps import BY_FULLSTORY, NEXT_STEPS
from processor.events.letters import LetterFilter
from tests.commands.program import DEADLINE_S, ROOT, run
from tests.commands.test_dead_letters import LETTERS, SECRET, Topic, filled, write
from tests.unit.test_letters import SHARED


@pytest.fixture(scope="module")
def topic() -> Iterator[Topic]:
    """Give a topic with letters of the worker's, one of a share group's, and a record that is no letter."""
    with MockCluster("segment", "dlq.segment") as kafka:
        yield filled(kafka)


def redrive(topic: Topic, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run the command."""
    return run("redrive", *arguments, environment={**topic.environment, **settings})


def test_a_dry_run_tells_what_would_become_of_each_letter(topic: Topic) -> None:
    """Every letter is in one row: would be delivered, would fail again, or cannot be brought back."""
    done = run("redrive", "--dry-run", "--format", "json", environment=topic.environment)
    (told,) = done.objects()

    rows = {(each["was"], each["fate"], each["reason"]): each["letters"] for each in told["outcomes"]}
    assert rows == {
        ("rejected", "undecided", None): 20,
        ("malformed", "dead-lettered", "malformed"): 10,
        ("share_group", "not copied", None): 1,
    }
    assert (told["letters"], told["other_records"], told["dry_run"]) == (LETTERS + 1, 1, True)
    assert SECRET not in done.out


def test_today_is_what_the_settings_say_now(topic: Topic) -> None:
    """The records are mapped with the settings of the command, and only those that are chosen."""
    _, out, _ = redrive(topic, "--dry-run", "--status", "400", PROCESSOR_MAPPING__EVENTS_DENY="Signed Up")

    assert out.startswith("dlq.segment: 20 dead letters; 1 other records; nothing was written or sent\n")
    assert "rejected             filtered: event_name                         20  100.0%\n" in out
    assert NEXT_STEPS["event_name"] in out
    assert BY_FULLSTORY["rejected"] not in out


def test_nothing_is_written_or_committed(topic: Topic) -> None:
    """A dry run leaves the topics and the group as they were."""
    before = {name: topic.kafka.ends(name) for name in ("segment", "dlq.segment")}
    redrive(topic, "--dry-run")

    assert {name: topic.kafka.ends(name) for name in before} == before
    assert set(topic.kafka.committed("dlq.segment", "fullstory").values()) == {0}


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ((), "--dry-run, --to topic, or --to fullstory"),
        (("--to", "fullstory", "--yes"), "PROCESSOR_FULLSTORY__API_KEY: is not set"),
        (("--to", "fullstory", "--into", "segment", "--yes"), "--into names a topic"),
        (("--to", "topic"), "set PROCESSOR_KAFKA__REDRIVE_TOPIC, or name one with --into"),
        (("--to", "topic", "--into", "dlq.segment", "--yes"), "dlq.segment holds dead letters"),
        (("--to", "topic", "--into", "segment"), "there is no terminal to ask on: add --yes"),
        (("--to", "topic", "--into", "segment", "--max-age", "soon", "--yes"), "soon is no duration"),
        (("--to", "topic", "--into", "segment", "--max-count", "0", "--yes"), "--max-count"),
    ],
)
def test_it_refuses_what_is_not_clear(topic: Topic, arguments: tuple[str, ...], refusal: str) -> None:
    """Nothing is written unless it is said what to do, and where; and a person, or --yes, agrees."""
    before = topic.kafka.ends("segment")
    code, out, err = redrive(topic, *arguments)

    assert (code, out) == (2, "")
    assert refusal in err
    assert topic.kafka.ends("segment") == before


def test_a_person_is_asked_and_may_refuse(topic: Topic) -> None:
    """On a terminal it says what is read and who else gets the records; without a yes it writes nothing."""
    before = topic.kafka.ends("segment")
    person, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "processor", "redrive", "--to", "topic", "--into", "segment"],
        env={**os.environ, **topic.environment},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    os.write(person, b"n\n")
    out, err = process.communicate(timeout=DEADLINE_S)
    os.close(person)
    os.close(terminal)

    assert (process.returncode, out) == (1, b"")
    assert f"{LETTERS + 2} offsets of dlq.segment are to be read" in err.decode()
    assert "Everything that reads segment gets these records again. Go on?" in err.decode()
    assert topic.kafka.ends("segment") == before


def test_a_selection_has_one_name_whenever_it_is_given() -> None:
    """`--since 2h` means the same selection an hour later; everything that chooses other letters is another one."""
    names = [
        named(*each)
        for each in (
            ("--since", "2h"),
            ("--since", "3h"),
            ("--until", "2h"),
            ("--reason", "rejected"),
            ("--reason", "rejected", "--reason", "malformed"),
            ("--status", "400"),
            ("--source-topic", "a"),
            ("--source-partition", "1"),
            ("--source-offset", "1"),
            ("--key", "a"),
            ("--detail", "a"),
            (),
        )
    ]

    assert len(set(names)) == len(names)
    assert named("--since", "2h") == names[0]
    assert named("--reason", "malformed", "--reason", "rejected") == names[4]


def named(*arguments: str) -> str:
    """Return the name of a selection."""

    @click.command
    @selecting
    def command(*, wanted: LetterFilter) -> None:
        click.echo(selection_name(wanted, "target"))

    return CliRunner().invoke(command, arguments).output


def test_a_registry_that_does_not_answer_is_no_fault_of_the_letters(topic: Topic) -> None:
    """If schemas cannot be had, there is no histogram: records would seem to fail that do not."""
    write(topic, b"key", b"\0\0\0\x03\xe7x", SHARED, "segment")
    code, out, err = redrive(
        topic, "--dry-run", "--topic", "segment", PROCESSOR_SCHEMA_REGISTRY__URL="http://127.0.0.1:1"
    )

    assert (code, out) == (2, "")
    assert "127.0.0.1:1" in err
