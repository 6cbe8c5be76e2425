"""What a backfill says of the offsets that it was to deal with."""

from collections import Counter

import pytest

from processor.adapters.kafka.offsets import Stored
from processor.adapters.kafka.record_ranges import RecordRange
from processor.commands.backfill.account import BackfillAccount
from processor.commands.backfill.planning import BackfillPlan
from processor.commands.common.delivery import Delivery
from processor.commands.common.delivery_run import RunTerms
from processor.commands.common.terminal import Terminal
from processor.engine.notices import Settled
from processor.model.reasons import DeadLetterReason, FilterReason, Kind
from processor.model.records import OffsetRange, TopicPartition

HERE = TopicPartition("segment", 0)
TERMS = RunTerms({HERE: 20}, 1_000_000, 5, None, {"max_age": 100, "allow_stale": False})
PLAN = BackfillPlan(TERMS, {HERE: OffsetRange(8, 20)}, earlier=3, deleted_before_ms=0, ahead=1_234)


def account(selected: int, stored: int) -> BackfillAccount:
    """Return one of a process that came to an offset, and saw of ten records what became of them."""
    delivery = Delivery({HERE: RecordRange(20)})
    delivery.observe(
        Settled(
            Counter({Kind.EVENT: 7}),
            Counter({FilterReason.STALE: 2}),
            Counter({DeadLetterReason.MALFORMED: 1}),
            timestamps_ms=(),
        )
    )
    delivery.end({HERE: Stored(stored, "")})
    return BackfillAccount(selected, PLAN, delivery)


def test_an_account_balances_where_each_offset_has_its_end_or_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    """People read the same as machines, with what to do about each."""
    told = account(11, 19)
    told.show(Terminal())
    lines = [line.split(maxsplit=3) for line in capsys.readouterr().out.splitlines()]

    assert told.as_json() == {
        "selected": 11,
        "delivered": {"event": 7},
        "filtered": {"stale": 2},
        "dead_lettered": {"malformed": 1},
        "expired": 0,
        "missing": 0,
        "left": 1,
        "balances": True,
        "earlier": 3 + 12 - 11,
    }
    assert [line[0] for line in lines] == ["delivered:", "filtered:", "dead-lettered:", "left"]


def test_an_account_that_does_not_balance_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Another process had some of the partitions."""
    told = account(12, 20)
    told.show(Terminal())

    assert not told.balances
    assert "It does not balance" in capsys.readouterr().out


def test_a_plan_says_what_is_not_delivered() -> None:
    """And from when on an identify is stale: by the time at which the run began."""
    assert PLAN.stale_before_ms == 1_000_000 - 100_000
    assert PLAN.notes == [
        "The topic has deleted records of that time: only from 1970-01-01T00:00:00.000Z on does it hold all of them.",
        "1,234 more offsets of that time are the workers' to deliver: they come to them yet.",
    ]
    over = BackfillPlan(RunTerms({}, 1, 5, None, {"max_age": 1, "allow_stale": True}), {})
    assert over.stale_before_ms is None
    assert over.notes == ["It has ended before; --from-beginning delivers it once more."]
