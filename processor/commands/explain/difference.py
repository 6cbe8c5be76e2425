"""What two configurations make of the same records: which differ, and how, with counts and a few examples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import orjson

from processor.commands.common.explanation import Explanation

MAX_EXAMPLES = 3
ABSENT = object()


class Difference(NamedTuple):
    """One thing that differs in one record."""

    kind: str
    path: str
    before: Any
    after: Any


class Example(NamedTuple):
    """A difference, and the record where it was found."""

    record: str
    difference: Difference

    def as_json(self) -> dict[str, Any]:
        """Return it without a side that has nothing."""
        sides = {"before": self.difference.before, "after": self.difference.after}
        return {
            "record": self.record,
            "path": self.difference.path,
            **{name: value for name, value in sides.items() if value is not ABSENT},
        }


@final
@dataclass(slots=True)
class KindOfDifference:
    """A kind of difference; a record counts once, however much of the kind it has."""

    records: int = 0
    examples: list[Example] = field(default_factory=list)


@final
@dataclass(slots=True)
class Comparison:
    """All records so far."""

    records: int = 0
    different: int = 0
    kinds: dict[str, KindOfDifference] = field(default_factory=dict)

    def add(self, before: Explanation, after: Explanation) -> None:
        """Compare what becomes of one record."""
        self.records += 1
        found: dict[str, Difference] = {}
        for each in differences(before, after):
            found.setdefault(each.kind, each)
        self.different += bool(found)
        for name, each in found.items():
            kind = self.kinds.setdefault(name, KindOfDifference())
            kind.records += 1
            if len(kind.examples) < MAX_EXAMPLES:
                kind.examples.append(Example(before.place, each))

    def by_frequency(self) -> list[tuple[str, KindOfDifference]]:
        """Return the kinds, the most frequent first."""
        return sorted(self.kinds.items(), key=lambda item: (-item[1].records, item[0]))

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "records": self.records,
            "different": self.different,
            "differences": [
                {"kind": name, "records": kind.records, "examples": [each.as_json() for each in kind.examples]}
                for name, kind in self.by_frequency()
            ],
        }


def differences(before: Explanation, after: Explanation) -> Iterator[Difference]:
    """Give what differs; where it is the outcome, nothing else."""
    if (was := _outcome(before)) != (now := _outcome(after)):
        yield Difference(f"outcome: {was} → {now}", "", was, now)
        return
    for old, new in zip(before.requests, after.requests, strict=True):
        if old.path != new.path:
            yield Difference("endpoint", "", old.path, new.path)
        yield from _of_bodies(_flat(orjson.loads(old.body)), _flat(orjson.loads(new.body)))


def _outcome(explanation: Explanation) -> str:
    return explanation.outcome if explanation.reason is None else f"{explanation.outcome} ({explanation.reason})"


def _of_bodies(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for path in {**old, **new}:
        was, now = old.get(path, ABSENT), new.get(path, ABSENT)
        if was is ABSENT or now is ABSENT or was != now or type(was) is not type(now):
            how = "added" if was is ABSENT else "removed" if now is ABSENT else "changed"
            yield Difference(f"{path.partition('.')[0]} {how}", path, was, now)


def _flat(body: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of a body by dotted path; an empty object counts as one."""
    flat: dict[str, Any] = {}
    for name, value in body.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
