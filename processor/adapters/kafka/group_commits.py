"""What a group goes on committing, looked at from beside it: without joining it, and without committing anything."""

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self, final

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.reading import TopicReader
from processor.model.records import TopicPartition


@final
class GroupCommits:
    """The commits of the settings' group; closed by `with`, which waits for a look in another thread."""

    def __init__(self, settings: KafkaSettings, topics: Iterable[str]) -> None:
        self._reader = TopicReader(settings)
        self._topics = topics
        self._partitions = list[TopicPartition]()
        self._lock = threading.Lock()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._is_closed = True
            self._reader.__exit__(kind, error, traceback)

    def metadata(self) -> list[str]:
        """Return what is committed with the offsets now, of the partitions that there were at first.

        It blocks, and raises `SourceError`.
        """
        with self._lock:
            if self._is_closed:
                return []
            if not self._partitions:
                self._partitions = [each for topic in self._topics for each in self._reader.partitions(topic)]
            return [each.metadata for each in self._reader.committed(self._partitions).values()]
