"""`redrive --to topic`: from the question to the account."""

from processor.adapters.kafka.letters import for_all
from processor.adapters.kafka.reading import TopicReader
from processor.adapters.kafka.redriving import TransactionalWriter, in_group
from processor.commands.common.learned_readers import LearnedReaders
from processor.commands.common.opened_topic import Opened
from processor.commands.redrive.bringing import Bringing, Target
from processor.commands.redrive.choice import Chooser, RedriveAccount
from processor.commands.redrive.order import Order, Ranges, split
from processor.commands.redrive.outcomes import Forecast
from processor.events.mapping import Mapping


async def brought_back(opened: Opened, order: Order, into: str) -> RedriveAccount:
    """Bring back what is chosen; return what became of the letters. Raises `SourceError` and what schemas raise."""
    name = f"{opened.settings.kafka.group_id}.redrive"
    kafka = in_group(for_all(opened.kafka), f"{name}.{order.selection}")
    async with opened.schemas() as schemas:
        learned = LearnedReaders(schemas)
        chooser = Chooser(Forecast(Mapping(opened.settings.mapping.rules()), learned.readers), order.permissions)
        with TopicReader(kafka) as reader:
            target = Target(into, len(reader.partitions(into)), order.parking, order.rate)
            # Only for who is asked: after a kill, what is committed is not told until the next line ends what is open.
            order.agree(lambda: _question(opened, order, into, split(reader, opened.topic, order)[1]))
            with TransactionalWriter(kafka, into, name) as writer:
                earlier, ranges = split(reader, opened.topic, order)  # what is committed holds still from now on
                bringing = Bringing(reader, writer, target, learned, chooser)
                bringing.pass_over(earlier, order.wanted)
                await bringing.bring(ranges, order.wanted)
    return bringing.account


def _question(opened: Opened, order: Order, into: str, ranges: Ranges) -> str:
    count = sum(held.end - held.start for held in ranges.values())
    others = f" Everything that reads {into} gets these records again."
    return (
        f"{count:,} offsets of {opened.topic} are to be read; the records of the letters chosen there are written to "
        f"{into}.{order.repeats}{'' if into == opened.settings.kafka.redrive_topic else others} Go on?"
    )
