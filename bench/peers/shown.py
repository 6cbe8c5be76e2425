"""What a comparison found, as docs/performance.md shows it: a table, and a picture."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.picture import Bar, Panel, picture

TITLES = {
    "worker": "this worker",
    "worker-json": "this worker, JSON text",
    "worker-compiled": "this worker, compiled",
    "worker-json-compiled": "this worker, compiled, JSON text",
    "quix": "Quix Streams",
    "parallel-consumer": "Parallel Consumer, by key",
    "parallel-consumer-unordered": "Parallel Consumer, unordered",
}
COLOURS = dict.fromkeys(("worker", "worker-compiled"), "--one") | dict.fromkeys(
    ("worker-json", "worker-json-compiled"), "--three"
)
OTHERS = "--two"
ENOUGH = 100_000
"""Fewer events are mostly start-up."""

Told = Mapping[str, Any]
"""The content of a result file."""


def table(told: Told) -> str:
    """Return the medians, and the worker's CPU in parts of each other's."""
    heads = ["CPU per event", "after start-up", "events per second", "whole run", "peak memory"]
    heads += [f"CPU of {TITLES[own]} to this" for own in told["ratios"]]
    rows = ["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name, found in told["medians"].items():
        cells = [
            *(TITLES[name], f"{found['cpu_us']:.1f} µs", f"{found['steady_cpu_us']:.1f} µs"),
            *(f"{found['events_per_s']:,.0f}", f"{found['seconds']:.1f} s", f"{found['peak_mib']:.0f} MiB"),
            *(_ratio(of_own.get(name)) for of_own in told["ratios"].values()),
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _ratio(of: Mapping[str, Sequence[float]] | None) -> str:
    if of is None:
        return ""
    whole = of["cpu_us"]
    steady = statistics.median(of["steady_cpu_us"])
    return f"{statistics.median(whole):.2f} ({min(whole):.2f} to {max(whole):.2f}); after start-up {steady:.2f}"


def caption(told: Told) -> str:
    """Return what was measured, where, and how to repeat it."""
    versions = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    is_short = told["events"] < ENOUGH
    caveat = " So few events show, more than anything else, how the programs start." if is_short else ""
    rounds = len(next(iter(told["runs"].values())))
    return (
        f"Medians of {rounds} rounds over {told['events']:,} events of {told['users']:,} users in {told['partitions']} "
        f"partitions, on {told['machine']}, with a load of {told['load']:.1f} by other programs when it began: "
        f"`{told['command']}` ([result](results/peers.json); {versions}).{caveat}"
    )


def drawn(told: Told) -> str:
    """Return the picture: the bars are medians, the points single runs."""
    figures = (
        ("CPU of the whole process, per event", "cpu_us", "{:.1f} µs"),
        ("Events per second, from the first request to the last", "events_per_s", "{:,.0f}"),
        ("Peak memory", "peak_mib", "{:.0f} MiB"),
    )
    panels = [
        Panel(
            title,
            [
                Bar(
                    TITLES[name],
                    COLOURS.get(name, OTHERS),
                    found[figure],
                    form.format(found[figure]),
                    points=[each[figure] for each in told["runs"][name]],
                )
                for name, found in told["medians"].items()
            ],
        )
        for title, figure, form in figures
    ]
    return picture(f"The same {told['events']:,} events, delivered by each", panels)
