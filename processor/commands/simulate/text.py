"""A comparison of two runs for people."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import mean, mode

from processor.commands.common.terminal import BAD, DIM, DOUBTFUL, GOOD, NAME, TITLE, Terminal
from processor.settings.memory import MIB
from processor.simulation.numbers import Numbers
from processor.simulation.play import Ages, Run, RunStep
from processor.simulation.verdict import WithOneMore

ROWS = 12
"""Of the course of time."""
LABEL, COLUMN = 24, 22

HEADS = (
    f"{'until':>8}{'arrived/s':>11}{'delivered/s':>13}{'p50':>9}{'p99':>9}{'slowest':>9}{'behind':>13}{'limit':>7}"
    "  held back by"
)


def show(found: WithOneMore, terminal: Terminal) -> None:
    """Print the numbers, both runs side by side, the course of the first, and the verdict."""
    numbers, runs = found.run.numbers, [each for each in (found.run, found.more) if each is not None]
    for line in _premises(numbers):
        terminal.print(line)
    terminal.print("")
    terminal.print((_row("", [_count(each.numbers.workers, "worker") for each in runs]), TITLE))
    for label, values in _rows(runs):
        terminal.print((f"{label:{LABEL}}", NAME), _row("", values)[LABEL:])
    terminal.print("")
    terminal.print((f"Over time, with {_count(numbers.workers, 'worker')}", TITLE))
    terminal.print((HEADS, DIM))
    for stretch in _stretches(found.run.steps):
        terminal.print(_course(stretch))
    terminal.print("")
    first, second = found.words
    terminal.print((first, DOUBTFUL if found.keeps_up is None else GOOD if found.keeps_up else BAD))
    terminal.print(second)


def _premises(numbers: Numbers) -> Iterator[str]:
    limit = "no limit of requests" if numbers.limit is None else f"a limit of {numbers.limit:g} requests/s"
    yield (
        f"{numbers.minutes:g} minutes of {numbers.rate:,.0f} events/s of {numbers.event_bytes} bytes, "
        f"{numbers.identify_share:.0%} of them identifies, over {_count(numbers.partitions, 'partition')}"
    )
    shortest_s, longest_s = numbers.job_s
    yield f"FullStory: {limit}, answers after {numbers.latency_s:g} s, jobs of {shortest_s:g} to {longest_s:g} s"
    if numbers.outage is not None:
        yield f"and an outage from {numbers.outage.start_s:g} s to {numbers.outage.end_s:g} s"
    if numbers.backlog:
        yield f"{numbers.backlog:,} records are waiting at the start; their age counts from there"
    if numbers.scale > 1:
        yield f"one simulated record stands for {numbers.scale}"


def _rows(runs: Sequence[Run]) -> Iterator[tuple[str, list[str]]]:
    yield "delivered/s", [f"{each.delivered / each.numbers.seconds:,.0f}" for each in runs]
    for number, label in enumerate(("fresh within, half", "fresh within, 99 %", "fresh within, all")):
        yield label, [_seconds(each.freshness, number) for each in runs]
    if runs[0].disturbed_until_s is not None:
        yield "drained after", ["-" if (took := each.drained_after_s) is None else f"{took:,.0f} s" for each in runs]
    yield "behind at the end", [f"{each.behind:,}" for each in runs]
    if runs[0].numbers.limit is not None:
        yield "limit used", [_share(each.average(lambda step: step.limit_used)) for each in runs]
        yield "requests refused", [_share(each.average(lambda step: step.refused), 1) for each in runs]
    if runs[0].numbers.is_batch:
        yield "jobs at once, at most", [str(each.jobs_at_most) for each in runs]
    yield "memory held, at most", [f"{max(step.held_bytes for step in each.steps) / MIB:,.0f} MiB" for each in runs]
    for place in range(3):
        kinds = [list(each.bottlenecks().items()) for each in runs]
        if any(len(each) > place for each in kinds):
            cells = [f"{each[place][0]} {each[place][1]:.0%}" if len(each) > place else "" for each in kinds]
            yield "" if place else "held back by", cells


def _stretches(steps: Sequence[RunStep]) -> Iterator[Sequence[RunStep]]:
    """Divide the steps into as many as there are rows, as evenly as can be."""
    marks = [round(number * len(steps) / ROWS) for number in range(ROWS + 1)]
    return (steps[begin:end] for begin, end in pairwise(marks) if begin < end)


def _course(steps: Sequence[RunStep]) -> str:
    """Return a row: averages, and the worst of the ages."""
    found = [each.freshness for each in steps if each.freshness is not None]
    worst = Ages(*map(max, zip(*found, strict=True))) if found else None
    ages = "".join(f"{_seconds(worst, number):>9}" for number in range(3))
    limit = _share(mean(used)) if (used := [each.limit_used for each in steps if each.limit_used is not None]) else ""
    arrived, delivered = mean(each.arrived_per_s for each in steps), mean(each.delivered_per_s for each in steps)
    kind = mode(each.bottleneck for each in steps)
    return (
        f"{steps[-1].at_s:>6.0f} s{arrived:>11,.0f}{delivered:>13,.0f}{ages}{steps[-1].behind:>13,}{limit:>7}  {kind}"
    )


def _row(label: str, values: Sequence[str]) -> str:
    return f"{label:{LABEL}}" + "".join(f"{value:>{COLUMN}}" for value in values)


def _seconds(ages: Ages | None, number: int) -> str:
    return "-" if ages is None else f"{ages[number]:,.1f} s"


def _share(part: float | None, digits: int = 0) -> str:
    return "-" if part is None else f"{part:.{digits}%}"


def _count(number: int, of: str) -> str:
    return f"{number} {of}" + ("" if number == 1 else "s")
