"""What holds throughput back right now, so that nobody adds workers when FullStory is the limit."""

from collections import Counter, deque
from collections.abc import Set as AbstractSet

from processor.model.reasons import Bottleneck, HaltReason

_OF_DEAD_LETTERS = {HaltReason.DEAD_LETTER_TOPIC, HaltReason.DEAD_LETTER_TOO_LARGE, HaltReason.DEAD_LETTER_RATIO}
_OF_KAFKA = {
    HaltReason.GAP,
    HaltReason.RECREATED,
    HaltReason.OFFSET_METADATA,
    HaltReason.OFFSETS_LOST,
    HaltReason.SOURCE_TOPIC,
    HaltReason.KAFKA_UNAVAILABLE,
}
_BUSY = 0.85
_SAMPLES = 15
SAMPLE_EVERY_S = 1.0


def bottleneck(
    halts: AbstractSet[HaltReason],
    *,
    is_fetching_schemas: bool,
    is_closed_by_destination: bool,
    writes_dead_letters: bool,
    awaits_commits: bool,
    is_waiting: bool,
    waits_for_users: bool,
    lacks_memory: bool,
    is_behind: bool,
    is_throttled: bool,
) -> Bottleneck:
    """Judge one moment.

    `is_waiting`: records that are due were not sent; `lacks_memory`: Kafka holds many more, and what is held leaves no
    room for them; `is_behind`: it holds many more that there is room for, or withholds some; `is_throttled`: a quota
    keeps a broker from answering. `waits_for_users`: all that wait do so until earlier identifies of their users are
    complete. The more particular cause goes first: FullStory is what is left when nothing else explains why records
    wait, and memory when none that are here do.
    """
    if HaltReason.SCHEMA_REGISTRY in halts or is_fetching_schemas:
        return Bottleneck.REGISTRY
    if halts & _OF_DEAD_LETTERS or writes_dead_letters:
        return Bottleneck.DEAD_LETTERS
    if halts & _OF_KAFKA:
        return Bottleneck.KAFKA
    if halts or is_closed_by_destination:
        return Bottleneck.DESTINATION
    if (is_waiting or lacks_memory) and waits_for_users:
        return Bottleneck.ORDER
    if is_waiting:
        return Bottleneck.KAFKA if awaits_commits else Bottleneck.DESTINATION
    if lacks_memory:
        return Bottleneck.MEMORY
    return Bottleneck.KAFKA if is_behind or is_throttled else Bottleneck.NONE


class Majority:
    """What most of the last samples say; one is taken each second."""

    def __init__(self) -> None:
        self._samples: deque[Bottleneck] = deque(maxlen=_SAMPLES)

    def add(self, sample: Bottleneck, busy: float) -> None:
        """Take a sample; `busy` is the part of the time since the last one that this thread had work, from 0 to 1."""
        self._samples.append(Bottleneck.CPU if busy >= _BUSY else sample)

    @property
    def verdict(self) -> Bottleneck:
        """The most frequent one, the latest of several; none before the first sample."""
        counts = Counter(reversed(self._samples))
        return counts.most_common(1)[0][0] if counts else Bottleneck.NONE
