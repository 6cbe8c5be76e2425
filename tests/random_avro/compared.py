"""Whether the worker reads what Java reads; differences are those that docs/input.md lists, or none."""

import math
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, final

from processor.events.avro import reader_of
from tests.random_avro.written import Written

PREFIX = b"\0\0\0\0\1"
MILLISECONDS = 1_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = (1, MILLISECONDS, 1_000_000, 1_000_000_000)
OWN_FIELDS = {"type", "userId"}

LISTED = {
    "json_record": "a record that is JSON in Avro is the value in it",
    "own_time": "a timestamp among the message's own fields is a number of milliseconds",
    "nul_removed": "a NUL is removed from a text",
    "time_out_of_range": "a time beyond the years 1 to 9999, or beyond a day, is null",
    "timestamp_unit": "a timestamp that is only plausible in another unit is read in that",
}
"""Every way in which what is read may differ from what Java reads."""

OF_THE_SCHEMA = {"json_record", "own_time"}
"""Of them, those that no record is counted for."""


@final
class Account:
    """What came of the values."""

    def __init__(self) -> None:
        self.values = 0
        self.schemas = 0
        self.listed: Counter[str] = Counter()
        """Values that differ by each of the listed rules."""
        self.faults: list[str] = []

    def add(self, written: Written) -> None:
        """Compare what is read of the values of a schema."""
        self.schemas += 1
        read_all, read_mapped = reader_of(written.schema, None), reader_of(written.schema)
        for body, theirs in written.values:
            self.values += 1
            noted: set[str] = set()
            ours = read_all(PREFIX + body, 5, lambda rule, _place, noted=noted: noted.add(rule.value))  # type: ignore[misc]
            differences = set(differing(ours, theirs))
            self.listed.update(differences & LISTED.keys())
            if differences - OF_THE_SCHEMA != noted or not differences <= LISTED.keys():
                self._fault(written, body, f"{ours} is not {theirs}: {differences}, noted {noted}")
            mapped = read_mapped(PREFIX + body)
            if not isinstance(mapped, dict) or mapped.keys() != OWN_FIELDS:
                self._fault(written, body, f"without the fields that nobody reads: {mapped}")

    def _fault(self, written: Written, body: bytes, what: str) -> None:
        self.faults.append(f"{what}\n  of {body.hex()}\n  by {written.schema}")

    def __str__(self) -> str:
        lines = [f"{self.values} values by {self.schemas} schemas"]
        lines += [f"  {self.listed[rule]:6} {rule}: {what}" for rule, what in LISTED.items()]
        return "\n".join([*lines, f"  {len(self.faults):6} other differences"])


def differing(ours: Any, theirs: Any) -> Iterator[str]:
    """Yield how what is read differs from what Java reads, by the names of `LISTED`, or in words."""
    if isinstance(theirs, dict) and len(theirs) == 1 and next(iter(theirs)).startswith("$"):
        [(tag, said)] = theirs.items()
        yield from _TAGS[tag](ours, said)
    elif isinstance(theirs, dict) and isinstance(ours, dict) and list(theirs.keys() ^ ours.keys()) == []:
        for name, each in theirs.items():
            yield from differing(ours[name], each)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for our, their in zip(ours, theirs, strict=True):
            yield from differing(our, their)
    elif type(ours) is not type(theirs) or ours != theirs:
        has_nul = isinstance(theirs, str) and theirs.replace("\0", "") == ours
        yield "nul_removed" if has_nul else f"{ours!r} is not {theirs!r}"


def _json(ours: Any, said: Any) -> Iterator[str]:
    yield "json_record"
    yield from differing(ours, said)


def _double(ours: Any, said: str) -> Iterator[str]:
    theirs = float(said)
    if type(ours) is not float or (ours != theirs and not (math.isnan(ours) and math.isnan(theirs))):
        yield f"{ours!r} is not {said}"


def _float(ours: Any, said: str) -> Iterator[str]:
    # Java 17 prints more digits than are needed of some floats (JDK-4511638).
    if type(ours) is not float or (not math.isnan(ours) and struct.pack("<f", ours) != struct.pack("<f", float(said))):
        yield f"{ours!r} is not {said}"
    elif not math.isnan(ours) and not math.isinf(ours) and len(repr(ours)) > len(repr(float(said))):
        yield f"{ours!r} has more digits than {said}"


def _decimal(ours: Any, said: str) -> Iterator[str]:
    theirs = float(Decimal(said)) if "." in said else int(said)
    if type(ours) is not type(theirs) or ours != theirs:
        yield f"{ours!r} is not {said}"


def _duration(ours: Any, said: list[int]) -> Iterator[str]:
    months, days, milliseconds = said
    seconds = str(Decimal(milliseconds).scaleb(-3)) if milliseconds % 1_000 else str(milliseconds // 1_000)
    if ours != f"P{months}M{days}DT{seconds}S":
        yield f"{ours!r} is not {said}"


def _date(ours: Any, said: str) -> Iterator[str]:
    if ours is None and _is_beyond(said):
        yield "time_out_of_range"
    elif ours != said:
        yield f"{ours!r} is not {said}"


def _time(ours: Any, said: str | None) -> Iterator[str]:
    if ours is None and said is None:
        yield "time_out_of_range"
    elif said is None or ours is None or _without_zeros(ours) != _without_zeros(said):
        yield f"{ours!r} is not {said}"


def _moment(ours: Any, said: dict[str, Any]) -> Iterator[str]:
    text, number = said["text"], said["number"]
    if type(ours) is int:
        yield "own_time"
        if ours != number and not _is_beyond(text) and not _is_in_unit(text, ours, MILLISECONDS):
            yield "timestamp_unit"
    elif ours is None and _is_beyond(text):
        yield "time_out_of_range"
    elif ours is not None and _without_zeros(ours) == _without_zeros(text):
        return
    elif ours is not None and _zone(ours) == _zone(text) and any(_is_in_unit(ours, number, unit) for unit in UNITS):
        yield "timestamp_unit"
    else:
        yield f"{ours!r} is not {said}"


def _is_in_unit(ours: str, number: int, unit: int) -> bool:
    try:
        second = EPOCH + timedelta(seconds=number // unit)
    except OverflowError:
        return False
    fraction = f".{number % unit:0{len(str(unit)) - 1}d}" if number % unit else ""
    return _without_zeros(ours) == _without_zeros(f"{second:%Y-%m-%dT%H:%M:%S}{fraction}{_zone(ours)}")


def _is_beyond(said: str) -> bool:
    return said[0] in "+-" or said.startswith("0000-")


def _zone(text: str) -> str:
    return "Z" if text.endswith("Z") else ""


def _without_zeros(text: str) -> str:
    """Return a time without zeros at the end that say nothing: Java writes no seconds that are zero."""
    zone = _zone(text)
    clock = text.removesuffix("Z")
    if "." in clock:
        clock = clock.rstrip("0").removesuffix(".")
    return clock.removesuffix(":00") + zone if clock.count(":") == 2 else clock + zone


_TAGS: dict[str, Callable[[Any, Any], Iterator[str]]] = {
    "$json": _json,
    "$double": _double,
    "$float": _float,
    "$decimal": _decimal,
    "$duration": _duration,
    "$date": _date,
    "$time": _time,
    "$moment": _moment,
}
