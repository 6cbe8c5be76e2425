"""The comparison with others: what is told of several rounds."""

from dataclasses import replace

from bench.peers.command import median, ratios_to
from bench.peers.runs import Result
from bench.peers.shown import drawn, table

ONE = Result(cpu_us=10.0, steady_cpu_us=8.0, events_per_s=1_000.0, seconds=3.0, peak_mib=100.0, requests=5)


def test_each_figure_has_a_median_of_its_own() -> None:
    """The round with the median of CPU need not be that of memory."""
    found = median([ONE, replace(ONE, cpu_us=20.0, peak_mib=50.0), replace(ONE, cpu_us=30.0)])

    assert (found.cpu_us, found.peak_mib) == (20.0, 100.0)


def test_a_ratio_is_of_one_round() -> None:
    """What slows a whole round down makes no difference."""
    ours = [ONE, replace(ONE, cpu_us=20.0)]
    theirs = [replace(ONE, cpu_us=20.0), replace(ONE, cpu_us=40.0)]

    assert ratios_to(ours, theirs, "cpu_us") == [0.5, 0.5]


def test_a_comparison_without_the_worker_is_shown_too() -> None:
    """Who is compared by `--only` alone has no ratio."""
    told = {"events": 5, "medians": {"quix": vars_of(ONE)}, "ratios": {}, "runs": {"quix": [vars_of(ONE)]}}

    assert table(told).splitlines()[-1] == "| Quix Streams | 10.0 µs | 8.0 µs | 1,000 | 3.0 s | 100 MiB |"
    assert "Quix Streams" in drawn(told)


def test_each_build_of_the_worker_has_ratios_to_all_others() -> None:
    """The median of the rounds stands before their range, and who is compared with itself has none."""
    ratios = {"cpu_us": [0.5, 0.4, 0.7], "steady_cpu_us": [0.3, 0.2, 0.6]}
    told = {"medians": {"worker": vars_of(ONE), "quix": vars_of(ONE)}, "ratios": {"worker": {"quix": ratios}}}

    own, other = table(told).splitlines()[-2:]
    assert own.endswith("| 100 MiB |  |")
    assert other.endswith("| 100 MiB | 0.50 (0.40 to 0.70); after start-up 0.30 |")


def vars_of(result: Result) -> dict[str, float]:
    """Return a result as its file holds it."""
    return {name: getattr(result, name) for name in Result.__dataclass_fields__}
