"""The phases of a batch's life, and how they are shown: a table, and a picture."""

from enum import StrEnum
from typing import Any

from bench.picture import Bar, Panel, picture


class Phase(StrEnum):
    """What a batch waits for, in the order in which that comes."""

    GATHERING = "gathering"
    SLOT = "slot"
    FORMING = "forming"
    TURN = "turn"
    PLAN = "plan"
    ADMISSION = "admission"
    ANSWER = "answer"
    JOB = "job"
    REST = "rest"
    LETTERS = "letters"
    EARLIER = "earlier"
    COMMIT = "commit"


MEANING = {
    Phase.GATHERING: "gathers records: until it is full, or its first one has lingered",
    Phase.SLOT: "waits until one more batch may go",
    Phase.FORMING: "is decoded, mapped and written as JSON",
    Phase.TURN: "waits for an earlier identify of one of its users",
    Phase.PLAN: "waits for the commit of its plan",
    Phase.ADMISSION: "waits for room among the requests",
    Phase.ANSWER: "waits for FullStory's answers",
    Phase.JOB: "waits for FullStory's jobs",
    Phase.REST: "waits before it is sent again",
    Phase.LETTERS: "waits for its dead letters",
    Phase.EARLIER: "is settled, and waits for earlier batches of its partition",
    Phase.COMMIT: "waits for the commit of its offset",
}
OURS = {Phase.FORMING}
THEIRS = {Phase.ANSWER, Phase.JOB, Phase.REST, Phase.LETTERS}
"""What others take their time for; of the rest, only the forming is work."""


def table(told: dict[str, Any]) -> str:
    """Return it as docs/performance.md shows it."""
    rows = ["| phase | a batch | mean | half of them | 90 % of them | share |", "|---|---|---|---|---|---|"]
    rows += [
        f"| {phase} | {MEANING[Phase(phase)]} | {found['mean_s'] * 1_000:,.0f} ms | {found['p50_s'] * 1_000:,.0f} ms "
        f"| {found['p90_s'] * 1_000:,.0f} ms | {found['share']:.1%} |"
        for phase, found in told["phases"].items()
    ]
    return "\n".join(rows)


def caption(told: dict[str, Any]) -> str:
    """Return what was measured, and how to repeat it."""
    where = f"on {told['machine']}, with a load of {told['load']:.1f} by other programs when it began"
    return (
        f"{told['batches']} batches of {told['events']:,} events, {where}; {told['events_per_s']:,} events per second, "
        f"one core used for {told['busy']:.0%}: `{told['command']}` ([result](results/life.json))."
    )


def drawn(told: dict[str, Any]) -> str:
    """Return the picture: the phases one after the other, as long as they are on average."""
    bars, begin = [], 0.0
    for phase, found in told["phases"].items():
        end = begin + found["mean_s"]
        of = Phase(phase)
        colour = "--one" if of in OURS else "--two" if of in THEIRS else "--three"
        bars.append(Bar(phase, colour, end, f"{found['mean_s'] * 1_000:,.0f} ms", begin))
        begin = end
    title = (
        "A batch on average, from its first record on: at work (blue), waiting for others (orange), waiting (violet)"
    )
    return picture(f"{told['batches']} batches of {told['events']:,} events", [Panel(title, bars)])
