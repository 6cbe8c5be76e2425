"""Mutations that more than one suite has to miss: each switches one protection of the engine off."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest

from processor.engine.partition import journal
from processor.engine.partition.journal import Journal
from processor.engine.partition.journal_format import JournalId, Range
from processor.engine.partition.next_batch import NextBatch
from processor.engine.partition.order import Turn, UserOrder
from processor.engine.partition.owner import Partition
from processor.engine.partition.range_queue import BatchLimits, RangeQueue
from processor.events.payload import WHOLE_RANGE


def no_wait_for_the_plan(patch: pytest.MonkeyPatch) -> None:
    """A POST goes out while its plan is on its way to Kafka."""
    patch.setattr(Journal, "covers", lambda _journal, _plan, _now: True)


def no_end_of_the_lease(patch: pytest.MonkeyPatch) -> None:
    """A plan that was acknowledged once may be POSTed for ever."""
    patch.setattr(Journal, "covers", lambda _journal, plan, _now: plan.acknowledged == plan.revision)


def no_recovery(patch: pytest.MonkeyPatch) -> None:
    """The journal is written, and nobody reads it."""

    def blank(_text: str, _owner: JournalId, _base: int) -> Sequence[Range]:
        return []

    patch.setattr(journal, "decode", blank)


def no_forced_boundaries(patch: pytest.MonkeyPatch) -> None:
    """What was planned is formed anew by the limits of the day."""
    patch.setattr("processor.engine.partition.next_batch.WHOLE_RANGE", replace(WHOLE_RANGE, max_records=3))


def a_linger_twice_as_long(patch: pytest.MonkeyPatch) -> None:
    """A batch that is not full waits for twice the time that was set."""
    due_at = RangeQueue.due_at

    def late(queue: RangeQueue, limits: BatchLimits) -> float | None:
        return due_at(queue, replace(limits, linger_s=2 * limits.linger_s))

    patch.setattr(RangeQueue, "due_at", late)


def no_wait_for_identifies(patch: pytest.MonkeyPatch) -> None:
    """Events are POSTed before the identifies of their users are accepted."""
    patch.setattr(UserOrder, "enter_events", lambda _order, _uids: Turn(is_apart=True))


def no_turns_of_users(patch: pytest.MonkeyPatch) -> None:
    """Two jobs hold one user at a time."""
    enter = UserOrder.enter_users

    def enter_users(order: UserOrder, uids: Collection[str], *, is_apart: bool) -> Turn:
        turn = enter(order, uids, is_apart=is_apart)
        turn.waits = 0
        return turn

    patch.setattr(UserOrder, "enter_users", enter_users)


def a_deletion_waits_for_nothing(patch: pytest.MonkeyPatch) -> None:
    """A user is deleted while events or identifies from before are on their way, which bring the user back."""
    enter = UserOrder.enter_deletion

    def enter_deletion(order: UserOrder, uid: str) -> Turn:
        turn = enter(order, uid)
        turn.waits = 0
        return turn

    patch.setattr(UserOrder, "enter_deletion", enter_deletion)


def kafka_is_not_told_of_a_deletion(patch: pytest.MonkeyPatch) -> None:
    """What comes after a deletion is sent when that is over, and whoever takes over deletes once more."""
    free = Partition.free

    def at_once(partition: Partition, turns: Sequence[Turn], *, is_untold: bool = False) -> None:
        del is_untold
        free(partition, turns)

    patch.setattr(Partition, "free", at_once)


def a_commit_beyond_what_is_open(patch: pytest.MonkeyPatch) -> None:
    """What is committed is the end of what was formed, settled or not."""
    patch.setattr(RangeQueue, "first_unsettled", property(lambda queue: queue.position))


def no_commit_past_markers(patch: pytest.MonkeyPatch) -> None:
    """What is committed is the end of the last batch, whatever follows that is no record."""
    begins_at = property(lambda queue: queue._open[0].range.start if queue._open else queue.position)
    patch.setattr(RangeQueue, "first_unsettled", begins_at)


def one_place_less(patch: pytest.MonkeyPatch) -> None:
    """Fewer batches of a partition overlap than the settings allow."""
    open_ranges = RangeQueue.open_ranges.fget  # type: ignore[attr-defined]
    patch.setattr(RangeQueue, "open_ranges", property(lambda each: open_ranges(each) + (open_ranges(each) > 0)))


def any_user_holds_up(patch: pytest.MonkeyPatch) -> None:
    """A batch grows while any identify is under way, whomever it is about."""
    patch.setattr(NextBatch, "_apart", lambda batch, _growing: ((), bool(batch._order._queues)))
