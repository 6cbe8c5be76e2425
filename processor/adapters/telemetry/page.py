"""The worker's page: what it is doing, on one screen, without a word about anybody whose events these are.

Rendered here and shown as it is; where scripts run, it is fetched anew every two seconds. Style and script stand in the
page, allowed by their digests: nothing else is loaded and nothing else runs.
"""

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from string import Template

from processor.adapters.telemetry.history import STEP_S, History, Refused, Step
from processor.adapters.telemetry.metrics import Facts
from processor.model.reasons import Bottleneck
from processor.runtime.state import PartitionState, WorkerState

SHOWN_PARTITIONS = 12
"""The most interesting ones; the others are folded."""

_OWN = files(__package__)
_STYLE, _SCRIPT = (_OWN.joinpath(f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
_PAGE = Template(_OWN.joinpath("page.html").read_text(encoding="utf-8"))


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {_digest(_STYLE)}; script-src {_digest(_SCRIPT)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_HELD_BACK = {
    Bottleneck.DESTINATION: "FullStory: by its limits, its answers or its jobs. More workers do not help.",
    Bottleneck.CPU: "the processor: more workers help, up to the number of partitions.",
    Bottleneck.KAFKA: "Kafka: records or commits do not come fast enough.",
    Bottleneck.REGISTRY: "the schema registry: a schema is missing.",
    Bottleneck.DEAD_LETTERS: "the dead-letter topic: it does not take what is written.",
}


def render(state: WorkerState, history: History, facts: Facts, wall_s: float) -> str:
    """Return the page as of now."""
    headline, tone, explanation = _headline(state)
    return _PAGE.substitute(
        style=_STYLE,
        script=_SCRIPT,
        version=escape(facts.version),
        fingerprint=escape(facts.mapping_fingerprint),
        topics=escape(", ".join(facts.topics)),
        state=headline,
        tone=tone,
        explanation=explanation,
        halts=_halts(state),
        numbers=_numbers(state, facts),
        plots=_plots(list(history.steps())),
        partitions=_partitions(state.partitions, wall_s),
        dead_letters=_dead_letters(history.refused(), wall_s),
        time=datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%d %H:%M:%S"),
    )


def _headline(state: WorkerState) -> tuple[str, str, str]:
    """Return the state in words, its tone, and what it means."""
    in_flight = sum(each.buffered_records + each.in_flight_records for each in state.partitions)
    if state.is_draining:
        return "Leaving", "warn", "The worker ends; the next owner of its partitions carries on what is under way."
    if not state.has_joined:
        return "Joining", "warn", "The group has not given this worker its part yet."
    if state.halts:
        return "Halted", "bad", "Delivery stands still, the data is kept, and somebody has to do something:"
    if state.bottleneck is not Bottleneck.NONE:
        return "Held back", "warn", f"What holds throughput back is {_HELD_BACK[state.bottleneck]}"
    if not state.partitions:
        return "Spare", "good", "All is well; the group has no partition for this worker."
    if in_flight:
        return "Delivering", "good", "Nothing holds throughput back."
    return "Idle", "good", "Everything is delivered."


def _halts(state: WorkerState) -> str:
    lines = [f"<li><b>{reason.value}</b>: {escape(detail)}</li>" for reason, detail in state.halts.items()]
    return f"<ul>{''.join(lines)}</ul>" if lines else ""


def _numbers(state: WorkerState, facts: Facts) -> str:
    lags = [each.lag for each in state.partitions if each.lag is not None]
    in_flight = sum(each.in_flight_records for each in state.partitions)
    paused = sum(each.is_paused for each in state.partitions)
    held, budget = state.bytes_held, facts.memory_budget_bytes
    rate = "no limit" if math.isinf(state.request_rate) else f"{state.request_rate:.1f}<small> a second</small>"
    pairs = [
        ("Lag", f"{sum(lags):,}" if lags else "unknown"),
        ("Records on their way", f"{in_flight:,}"),
        ("Partitions", f"{len(state.partitions)}<small> of them {paused} paused</small>"),
        ("Jobs in progress", f"{state.jobs_in_flight}<small> with {state.operations_in_flight:,} items</small>"),
        ("Requests at once", f"{state.concurrency_limit}"),
        ("Rate learned from refusals", rate),
        ("Memory held", f"{held / 2**20:.0f}<small> of {budget / 2**20:.0f} MiB</small>"),
        ("Round trip to Kafka", f"{state.client.round_trip_s * 1_000:.0f}<small> ms</small>"),
    ]
    return "".join(f"<div><dl><dt>{name}</dt><dd>{value}</dd></dl></div>" for name, value in pairs)


def _plots(steps: Sequence[Step]) -> str:
    """Draw the last quarter of an hour; the step that goes on is not shown, it would seem to be a drop."""
    past = steps[:-1]
    return (
        _plot("Delivered", "", [step.delivered / STEP_S for step in past], "a second")
        + _plot("Slowest record", "", [step.slowest_s for step in past], "s old")
        + _plot("Dead-lettered", "dead", [step.dead_lettered / STEP_S for step in past], "a second")
    )


def _plot(title: str, tone: str, values: Sequence[float], unit: str) -> str:
    highest = max(values)
    scale = 38 / highest if highest else 0
    points = " ".join(f"{at * 300 / (len(values) - 1):.1f},{39 - value * scale:.1f}" for at, value in enumerate(values))
    label = f"{title} over the last 15 minutes: now {_short(values[-1])}, at most {_short(highest)} {unit}"
    return (
        f'<figure class="{tone}"><figcaption><span>{title}: <strong>{_short(values[-1])}</strong> {unit}</span>'
        f"<span>at most {_short(highest)}</span></figcaption>"
        f'<svg viewBox="0 0 300 40" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f'<polygon points="0,40 {points} 300,40"/><polyline points="{points}"/></svg>'
        "<figcaption><span>15 min ago</span><span>now</span></figcaption></figure>"
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


def _partitions(partitions: Sequence[PartitionState], wall_s: float) -> str:
    if not partitions:
        return '<p class="soft">none</p>'
    ranked = sorted(partitions, key=lambda each: (each.blocked is None, not each.is_paused, -(each.lag or 0), each.id))
    first, rest = ranked[:SHOWN_PARTITIONS], ranked[SHOWN_PARTITIONS:]
    shown = _table(first, wall_s)
    return f"{shown}<details><summary>{len(rest)} more</summary>{_table(rest, wall_s)}</details>" if rest else shown


def _table(partitions: Iterable[PartitionState], wall_s: float) -> str:
    columns = (
        ("Partition", ""),
        ("Lag", "n"),
        ("On their way", "n wide"),
        ("Buffered", "n wide"),
        ("Oldest", "n"),
        ("State", ""),
    )
    head = "".join(f'<th scope="col" class="{kind}">{name}</th>' for name, kind in columns)
    rows = "".join(_row(each, wall_s) for each in partitions)
    return f'<table class="partitions"><tr>{head}</tr>{rows}</table>'


def _row(each: PartitionState, wall_s: float) -> str:
    oldest = each.oldest_unsettled_ms
    age = f"{max(wall_s - oldest / 1_000, 0):,.0f} s" if oldest and oldest > 0 else "&ndash;"
    state = '<td class="wide">fetching</td>'
    if each.blocked is not None:
        state = (
            f'<td class="bad-text">offset {each.blocked.offset} waits for {escape(each.blocked.waits_for)}, '
            f"for {each.blocked.age_s:,.0f} s</td>"
        )
    elif each.is_paused:
        state = '<td class="warn-text">paused: holds enough</td>'
    lag = "&ndash;" if each.lag is None else f"{each.lag:,}"
    return (
        f'<tr><td>{escape(str(each.id))}</td><td class="n">{lag}</td><td class="n wide">{each.in_flight_records:,}</td>'
        f'<td class="n wide">{each.buffered_records:,}</td><td class="n">{age}</td>{state}</tr>'
    )


def _dead_letters(refused: Sequence[Refused], wall_s: float) -> str:
    if not refused:
        return '<p class="soft">none</p>'
    rows = "".join(
        f'<tr><td>{each.reason.value}</td><td class="n">{each.records:,}</td>'
        f'<td class="n">{max(wall_s - each.last_at, 0):,.0f} s ago</td></tr>'
        for each in refused
    )
    head = (
        '<tr><th scope="col">Reason</th><th scope="col" class="n">Records</th><th scope="col" class="n">Last</th></tr>'
    )
    return f"<table>{head}{rows}</table>"
