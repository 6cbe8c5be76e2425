"""What became of the offsets of a backfill."""

from dataclasses import dataclass
from typing import Any, final

from processor.commands.backfill.planning import BackfillPlan
from processor.commands.common.delivery import Delivery, show_row
from processor.commands.common.terminal import BAD, Terminal


@final
@dataclass(frozen=True, slots=True)
class BackfillAccount:
    """Each offset is counted once."""

    selected: int
    """How many this process was to deal with."""
    plan: BackfillPlan
    delivery: Delivery

    @property
    def earlier(self) -> int:
        """How many processes before it have dealt with."""
        return self.plan.earlier + self.plan.left - self.selected

    @property
    def balances(self) -> bool:
        """Whether each offset has its end or is left."""
        done = self.delivery
        return self.selected == done.ended + done.expired + done.missing + done.left

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "selected": self.selected,
            **self.delivery.as_json(),
            "expired": self.delivery.expired,
            "missing": self.delivery.missing,
            "left": self.delivery.left,
            "balances": self.balances,
            "earlier": self.earlier,
        }

    def show(self, terminal: Terminal) -> None:
        """Print it for people."""
        done = self.delivery
        done.show(terminal)
        for what, count, why in (
            ("expired", done.expired, "deleted from the topic before they were read"),
            ("missing", done.missing, "offsets without a record, as compaction and transactions leave"),
            ("left", done.left, "it was stopped: the same command goes on"),
        ):
            if count:
                show_row(f"  {what}", count, why, terminal)
        if not self.balances:
            terminal.print(("It does not balance: most likely the same command ran a second time meanwhile.", BAD))
