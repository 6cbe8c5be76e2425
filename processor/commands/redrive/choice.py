"""Which of the selected letters are brought back, and why the others are not."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, final

from processor.commands.redrive.outcomes import Fate, Fated, Forecast
from processor.events.letters import Letter
from processor.events.timestamps import is_before
from processor.model.reasons import DeadLetterReason
from processor.model.records import Record


class SkipReason(StrEnum):
    """Why a letter is not brought back."""

    REPEATED = "repeated"
    NOT_COPIED = "not_copied"
    REDRIVE_LIMIT = "redrive_limit"
    UNATTRIBUTED = "unattributed"
    WOULD_FAIL = "would_fail"
    WOULD_BE_FILTERED = "would_be_filtered"
    STALE = "stale"


REMEDIES: dict[SkipReason, str] = {
    SkipReason.REPEATED: "nothing to do: the record has another letter, as a crash or a redrive leaves them",
    SkipReason.NOT_COPIED: "the letter holds no record; see docs/dead-letters.md#share-groups",
    SkipReason.REDRIVE_LIMIT: "the record failed each time that it came back: find out why, or raise --max-count",
    SkipReason.UNATTRIBUTED: "most of these events were delivered; --allow-duplicates brings them back all the same",
    SkipReason.WOULD_FAIL: "--dry-run says why, and what to correct; --force brings them back all the same",
    SkipReason.WOULD_BE_FILTERED: "--dry-run says by which rule; --force brings them back all the same",
    SkipReason.STALE: "newer values of these users could be overwritten; --allow-stale, or a longer --max-age",
}
"""What to do about letters that were skipped."""


@final
@dataclass(frozen=True, slots=True)
class Permissions:
    """What the operator allows."""

    now_ms: int
    max_count: int = 3
    """How often a record comes back at most."""
    max_age_s: int = 86_400
    """Of a record that changes a user."""
    is_forced: bool = False
    allows_duplicates: bool = False
    allows_stale: bool = False

    def skip_of(self, letter: Letter, original: Record, fated: Fated) -> SkipReason | None:
        """Return why a letter is not brought back; None if it is."""
        if fated.fate is Fate.NOT_COPIED:
            return SkipReason.NOT_COPIED
        if int(letter.redrives) >= self.max_count:
            return SkipReason.REDRIVE_LIMIT
        if letter.reason == DeadLetterReason.UNATTRIBUTED and not self.allows_duplicates:
            return SkipReason.UNATTRIBUTED
        if fated.fate is Fate.DEAD_LETTERED and not self.is_forced:
            return SkipReason.WOULD_FAIL
        if fated.fate is Fate.FILTERED and not self.is_forced:
            return SkipReason.WOULD_BE_FILTERED
        is_stale = (
            fated.is_user
            and not self.allows_stale
            and is_before(original.timestamp_ms, self.now_ms - self.max_age_s * 1_000)
        )
        return SkipReason.STALE if is_stale else None


_HELD_MASK = (1 << 32) - 1
_COUNT_BITS, _NUMBER_BITS = 10, 34
_MAX_COUNT = (1 << _COUNT_BITS) - 1
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1

REPEATED = -1


@final
class SeenRecords:
    """The records whose letters came by, and how often each had come back.

    A record is recognised by its place and by what it holds: a topic that is created anew has the same places. A crash
    may have written a letter twice; if a record came back and failed again, its next letter has a higher count.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], dict[int, int]] = {}  # numbers packed, for there may be millions

    def add(self, letter: Letter, number: int = 0) -> int:
        """Return `REPEATED` if a letter of this record with this count or a higher one came by before.

        Else return the number of the last one that came by, 0 if none did, and remember this one with its number.
        """
        partition, offset = letter.partition, letter.offset
        if partition is None or offset is None:
            return 0
        held = hash((letter.record.key, letter.record.value)) & _HELD_MASK
        count = min(int(letter.redrives), _MAX_COUNT)
        of_partition = self._seen.setdefault((letter.topic, partition), {})
        last, earlier = of_partition.get(offset), 0
        if last is not None and last >> _NUMBER_BITS + _COUNT_BITS == held:
            if last >> _NUMBER_BITS & _MAX_COUNT >= count:
                return REPEATED
            earlier = last & _NUMBER_MASK
        of_partition[offset] = (held << _COUNT_BITS | count) << _NUMBER_BITS | number
        return earlier


class Decision(NamedTuple):
    """What becomes of a letter."""

    skip: SkipReason | None
    """None if it is brought back."""
    replaced: int = 0
    """The number of an earlier letter of the record, which is not to be brought back any more; or 0."""


@final
class Chooser:
    """Decides about one letter after the other."""

    def __init__(self, forecast: Forecast, permissions: Permissions) -> None:
        self._forecast = forecast
        self._permissions = permissions
        self._seen = SeenRecords()

    def pass_over(self, letter: Letter) -> int:
        """Know a letter that an earlier run has dealt with; return the number of the one that it replaces, or 0."""
        return max(self._seen.add(letter), 0)

    def decide(self, letter: Letter, number: int = 0) -> Decision:
        """Decide about a letter; a number, from 1 on, has `replaced` name it when a later one takes its place."""
        earlier = self._seen.add(letter, number)
        if earlier == REPEATED:
            return Decision(SkipReason.REPEATED)
        original = letter.original
        return Decision(self._permissions.skip_of(letter, original, self._forecast.of(letter, original)), earlier)


class RedriveAccount:
    """What became of the selected letters: each is counted once."""

    def __init__(self) -> None:
        self.selected = self.sent = self.parked = self.earlier = self.others = 0
        self.skipped: Counter[SkipReason] = Counter()

    @property
    def balances(self) -> bool:
        """Whether each selected letter was sent, or skipped for a reason."""
        return self.selected == self.sent + self.skipped.total()

    def skip(self, reason: SkipReason) -> None:
        """Count a selected letter that is not brought back."""
        self.selected += 1
        self.skipped[reason] += 1

    def as_json(self) -> dict[str, Any]:
        """Return it for machines, with every reason."""
        return {
            "selected": self.selected,
            "sent": self.sent,
            "skipped": {each.value: self.skipped[each] for each in SkipReason},
            "parked": self.parked,
            "balances": self.balances,
            "earlier": self.earlier,
            "other_records": self.others,
        }
