"""`redrive --to fullstory`: from the choice to the account; the worker itself does what is in between.

The dead-letter topic is the worker's source, in a group of the selection's own, and the group's commits hold its
journal. So what the worker promises of records holds of letters: batches, limits, retries, keys, and that whoever comes
after a crash goes on with what was begun (docs/adr/0026).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

from processor.adapters.kafka.chosen_letters import unsettled
from processor.adapters.kafka.group_commits import GroupCommits
from processor.app.lane import Lane
from processor.commands.common.letter_topic import Opened
from processor.commands.redrive.choice import RedriveAccount
from processor.commands.redrive.choosing import chosen_of
from processor.commands.redrive.delivering import Delivery, deliver
from processor.commands.redrive.order import Order
from processor.commands.redrive.parking import park
from processor.commands.redrive.redrive_run import RedriveRun
from processor.settings import Settings, load


@final
@dataclass(frozen=True, slots=True)
class Beside:
    """How the worker of a redrive differs from the others."""

    pace: Lane
    port: int
    """Where metrics and probes are served; 0 for any that is free."""

    def of(self, settings: Settings, topic: str, group: str, *, is_forced: bool) -> Settings:
        """Return what this worker is to work with, by the settings of the others.

        Letters that expired meanwhile are no reason to stand still. Where the operator wants also what would fail, that
        most of it does is no news.
        """
        kafka = {
            "topics": (topic,),
            "redrive_topic": None,
            "group_id": group,
            "start": "earliest",
            "on_gap": "continue",
        }
        delivery = {"dead_letter_ratio": 1.0} if is_forced else {}
        return settings.model_copy(
            update={
                "kafka": settings.kafka.model_copy(update=kafka),
                "delivery": settings.delivery.model_copy(update=delivery),
                "http": settings.http.model_copy(update={"port": self.port}),
            }
        )


@final
@dataclass(frozen=True, slots=True)
class DeliveryAccount:
    """What became of the selected letters: each is counted once."""

    choice: RedriveAccount
    delivery: Delivery
    left: int
    """Where the process was told to stop before the end."""

    @property
    def balances(self) -> bool:
        """Whether each selected letter was skipped or sent, and each that was sent has its end or is left."""
        return self.choice.balances and self.choice.sent == self.delivery.ended + self.left

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            **self.choice.as_json(),
            "balances": self.balances,
            "delivered": _named(self.delivery.delivered),
            "filtered": _named(self.delivery.filtered),
            "dead_lettered": _named(self.delivery.dead_lettered),
            "expired": self.delivery.expired,
            "left": self.left,
        }


async def delivered(opened: Opened, order: Order, beside: Beside) -> DeliveryAccount:
    """Deliver what is chosen; return what became of the letters.

    Raises `ConfigurationError`, `SourceError` and what schemas raise.
    """
    load(os.environ, opened.config)  # what is wrong with FullStory's settings is told before anything is read
    group = f"{opened.settings.kafka.group_id}.redrive.{order.selection}"
    with (
        RedriveRun(opened.kafka, group, opened.topic) as run,
        GroupCommits(opened.kafka, opened.settings.kafka.consumed_topics) as workers,
    ):
        order = run.take_up(order)
        chosen, parked, choice = await chosen_of(opened, run.reader, order, run.ranges(order.wanted), run.reached)
        count = sum(each.count(run.reached[partition], each.end) for partition, each in chosen.items())
        order.agree(lambda: f"{count:,} letters of {opened.topic} are to be sent to FullStory.{order.repeats} Go on?")
        if order.parking is not None and any(each.offsets for each in parked.values()):
            name = f"{group}.parked"
            choice.parked = park(opened.kafka, order.parking, name, parked, begins_anew=order.begins_anew)
        run.begin()
        choice.sent = unsettled(chosen, run.committed())
        choice.selected += choice.sent
        choice.earlier += count - choice.sent

        def reload() -> Settings:
            settings = load(os.environ, opened.config)
            return beside.of(settings, opened.topic, group, is_forced=order.permissions.is_forced)

        delivery = Delivery(chosen)
        pace = replace(beside.pace, others=workers.metadata)
        await deliver(delivery, choice.sent, reload, run.has_ended, pace)
        return DeliveryAccount(choice, delivery, unsettled(chosen, run.committed()))


def _named(counts: Mapping[str, int]) -> dict[str, int]:
    return {str(name): count for name, count in counts.items() if count}
