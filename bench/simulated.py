"""`python -m bench.simulated`: a real run with an outage, and `segment-fullstory simulate` with the same numbers."""

import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import click

from bench.freshness import aged, noted
from bench.kafka import create, kafka, shared_out
from bench.limits import count_now
from bench.stages import CLEAN
from processor.simulation.limit import BURST_S
from processor.simulation.numbers import Numbers, Outage
from processor.simulation.play import Ages, play
from processor.workload import generate
from tests.chaos.evidence import effects
from tests.kafka.programs import environment_of, sandbox, wait_until
from tests.kafka.topics import paced, produce_all
from tests.results import keep

NUMBERS = Numbers(
    partitions=12,
    workers=2,
    rate=1_000.0,
    identify_share=CLEAN.identify,
    users=CLEAN.users,
    limit=40.0,
    latency_s=0.2,
    job_s=(0.5, 2.0),
    outage=Outage(60.0, 60.0),
    minutes=5.0,
    scale=1,
)
WINDOW_S = 1.5

Effects = Sequence[tuple[float, float]]
"""When each event took effect, in seconds from the start, and how old it was."""


@click.command
@click.option("--result", "file", type=click.Path(path_type=Path), help="Write the result to this file, as JSON.")
def simulated(*, file: Path | None) -> None:
    """Run both, and compare freshness, the time until what piled up was delivered, and the use of the limit."""
    found = play(NUMBERS)
    expected = _told(found.freshness, found.drained_after_s, found.average(lambda step: step.limit_used))
    real = _real(NUMBERS)
    click.echo(f"{'':<22}{'real':>10}{'simulated':>12}{'deviation':>12}")
    for name, value in real.items():
        simulated_, deviation = expected[name], "-"
        if value and simulated_ is not None:
            deviation = f"{simulated_ / value - 1:+.0%}"
        click.echo(f"{name:<22}{_shown(value):>10}{_shown(simulated_):>12}{deviation:>12}")
    keep(file, {"command": "python -m bench.simulated", "real": real, "simulated": expected})


def _real(numbers: Numbers) -> dict[str, float | None]:
    """Let real workers deliver from a real Kafka to a sandbox with a limit, and with an outage on the way."""
    assert numbers.limit is not None
    assert numbers.outage is not None
    limits = ("--requests-per-second", str(numbers.limit), "--burst", str(round(numbers.limit * BURST_S)))
    times = ("--latency", str(numbers.latency_s), "--job-seconds", *map(str, numbers.job_s))
    produced: dict[tuple[str, str, str], float] = {}
    with ExitStack() as stack:
        cluster = stack.enter_context(kafka())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(sandbox(*limits, *times))
        names = create(cluster, numbers.partitions)
        environment = environment_of(cluster, names, server.url)
        programs = stack.enter_context(shared_out(environment, folder, numbers.workers))
        stop = threading.Event()
        thread = stack.enter_context(ThreadPoolExecutor(1))
        stack.callback(stop.set)
        begun_at, before = time.time(), count_now(server)
        records = noted(paced(generate(1, None, CLEAN), numbers.rate, stop), produced)
        traffic = thread.submit(produce_all, cluster, names.topic, records)
        stop.wait(numbers.outage.start_s)
        at_outage = count_now(server)
        server.set_faults(outage_status=503)
        stop.wait(numbers.outage.lasts_s)
        after_outage = count_now(server)
        server.set_faults(outage_status=None)
        stop.wait(begun_at + numbers.seconds - time.time())
        end = count_now(server)
        stop.set()
        count = traffic.result()
        wait_until(lambda: sum(each.metrics()["records_delivered_total"] for each in programs) >= count, "all is there")
        everything = [(at - begun_at, at - since) for since, at in aged(effects(server), produced)]
        found = [(at, age) for at, age in everything if at <= numbers.seconds]
    taken = at_outage.taken - before.taken + end.taken - after_outage.taken
    used = taken / (at_outage.at - before.at + end.at - after_outage.at) / numbers.limit
    return _told(Ages.of([age for _, age in found]), _drained_after_s(found, numbers), used)


def _told(freshness: Ages | None, drained_s: float | None, used: float | None) -> dict[str, float | None]:
    assert freshness is not None, "nothing took effect"
    return {
        "freshness_p50_s": freshness.p50,
        "freshness_p99_s": freshness.p99,
        "freshness_slowest_s": freshness.slowest,
        "drained_after_s": drained_s,
        "limit_used": used,
    }


def _drained_after_s(found: Effects, numbers: Numbers) -> float | None:
    """Return how long after the outage the last event took effect that was not fresh."""
    assert numbers.outage is not None
    late = [at for at, age in found if age > numbers.fresh_s]
    last = max(late, default=numbers.outage.end_s)
    return None if last > numbers.seconds - WINDOW_S else max(last - numbers.outage.end_s, 0.0)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


if __name__ == "__main__":
    simulated()
