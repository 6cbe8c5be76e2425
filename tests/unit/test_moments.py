"""Times on the command line."""

import time

import click
import pytest

from processor.commands.common.moments import moment, short_name, times_said


def given(text: str | None) -> int | None:
    """Return what a command takes a time for."""
    command = click.Command("command")
    with click.Context(command) as context:
        found = moment(context, click.Option(["--since", "since_ms"]), text)
        assert times_said() == ([] if text is None else [("since_ms", text)])
    return found


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("2026-11-28", 1_795_824_000_000), ("2026-11-28T01:00:00.25+01:00", 1_795_824_000_250), (None, None)],
)
def test_a_time_is_one_of_the_wall_clock(text: str | None, milliseconds: int | None) -> None:
    """To the millisecond; a day begins at midnight in UTC."""
    assert given(text) == milliseconds


def test_how_long_ago_is_a_time() -> None:
    """Counted back from now."""
    found = given("2h")
    assert found is not None
    assert -1 < time.time() * 1_000 - found - 7_200_000 < 60_000


@pytest.mark.parametrize("text", ["9999w", "1969-12-31"])
def test_no_time_is_before_those_of_kafka(text: str) -> None:
    """It takes a negative one for a question of another kind: where a partition begins, or ends."""
    assert given(text) == 0


def test_a_name_is_another_one_for_anything_else() -> None:
    """And the same for the same."""
    assert len({short_name(each) for each in (["a"], ["b"], ["a", "b"], [["a", "b"]])}) == 4
    assert short_name(["a"]) == short_name(["a"])
