"""Of which topic each partition is that is or was assigned: one may be deleted, and created anew under its name.

Nothing else tells it: librdkafka (2.16, November 2026) goes on at its position in the topic of today, with leader epoch
0 as before, or finds it out of range.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import final

from processor.adapters.kafka.described import Described
from processor.adapters.kafka.offsets import Offsets, Start
from processor.engine.partition.owner import Assignment
from processor.model.records import TopicPartition


@dataclass(slots=True)
class _Tenure:
    """What is known of a partition that is or was assigned."""

    topic_id: str
    certain_to: int
    """Everything before this offset that was handed over is of that topic."""
    reached: int
    """The next offset to hand over when the epoch ended."""


@final
class Tenures:
    """For the consumer's thread alone. `ids` are those of topics by their names, as the brokers told them last."""

    def __init__(self, described: Described, offsets: Offsets) -> None:
        self._described = described
        self._offsets = offsets
        self._topic_ids: dict[str, str] = {}  # as they were when partitions were last assigned, or first told
        self._tenures: dict[TopicPartition, _Tenure] = {}  # of what was ever assigned

    def recreated(
        self, owned: Collection[TopicPartition], ids: Mapping[str, str], positions: Mapping[TopicPartition, int]
    ) -> list[TopicPartition]:
        """Return the owned partitions whose topic is not the one that was assigned.

        `positions` are those from before `ids` were asked for, as far as they are known to be of that topic if the id
        still is.
        """
        self._topic_ids = {**ids, **self._topic_ids}
        told = {each: ids[each.topic] for each in owned if each.topic in ids}
        for each, topic_id in told.items():
            if self._tenures[each].topic_id == topic_id and each in positions:
                self._tenures[each].certain_to = positions[each]
        counts = self._described.partition_counts  # the group takes away by itself what the topic of today lacks
        return [
            each
            for each, topic_id in told.items()
            if self._tenures[each].topic_id != topic_id and each.partition < counts.get(each.topic, each.partition + 1)
        ]

    def of_the_same(
        self, starts: Mapping[TopicPartition, Start], ids: Mapping[str, str]
    ) -> dict[TopicPartition, Start]:
        """Return those of what is assigned whose topic is the one that is known from before, or known of at all."""
        self._topic_ids = {**ids, **self._topic_ids}
        return {each: start for each, start in starts.items() if self._before(each, start).topic_id == ids[each.topic]}

    def begin(
        self,
        starts: Mapping[TopicPartition, Start],
        epochs: Mapping[TopicPartition, int],
        ids: Mapping[str, str],
        session_s: float | None,
    ) -> list[Assignment]:
        """Begin these, which are owned in their epochs now; to be called after `of_the_same`."""
        begun = [self._begin(each, start, epochs[each], ids[each.topic], session_s) for each, start in starts.items()]
        self._topic_ids |= ids  # from here on commits say whose they are
        return begun

    def _begin(
        self, partition: TopicPartition, start: Start, epoch: int, topic_id: str, session_s: float | None
    ) -> Assignment:
        """Say what is known of the topic where the commit may not say it, as it was deleted with it."""
        before = self._before(partition, start)
        place = self._described.place(partition, topic_id)
        known, perhaps_sent = "", self._offsets.copied_behind(start, partition, place)
        if before.topic_id != topic_id and (start.is_new or partition in self._tenures):
            known = self._described.place(partition, before.topic_id).exact
            first, end = self._offsets.available(partition)
            perhaps_sent = max(min(before.reached, end) - max(before.certain_to, first), 0)
        self._tenures[partition] = _Tenure(topic_id, start.offset, start.offset)
        return Assignment(partition, epoch, *start, place, known, perhaps_sent, session_s)

    def _before(self, partition: TopicPartition, start: Start) -> _Tenure:
        """Return what is known of a partition from before this assignment."""
        return self._tenures.get(partition, _Tenure(self._topic_ids[partition.topic], start.offset, start.offset))

    def end(self, partition: TopicPartition, position: int) -> None:
        """Keep how far an epoch came that has ended."""
        self._tenures[partition].reached = position

    def topic_id(self, partition: TopicPartition) -> str:
        """Return the id of the topic that the partition was when it was last assigned."""
        return self._tenures[partition].topic_id
