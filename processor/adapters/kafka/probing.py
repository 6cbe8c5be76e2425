"""What only shows when it is done: whether a group takes this client, and whether commits keep their metadata.

Both leave nothing behind: whoever joined leaves, and the commit is one of a group of its own, which is deleted. All
calls block, and raise `SourceError` where there is no answer.
"""

import secrets
import time
from contextlib import suppress
from dataclasses import replace

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from processor.adapters.kafka.config import LIBRDKAFKA_LOG, KafkaSettings, consumer_config, refusals
from processor.adapters.kafka.connection import UNKNOWN_TO_GROUP
from processor.adapters.kafka.described import client
from processor.adapters.kafka.faults import GROUP_ACTIONS, fatal, is_fatal, said
from processor.adapters.kafka.membership import members
from processor.adapters.kafka.offsets import Stored, committed
from processor.model.errors import SourceError
from processor.model.records import TopicPartition

JOIN_S = 15.0
"""For joining: by default brokers wait three seconds for more members, and those may have to let go first."""

ASK_S = 5.0
CONSUME_WAIT_S = 0.1
METADATA = "segment-fullstory check"


def members_of(settings: KafkaSettings) -> int:
    """Return how many members the group has."""
    try:
        return len(members(client(settings), settings.group_id, ASK_S).members)
    except KafkaException as error:
        raise SourceError(f"the members of group {settings.group_id} are not told: {said(error)}") from None


def refusal(settings: KafkaSettings) -> str | None:
    """Join the group and leave it; return why it did not take this client and what to do, None where it did."""
    joined: list[object] = []
    with refusals():
        consumer = Consumer(consumer_config(settings), logger=LIBRDKAFKA_LOG)
    try:
        consumer.subscribe(list(settings.topics), on_assign=lambda _consumer, partitions: joined.append(partitions))
        deadline = time.monotonic() + JOIN_S
        while not joined and time.monotonic() < deadline:
            for message in consumer.consume(1, CONSUME_WAIT_S):
                error = message.error()
                if error is not None and (found := _refusal(error)) is not None:
                    return found
    finally:
        consumer.close()
    if joined:
        return None
    if settings.is_classic:
        raise SourceError(f"group {settings.group_id} did not take or refuse this client within {JOIN_S:.0f} s")
    return f"{UNKNOWN_TO_GROUP.cause}. {UNKNOWN_TO_GROUP.action}"


def _refusal(error: KafkaError) -> str | None:
    if is_fatal(error):
        return str(fatal(error))
    action = GROUP_ACTIONS.get(error.code())
    return None if action is None else f"{error.str()}. {action}"


def keeps_metadata(settings: KafkaSettings, partition: TopicPartition) -> bool:
    """Commit metadata for a partition in a group of its own, and read it back."""
    properties = {name: value for name, value in settings.properties.items() if name != "group.protocol"}
    group = f"{settings.group_id}.check-{secrets.token_hex(4)}"
    own = replace(settings, group_id=group, properties=properties)
    with refusals():
        consumer = Consumer(consumer_config(own), logger=LIBRDKAFKA_LOG)
    try:
        committed(consumer, [partition], ASK_S)  # finds the coordinator, without which a commit waits for minutes
        consumer.commit(offsets=[KafkaPartition(*partition, 0, METADATA)], asynchronous=True)
        found = committed(consumer, [partition], ASK_S)[partition]  # in the same line, so after it
        if found.offset != 0:
            raise SourceError(f"a commit of group {group} did not take effect")
    except KafkaException as error:
        raise SourceError(f"group {group} cannot be used: {said(error)}") from None
    finally:
        consumer.close()
        with suppress(KafkaException):  # without the right to delete it, the group ends by the brokers' retention
            admin = client(settings)
            admin.delete_consumer_groups([group], request_timeout=ASK_S)[group].result()
    return found == Stored(0, METADATA)
