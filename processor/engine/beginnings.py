"""Where a partition begins of which the group has committed nothing.

What the settings say (`KAFKA__START`) is said of a group that begins, and of a topic that it begins to read. Whatever
appears while the group is there already holds nothing that is older than the group, so it begins at its first record:
partitions that are added to a topic, and topics that are created after they were named.

Kafka keeps no list of what a group has ever read. What there was when this process came is therefore looked at before
it joins, and a group that begins at the end commits so for all partitions at once, at that one moment, before anybody
reads (docs/adr/0021).

Offsets that are gone look as if the group had never been. This process remembers what it has seen committed, and an
operator can say that the group has a history (`halt`): then nothing begins anew that it may have read before.
"""

from collections.abc import Collection, Iterable
from typing import Literal, final

from processor.model.records import TopicPartition

GroupStart = Literal["earliest", "latest", "halt"]
"""Where a group begins, by the settings; `halt`: it has begun already."""

Beginning = Literal["first", "end", "lost"]
"""Where a partition begins; `lost`: the group had an offset there, and nobody knows which."""


@final
class Beginnings:
    """What one process knows of it; `came` is called before it joins the group."""

    def __init__(self, start: GroupStart) -> None:
        self._start = start
        self._fresh: set[TopicPartition] = set()
        """Of topics that the group had never read when this process came."""
        self._unseen: frozenset[str] = frozenset()
        """Topics that this process was not allowed to see then: nobody knows what they held."""
        self._highest: dict[str, int] = {}
        """The last partition of each topic that the group had committed then."""
        self._committed: dict[TopicPartition, str] = {}
        """What this process has seen committed, by the topic's id: one that was recreated has another."""

    def came(
        self,
        partitions: Iterable[TopicPartition],
        committed: Collection[TopicPartition],
        unseen: Iterable[str] = (),
    ) -> None:
        """Take note of all partitions that there are, and of those that the group has committed."""
        self._highest = {each.topic: each.partition for each in sorted(committed)}
        self._fresh = {each for each in partitions if each.topic not in self._highest}
        self._unseen = frozenset(unseen)

    @property
    def to_commit(self) -> Collection[TopicPartition]:
        """Where the group is to commit, before anybody reads, that it begins at the end."""
        return self._fresh if self._start == "latest" else ()

    def of(self, partition: TopicPartition) -> Beginning:
        """Return where a partition begins of which the group has committed nothing.

        Partitions of a topic are numbered as they are added: before one that the group has committed none is newer.
        """
        is_fresh = partition in self._fresh or partition.topic in self._unseen
        if self._start == "halt":
            is_older = partition.partition < self._highest.get(partition.topic, 0)
            return "lost" if is_fresh or is_older else "first"
        return "end" if self._start == "latest" and is_fresh else "first"

    def remember(self, partition: TopicPartition, topic_id: str) -> None:
        """The group has committed the partition of this topic."""
        self._committed[partition] = topic_id

    def remembers(self, partition: TopicPartition, topic_id: str) -> bool:
        """Say whether this process has seen the group commit the partition of this topic."""
        return self._committed.get(partition) == topic_id
