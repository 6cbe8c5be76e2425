"""The short form of `make fuzz`, and that it finds what it looks for."""

import time
from typing import NoReturn

import pytest

from processor.events.avro import decode
from processor.model.records import Record
from tests.fuzz.__main__ import MEMORY_MIB, SLOWEST_S, faults_of
from tests.fuzz.corpus import HARMFUL, readers, sound
from tests.fuzz.fuzzer import Account, Fuzzer

SEED = 20_261_125
INPUTS = 20_000


def test_every_sound_record_is_read() -> None:
    """Damage to what cannot be read anyway would test nothing."""
    assert [type(decode(each, readers())) for each in sound()] == [dict] * len(sound())


def test_damaged_and_harmful_records_have_an_outcome() -> None:
    """No exception, none slow, no memory to speak of, and enough of them get as far as the mapping."""
    account = Fuzzer(SEED).run(INPUTS)

    assert faults_of(account) == [], f"seed {SEED}"
    assert account.inputs == INPUTS + 3 * len(HARMFUL)
    assert sum(account.outcomes.values()) == account.inputs


def test_an_input_is_known_by_its_seed_and_number() -> None:
    """What was found can be looked at."""
    assert Fuzzer(SEED).damaged(7) == Fuzzer(SEED).damaged(7)
    assert len({Fuzzer(SEED).damaged(number).value for number in range(50)}) > 40


def test_an_exception_and_a_slow_input_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that raises or dawdles is caught."""
    now = iter(range(1_000_000))

    def fail(_record: Record, _readers: object) -> NoReturn:
        raise KeyError("surprise")

    monkeypatch.setattr("tests.fuzz.fuzzer.decode", fail)
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(now)))
    faults = "\n".join(faults_of(Fuzzer(SEED).run(10)))

    assert "KeyError('surprise')" in faults
    assert "took 1.00 s" in faults
    assert "reached the mapping" in faults


def test_each_limit_counts() -> None:
    """An account at a limit is not one within it."""
    within = Account(inputs=10, reached_mapping=3, slowest_s=SLOWEST_S / 2, memory_mib=MEMORY_MIB / 2)

    assert faults_of(within) == []
    within.memory_mib = MEMORY_MIB
    assert "64 MiB" in faults_of(within)[0]
