"""What other processes commit that deliver beside the workers of a group: redrives and backfills that go on now."""

import time
from typing import Any, final

from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaException

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.described import client
from processor.adapters.kafka.offsets import stored

LIST_EVERY_S = 10.0
ASK_S = 3.0
_WITHOUT_MEMBERS = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)


@final
class OtherLanes:
    """Those of the settings' group, but for one of the name `own`. What Kafka does not tell counts as nothing."""

    def __init__(self, settings: KafkaSettings, own: str) -> None:
        self._admin = client(settings)
        self._prefixes = tuple(f"{settings.group_id}.{kind}." for kind in ("redrive", "backfill"))
        self._own = own
        self._groups = list[str]()
        self._list_at = float("-inf")

    def metadata(self) -> list[str]:
        """Return what they have committed with their offsets now; it blocks."""
        try:
            if time.monotonic() >= self._list_at:
                self._list_at = time.monotonic() + LIST_EVERY_S
                self._groups = self._listed()
            return [text for group in self._groups for text in self._committed(group)]
        except KafkaException:
            return []

    def _listed(self) -> list[str]:
        """Return which groups of that kind have members: such as have none do not go on."""
        answer: Any = self._admin.list_consumer_groups(request_timeout=ASK_S).result()
        return [
            each.group_id
            for each in answer.valid
            if each.group_id.startswith(self._prefixes)
            and each.group_id != self._own
            and each.state not in _WITHOUT_MEMBERS
        ]

    def _committed(self, group: str) -> list[str]:
        asked = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=ASK_S)
        found: Any = asked[group].result()
        return [each.metadata for each in stored(found.topic_partitions).values()]
