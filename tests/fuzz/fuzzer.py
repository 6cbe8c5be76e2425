"""Damages records, decodes and maps them, and keeps account of what came of it."""

import faulthandler
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from string import ascii_letters, digits
from typing import final

import orjson

from processor.events.avro import decode
from processor.events.mapping import Mapping
from processor.events.rules import MappingRules
from processor.model.outcomes import Filtered, Mapped, Rejected
from processor.model.records import Headers, Record
from tests.fuzz.corpus import harmful, readers, sound

HANG_S = 60
"""After so long on one input the process ends, with its stack."""

PEAK = Path("/proc/self/status")
"""Where Linux tells a process's peak of memory."""

SHOW_EVERY = 50_000
ALPHANUMERIC = ascii_letters + digits
INTERESTING = (
    *(b"\0", b"\1", b"\2", b"\x7f", b"\x80", b"\xff", b"{", b"}", b"[", b'"', b"\\", b","),
    *(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\xff" * 10, b"\x80\x80\x80\x80\x10", b"\xc3\x01", b"\0\0\0\0\1"),
    *(
        b"null",
        b"NaN",
        b"1e999",
        b"-0",
        b'{"a":',
        b"\\ud800",
        b"\\u0000",
        b"\xef\xbb\xbf",
        "é".encode(),
        "😀".encode(),
        b"9" * 30,
    ),
)


@final
@dataclass(slots=True)
class Account:
    """What came of the inputs."""

    inputs: int = 0
    reached_mapping: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """Exceptions, each with the input that raised it."""
    slowest_s: float = 0.0
    slowest: str = ""
    memory_mib: float = 0.0
    """By how much the process's memory grew at its peak: no single input took more."""

    @property
    def reached_share(self) -> float:
        """Which part of the inputs was decoded and went into mapping."""
        return self.reached_mapping / self.inputs


@final
class Fuzzer:
    """Feeds inputs; every input is a function of the seed and its number."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sound = sound()
        self._readers = readers()
        self._mappings = (
            Mapping(MappingRules(message_types=("identify", "track", "page", "screen"))),
            Mapping(MappingRules(names="underscore", nulls="send", schema="infer", session="most_recent")),
        )
        self._account = Account()

    def run(self, count: int, progress: Callable[[str], None] = lambda _line: None) -> Account:
        """Feed the harmful records and so many damaged ones."""
        account = self._account
        for given in self._sound:
            self._feed("sound", given)
        account.inputs = account.reached_mapping = 0  # the sound ones only brought the process to its size
        account.outcomes.clear()
        before_kib = _begin_peak_kib()
        for name, given in self._inputs(count):
            self._feed(name, given)
            if account.inputs % SHOW_EVERY == 0:
                progress(f"{account.inputs} inputs, {account.reached_share:.0%} reached the mapping")
        faulthandler.cancel_dump_traceback_later()
        account.memory_mib = (_peak_kib() - before_kib) / 1_024
        return account

    def damaged(self, number: int) -> Record:
        """Return the input of this number: a sound record with one to three faults."""
        chance = Random(self._seed << 32 | number)
        given = chance.choice(self._sound)
        value = bytearray(given.value or b"")
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            self._damage(value, chance)
        return given._replace(value=bytes(value), headers=_damaged_headers(given.headers, chance))

    def _inputs(self, count: int) -> Iterator[tuple[str, Record]]:
        yield from harmful()
        for number in range(count):
            yield f"{self._seed}:{number}", self.damaged(number)

    def _damage(self, value: bytearray, chance: Random) -> None:
        # Most faults lie within the content: one in the first bytes keeps all behind it from being looked at.
        at = chance.randint(min(12, len(value)), len(value)) if chance.random() < 0.9 else chance.randint(0, len(value))
        end = min(len(value), at + chance.choice((1, 1, 1, 2, 4, 9, 40)))
        match chance.randrange(24):
            case number if number < 17 and at < len(value) and chr(value[at]) in ALPHANUMERIC:
                value[at] = ord(chance.choice(ALPHANUMERIC))  # the content changes, and can still be read
            case 17 | 18 if at < len(value):
                value[at] ^= 1 << chance.randrange(8)
            case 19 if at < len(value):
                value[at] = chance.randrange(256)
            case 20:
                value[at:at] = chance.choice(INTERESTING)
            case 21:
                value[at:end] = b""
            case 22:
                value[at:at] = value[at:end] * chance.choice((1, 2, 50))
            case _:
                other = chance.choice(self._sound).value or b""
                start = chance.randrange(len(other))
                value[at:end] = other[start : start + end - at]

    def _feed(self, name: str, given: Record) -> None:
        account = self._account
        account.inputs += 1
        if account.inputs % 64 == 1:
            faulthandler.dump_traceback_later(HANG_S, exit=True)
        begun = time.perf_counter()
        try:
            outcome = self._outcome(given)
        except Exception as fault:  # noqa: BLE001 - that there is none is what is tested
            outcome = "exception"
            account.faults.append(f"{name}: {fault!r} for {(given.value or b'')[:200]!r}, headers {given.headers}")
        took_s = time.perf_counter() - begun
        account.outcomes[outcome] += 1
        if took_s > account.slowest_s:
            account.slowest_s, account.slowest = took_s, name

    def _outcome(self, given: Record) -> str:
        event = decode(given, self._readers)
        if isinstance(event, Filtered | Rejected):
            return f"{type(event).__name__.lower()}: {event.reason}"
        self._account.reached_mapping += 1
        mapping = self._mappings[self._account.inputs % len(self._mappings)]
        outcome = mapping.map(event, given.timestamp_ms, lambda _rule, _path: None)
        if isinstance(outcome, Mapped):
            orjson.dumps(outcome.body)
            return f"mapped: {outcome.kind}"
        return f"{type(outcome).__name__.lower()}: {outcome.reason}"


def _damaged_headers(headers: Headers | None, chance: Random) -> Headers | None:
    if headers is None or chance.random() < 0.8:
        return headers
    name, value = headers[-1]
    cut = bytearray(value or b"")
    cut[chance.randrange(len(cut) + 1) :] = chance.randbytes(chance.randrange(3))
    return [*headers[:-1], (name, chance.choice((None, b"", bytes(cut))))]


def _begin_peak_kib() -> int:
    """Forget what the process has taken before, where the system can, and return what it takes now."""
    if PEAK.exists():
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _peak_kib()


def _peak_kib() -> int:
    if not PEAK.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    [line] = [each for each in PEAK.read_text(encoding="ascii").splitlines() if each.startswith("VmHWM:")]
    return int(line.split()[1])
