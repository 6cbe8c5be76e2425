"""`redrive --to fullstory`: from the choice to the account; the worker itself does what is in between.

The dead-letter topic is the worker's source, in a group of the selection's own, and the group's commits hold its
journal. So what the worker promises of records holds of letters: batches, limits, retries, keys, and that whoever comes
after a crash goes on with what was begun (docs/adr/0026).
"""

import os
from dataclasses import replace

from processor.adapters.kafka.selected import unsettled
from processor.commands.common.beside import Beside
from processor.commands.common.delivery_run import DeliveryRun
from processor.commands.common.opened_topic import Opened
from processor.commands.redrive.account import DeliveryAccount
from processor.commands.redrive.choosing import chosen_of
from processor.commands.redrive.order import Order
from processor.commands.redrive.parking import park
from processor.commands.redrive.taking_up import ranges_of, take_up
from processor.model.records import OffsetRange
from processor.settings import load


async def delivered(opened: Opened, order: Order, beside: Beside) -> DeliveryAccount:
    """Deliver what is chosen; return what became of the letters.

    Raises `ConfigurationError`, `SourceError` and what schemas raise.
    """
    load(os.environ, opened.config)  # what is wrong with FullStory's settings is told before anything is read
    group = f"{opened.settings.kafka.group_id}.redrive.{order.selection}"
    with DeliveryRun(opened.kafka, group, opened.topic) as run:
        order, terms = take_up(run, opened.topic, order)
        ranges = ranges_of(run, opened.topic, order.wanted, terms)
        chosen, parked, choice = await chosen_of(opened, run.reader, order, ranges, run.reached)
        count = sum(each.count(OffsetRange(run.reached[id_], each.end)) for id_, each in chosen.items())
        order.agree(lambda: f"{count:,} letters of {opened.topic} are to be sent to FullStory.{order.repeats} Go on?")
        if order.parking is not None and any(each.offsets for each in parked.values()):
            name = f"{group}.parked"
            choice.parked = park(opened.kafka, order.parking, name, parked, begins_anew=order.begins_anew)
        run.begin()
        choice.sent = unsettled(chosen, run.committed())
        choice.selected += choice.sent
        choice.earlier += count - choice.sent
        beside = replace(beside, is_forced=order.permissions.is_forced)
        return DeliveryAccount(choice, await beside.deliver(opened, run, chosen, "redriving", "letters"))
