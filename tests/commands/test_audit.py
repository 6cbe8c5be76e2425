"""`segment-fullstory audit`, as an operator runs it: docs/audit.md. Gaps are put in tests/kafka/test_audit.py."""

from collections.abc import Iterator

import pytest

from processor.adapters.kafka.mock import MockCluster
from tests.commands.program import run
from tests.commands.test_dead_letters import LETTERS, SECRET, Topic, filled, write


@pytest.fixture(scope="module")
def topic() -> Iterator[Topic]:
    """Give a topic of three records, and letters of other places of it; the group has no offsets."""
    with MockCluster("segment", "dlq.segment") as kafka:
        topic = filled(kafka)
        for number in range(3):
            write(topic, f"key-{number}-{SECRET}".encode(), f'{{"userId": "{SECRET}"}}'.encode(), [], "segment")
        yield topic


def test_what_no_group_has_passed_is_pending(topic: Topic) -> None:
    """Without offsets nothing is missing; letters that have no record are noticed, and the group's limits are told."""
    done = run("audit", "--format", "json", environment=topic.environment)
    (told,) = done.objects()

    assert done.code == 0
    assert (told["group"], told["dead_letter_topic"], told["balanced"]) == ("fullstory", "dlq.segment", True)
    assert (told["pending"], told["unaccounted"], told["letters"]["counted"]) == (3, 0, LETTERS)
    assert told["letters"]["beyond_end"] + told["letters"]["of_another_record"] == LETTERS
    assert told["letters"]["elsewhere"] == 1
    assert {each["set_by"] for each in told["partitions"]} == {"nobody"}
    assert any("where it has no offset" in each for each in told["limits"])


def test_people_read_the_account(topic: Topic) -> None:
    """The text has a line for each partition, and no data."""
    done = run("audit", environment=topic.environment)

    assert done.code == 0
    assert done.out.startswith("fullstory: 3 records, dead letters in dlq.segment\n")
    assert "segment[3]" in done.out
    assert done.out.endswith("balanced: every record is accounted for\n")
    assert SECRET not in done.out + done.err


@pytest.mark.parametrize(
    ("arguments", "settings", "refusal"),
    [
        (("--topic", "absent"), {}, "the topic absent cannot be read"),
        ((), {"PROCESSOR_KAFKA__TOPICS": "absent"}, "the topic absent cannot be read"),
        (("--since", "soon"), {}, "soon is no time"),
    ],
)
def test_without_a_topic_there_is_no_account(
    topic: Topic, arguments: tuple[str, ...], settings: dict[str, str], refusal: str
) -> None:
    """What cannot be read ends the command with 2, and a line that says why."""
    done = run("audit", *arguments, environment={**topic.environment, **settings})

    assert (done.code, done.out) == (2, "")
    assert refusal in done.err


def test_records_whose_schemas_cannot_be_had_are_not_judged(topic: Topic) -> None:
    """If the registry does not answer, there is no account: records would seem to be missing that are not."""
    settings = {"PROCESSOR_SCHEMA_REGISTRY__URL": "http://127.0.0.1:1"}
    write(topic, b"key", b"\0\0\0\x03\xe7?", [], "segment")
    done = run("audit", environment={**topic.environment, **settings})

    assert (done.code, done.out) == (2, "")
    assert "127.0.0.1:1" in done.err
