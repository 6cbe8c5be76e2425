"""What each halt stops, what ends it, and how much of it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from processor.engine.service_health import Diagnosis, Symptom
from processor.model.reasons import HaltReason
from processor.model.records import TopicPartition

PROBED = frozenset({HaltReason.UNAUTHORIZED, HaltReason.FORBIDDEN, HaltReason.UNEXPECTED_ANSWER})
"""Ended by a good answer of FullStory; while one lasts only probes are sent."""

CLOSING = frozenset({HaltReason.WRONG_ORG, HaltReason.DEAD_LETTER_TOPIC, HaltReason.DEAD_LETTER_RATIO})
"""Nothing may be sent at all, not even a probe."""

ENDED_BY_A_READ = PROBED - {HaltReason.FORBIDDEN}
"""Ended by a good answer to a question for a job, too; whether the key may write it does not tell."""

UNREACHED = (HaltReason.GATEWAY, HaltReason.FULLSTORY_UNAVAILABLE)
"""What is made of answers that do not come, or come from somebody else (`service_health`)."""


def unreached(found: Diagnosis | None, active: HaltReason | None) -> HaltReason | None:
    """Say for which of `UNREACHED` to stand still, if for any, by what is wrong with FullStory's answers as a whole.

    What begins as the one halt, `active`, stays that: an outage shows itself in turns as a page in between and as
    silence. One that turns into refusals has not ended: nothing is delivered yet.
    """
    if found is None or not (found.symptom is Symptom.FAILING or (found.symptom is Symptom.REFUSING and active)):
        return None
    return active or (HaltReason.GATEWAY if found.is_of_gateway else HaltReason.FULLSTORY_UNAVAILABLE)


OF_THE_SOURCE = frozenset({HaltReason.KAFKA_UNAVAILABLE, HaltReason.SOURCE_TOPIC, HaltReason.OFFSETS_LOST})
"""Those of which the source tells, beginning and end."""

SHOWN_FAULTS = 10
"""Of a halt in many places so many are told one by one, the first ones; the others are counted."""


@dataclass(frozen=True, slots=True)
class HaltFault:
    """What is wrong in one place."""

    cause: str
    """And where, without a full stop."""
    since: float
    """In wall-clock seconds."""
    action: str
    """What an operator does about it, in whole sentences."""
    concerns: str = ""
    """The name of the topic or partition that stands still, empty where everything does that the reason stops."""


@dataclass(frozen=True, slots=True)
class ActiveHalt:
    """One reason for which delivery stands still, in every place where it does: partitions, topics, schemas, jobs."""

    since: float
    """In wall-clock seconds; the fault with which it began may have ended."""
    faults: Mapping[str, HaltFault]
    """By the name of the place, the oldest first, one at least; the name is empty for what concerns everything."""

    def at(self, where: str, fault: HaltFault) -> "ActiveHalt":
        """Return it with this in one place; what was wrong there before is replaced, and began when it began."""
        known = self.faults.get(where)
        return replace(self, faults={**self.faults, where: replace(fault, since=known.since) if known else fault})

    def without(self, where: str) -> "ActiveHalt | None":
        """Return it without one place; None if it was in no other."""
        left = {place: each for place, each in self.faults.items() if place != where}
        return replace(self, faults=left) if left else None

    def stops(self, partition: TopicPartition) -> bool:
        """Say whether the partition stands still for it."""
        names = {"", partition.topic, str(partition)}
        return any(each.concerns in names for each in self.faults.values())

    @property
    def shown(self) -> Sequence[HaltFault]:
        """The faults that are told one by one."""
        return list(self.faults.values())[:SHOWN_FAULTS]

    @property
    def unshown(self) -> int:
        """How many more there are."""
        return max(len(self.faults) - SHOWN_FAULTS, 0)

    @property
    def cause(self) -> str:
        """What is wrong, and where, as one clause."""
        more = [f"and {self.unshown} more"] if self.unshown else []
        return "; ".join([*(each.cause for each in self.shown), *more])

    @property
    def action(self) -> str:
        """What an operator does about all that is shown, each thing once."""
        return " ".join(dict.fromkeys(each.action for each in self.shown))
