"""What holds throughput back."""

from typing import Any

import pytest

from processor.engine.bottleneck import Majority, bottleneck
from processor.model.reasons import Bottleneck, HaltReason

QUIET = {
    "is_fetching_schemas": False,
    "is_closed_by_destination": False,
    "writes_dead_letters": False,
    "awaits_commits": False,
    "is_waiting": False,
    "waits_for_users": False,
    "lacks_memory": False,
    "is_behind": False,
    "is_throttled": False,
}


def judge(*halts: HaltReason, **facts: Any) -> Bottleneck:
    """Judge a moment of which nothing else is to be said."""
    return bottleneck(set(halts), **{**QUIET, **facts})


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, Bottleneck.NONE),
        ({"is_behind": True}, Bottleneck.KAFKA),
        ({"is_throttled": True}, Bottleneck.KAFKA),
        ({"is_waiting": True, "is_behind": True}, Bottleneck.DESTINATION),
        ({"is_waiting": True, "awaits_commits": True}, Bottleneck.KAFKA),
        ({"is_waiting": True, "waits_for_users": True, "is_behind": True}, Bottleneck.ORDER),
        ({"is_waiting": False, "waits_for_users": True}, Bottleneck.NONE),
        ({"lacks_memory": True, "is_behind": True, "is_throttled": True}, Bottleneck.MEMORY),
        ({"lacks_memory": True, "is_waiting": True}, Bottleneck.DESTINATION),
        ({"lacks_memory": True, "is_waiting": True, "awaits_commits": True}, Bottleneck.KAFKA),
        ({"lacks_memory": True, "is_closed_by_destination": True}, Bottleneck.DESTINATION),
        ({"lacks_memory": True, "waits_for_users": True}, Bottleneck.ORDER),
        ({"lacks_memory": True, "writes_dead_letters": True}, Bottleneck.DEAD_LETTERS),
        ({"is_waiting": True, "waits_for_users": True, "is_closed_by_destination": True}, Bottleneck.DESTINATION),
        ({"is_closed_by_destination": True, "is_waiting": True, "awaits_commits": True}, Bottleneck.DESTINATION),
        ({"writes_dead_letters": True, "is_waiting": True}, Bottleneck.DEAD_LETTERS),
        ({"is_fetching_schemas": True, "is_waiting": True}, Bottleneck.REGISTRY),
    ],
)
def test_the_more_particular_cause_goes_first(facts: dict[str, bool], expected: Bottleneck) -> None:
    """Of several causes the most particular is told; FullStory remains if nothing else explains the wait."""
    assert judge(**facts) is expected


@pytest.mark.parametrize("reason", HaltReason)
def test_every_halt_holds_something_back(reason: HaltReason) -> None:
    """Each reason of a halt leads to a bottleneck that is told."""
    assert judge(reason) is {
        HaltReason.SCHEMA_REGISTRY: Bottleneck.REGISTRY,
        HaltReason.DEAD_LETTER_TOPIC: Bottleneck.DEAD_LETTERS,
        HaltReason.DEAD_LETTER_TOO_LARGE: Bottleneck.DEAD_LETTERS,
        HaltReason.DEAD_LETTER_RATIO: Bottleneck.DEAD_LETTERS,
        HaltReason.GAP: Bottleneck.KAFKA,
        HaltReason.OFFSETS_LOST: Bottleneck.KAFKA,
        HaltReason.RECREATED: Bottleneck.KAFKA,
        HaltReason.SOURCE_TOPIC: Bottleneck.KAFKA,
        HaltReason.KAFKA_UNAVAILABLE: Bottleneck.KAFKA,
        HaltReason.OFFSET_METADATA: Bottleneck.KAFKA,
    }.get(reason, Bottleneck.DESTINATION)


def test_most_of_the_last_samples_decide() -> None:
    """A cause counts once most of the last samples have it, and is forgotten when it is over."""
    majority = Majority()
    verdicts = [majority.verdict]
    for sample, count in ((Bottleneck.NONE, 15), (Bottleneck.DESTINATION, 7), (Bottleneck.DESTINATION, 1)):
        for _ in range(count):
            majority.add(sample, 0.1)
        verdicts.append(majority.verdict)
    assert verdicts == [Bottleneck.NONE] * 3 + [Bottleneck.DESTINATION]


def test_a_thread_without_a_pause_is_the_bottleneck_whatever_waits() -> None:
    """If the event loop never pauses, the CPU is the bottleneck, whatever else waits."""
    majority = Majority()
    majority.add(Bottleneck.DESTINATION, 0.9)
    assert majority.verdict is Bottleneck.CPU
