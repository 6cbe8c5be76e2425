"""The closing account of a run on generated records: what became of each, against what had to.

Every record must be in exactly one place: in the truth of the sandbox, on the dead-letter topic, or nowhere because a
rule filters it. Records are told apart by their partition and offset, their arrivals by the strings that no other
record holds.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

from processor.model.reasons import DeadLetterReason, FilterReason, Kind
from processor.workload import Expectation, ExpectDeadLettered, ExpectDelivered, ExpectFiltered

_UNIQUE_NAME = re.compile(r"u\d+_\d+")
"""What the generator calls the user properties that no other record holds."""

MAX_NAMED = 5
"""How many faults of one sort are named one by one."""


class Arrival(NamedTuple):
    """A user upsert or an event that took effect in the sandbox."""

    kind: str
    item: Mapping[str, Any]


class FoundLetter(NamedTuple):
    """Where a dead letter says it comes from, and why."""

    partition: int
    offset: int
    reason: str


@final
@dataclass(slots=True)
class Balance:
    """What became of the records; `faults` is empty when every one ended where it had to."""

    records: int = 0
    delivered: Counter[Kind] = field(default_factory=Counter)
    dead_lettered: Counter[DeadLetterReason] = field(default_factory=Counter)
    filtered: Counter[FilterReason] = field(default_factory=Counter)
    undelivered: int = 0
    """Left in Kafka, where the next worker of the group finds them: only in a run that was cut short."""
    lost: int = 0
    repeated: int = 0
    faults: list[str] = field(default_factory=list)

    def fault(self, what: str) -> None:
        """Name a fault; `faults` stays short however many there are."""
        if len(self.faults) < MAX_NAMED:
            self.faults.append(what)


@final
class Account:
    """Remembers what was produced, and judges where it ended."""

    def __init__(self) -> None:
        self._expected: dict[tuple[int, int], Expectation] = {}

    def produced(self, partition: int, offset: int, expectation: Expectation) -> None:
        """Remember a record that the broker acknowledged."""
        self._expected[partition, offset] = expectation

    def __len__(self) -> int:
        return len(self._expected)

    def balance(
        self,
        arrivals: Iterable[Arrival],
        letters: Iterable[FoundLetter],
        *,
        may_reject: bool = False,
        committed: Mapping[int, int] | None = None,
    ) -> Balance:
        """Judge a run; `may_reject` when the sandbox refuses good items on purpose.

        Give `committed`, the group's offset of each partition, for a run that was cut short: what has arrived nowhere
        and is not committed is then undelivered, not lost.
        """
        arrived = Counter(unique for arrival in arrivals for unique in uniques(arrival))
        dead: dict[tuple[int, int], str] = {}
        balance = Balance(len(self._expected))
        for partition, offset, reason in letters:  # a letter may be there twice, if it says the same
            if dead.setdefault((partition, offset), reason) != reason:
                balance.fault(f"{partition, offset} was dead-lettered as {dead[partition, offset]} and as {reason}")
        for at, expectation in self._expected.items():
            if (
                committed is not None
                and at[1] >= committed[at[0]]
                and at not in dead
                and not _is_in(arrived, expectation)
            ):
                balance.undelivered += 1
                continue
            self._judge(balance, at, expectation, arrived, dead.pop(at, None), may_reject=may_reject)
        for at in dead:
            balance.fault(f"a dead letter names {at}, which was never produced")
        for arrival in arrived.keys() - self._deliverable():
            balance.fault(f"{' '.join(arrival)} arrived, and was not to be delivered")
        return balance

    def _deliverable(self) -> set[tuple[str, str, str]]:
        return {(e.kind, e.uid, e.unique) for e in self._expected.values() if isinstance(e, ExpectDelivered)}

    def _judge(
        self,
        balance: Balance,
        at: tuple[int, int],
        expectation: Expectation,
        arrived: Counter[tuple[str, str, str]],
        reason: str | None,
        *,
        may_reject: bool,
    ) -> None:
        match expectation:
            case ExpectDelivered(kind, uid, unique):
                count = arrived[kind, uid, unique]
                if count and reason is None:
                    balance.delivered[kind] += 1
                    if count > 1:
                        balance.repeated += count - 1
                elif may_reject and reason == DeadLetterReason.REJECTED and not count:
                    balance.dead_lettered[DeadLetterReason.REJECTED] += 1
                else:
                    balance.lost += reason is None
                    balance.fault(f"{at} arrived {count} times, dead-lettered: {reason}; had to be delivered: {unique}")
            case ExpectDeadLettered(expected):
                if reason == expected:
                    balance.dead_lettered[expected] += 1
                else:
                    balance.lost += reason is None
                    balance.fault(f"{at} had to be dead-lettered as {expected}, is {reason}")
            case ExpectFiltered(rule):
                balance.filtered[rule] += 1
                if reason is not None:
                    balance.fault(f"{at} had to be filtered by {rule}, was dead-lettered as {reason}")


def _is_in(arrived: Mapping[tuple[str, str, str], int], expectation: Expectation) -> bool:
    match expectation:
        case ExpectDelivered(kind, uid, unique):
            return (kind, uid, unique) in arrived
        case _:
            return False


def letter_of(headers: Sequence[tuple[str, bytes | None]]) -> FoundLetter:
    """Read the headers of a dead letter; of several with one name the last one counts.

    What is missing or unreadable becomes coordinates that no record has.
    """
    named = dict(headers)
    reason = named.get("fullstory.dlq.reason") or b""
    return FoundLetter(
        _number(named.get("__dlq.errors.partition")),
        _number(named.get("__dlq.errors.offset")),
        reason.decode(errors="replace"),
    )


def _number(text: bytes | None) -> int:
    return int(text) if text is not None and text.isdigit() else -1


def uniques(arrival: Arrival) -> Iterable[tuple[str, str, str]]:
    """Return what tells the records apart that an arrival is made of: a user may be merged of several.

    An arrival always yields something: one of no record that had to be delivered is a fault too.
    """
    properties = arrival.item.get("properties", {})
    if arrival.kind == Kind.EVENT:
        uid, found = arrival.item.get("user", {}).get("uid", ""), [str(properties.get("unique", ""))]
    else:
        uid, found = arrival.item.get("uid", ""), list(filter(_UNIQUE_NAME.fullmatch, properties)) or [""]
    return [(arrival.kind, uid, unique) for unique in found]
