"""`backfill --dry-run`: what delivering records again would do."""

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, final

from processor.commands.backfill.planning import BackfillOrder, BackfillPlan, planned, run_of
from processor.commands.common.next_steps import NEXT_STEPS
from processor.commands.common.opened_topic import Opened
from processor.commands.common.reading_progress import ReadingProgress
from processor.commands.common.today import Today
from processor.events.timestamps import in_milliseconds, iso_of_ms
from processor.model.outcomes import Filtered, Outcome, Rejected
from processor.model.records import NO_TIME


class BackfillOutcome(NamedTuple):
    """What would become of a record."""

    fate: str
    what: str
    """The kind of what is delivered, else the reason."""

    @property
    def next_step(self) -> str:
        """What to do about it; nothing where it would be delivered."""
        return NEXT_STEPS.get(self.what, "")


def _told(outcome: Outcome) -> BackfillOutcome:
    match outcome:
        case Filtered():
            return BackfillOutcome("filtered", outcome.reason)
        case Rejected():
            return BackfillOutcome("dead-lettered", outcome.reason)
        case _:
            return BackfillOutcome("delivered", outcome.kind)


@final
@dataclass(frozen=True, slots=True)
class BackfillForecast:
    """Records by what would become of them."""

    plan: BackfillPlan
    outcomes: Counter[BackfillOutcome] = field(default_factory=Counter)
    times_ms: list[int] = field(default_factory=list)
    """Of the oldest and of the latest record, by Kafka's timestamps; empty where none has one."""

    @property
    def records(self) -> int:
        """How many there are."""
        return self.outcomes.total()

    @property
    def period(self) -> list[str | None]:
        """From when to when the records are."""
        return [iso_of_ms(in_milliseconds(each)) for each in self.times_ms]

    def note(self, times_ms: Iterable[int]) -> None:
        """Take note of records' timestamps."""
        seen = [*self.times_ms, *(each for each in times_ms if each != NO_TIME)]
        self.times_ms[:] = (min(seen), max(seen)) if seen else ()

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "dry_run": True,
            "records": self.records,
            "period": self.period,
            "deleted_before": None if (cut := self.plan.deleted_before_ms) is None else iso_of_ms(cut),
            "ahead": self.plan.ahead,
            "outcomes": [
                {"fate": each.fate, "what": each.what, "records": count, "next_step": each.next_step}
                for each, count in self.outcomes.most_common()
            ],
        }


async def forecast(opened: Opened, order: BackfillOrder) -> BackfillForecast:
    """Map each record as the worker would, and count the outcomes; raise what `planned` and what schemas raise."""
    progress = ReadingProgress()
    with run_of(opened, order) as run:
        found = BackfillForecast(plan := planned(run, opened, order))
        rules = replace(opened.settings.mapping.rules(), stale_before_ms=plan.stale_before_ms)
        progress.show(plan.left)
        async with opened.schemas() as schemas:
            today = Today(rules, schemas)
            with closing(run.reader.batches(plan.ranges)) as batches:
                for batch in batches:
                    await today.learn(record for _, record in batch.records)
                    found.outcomes.update(_told(today.outcome_of(record)) for _, record in batch.records)
                    found.note(record.timestamp_ms for _, record in batch.records)
                    progress.show(batch.left)
    progress.clear()
    return found
