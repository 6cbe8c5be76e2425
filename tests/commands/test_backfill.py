"""`segment-fullstory backfill` where it delivers nothing; tests/kafka/test_backfill.py has it deliver."""

from collections.abc import Iterator

import pytest

from processor.adapters.kafka.mock import MockCluster
from tests.commands.program import Done, run
from tests.commands.test_dead_letters import Topic


@pytest.fixture(scope="module")
def topic() -> Iterator[Topic]:
    """Give an empty topic, of which no worker has committed anything."""
    with MockCluster("segment", "dlq.segment") as kafka:
        yield Topic(kafka, [])


def backfill(topic: Topic, *arguments: str) -> Done:
    """Run the command, with settings that know Kafka alone."""
    return run("backfill", "--topic", "segment", "--since", "1970-01-02", *arguments, environment=topic.environment)


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("--yes",), "PROCESSOR_FULLSTORY__API_KEY: is not set"),
        (("--until", "1970-01-01", "--yes"), "--until is not later than --since"),
        (("--dry-run",), "the group fullstory has committed nothing of segment"),
        (("--since", "soon"), "soon is no time"),
        (("--max-age", "soon"), "soon is no duration"),
        (("--topic", "dlq.segment", "--yes"), "the workers do not read dlq.segment, but segment"),
    ],
)
def test_it_refuses_what_makes_no_sense(topic: Topic, arguments: tuple[str, ...], refusal: str) -> None:
    """The exit code is 2, and a line says why."""
    done = backfill(topic, *arguments)

    assert (done.code, done.out) == (2, "")
    assert refusal in done.err
