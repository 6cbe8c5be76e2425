"""`python -m tests.chaos`: faults by seed on a real Kafka, and an oracle's verdict, as an exit code too."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from tests.chaos.faults import BLOWS
from tests.chaos.play import Result, play
from tests.chaos.scene import CHAOS, Script
from tests.kafka.programs import ROOT
from tests.results import keep

COUNT = click.IntRange(min=1)


@click.command
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0), help="Of everything left to chance.")
@click.option(
    "--scenario", default=CHAOS, show_default=True, type=click.Choice([CHAOS, *BLOWS]), help="All faults, or one."
)
@click.option("--kills", default=10, show_default=True, type=COUNT, help="SIGKILLs, each with requests in flight.")
@click.option("--workers", default=4, show_default=True, type=click.IntRange(min=3))
@click.option("--rate", default=300, show_default=True, type=COUNT, help="Records a second.")
@click.option("--partitions", default=8, show_default=True, type=COUNT)
@click.option("--mode", default="batch", show_default=True, type=click.Choice(["batch", "single"]))
@click.option("--protocol", default="classic", show_default=True, type=click.Choice(["classic", "consumer"]))
@click.option(
    "--root",
    default=ROOT,
    type=click.Path(exists=True, path_type=Path),
    help="Folder of the project whose worker plays: that the oracle finds what an older one gets wrong can be seen so.",
)
@click.option("--logs", type=click.Path(path_type=Path), help="Keep all logs in this folder.")
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
def chaos(*, logs: Path | None, file: Path | None, **script: Any) -> None:
    """Play faults by seed against workers on a real Kafka, and judge from outside whether the laws held."""
    click.echo(f"seed {script['seed']}, {script['scenario']}")
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        folder = logs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            result = play(Script(**script), folder, click.echo)
        except KeyboardInterrupt:
            sys.exit("ended early: no verdict")
    keep(file, result.as_json())
    click.echo(summary(result))
    sys.exit(bool(result.faults))


def summary(result: Result) -> str:
    """Return the verdict in words."""
    shown = {name: value for name, value in result.as_json().items() if name not in ("faults", "rounds", "command")}
    lines = [f"  {name:<22} {value}" for name, value in shown.items()]
    return "\n".join([*lines, *(f"BROKEN: {fault}" for fault in result.faults)])


if __name__ == "__main__":
    chaos()
