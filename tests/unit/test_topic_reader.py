"""What a reader of topics asks of a group, of which the brokers may not have a coordinator yet."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from processor.adapters.kafka import reading
from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.offsets import Stored
from processor.adapters.kafka.reading import TopicReader
from processor.model.errors import SourceError
from processor.model.records import TopicPartition as Partition

PARTITION = Partition("segment", 0)


class Moving:
    """A client whose group has no coordinator for so many questions."""

    def __init__(self, fault: int, times: int) -> None:
        self.fault, self.times = fault, times

    def committed(self, partitions: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Answer once the coordinator is there."""
        assert timeout > 0
        self.times -= 1
        if self.times >= 0:
            raise KafkaException(KafkaError(self.fault))
        return [TopicPartition(each.topic, each.partition, 7, "text") for each in partitions]

    def poll(self, _timeout: float) -> None:
        """Have nothing to tell."""

    def close(self) -> None:
        """End."""


def reader_of(client: Moving, within_s: float = 60.0) -> TopicReader:
    """Return a reader with this client."""
    reader = TopicReader(KafkaSettings("127.0.0.1:1", ("segment",), "group", "letters"), within_s)
    reader._consumer.close()
    reader._consumer = cast("Any", client)
    return reader


@pytest.mark.parametrize(
    "fault",
    [KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS],
)
def test_a_group_is_asked_again_while_it_has_no_coordinator(fault: int) -> None:
    """A coordinator that is not there yet, or moves, is no reason to fail."""
    with reader_of(Moving(fault, 3)) as reader:
        assert reader.committed(iter([PARTITION])) == {PARTITION: Stored(7, "text")}


def test_another_fault_is_told_at_once() -> None:
    """Whoever may not know of the group is told so."""
    client = Moving(KafkaError.GROUP_AUTHORIZATION_FAILED, 1)
    with reader_of(client) as reader, pytest.raises(SourceError, match="may not describe the group group"):
        reader.committed([PARTITION])
    assert client.times == 0


def test_a_coordinator_that_never_comes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking again has an end."""
    monkeypatch.setattr(reading, "ASK_S", 0.0)
    with reader_of(Moving(KafkaError.NOT_COORDINATOR, 9)) as reader, pytest.raises(SourceError, match="cannot be read"):
        reader.committed([PARTITION])
