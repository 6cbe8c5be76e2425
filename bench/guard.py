"""`python -m bench guard`: whether `PayloadBuilder.build` costs what it did when that was recorded.

Times differ from machine to machine and from minute to minute. So the cost of `build` is counted in runs of a loop that
never changes and takes turns with it in the same process: of many short rounds of each, in CPU time, the shortest are
compared. What else runs on the machine makes rounds longer, not shorter, and never all of them.
"""

import gc
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import click
import orjson

from bench.stages import FAMILIES, build
from processor.events import mapping
from tests.results import keep

RECORDED = Path(__file__).parents[1] / "docs" / "results" / "guard.json"
TOLERANCE = 0.15
ROUNDS = 1_200
RECORDS, REPEATS = 50, 25
"""In a round: about a millisecond, so that some are not disturbed even where other work keeps every core busy."""
SITTINGS = 3
"""What is slower in each of them is slower."""

FIELDS = b"".join(
    bytes([len(each)]) + each for number in range(60) for each in (b"name%d" % (number % 20), b"some value %d" % number)
)

Ratios = Mapping[str, float]
"""Of each family of schemas: what `build` costs for `RECORDS` events, in runs of `reference`."""


@click.command
@click.option("--record", is_flag=True, help="Keep what is measured: later runs are compared with it.")
def guard(*, record: bool) -> None:
    """Fail where `build` is more than 15 % slower than recorded, against a loop that never changes."""
    sitting = _prepared()
    version = ".".join(platform.python_version_tuple()[:2])
    found = orjson.loads(RECORDED.read_bytes()) if RECORDED.exists() else {"ratios": {}}
    if record:
        rows = [sitting() for _ in range(SITTINGS)]
        ratios = {family: round(statistics.median(row[family] for row in rows), 3) for family in FAMILIES}
        keep(RECORDED, {"command": "python -m bench guard --record", "ratios": found["ratios"] | {version: ratios}})
        click.echo(f"recorded for Python {version}: {_words(ratios)}")
        return
    if version not in found["ratios"]:
        raise click.ClickException(f"nothing is recorded for Python {version}: python -m bench guard --record")
    recorded: Ratios = found["ratios"][version]
    for _ in range(SITTINGS):
        measured = sitting()
        click.echo(f"build, in runs of the reference loop: {_words(measured)}; recorded {_words(recorded)}")
        if not (slower := verdict(measured, recorded)):
            return
    raise click.ClickException(
        f"{'; '.join(slower)}, in each of {SITTINGS} sittings. Where that is meant: python -m bench guard --record"
    )


def verdict(measured: Ratios, recorded: Ratios) -> list[str]:
    """Say what is slower than it may be."""
    return [
        f"build of {family} is {measured[family] / ratio - 1:.0%} slower than recorded"
        for family, ratio in recorded.items()
        if measured[family] > ratio * (1 + TOLERANCE)
    ]


def reference() -> None:
    """Do what never changes, and is like what `build` does: cut text out of bytes, by names, and put it together."""
    found: dict[str, str] = {}
    at, name = 0, ""
    while at < len(FIELDS):
        size = FIELDS[at]
        text = FIELDS[at + 1 : at + 1 + size].decode()
        at += 1 + size
        if name:
            found[name] = text
            name = ""
        else:
            name = text
    ",".join([f"{name}={text}" for name, text in found.items() if text.isascii()])


def _prepared() -> Callable[[], Ratios]:
    """Return what measures once, with its records made."""
    rules = mapping.Mapping(mapping.MappingRules())
    given = {family: make(RECORDS) for family, make in FAMILIES.items()}
    builds = {family: partial(build, records, rules, readers) for family, (records, readers) in given.items()}
    gc.collect()
    gc.freeze()  # as the worker does

    def sitting() -> Ratios:
        references: list[float] = []
        rounds: dict[str, list[float]] = {family: [] for family in builds}
        for _ in range(ROUNDS):
            references.append(_cpu_s(_repeated))
            for family, run in builds.items():
                rounds[family].append(_cpu_s(run))
        return {family: min(each) / min(references) for family, each in rounds.items()}

    return sitting


def _repeated() -> None:
    for _ in range(REPEATS):
        reference()


def _cpu_s(run: Callable[[], None]) -> float:
    started = time.thread_time()
    run()
    return time.thread_time() - started


def _words(ratios: Ratios) -> str:
    return ", ".join(f"{family} {ratio:.3f}" for family, ratio in ratios.items())
