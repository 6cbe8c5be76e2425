"""`segment-fullstory redrive --dry-run`, as an operator runs it: docs/dead-letters.md."""

from collections.abc import Iterator

import pytest

from processor.adapters.kafka.mock import MockCluster
from processor.commands.common.next_steps import BY_FULLSTORY, NEXT_STEPS
from tests.commands.program import run
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


def test_without_a_dry_run_it_refuses(topic: Topic) -> None:
    """This version brings nothing back, and says so."""
    code, out, err = redrive(topic)

    assert (code, out) == (2, "")
    assert "add --dry-run" in err


def test_a_registry_that_does_not_answer_is_no_fault_of_the_letters(topic: Topic) -> None:
    """If schemas cannot be had, there is no histogram: records would seem to fail that do not."""
    write(topic, b"key", b"\0\0\0\x03\xe7x", SHARED, "segment")
    code, out, err = redrive(
        topic, "--dry-run", "--topic", "segment", PROCESSOR_SCHEMA_REGISTRY__URL="http://127.0.0.1:1"
    )

    assert (code, out) == (2, "")
    assert "127.0.0.1:1" in err
