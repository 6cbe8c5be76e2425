"""The order in which an audit reads: what is committed, then the letters, then the records.

The worker commits a record after its letter is acknowledged. So whatever workers do meanwhile, what was settled when
the audit began has its letter among those that are read after that.
"""

from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple

from processor.adapters.kafka.facts import ask
from processor.adapters.kafka.letters import for_all
from processor.adapters.kafka.reading import TopicReader
from processor.commands.audit.account import AuditAccount, PartitionAudit, Window
from processor.commands.audit.letter_places import LetterPlaces
from processor.commands.audit.reading_letters import read_into
from processor.commands.audit.standing import standing_of
from processor.commands.audit.today import Today
from processor.commands.common.letter_topic import Opened
from processor.commands.common.reading_progress import ReadingProgress
from processor.model.records import OffsetRange, TopicPartition


class Period(NamedTuple):
    """Records of this time are looked at, by Kafka's timestamps; None is without end."""

    since_ms: int | None = None
    until_ms: int | None = None


async def audited(opened: Opened, period: Period) -> AuditAccount:
    """Return the account; raise `SourceError`, and `RegistryUnavailableError` without which nothing can be said."""
    kafka, group = for_all(opened.kafka), opened.kafka.group_id
    cluster = ask(kafka)
    progress = ReadingProgress()
    with TopicReader(kafka) as reader:
        partitions = [each for topic in kafka.topics for each in reader.partitions(topic)]
        stored = reader.committed(partitions)
        places = {each: LetterPlaces() for each in partitions}
        letters = read_into(places, reader, opened.topic, group)
        windows = _windows(reader, reader.available(partitions), period)
        audits = {
            each: PartitionAudit(
                standing_of(stored[each], cluster.place(each, group), knows_topic=cluster.knows(each.topic)),
                windows[each],
                places[each],
            )
            for each in partitions
        }
        account = AuditAccount(audits, letters)
        progress.show(sum(each.wanted.end - each.wanted.start for each in windows.values()))
        async with opened.schemas() as schemas:
            today = Today(opened.settings.mapping.rules(), schemas)
            with closing(reader.batches({each: window.wanted for each, window in windows.items()})) as batches:
                for batch in batches:
                    await today.learn(record for _, record in batch.records)
                    for partition, record in batch.records:
                        account.add(partition, record, today.outcome_of)
                    progress.show(batch.left)
    progress.clear()
    account.close()
    return account


def _windows(
    reader: TopicReader, held: Mapping[TopicPartition, OffsetRange], period: Period
) -> dict[TopicPartition, Window]:
    """Return what is to be read of each partition: from its first record of the time on, up to the first one after."""
    starts = reader.at_time(held, period.since_ms) if period.since_ms is not None else {}
    ends = reader.at_time(held, period.until_ms) if period.until_ms is not None else {}

    def bound(partition: TopicPartition, told: Mapping[TopicPartition, int], default: int) -> int:
        """Return an offset within what is held; Kafka gives a negative one where no record is of the time."""
        start, end = held[partition]
        offset = told.get(partition, default)
        return end if offset < 0 else min(max(offset, start), end)

    windows = {}
    for each, (start, end) in held.items():
        first = bound(each, starts, start)
        windows[each] = Window(OffsetRange(first, max(bound(each, ends, end), first)), held[each])
    return windows
