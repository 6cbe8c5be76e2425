"""`segment-fullstory simulate` as a user runs it."""

import json
from pathlib import Path

from tests.commands.program import run

SMALL = ("simulate", "--partitions", "4", "--workers", "1", "--rate", "200", "--minutes", "0.5", "--limit", "20")


def test_two_processes_find_the_same() -> None:
    """The output for machines is the same for the same numbers, down to the last digit."""
    outputs = [
        run(*SMALL, "--outage", "5:2", "--format", "json", environment={"PYTHONHASHSEED": seed}) for seed in ("1", "2")
    ]

    assert [each.code for each in outputs] == [0, 0]
    assert outputs[0].out == outputs[1].out
    found = json.loads(outputs[0].out)
    assert found["numbers"]["rate"] == 200
    assert found["run"]["freshness"]["p50"] < found["run"]["freshness"]["p99"]
    assert len(found["run"]["steps"]) == 30
    assert found["numbers"]["outage"] == {"start_s": 5.0, "lasts_s": 2.0}
    assert found["verdict"]["keeps_up"] in (None, True)


def test_people_are_told_whether_it_keeps_up(tmp_path: Path) -> None:
    """The premises, both runs side by side, the course and a verdict in words; and a picture where one is wanted."""
    done = run(*SMALL, "--minutes", "1.5", "--outage", "10:5", "--backlog", "1000", "--plot", str(tmp_path / "run.svg"))

    assert done.code == 0, done.err
    for part in ("a limit of 20 requests/s", "an outage from 10 s to 15 s", "1,000 records", "1 worker  ", "2 workers"):
        assert part in done.out
    assert "drained after" in done.out
    first, second = done.out.splitlines()[-2:]
    assert first.startswith("1 worker keeps up: half of the events take effect within ")
    assert second.startswith("One more worker would ")
    assert (tmp_path / "run.svg").read_text(encoding="utf-8").startswith("<svg ")


def test_numbers_that_make_no_sense_are_refused() -> None:
    """With an example of what does."""
    for arguments, said in (
        (("--outage", "soon"), "'soon' is not START:SECONDS; for example 120:60"),
        (("--outage", "5:-1"), "'5:-1' is not START:SECONDS"),
        (("--job-seconds", "2", "1"), "the shortest, 2, exceeds the longest, 1"),
    ):
        done = run(*SMALL, *arguments)
        assert done.code == 2
        assert said in done.err


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The place is named."""
    done = run(*SMALL, "--plot", str(tmp_path / "absent" / "run.svg"))

    assert done.code == 1
    assert "absent" in done.err
