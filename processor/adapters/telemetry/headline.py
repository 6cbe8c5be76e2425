"""The worker's state in one line: what is wrong, where, since when, and what to do; or that all is well."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from processor.adapters.telemetry.history import Trouble, Warned
from processor.engine.halts import ActiveHalt
from processor.engine.notices import WaitsFor
from processor.engine.partition.owner import SILENT_S
from processor.engine.service_health import Diagnosis, Symptom
from processor.engine.worker_state import WorkerState
from processor.model.reasons import OUTAGES, Bottleneck, HaltReason

PARTITIONS_NAMED = 5
"""A line names so many of them at most."""

LEAST_ERRORS = 3
"""So many of a kind in a row are worth a line at the top; the page lists fewer, too."""

RUNBOOK = "/runbook"
"""Where the worker serves docs/runbook.md."""

_HELD_BACK = {
    Bottleneck.DESTINATION: (
        "FullStory limits throughput, by its rate limit, its answers or its jobs. More workers do not help."
    ),
    Bottleneck.CPU: "The CPU limits throughput: more workers help, up to the number of partitions.",
    Bottleneck.KAFKA: "Kafka limits throughput: records or commits do not come fast enough.",
    Bottleneck.REGISTRY: "The schema registry limits throughput: a schema is missing.",
    Bottleneck.DEAD_LETTERS: "The dead-letter topic limits throughput: it does not take what is written.",
    Bottleneck.ORDER: (
        "The order of identifies limits throughput: later identifies of a user wait until FullStory has finished the "
        "earlier ones. More workers do not help."
    ),
    Bottleneck.MEMORY: (
        "The memory budget limits throughput: what it allows is on its way, and Kafka has more. Raise "
        "PROCESSOR_MEMORY__BUDGET_BYTES and the container's limit, or run more workers."
    ),
}

_ANCHORS = {Bottleneck.ORDER: "order-of-users"}

_SYMPTOMS = {
    Symptom.REFUSING: (
        "Throttled",
        "Nothing is lost. More workers do not help: ask FullStory for a higher limit, or send less.",
    ),
    Symptom.SLOW: (
        "Held back",
        (
            "Nothing is lost. More workers do not help; if it lasts, see FullStory's status page, and the network and "
            "proxies in between."
        ),
    ),
}

_UNREACHED = {
    WaitsFor.LEADER: (
        "No broker leads",
        "The brokers with their replicas are down: bring one of them back. Nothing is lost; other partitions continue.",
    ),
    WaitsFor.BROKER: (
        "The broker does not answer that leads",
        "Check it, and the network between it and this worker. Nothing is lost; other partitions continue.",
    ),
}


@dataclass(frozen=True, slots=True)
class HeadlineLine:
    """A sentence or several; `anchor` is the section of the runbook that tells more, "" where none does."""

    text: str
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Headline:
    """The state in a word, its tone (`good`, `warn` or `bad`), and lines, of which the first tells most."""

    state: str
    tone: str
    lines: Sequence[HeadlineLine]


def headline(
    state: WorkerState, warnings: Sequence[Warned], troubles: Sequence[Trouble], now: float, wall_s: float
) -> Headline:
    """Return the worker's state as of now; `now` is monotonic."""
    more = [_warning(each, wall_s) for each in warnings]
    errors = [] if state.halts or state.diagnosis else list(_errors(troubles, wall_s))  # which say it already
    title, tone, lines = _state(state, now, wall_s)
    if tone == "good" and more:
        return Headline(title, "warn", [*more, *lines, *errors])
    return Headline(title, tone, [*lines, *more, *errors])


def halt_anchor(reason: HaltReason) -> str:
    """Return the anchor of a halt in the runbook."""
    return f"halt-{reason.value}"


def moment(wall_s: float) -> str:
    """Return a point in time, as the page and `/readyz` write it."""
    return datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: float) -> str:
    """Return a duration in the two units that matter."""
    whole = round(max(seconds, 0.0))
    if whole < 120:
        return f"{whole} s"
    if whole < 7_200:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 172_800:
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def _state(state: WorkerState, now: float, wall_s: float) -> tuple[str, str, list[HeadlineLine]]:
    if state.is_draining:
        line = "The worker is shutting down. The next owner of its partitions continues what is in flight."
        return "Stopping", "warn", [HeadlineLine(line)]
    if state.halts:
        is_outage = not OUTAGES.isdisjoint(state.halts)
        return "Not delivering" if is_outage else "Halted", "bad", list(_halts(state, wall_s))
    if not state.has_joined:
        return "Joining", "warn", [HeadlineLine("The group has not assigned this worker its partitions yet.")]
    if any(each.unreached for each in state.partitions):
        return "Held back", "warn", list(_unreached(state, wall_s))
    if state.diagnosis is not None and state.diagnosis.symptom in _SYMPTOMS:
        return _slowed(state, state.diagnosis, now, wall_s)
    if state.bottleneck is not Bottleneck.NONE:
        text = _HELD_BACK[state.bottleneck]
        in_order = [str(each.id) for each in state.partitions if each.waits_for_users]
        if state.bottleneck is Bottleneck.ORDER and in_order:
            text += f" It is so in {named(in_order)}."
        return "Held back", "warn", [HeadlineLine(text, _ANCHORS.get(state.bottleneck, ""))]
    if not state.partitions:
        return "Spare", "good", [HeadlineLine("All is well. The other members of the group have all partitions.")]
    if any(each.buffered_records or each.in_flight_records for each in state.partitions):
        return "Delivering", "good", [HeadlineLine("Nothing limits throughput.")]
    return "Idle", "good", [HeadlineLine("Everything is delivered.")]


def named(each: Sequence[str]) -> str:
    """Return the first few of what may be many."""
    rest = len(each) - PARTITIONS_NAMED
    return ", ".join(each[:PARTITIONS_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _halts(state: WorkerState, wall_s: float) -> Iterator[HeadlineLine]:
    """Yield lines for each halt: what is away goes first, then the order of the list of reasons."""
    for reason in sorted(state.halts, key=lambda each: (each not in OUTAGES, list(HaltReason).index(each))):
        comfort = ["Nothing is lost."] if reason in OUTAGES else []
        if reason is HaltReason.FULLSTORY_UNAVAILABLE:
            comfort += _next_try(state)
        *lines, last = _faults(state.halts[reason], comfort, wall_s)
        yield from map(HeadlineLine, lines)
        yield HeadlineLine(last, halt_anchor(reason))


def _faults(halt: ActiveHalt, comfort: Sequence[str], wall_s: float) -> Iterator[str]:
    """Yield a line for each fault that is shown, and say only once what is done about those that ask for the same."""
    for action, group in groupby(halt.shown, key=lambda each: each.action):
        *causes, last = [f"{_since(each.cause, each.since, wall_s)}." for each in group]
        yield from causes
        yield " ".join([last, *comfort, action])
    if halt.unshown:
        yield f"And {halt.unshown} more of this kind."


def _slowed(state: WorkerState, diagnosis: Diagnosis, now: float, wall_s: float) -> tuple[str, str, list[HeadlineLine]]:
    title, advice = _SYMPTOMS[diagnosis.symptom]
    cause = _since(diagnosis.cause, wall_s - (now - diagnosis.since), wall_s)
    return (
        title,
        "warn",
        [HeadlineLine(" ".join([f"{cause}.", *_next_try(state), advice]), "segmentfullstorythrottled")],
    )


def _unreached(state: WorkerState, wall_s: float) -> Iterator[HeadlineLine]:
    """Yield a line for partitions of which a broker is missing, and name the brokers that say nothing."""
    silences = {node: wall_s - heard for node, heard in state.client.heard_from.items()}
    silent = [f"broker {node} for {duration(each)}" for node, each in sorted(silences.items()) if each > SILENT_S]
    said = f" Nothing has come from {named(silent)}." if silent else ""
    for what, (cause, action) in _UNREACHED.items():
        if found := [str(each.id) for each in state.partitions if each.unreached is what]:
            yield HeadlineLine(f"{cause} {named(found)}.{said} {action}", "segmentfullstorybrokeraway")


def _next_try(state: WorkerState) -> list[str]:
    return [] if state.next_try_s is None else [f"Next try in {duration(max(state.next_try_s, 1.0))}."]


def _since(cause: str, since: float, wall_s: float) -> str:
    """Begin like a sentence, unless the cause begins with a name in small letters, such as a topic's."""
    begins = cause[:1].upper() + cause[1:] if cause.split(" ", 1)[0].isalpha() else cause
    clock = moment(since) if wall_s - since > 86_400 else datetime.fromtimestamp(since, UTC).strftime("%H:%M:%S UTC")
    return f"{begins}, since {clock} ({duration(wall_s - since)})"


def _warning(each: Warned, wall_s: float) -> HeadlineLine:
    return HeadlineLine(f"{_since(each.cause, each.since, wall_s)}. {each.action}")


def _errors(troubles: Sequence[Trouble], wall_s: float) -> Iterator[HeadlineLine]:
    """Yield a line for what goes wrong again and again without stopping delivery as a whole."""
    for each in troubles:
        if each.causes.times >= LEAST_ERRORS and not each.is_over(wall_s):
            told = _since(f"{each.what}: {each.causes}", each.since, wall_s)
            yield HeadlineLine(f"{told}, {each.causes.times:,} times.")


def diagnosis_in_words(state: WorkerState, now: float, wall_s: float) -> dict[str, str] | None:
    """Return for machines that people read what is wrong with FullStory's answers as a whole; `now` is monotonic."""
    found = state.diagnosis
    return None if found is None else {"cause": found.cause, "since": _for_machines(wall_s - (now - found.since))}


def errors_in_words(troubles: Sequence[Trouble], wall_s: float) -> list[dict[str, Any]]:
    """Return errors for machines that people read: those of each kind that go on, the latest first."""
    return [
        {
            "of": each.what,
            "since": _for_machines(each.since),
            "last": _for_machines(each.last_at),
            "times": each.causes.times,
            "causes": each.causes.by_cause,
        }
        for each in troubles
        if not each.is_over(wall_s)
    ]


def held_up_in_words(state: WorkerState) -> dict[str, dict[str, Any]]:
    """Return the partitions that have been held up for longest, and by what, for machines that people read."""
    found = {str(each.id): each.blocked for each in state.partitions if each.blocked is not None}
    longest = sorted(found, key=lambda each: -found[each].age_s)[:PARTITIONS_NAMED]
    return {
        each: {"offset": found[each].offset, "waits_for": str(found[each]), "seconds": round(found[each].age_s)}
        for each in longest
    }


def halts_in_words(halts: Mapping[HaltReason, ActiveHalt]) -> dict[str, dict[str, Any]]:
    """Return halts for machines that people read: `faults` are the first ones, `count` is the number of all."""
    return {
        reason.value: {
            "cause": halt.cause,
            "since": _for_machines(halt.since),
            "action": halt.action,
            "runbook": f"{RUNBOOK}#{halt_anchor(reason)}",
            "count": len(halt.faults),
            "faults": [
                {"cause": each.cause, "since": _for_machines(each.since), "action": each.action} for each in halt.shown
            ],
        }
        for reason, halt in halts.items()
    }


def _for_machines(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="seconds")
