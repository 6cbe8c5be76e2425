"""What the looks tell of the group, by the clock and by what the brokers say."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from processor.adapters.kafka import looks as module
from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.connection import UNKNOWN_TO_GROUP
from processor.adapters.kafka.looks import JOINED_WITHIN_S, Looks
from processor.engine.notices import WaitsFor
from processor.engine.partition.owner import End
from processor.model.reasons import HaltReason
from processor.model.records import TopicPartition
from processor.runtime.ports import SourceFault

BY_CONSUMER = KafkaSettings("k:9092", ("t",), "g", "d", properties={"group.protocol": "consumer"})


class Hands:
    """A clock that is moved by hand, in place of `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Return where it stands."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """Return the looks' clock."""
    clock = Hands()
    monkeypatch.setattr(module, "time", clock)
    return clock


def looks_of(
    *, is_member: bool, ends: Callable[[Iterable[TopicPartition]], dict[TopicPartition, End | WaitsFor]] | None = None
) -> Looks:
    """Return looks at brokers that answer and have the topic, and whose group has the member or not."""
    described = SimpleNamespace(
        topic_faults=list, to_subscribe=("t",), ids_at_a_look=dict, is_member=lambda: is_member, topics=dict
    )
    nothing = SimpleNamespace(ends=ends or (lambda _asked: {}), recreated=lambda *_: [])
    return Looks(BY_CONSUMER, *cast("tuple[Any, Any, Any]", (described, nothing, nothing)))


def connection_faults(looks: Looks) -> list[SourceFault]:
    """Return what is said of Kafka and the group."""
    return looks.faults([]).get(HaltReason.KAFKA_UNAVAILABLE, [])


def test_the_group_has_its_time_from_the_subscription_on(clock: Hands) -> None:
    """However long a worker waited before it could join, the group may take as long as ever to know it."""
    looks = looks_of(is_member=False)
    clock.now += 1_000.0
    looks.subscribed()
    clock.now += JOINED_WITHIN_S
    looks.look({}, ("t",))
    assert connection_faults(looks) == []

    clock.now += 1.0
    looks.look({}, ("t",))
    assert connection_faults(looks) == [UNKNOWN_TO_GROUP]


def test_a_member_that_owns_nothing_is_one(clock: Hands) -> None:
    """Where the others own everything, the group knows the member all the same."""
    looks = looks_of(is_member=True)
    looks.subscribed()
    clock.now += JOINED_WITHIN_S + 1.0

    assert looks.look({}, ("t",)).is_member
    assert connection_faults(looks) == []


def test_a_broker_that_is_silent_does_not_hide_what_others_tell() -> None:
    """It is asked apart, or one question for all would have no answer; that it gives none is told of its partitions."""
    talks, silent = TopicPartition("t", 0), TopicPartition("t", 1)
    asked: list[set[TopicPartition]] = []

    def ends(partitions: Iterable[TopicPartition]) -> dict[TopicPartition, End | WaitsFor]:
        asked.append({*partitions})
        return {} if silent in asked[-1] else dict.fromkeys(asked[-1], End(7, 7))

    looks = looks_of(is_member=True, ends=ends)
    assert looks.look({talks: 0, silent: 0}, ("t",)).ends == {}

    looks.note_silent({silent, TopicPartition("t", 2)})
    assert looks.look({talks: 0, silent: 0}, ("t",)).ends == {talks: End(7, 7), silent: WaitsFor.BROKER}
    assert [each for each in asked if each] == [{talks, silent}, {talks}, {silent}]
