"""`python -m bench`: what an event costs, stage by stage and from a real Kafka to a local sink."""

import statistics

import click

from bench import end_to_end, stages
from bench.conditions import conditions
from bench.guard import guard
from bench.kafka import kafka
from bench.life import life
from bench.peers.command import peers


@click.group(invoke_without_command=True)
@click.option("--events", default=300_000, show_default=True, type=click.IntRange(min=1_000), help="In the topic.")
@click.option("--repeat", default=3, show_default=True, type=click.IntRange(min=1), help="Runs over the same topic.")
@click.option("--stages-only", is_flag=True, help="Without Kafka.")
@click.pass_context
def bench(context: click.Context, *, events: int, repeat: int, stages_only: bool) -> None:
    """Measure. Compare figures of one machine and one sitting only: machines differ, and are noisy."""
    if context.invoked_subcommand is not None:
        return
    click.echo(f"{'stage':<25} {'  '.join(f'{each:>10}' for each in stages.FAMILIES)}   (µs/event)")
    for rows in zip(*map(stages.measure, stages.FAMILIES), strict=True):
        click.echo(f"{rows[0][0]:<25} {'  '.join(f'{cost_us:10.2f}' for _, cost_us in rows)}")
    if stages_only:
        return
    click.echo(f"\n{events} events, {end_to_end.PARTITIONS} partitions, real Kafka, local sink; steady state")
    click.echo("run   events/s   CPU µs/event   peak MiB")
    with kafka() as cluster:
        topic = end_to_end.fill(cluster, events)
        results = []
        for number in range(1, repeat + 1):
            result = end_to_end.run(cluster, topic, events)
            results.append(result)
            click.echo(f"{number:>3} {result.events_per_s:>10,.0f} {result.cpu_us:>14.1f} {result.peak_mib:>10.0f}")
    click.echo(f"median CPU: {statistics.median(each.cpu_us for each in results):.1f} µs/event")


bench.add_command(conditions)
bench.add_command(guard)
bench.add_command(life)
bench.add_command(peers)

if __name__ == "__main__":
    bench()
