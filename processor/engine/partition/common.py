"""What the partitions of one process share: settings, the means to form batches, limits, and what was learned."""

from dataclasses import dataclass, field
from typing import Literal

from processor.engine.body_size import BodySize
from processor.engine.dead_letter_ratio import DeadLetterRatio
from processor.engine.limits import Limits
from processor.engine.notices import Observer, Redelivered
from processor.engine.partition.forming import Forming
from processor.engine.partition.journal import JournalRoom
from processor.engine.partition.range_queue import BatchLimits
from processor.engine.retry import Retries

Unattributed = Literal["halt", "dead_letter", "accept"]


@dataclass(frozen=True, slots=True)
class PartitionSettings:
    """What an operator may set of it."""

    limits: BatchLimits = field(default_factory=BatchLimits)
    depth: int = 8
    """Batches of one partition that may overlap, those included that settled behind one that has not."""
    lease_s: float = 22.5
    """How long after a commit a partition may be POSTed for: half of the group's session timeout."""
    on_gap: Literal["halt", "continue"] = "halt"
    """What happens to a partition whose next records were deleted before they were consumed."""
    on_recreated: Literal["halt", "restart"] = "halt"
    """What happens to a partition whose topic was deleted and created anew: its first records may be wanted, or not."""
    unattributed: Unattributed = "halt"
    """What becomes of an events part of which some items failed, where it is not known which."""


@dataclass(slots=True)
class Common:
    """Owned by the event loop's thread."""

    settings: PartitionSettings
    forming: Forming
    limits: Limits
    retries: Retries
    ratio: DeadLetterRatio
    observe: Observer
    body_size: BodySize = field(init=False)
    room: JournalRoom = field(default_factory=JournalRoom, init=False)
    is_batch: bool = field(default=True, init=False)
    """Whether parts of several items use FullStory's batch endpoints; otherwise each item is its own request."""

    def __post_init__(self) -> None:
        self.body_size = BodySize(self.settings.limits.max_bytes)

    def redelivered(self, records: int) -> None:
        """Tell of records that may take effect twice: they are sent once more, and FullStory cannot know them again."""
        self.observe(Redelivered(records))
