"""What a run of a redrive or a backfill keeps until its end."""

from dataclasses import replace

import click
import pytest

from processor.adapters.kafka.offsets import Stored
from processor.commands.common.delivery_run import RunTerms
from processor.commands.redrive.choice import Permissions
from processor.commands.redrive.order import Order
from processor.commands.redrive.taking_up import resumed, terms_of
from processor.events.letters import LetterFilter
from processor.model.records import TopicPartition

FIRST, SECOND = TopicPartition("dlq", 0), TopicPartition("dlq", 1)
ORDER = Order(LetterFilter(since_ms=1_000), "abc", Permissions(5_000), None, begins_anew=False, is_agreed=True)
TERMS = terms_of(ORDER, {FIRST: 7, SECOND: 0})


def test_terms_are_read_as_it_was_marked() -> None:
    """Nothing is lost on the way through a commit."""
    marks = TERMS.marks()

    assert {each: stored.offset for each, stored in marks.items()} == {FIRST: 7, SECOND: 0}
    assert RunTerms.read(marks) == TERMS


def test_the_latest_run_counts() -> None:
    """One that read fewer partitions leaves what an earlier one has committed of the others."""
    later = terms_of(replace(ORDER, permissions=Permissions(6_000, is_forced=True)), {FIRST: 9})

    assert RunTerms.read({**TERMS.marks(), **later.marks()}) == later


@pytest.mark.parametrize("metadata", ["", "other", "[1]", '{"now_ms": 1}', '{"more": 1}'])
def test_what_is_no_terms_is_none(metadata: str) -> None:
    """Neither what was never committed, nor what another tool or another release has."""
    assert RunTerms.read({FIRST: Stored(3, metadata)}) is None
    assert RunTerms.read({FIRST: Stored(-1001, "")}) is None


def test_a_resumed_run_means_the_times_of_its_beginning() -> None:
    """However long it took until it was resumed: `2h` is what it was, and so is the age of a record."""
    later = replace(ORDER, wanted=LetterFilter(since_ms=2_000), permissions=Permissions(9_000))

    assert resumed(TERMS, later) == ORDER


def test_a_run_is_not_resumed_with_other_options() -> None:
    """They would choose other letters; those that changed are named."""
    with pytest.raises(click.UsageError, match=r"Otherwise than then: --force, --max-age$"):
        resumed(TERMS, replace(ORDER, permissions=Permissions(5_000, max_age_s=1, is_forced=True)))


@pytest.mark.parametrize(
    ("reached", "has_ended"), [({FIRST: 7, SECOND: 0}, True), ({FIRST: 9}, True), ({FIRST: 6}, False), ({}, False)]
)
def test_a_run_has_ended_where_every_partition_is_committed_to_its_end(
    reached: dict[TopicPartition, int], *, has_ended: bool
) -> None:
    """A partition without letters has nothing to commit."""
    assert TERMS.has_ended(reached) is has_ended
