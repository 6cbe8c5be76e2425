"""Bars as an SVG picture, in the style of what `segment-fullstory simulate` draws."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from processor.simulation.picture import STYLE

WIDTH, LEFT, RIGHT, TOP = 960, 210, 110, 66
ROW, BAR, GAP = 30, 18, 44


class Bar(NamedTuple):
    """One row: a bar from `begin` to `end`, what is said beside it, and single values that are shown as points."""

    name: str
    colour: str
    end: float
    said: str
    begin: float = 0.0
    points: Sequence[float] = ()


class Panel(NamedTuple):
    """Bars with one scale."""

    title: str
    bars: Sequence[Bar]


def picture(title: str, panels: Sequence[Panel]) -> str:
    """Return it, readable in light and dark."""
    height = TOP + sum(ROW * len(each.bars) + GAP for each in panels) - GAP // 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="var(--paper)"/>',
        f'<text class="title" x="24" y="28">{title}</text>',
    ]
    top = TOP
    for panel in panels:
        parts += _panel(panel, top)
        top += ROW * len(panel.bars) + GAP
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, top: int) -> Iterator[str]:
    most = max(max(each.end, *each.points, each.begin) for each in panel.bars) or 1.0

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / most

    yield f'<text x="24" y="{top - 6}">{panel.title}</text>'
    for number, bar in enumerate(panel.bars):
        begin, end, upper = x(bar.begin), x(bar.end), top + 6 + number * ROW
        middle = upper + BAR / 2
        yield f'<text class="dim" text-anchor="end" x="{LEFT - 10}" y="{middle + 5:.1f}">{bar.name}</text>'
        yield (
            f'<rect x="{begin:.1f}" y="{upper}" width="{max(end - begin, 1):.1f}" height="{BAR}" rx="2" '
            f'fill="var({bar.colour})"/>'
        )
        for value in bar.points:
            yield f'<circle cx="{x(value):.1f}" cy="{middle:.1f}" r="3" fill="var(--paper)" stroke="var(--ink)"/>'
        beside = max(end, *map(x, bar.points)) if bar.points else end
        yield f'<text x="{beside + 10:.1f}" y="{middle + 5:.1f}">{bar.said}</text>'
