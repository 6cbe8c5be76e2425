"""The worker's page: what it is doing, on one screen, without a word about anybody whose events these are.

Rendered here and shown as it is; where scripts run, it is fetched anew every two seconds. Style and script stand in the
page, allowed by their digests: nothing else is loaded and nothing else runs.
"""

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

from processor.adapters.telemetry.headline import RUNBOOK, HeadlineLine, duration, headline, moment
from processor.adapters.telemetry.history import STEP_S, STEPS, History, LastLetter, Refused, Step, Trouble, oldest_s
from processor.adapters.telemetry.metrics import Facts
from processor.engine.notices import WrittenLetter
from processor.engine.partition.state import PartitionState
from processor.engine.worker_state import WorkerState
from processor.model.reasons import HaltReason

SHOWN_PARTITIONS = 12
"""The most interesting ones; the others are folded."""

BAR_STEPS = 6
"""Of the past, in each bar of a reason's: half a minute."""

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

RUNBOOK_PAGE = Template(_OWN.joinpath("runbook_page.html").read_text(encoding="utf-8")).substitute(
    style=_STYLE, content=_OWN.joinpath("runbook.html").read_text(encoding="utf-8")
)
"""docs/runbook.md, so that whoever looks at a worker has it at hand."""

UNKNOWN = "&ndash;"


def render(state: WorkerState, history: History, facts: Facts, now: float, wall_s: float) -> str:
    """Return the page as of now, by the monotonic clock and by the other one."""
    steps = list(history.steps())
    top = headline(state, history.warnings(), history.troubles(), now, wall_s)
    return _PAGE.substitute(
        style=_STYLE,
        script=_SCRIPT,
        version=escape(facts.version),
        instance=escape(facts.instance),
        state=top.state,
        tone=top.tone,
        explanation=_line(top.lines[0]),
        more="".join(f"<p>{_line(each)}</p>" for each in top.lines[1:]),
        numbers=_numbers(state, facts, wall_s),
        account=_account(state, history),
        plots=_plots(steps, oldest_s(state, wall_s)),
        partitions=_partitions(state.partitions, wall_s),
        dead_letters=_dead_letters(history.refused(), steps, wall_s),
        letters=_letters(history.letters(), wall_s),
        errors=_errors(history.troubles(), wall_s),
        about=_about(history, facts, wall_s),
        time=moment(wall_s),
    )


def _line(line: HeadlineLine) -> str:
    link = f' <a href="{RUNBOOK}#{line.anchor}">Runbook</a>' if line.anchor else ""
    return escape(line.text) + link


def _numbers(state: WorkerState, facts: Facts, wall_s: float) -> str:
    lags = [each.lag for each in state.partitions if each.lag is not None]
    in_flight = sum(each.in_flight_records for each in state.partitions)
    paused = sum(each.is_paused for each in state.partitions)
    held, budget = state.bytes_held, facts.memory_budget_bytes
    rate = "no limit" if math.isinf(state.request_rate) else f"{state.request_rate:.1f}<small> per second</small>"
    is_connected = HaltReason.KAFKA_UNAVAILABLE not in state.halts
    trip_s = state.client.round_trip_s if is_connected else None
    pairs = [
        ("Lag", f"{sum(lags):,}<small> records</small>" if lags and is_connected else UNKNOWN),
        ("Oldest undelivered", duration(oldest_s(state, wall_s)) if in_flight else UNKNOWN),
        ("In flight", f"{in_flight:,}<small> records</small>"),
        ("Partitions", f"{len(state.partitions)}<small>, {paused} paused</small>"),
        ("Jobs in progress", f"{state.jobs_in_flight}<small> with {state.operations_in_flight:,} items</small>"),
        ("Requests at once", f"{state.concurrency_limit}<small> at most</small>"),
        ("Rate limit learned", rate),
        ("Memory held", f"{held / 2**20:.0f}<small> of {budget / 2**20:.0f} MiB</small>"),
        ("Round trip to Kafka", UNKNOWN if trip_s is None else f"{trip_s * 1_000:.0f}<small> ms</small>"),
    ]
    return _pairs(pairs)


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<div><dl><dt>{name}</dt><dd>{value}</dd></dl></div>" for name, value in pairs)


def _account(state: WorkerState, history: History) -> str:
    """Show the equation that always holds (law 12)."""
    totals = history.totals
    in_flight = sum(each.buffered_records + each.in_flight_records for each in state.partitions)
    parts = [
        ("consumed", totals.consumed, "="),
        ("delivered", totals.delivered, "+"),
        ("filtered", totals.filtered, "+"),
        ("dead-lettered", totals.dead_lettered, "+"),
        ("released", totals.released, "+"),
        ("in flight", in_flight, ""),
    ]
    return " ".join(f"<span><b>{count:,}</b> {name} {sign}</span>" for name, count, sign in parts)


def _about(history: History, facts: Facts, wall_s: float) -> str:
    key = history.key
    org = UNKNOWN if key is None else escape(key.org_id)
    level = UNKNOWN if key is None else escape(key.role.capitalize())
    mode = "" if key is None else f"<small> ({'batches' if key.is_batch else 'single requests'})</small>"
    pairs = [
        ("Topics", escape(", ".join(facts.topics))),
        ("Consumer group", escape(facts.group_id)),
        ("Instance", escape(facts.instance)),
        ("Started", f"{moment(facts.started_at)}<small>, {duration(wall_s - facts.started_at)} ago</small>"),
        ("FullStory", escape(facts.fullstory)),
        ("Organisation", org),
        ("Level of the key", level + mode),
        ("Mapping", escape(facts.mapping_fingerprint)),
    ]
    return _pairs(pairs)


def _errors(troubles: Sequence[Trouble], wall_s: float) -> str:
    if not troubles:
        return '<p class="soft">none</p>'
    rows = "".join(
        f'<tr><td>{escape(each.what)}<small class="soft"> {escape(str(each.causes))}</small></td>'
        f'<td class="n">{each.causes.times:,}</td><td class="n">{_lasts(each, wall_s)}</td>'
        f'<td class="n">{duration(wall_s - each.last_at)} ago</td></tr>'
        for each in troubles
    )
    columns = (("Error", ""), ("Times", "n"), ("For", "n"), ("Last", "n"))
    return _table(columns, rows)


def _lasts(trouble: Trouble, wall_s: float) -> str:
    return "over" if trouble.is_over(wall_s) else duration(wall_s - trouble.since)


def _plots(steps: Sequence[Step], oldest: float) -> str:
    """Draw the last quarter of an hour; the step that goes on is not shown, it would seem to be a drop."""
    past = steps[:-1]
    ages = [step.oldest_s for step in past]
    return (
        _plot("Delivered", "", [step.delivered / STEP_S for step in past], "per second")
        + _plot("Oldest undelivered record", "", [*ages[1:], oldest], "s old")
        + _plot("Dead-lettered", "dead", [step.dead_lettered.total() / STEP_S for step in past], "per second")
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
    shown = _partition_table(first, wall_s)
    return (
        f"{shown}<details><summary>{len(rest)} more</summary>{_partition_table(rest, wall_s)}</details>"
        if rest
        else shown
    )


def _partition_table(partitions: Iterable[PartitionState], wall_s: float) -> str:
    columns = (
        ("Partition", ""),
        ("Lag", "n"),
        ("In flight", "n wide"),
        ("Buffered", "n wide"),
        ("Oldest", "n"),
        ("State", ""),
    )
    return _table(columns, "".join(_row(each, wall_s) for each in partitions), "partitions")


def _table(columns: Sequence[tuple[str, str]], rows: str, kind: str = "") -> str:
    """Return a table of these rows; each column has a name and a class."""
    head = "".join(f'<th scope="col" class="{of}">{name}</th>' for name, of in columns)
    return f'<table class="{kind}"><tr>{head}</tr>{rows}</table>'


def _row(each: PartitionState, wall_s: float) -> str:
    oldest = each.oldest_unsettled_ms
    age = duration(wall_s - oldest / 1_000) if oldest and oldest > 0 else UNKNOWN
    state = "<td>reading</td>"
    if each.blocked is not None:
        state = (
            f'<td class="bad-text">offset {each.blocked.offset} waits for {escape(str(each.blocked))}, '
            f"for {duration(each.blocked.age_s)}</td>"
        )
    elif each.is_paused:
        state = '<td class="warn-text">paused: enough in memory</td>'
    lag = UNKNOWN if each.lag is None else f"{each.lag:,}"
    return (
        f'<tr><td>{escape(str(each.id))}</td><td class="n">{lag}</td><td class="n wide">{each.in_flight_records:,}</td>'
        f'<td class="n wide">{each.buffered_records:,}</td><td class="n">{age}</td>{state}</tr>'
    )


def _dead_letters(refused: Sequence[Refused], steps: Sequence[Step], wall_s: float) -> str:
    if not refused:
        return '<p class="soft">none</p>'
    rows = "".join(
        f"<tr><td>{each.reason.value}</td>"
        f'<td class="wide">{_bars(each.reason.value, [step.dead_lettered[each.reason] for step in steps])}</td>'
        f'<td class="n">{each.records:,}</td><td class="n">{duration(wall_s - each.last_at)} ago</td></tr>'
        for each in refused
    )
    columns = (("Reason", ""), ("Last 15 minutes", "wide"), ("Records", "n"), ("Last", "n"))
    return _table(columns, rows)


def _bars(reason: str, counts: Sequence[int]) -> str:
    """Draw how many records there were, a bar for each half minute; one that is not empty can be seen."""
    sums = [sum(counts[at : at + BAR_STEPS]) for at in range(0, STEPS, BAR_STEPS)]
    heights = [max(20 * count / max(sums), 2.0) if count else 0.0 for count in sums]
    bars = "".join(
        f'<rect x="{at * 10}" y="{20 - height:.1f}" width="8" height="{height:.1f}"/>'
        for at, height in enumerate(heights)
        if height
    )
    return (
        f'<svg class="bars" viewBox="0 0 {10 * len(sums)} 20" preserveAspectRatio="none" role="img" '
        f'aria-label="{reason}: {sum(sums):,} in the last 15 minutes">{bars}</svg>'
    )


def _letters(letters: Sequence[LastLetter], wall_s: float) -> str:
    """Show the last dead letters: of which records they are, and nothing of what those hold."""
    if not letters:
        return '<p class="soft">none</p>'
    rows = "".join(
        f'<tr><td>{each.letter.reason.value}<small class="soft"> {duration(wall_s - each.at)} ago</small></td>'
        f"<td>{escape(str(each.letter.source))} at {each.letter.offset}</td><td>{_commands(each.letter)}</td></tr>"
        for each in letters
    )
    return _table((("Reason", ""), ("Record", ""), ("Look at it, bring it back", "")), rows, "letters")


def _commands(letter: WrittenLetter) -> str:
    """Return the commands for a letter. Where it is, the broker may not have told: it is found by its record, too."""
    (topic, partition), offset = letter.source, letter.offset
    of_record = f"--source-topic {topic} --source-partition {partition} --source-offset {offset}"
    look = f"list {of_record}" if letter.place is None else f"show {letter.place}"
    commands = (f"dead-letters {look}", f"redrive --to topic {of_record}")
    return "".join(f"<code>segment-fullstory {escape(each)}</code>" for each in commands)
