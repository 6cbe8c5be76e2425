"""What FullStory does on purpose, in words, and which of the demo's numbers come of it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from processor.commands.demo.rows import RETRIES
from processor.engine.verdict import RetryReason
from processor.model.reasons import DeadLetterReason
from processor.sandbox import Condition

CALM = "nothing goes wrong on purpose"

Explains = Callable[[Condition], bool]


def _named(*names: str) -> Explains:
    return lambda condition: condition.name in names


def _answers(lowest: int, highest: int) -> Explains:
    return lambda condition: condition.status is not None and lowest <= condition.status <= highest


def refuses_items(condition: Condition) -> bool:
    """Say whether items that are good are refused for good."""
    return condition.name == "item_failure_ratio" or condition.status == 400


OF_FULLSTORY = DeadLetterReason.REJECTED, DeadLetterReason.TOO_LARGE
"""Why records are dead-lettered that FullStory refuses."""

_OF_RETRIES: Mapping[RetryReason, Explains] = MappingProxyType(
    {
        RetryReason.THROTTLED: _answers(429, 429),
        RetryReason.SERVER_ERROR: _answers(500, 599),
        RetryReason.CONFLICT: _named("drop_after_ratio", "latency_s"),
        RetryReason.TIMEOUT: _named("latency_s"),
        RetryReason.CONNECTION: _named("drop_before_ratio", "drop_after_ratio"),
    }
)


def weather_in_words(conditions: Sequence[Condition], now: float) -> str:
    """Return what acts now; while something stops everything, nothing else does. `now` is in seconds since the epoch.

    Requests that are too large are no weather: the demo's FullStory always refuses them.
    """
    changing = [each for each in conditions if each.name != "max_body_bytes"]
    acting = [each for each in changing if each.is_total][:1] or changing
    return f"FullStory {'; '.join(_in_words(each, now) for each in acting)}" if acting else CALM


def _in_words(condition: Condition, now: float) -> str:
    if condition.until is None:
        return condition.text
    until = time.strftime("%H:%M:%S", time.localtime(condition.until))
    return f"{condition.text} until {until} ({max(condition.until - now, 0):.0f} s)"


def rejections_explained(dead_lettered: Counter[DeadLetterReason], conditions: Sequence[Condition]) -> Iterator[str]:
    """Say which good records were meant to be rejected."""
    reason = DeadLetterReason.REJECTED
    yield from _explained(dead_lettered[reason], reason, refuses_items, conditions)


def letters_explained(
    dead_lettered: Counter[DeadLetterReason], conditions: Sequence[Condition], spoiled: float
) -> Iterator[str]:
    """Say which dead letters were meant to be; `spoiled` is the share of the traffic that nobody could deliver."""
    yield from rejections_explained(dead_lettered, conditions)
    too_large = DeadLetterReason.TOO_LARGE
    yield from _explained(dead_lettered[too_large], too_large, _answers(413, 413), conditions)
    others = sum(count for reason, count in dead_lettered.items() if reason not in OF_FULLSTORY)
    if others:
        yield f"{others:,} with other reasons: {100 * spoiled:g} % of the traffic is spoiled on purpose"


def retries_explained(retries: Counter[RetryReason], conditions: Sequence[Condition]) -> Iterator[str]:
    """Say which requests were meant to be sent again."""
    for reason, explains in _OF_RETRIES.items():
        yield from _explained(retries[reason], RETRIES[reason], explains, conditions)


def _explained(count: int, name: str, explains: Explains, conditions: Sequence[Condition]) -> Iterator[str]:
    causes = dict.fromkeys(each.text for each in conditions if explains(each))
    if count and causes:
        yield f"{count:,} {name}: this FullStory {' and '.join(causes)} on purpose"
