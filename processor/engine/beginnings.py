"""Where a partition begins of which the group has committed nothing.

What the settings say (`KAFKA__START`) is said of a group that begins, and of a topic that it begins to read. Whatever
appears while the group is there already holds nothing that is older than the group, so it begins at its first record:
partitions that are added to a topic, and topics that are created after they were named.

Kafka keeps no list of what a group has ever read. What there was when this process came is therefore looked at before
it joins, and a group that begins at the end commits so for all partitions at once, at that one moment, before anybody
reads (docs/adr/0021).
"""

from collections.abc import Collection, Iterable
from typing import Literal, final

from processor.model.records import TopicPartition

Start = Literal["earliest", "latest"]
"""Where a group begins, by the settings."""

Place = Literal["first", "end"]
"""Of a partition."""


@final
class Beginnings:
    """What one process knows of it; `came` is called before it joins the group."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._fresh: set[TopicPartition] = set()
        """Of topics that the group had never read when this process came."""
        self._unseen: frozenset[str] = frozenset()
        """Topics that this process was not allowed to see then: nobody knows what they held."""

    def came(
        self,
        partitions: Iterable[TopicPartition],
        committed: Collection[TopicPartition],
        unseen: Iterable[str] = (),
    ) -> None:
        """Take note of all partitions that there are, and of those that the group has committed."""
        read = {each.topic for each in committed}
        self._fresh = {each for each in partitions if each.topic not in read}
        self._unseen = frozenset(unseen)

    @property
    def to_commit(self) -> Collection[TopicPartition]:
        """Where the group is to commit, before anybody reads, that it begins at the end."""
        return self._fresh if self._start == "latest" else ()

    def of(self, partition: TopicPartition) -> Place:
        """Return where a partition begins of which the group has committed nothing."""
        is_fresh = partition in self._fresh or partition.topic in self._unseen
        return "end" if self._start == "latest" and is_fresh else "first"
