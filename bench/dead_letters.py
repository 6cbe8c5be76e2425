"""`python -m bench.dead_letters`: how long `dead-letters stats` takes for a topic of millions, and what it holds."""

import time
import uuid
from pathlib import Path

import click

from bench.kafka import kafka
from tests.kafka.letters import count_letters, write_letters
from tests.results import keep

PARTITIONS = 6


@click.command
@click.option("--letters", default=1_000_000, show_default=True, type=click.IntRange(min=1_000))
@click.option(
    "--batched", is_flag=True, help="Write them in batches; the worker writes each letter as a batch of its own."
)
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
def dead_letters(*, letters: int, batched: bool, file: Path | None) -> None:
    """Write dead letters to a real Kafka as the worker does, and count them with the command."""
    with kafka() as cluster:
        topic = f"dlq.bench-{uuid.uuid4().hex[:8]}"
        cluster.create_topic(topic, PARTITIONS)
        started = time.monotonic()
        write_letters(cluster, topic, letters, batched=batched)
        click.echo(f"{letters:,} letters written in {time.monotonic() - started:.0f} s")
        counted = count_letters(cluster, topic)
    if counted.told["letters"] != letters:
        raise click.ClickException(f"{counted.told['letters']:,} letters were counted")
    result: dict[str, object] = {
        "command": f"python -m bench.dead_letters --letters {letters}{' --batched' if batched else ''}",
        "letters": letters,
        "partitions": PARTITIONS,
        "seconds": round(counted.seconds, 1),
        "cpu_seconds": round(counted.cpu_s, 1),
        "peak_mib": round(counted.peak_mib),
    }
    keep(file, result)
    for name, value in result.items():
        click.echo(f"  {name:<12} {value}")


if __name__ == "__main__":
    dead_letters()
