"""Records written into a topic in transactions, together with how far the topic is read that they come from.

Both happen or neither does, whatever ends the process and whenever: whoever reads only what is committed, as Kafka's
clients of Java can and those of librdkafka do, gets each record once.
"""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from types import TracebackType
from typing import NamedTuple, Self, cast, final

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition

from processor.adapters.kafka.config import KafkaSettings, refusals, transactional_config
from processor.adapters.kafka.producing import ANY_PARTITION, hand_over
from processor.adapters.kafka.reading import TopicReader
from processor.adapters.kafka.unreached import Reports, faults
from processor.model.errors import SourceError
from processor.model.records import Record, TopicPartition

ASK_S = 20.0
"""For one step of a transaction, which is asked for again while there is time."""

INSIST_S = 60.0
"""For a step in all."""


class Addressed(NamedTuple):
    """A record and where it goes to."""

    record: Record
    topic: str
    partition: int = ANY_PARTITION


def in_group(settings: KafkaSettings, group: str) -> KafkaSettings:
    """Return settings to read with, and to ask what was committed in transactions; the group has no members."""
    return replace(settings, group_id=group, properties={**settings.properties, "isolation.level": "read_committed"})


@final
class TransactionalWriter:
    """Lives between `with` and its end; for one thread. All calls block, and raise `SourceError`.

    Entering it ends what an earlier one of the same name has begun: its open transaction is aborted, and if it still
    lives, it cannot write any more.
    """

    def __init__(self, settings: KafkaSettings, topic: str, name: str) -> None:
        self._topic = topic
        self._name = name
        self._fault: KafkaError | None = None
        self._reports = Reports()
        with refusals():
            self._producer = Producer(
                {**transactional_config(settings, name), **self._reports.config}, logger=self._reports
            )

    def __enter__(self) -> Self:
        try:
            _insist(lambda: self._producer.init_transactions(ASK_S))
        except KafkaException as error:
            raise self._error(error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._producer.purge()
            with suppress(*_RAISED):  # else the brokers abort it in time, or the next writer does
                self._producer.abort_transaction(ASK_S)

    def write(self, records: Collection[Addressed], read_to: Mapping[TopicPartition, int], reader: TopicReader) -> None:
        """Write the records and commit, for the reader's group, how far it has read; return when both are done.

        After a `SourceError` either may be the case. The next writer of this name knows: `committed` tells then.
        """
        offsets = [KafkaPartition(*partition, offset) for partition, offset in read_to.items()]
        try:
            self._producer.begin_transaction()
            for topic, of_topic in groupby(records, key=attrgetter("topic")):
                self._topic = topic  # whose reports are all there when the next one begins
                for record, _, partition in of_topic:
                    hand_over(self._producer, topic, record, self._report, partition)
                self._producer.flush(INSIST_S)
                if self._fault is not None:
                    break
            if self._fault is None:
                _insist(lambda: self._producer.send_offsets_to_transaction(offsets, reader.group, ASK_S))
                _insist(lambda: self._producer.commit_transaction(ASK_S))
        except KafkaException as error:
            raise self._error(error) from None
        except SystemError as error:
            raise self._error(self._behind(error)) from None
        if self._fault is not None:
            raise self._error(KafkaException(self._fault))

    def _report(self, fault: KafkaError | None, _message: Message) -> None:
        if fault is not None and self._fault is None:
            self._fault = fault

    def _behind(self, error: SystemError) -> KafkaException:
        """Return the fault that the client meant to raise; where it was lost, the end of the transaction tells it."""
        if isinstance(error.__cause__, KafkaException):
            return error.__cause__
        try:
            self._producer.abort_transaction(ASK_S)
        except KafkaException as fault:
            return fault
        raise error

    def _error(self, error: KafkaException) -> SourceError:
        """Return the fault with what the client said of its connections; that of a record tells the most."""
        own = cast("KafkaError", error.args[0])
        fault = own if self._fault is None else self._fault
        if {own.code(), fault.code()} & _FENCED:
            return SourceError(f"another redrive of this group has begun, which ends this one ({self._name})")
        with suppress(*_RAISED):
            self._producer.poll(0)
        reasons = [fault.str(), *faults(self._reports.texts)]
        return SourceError(f"nothing can be written to {self._topic}: {'; '.join(reasons)}")


_RAISED = (KafkaException, SystemError)
"""By what serves callbacks. confluent-kafka (2.16, 2026-11) raises a fatal fault there. Where the report of a record is
served by the same call, CPython makes a `SystemError` of it, with the fault as its cause, or with none."""

_FENCED = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})


def _insist(step: Callable[[], object]) -> None:
    """Do a step again while the client says that this may help."""
    until = time.monotonic() + INSIST_S
    while True:
        try:
            step()
        except KafkaException as error:
            if not cast("KafkaError", error.args[0]).retriable() or time.monotonic() > until:
                raise
        else:
            return
