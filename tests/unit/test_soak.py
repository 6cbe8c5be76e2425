"""What `make soak` calls growth."""

import pytest

from bench.soak import ALLOWED, Look, grown, least, table

QUIET: Look = dict.fromkeys(ALLOWED, 100.0)


def test_what_stays_as_it_is_has_not_grown() -> None:
    """What comes and goes with the traffic is at its least now and then."""
    looks = [QUIET | {"tasks": 100.0 + 50 * (number % 4)} for number in range(40)]

    assert grown(least(looks)) == []


@pytest.mark.parametrize("name", ALLOWED)
def test_what_leaks_is_found(name: str) -> None:
    """A little of it with every look is as much again in the end."""
    looks = [QUIET | {name: 100.0 + 3 * number} for number in range(40)]

    assert grown(least(looks)) == [name]


def test_what_is_learned_at_first_has_not_grown() -> None:
    """The first quarter is not looked at."""
    looks = [QUIET | {"resident MiB": min(10.0 * number, 100.0)} for number in range(40)]

    assert grown(least(looks)) == []


def test_the_table_shows_every_eighth() -> None:
    """Whoever reads it sees whether something grows on and on, or has come to its end."""
    looks = [QUIET | {"tasks": float(number)} for number in range(16)]

    rows = table({"least": least(looks)}).splitlines()

    assert [row.split(" |")[0] for row in rows[2:]] == [f"| {name}" for name in ALLOWED]
    assert "| tasks | 0 | 2 | 4 | 6 | 8 | 10 | 12 | 14 |" in rows
