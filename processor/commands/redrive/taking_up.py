"""Which run `redrive --to fullstory` goes on with, or begins, and what it reads to choose."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from processor.adapters.kafka.letters import letter_ranges
from processor.commands.common.delivery_run import DeliveryRun, RunTerms
from processor.commands.redrive.choice import Permissions
from processor.commands.redrive.order import Order, Ranges, split
from processor.events.letters import LetterFilter
from processor.model.records import OffsetRange, TopicPartition


def take_up(run: DeliveryRun, topic: str, order: Order) -> tuple[Order, RunTerms]:
    """Go on with the run that has not ended, or begin another; return the order as that run has it, and its terms."""
    terms = run.latest()
    if terms is not None and not order.begins_anew and not run.is_over(terms):
        run.resume(terms)
        return resumed(terms, order), terms
    _, left = split(run.reader, topic, order)
    terms = terms_of(order, {each: held.end for each, held in left.items()})
    run.start(terms, {each: held.start for each, held in left.items()})
    return order, terms


def terms_of(order: Order, ends: Mapping[TopicPartition, int]) -> RunTerms:
    """Return what a run that begins now and ends there keeps."""
    wanted, permissions = order.wanted, order.permissions
    return RunTerms(ends, permissions.now_ms, wanted.since_ms, wanted.until_ms, _allowed(permissions))


def resumed(terms: RunTerms, order: Order) -> Order:
    """Return the order as it was when the run began; raises `click.UsageError` if something else is allowed now."""
    terms.insist(_allowed(order.permissions))
    return replace(
        order,
        wanted=replace(order.wanted, since_ms=terms.since_ms, until_ms=terms.until_ms),
        permissions=replace(order.permissions, now_ms=terms.now_ms),
    )


def ranges_of(run: DeliveryRun, topic: str, wanted: LetterFilter, terms: RunTerms) -> Ranges:
    """Return what is to be read to choose: also what earlier runs have dealt with."""
    held = letter_ranges(run.reader, topic, wanted)
    starts = {each: min(held[each].start, end) if each in held else end for each, end in terms.ends.items()}
    return {each: OffsetRange(starts[each], end) for each, end in terms.ends.items()}


def _allowed(permissions: Permissions) -> dict[str, Any]:
    return {
        "max_count": permissions.max_count,
        "max_age": permissions.max_age_s,
        "force": permissions.is_forced,
        "allow_duplicates": permissions.allows_duplicates,
        "allow_stale": permissions.allows_stale,
    }
