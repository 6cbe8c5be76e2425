"""A run as an SVG picture: freshness, throughput and use of the limit over time, and what held the workers back."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from processor.model.reasons import Bottleneck
from processor.simulation.play import Run, RunStep

WIDTH, LEFT, RIGHT = 960, 76, 24
HEIGHT, GAP, TOP = 150, 46, 66
RIBBON = 16

STYLE = """
  svg { --paper: #ffffff; --ink: #1f2328; --dim: #59636e; --grid: #d9dee3;
        --one: #0969da; --two: #bc4c00; --three: #8250df; --four: #1a7f37; --five: #9a6700; --six: #cf222e; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --ink: #e6edf3; --dim: #9198a1; --grid: #30363d;
          --one: #58a6ff; --two: #f0883e; --three: #bc8cff; --four: #3fb950; --five: #d29922; --six: #ff7b72; }
  }
  text { font: 13px system-ui, sans-serif; fill: var(--ink); }
  .dim { fill: var(--dim); } .title { font-weight: 600; font-size: 15px; }
  .grid { stroke: var(--grid); } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
  .outage { fill: var(--six); opacity: 0.1; }
"""

COLOURS = {
    Bottleneck.NONE: "--grid",
    Bottleneck.DESTINATION: "--two",
    Bottleneck.CPU: "--one",
    Bottleneck.KAFKA: "--three",
    Bottleneck.ORDER: "--five",
    Bottleneck.MEMORY: "--four",
    Bottleneck.DEAD_LETTERS: "--six",
    Bottleneck.REGISTRY: "--six",
}


class Curve(NamedTuple):
    """A line with its name and colour."""

    name: str
    colour: str
    value: Callable[[RunStep], float | None]


class Panel(NamedTuple):
    """A diagram over the whole width."""

    title: str
    curves: Sequence[Curve]
    is_logarithmic: bool = False
    unit: str = ""


FRESHNESS = Panel(
    "Age of events when they take effect",
    (
        Curve("slowest", "--six", lambda step: step.freshness and step.freshness.slowest),
        Curve("99 %", "--two", lambda step: step.freshness and step.freshness.p99),
        Curve("half", "--one", lambda step: step.freshness and step.freshness.p50),
    ),
    is_logarithmic=True,
    unit=" s",
)
THROUGHPUT = Panel(
    "Events per second",
    (
        Curve("written", "--dim", lambda step: step.arrived_per_s),
        Curve("delivered", "--four", lambda step: step.delivered_per_s),
    ),
)
LIMIT = Panel(
    "Use of FullStory's limit of requests",
    (
        Curve("used", "--one", lambda step: None if step.limit_used is None else step.limit_used * 100),
        Curve("refused", "--six", lambda step: None if step.refused is None else step.refused * 100),
    ),
    unit=" %",
)


def picture(run: Run) -> str:
    """Return it, readable in light and dark."""
    panels = [FRESHNESS, THROUGHPUT] + ([] if run.numbers.limit is None else [LIMIT])
    ribbon_top = TOP + len(panels) * (HEIGHT + GAP)
    height = ribbon_top + RIBBON + 62
    numbers = run.numbers
    title = f"{numbers.rate:,.0f} events/s, {numbers.partitions} partitions, {numbers.workers} workers"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="var(--paper)"/>',
        f'<text class="title" x="{LEFT}" y="28">{title}</text>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(run, panel, TOP + number * (HEIGHT + GAP))
    parts += _ribbon(run, ribbon_top)
    return "\n".join([*parts, "</svg>", ""])


def _x(run: Run, at_s: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(at_s / run.steps[-1].at_s, 1.0)


def _panel(run: Run, panel: Panel, top: float) -> Iterator[str]:
    values = [[curve.value(step) for step in run.steps] for curve in panel.curves]
    ticks = _ticks(max((each for line in values for each in line if each is not None), default=1.0), panel)
    low, high = (math.log10(ticks[0]), math.log10(ticks[-1])) if panel.is_logarithmic else (0.0, ticks[-1])

    def y(value: float) -> float:
        scaled = math.log10(max(value, ticks[0])) if panel.is_logarithmic else value
        return top + HEIGHT * (1 - (scaled - low) / (high - low))

    if (outage := run.numbers.outage) is not None:
        begin, end = _x(run, outage.start_s), _x(run, outage.end_s)
        yield f'<rect class="outage" x="{begin:.1f}" y="{top}" width="{end - begin:.1f}" height="{HEIGHT}"/>'
    yield f'<text x="{LEFT}" y="{top - 10}">{panel.title}</text>'
    for tick in ticks:
        yield f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text class="dim" text-anchor="end" x="{LEFT - 8}" y="{y(tick) + 4:.1f}">{tick:,g}{panel.unit}</text>'
    right = float(WIDTH - RIGHT)
    for curve, line in zip(panel.curves, values, strict=True):
        for is_gap, stretch in groupby(enumerate(line), lambda each: each[1] is None):
            if not is_gap:
                points = [(_x(run, run.steps[at].at_s), y(value)) for at, value in stretch if value is not None]
                path = "L".join(f"{across:.1f} {down:.1f}" for across, down in points)
                yield f'<path class="line" style="stroke:var({curve.colour})" d="M{path}h1"/>'
        yield f'<text text-anchor="end" x="{right}" y="{top - 10}" style="fill:var({curve.colour})">{curve.name}</text>'
        right -= 8 * len(curve.name) + 16


def _ticks(highest: float, panel: Panel) -> list[float]:
    """Return where lines are drawn: powers of ten, or about four round numbers."""
    if panel.is_logarithmic:
        return [10.0**each for each in range(max(math.ceil(math.log10(max(highest, 1.0))), 1) + 1)]
    raw = max(highest, 1.0) / 4
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(each * unit for each in (1, 2, 2.5, 5, 10) if each * unit >= raw)
    return [step * each for each in range(math.ceil(max(highest, 1.0) / step) + 1)]


def _ribbon(run: Run, top: float) -> Iterator[str]:
    yield f'<text x="{LEFT}" y="{top - 10}">Held back by</text>'
    begin_s = 0.0
    for kind, steps in groupby(run.steps, lambda step: step.bottleneck):
        end_s = list(steps)[-1].at_s
        begin, end = _x(run, begin_s), _x(run, end_s)
        fill = f'fill="var({COLOURS[kind]})"'
        yield f'<rect x="{begin:.1f}" y="{top}" width="{end - begin:.1f}" height="{RIBBON}" {fill}/>'
        begin_s = end_s
    across = float(LEFT) + 110
    for kind in run.bottlenecks():
        yield f'<rect x="{across}" y="{top - 20}" width="12" height="12" fill="var({COLOURS[kind]})"/>'
        yield f'<text class="dim" x="{across + 18}" y="{top - 10}">{kind}</text>'
        across += 40 + 8 * len(kind)
    for part in range(5):
        at_s = run.steps[-1].at_s * part / 4
        yield (
            f'<text class="dim" text-anchor="middle" x="{_x(run, at_s):.1f}" y="{top + RIBBON + 22}">'
            f"{at_s / 60:g} min</text>"
        )
