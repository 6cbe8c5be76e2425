"""What a writer of transactions makes of faults that Kafka's client raises in its own way."""

from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.reading import TopicReader
from processor.adapters.kafka.redriving import Addressed, TransactionalWriter
from processor.model.errors import SourceError
from processor.model.records import Record

SETTINGS = KafkaSettings("127.0.0.1:1", ("segment",), "group", "letters")
RECORDS = [Addressed(Record(0, 1, b"key", b"value", None), "redrive")]


class Fenced:
    """A client of which another one has taken the place; `flush` has lost the fault, or its cause tells it."""

    def __init__(self, cause: KafkaException | None, at_end: int | None) -> None:
        self.cause, self.at_end = cause, at_end

    def begin_transaction(self) -> None:
        """Begin."""

    def produce(self, *_given: Any, **_named: Any) -> None:
        """Take a record."""

    def poll(self, _timeout: float) -> None:
        """Have nothing to tell."""

    def flush(self, _timeout: float) -> None:
        """Fail as CPython does where an exception and a result come together, or neither of them."""
        raise SystemError("returned NULL without setting an exception") from self.cause

    def abort_transaction(self, _timeout: float) -> None:
        """End the transaction, unless that is no longer possible."""
        if self.at_end is not None:
            raise KafkaException(KafkaError(self.at_end))


def writer_on(client: Fenced) -> TransactionalWriter:
    """Return a writer with this client."""
    writer = TransactionalWriter(SETTINGS, "redrive", "group.redrive")
    writer._producer = cast("Any", client)
    return writer


@pytest.mark.parametrize(
    ("cause", "at_end"),
    [
        (KafkaException(KafkaError(KafkaError._FENCED)), None),
        (None, KafkaError._FENCED),
        (None, KafkaError.INVALID_PRODUCER_EPOCH),
    ],
)
def test_who_was_replaced_is_told_so_however_the_client_says_it(
    cause: KafkaException | None, at_end: int | None
) -> None:
    """The fault may come as itself, as the cause of an error of CPython's, or only when the transaction ends."""
    with TopicReader(SETTINGS) as reader, pytest.raises(SourceError, match="another redrive of this group has begun"):
        writer_on(Fenced(cause, at_end)).write(RECORDS, {}, reader)


def test_a_defect_is_no_fault_of_kafkas() -> None:
    """If the transaction can be ended, nothing was wrong with Kafka, and the error is told as it is."""
    with TopicReader(SETTINGS) as reader, pytest.raises(SystemError):
        writer_on(Fenced(None, None)).write(RECORDS, {}, reader)
