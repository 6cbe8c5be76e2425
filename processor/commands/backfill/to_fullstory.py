"""`backfill`: from the plan to the account; the worker itself does what is in between (docs/adr/0029)."""

import os
from collections.abc import Callable
from dataclasses import replace

from processor.adapters.kafka.record_ranges import RecordRange
from processor.adapters.kafka.selected import SettledOffsets, unsettled
from processor.commands.backfill.account import BackfillAccount
from processor.commands.backfill.planning import BackfillOrder, BackfillPlan, planned, run_of
from processor.commands.common.beside import Beside
from processor.commands.common.delivery import Delivery
from processor.commands.common.opened_topic import Opened
from processor.settings import load


async def delivered_again(
    opened: Opened, order: BackfillOrder, beside: Beside, agree: Callable[[BackfillPlan], None]
) -> BackfillAccount:
    """Deliver what is planned if it is agreed to; return what became of it.

    Raises `ConfigurationError`, `SourceError` and what `planned` raises.
    """
    load(os.environ, opened.config)  # what is wrong with FullStory's settings is told before anything is read
    with run_of(opened, order) as run:
        plan = planned(run, opened, order)
        if not plan.left:
            return BackfillAccount(0, plan, Delivery({}))
        agree(plan)
        run.begin()
        stored = run.committed()
        ranges = {
            each: RecordRange(end, SettledOffsets.told_by(stored[each]).beyond) for each, end in plan.terms.ends.items()
        }
        selected = unsettled(ranges, stored)
        beside = replace(beside, stale_before_ms=plan.stale_before_ms)
        delivery = await beside.deliver(opened, run, ranges, "backfilling", "offsets")
        return BackfillAccount(selected, plan, delivery)
