"""The order in which an audit reads: what is committed, then the letters, then the records.

The worker commits a record after its letter is acknowledged. So whatever workers do meanwhile, what was settled when
the audit began has its letter among those that are read after that.
"""

from contextlib import closing
from typing import NamedTuple

from processor.adapters.kafka.facts import ask
from processor.adapters.kafka.letters import for_all
from processor.adapters.kafka.reading import TopicReader
from processor.commands.audit.account import AuditAccount, PartitionAudit, Window
from processor.commands.audit.letter_places import LetterPlaces
from processor.commands.audit.reading_letters import read_into
from processor.commands.common.opened_topic import Opened
from processor.commands.common.reading_progress import ReadingProgress
from processor.commands.common.standing import standings
from processor.commands.common.time_ranges import written_within
from processor.commands.common.today import Today


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
        found = standings(reader.committed(partitions), cluster, group)
        places = {each: LetterPlaces() for each in partitions}
        letters = read_into(places, reader, opened.topic, group)
        held = reader.available(partitions)
        wanted = written_within(reader, held, period.since_ms, period.until_ms)
        audits = {
            each: PartitionAudit(found[each], Window(wanted[each], held[each]), places[each]) for each in partitions
        }
        account = AuditAccount(audits, letters)
        progress.show(sum(each.end - each.start for each in wanted.values()))
        async with opened.schemas() as schemas:
            today = Today(opened.settings.mapping.rules(), schemas)
            with closing(reader.batches(wanted)) as batches:
                for batch in batches:
                    await today.learn(record for _, record in batch.records)
                    for partition, record in batch.records:
                        account.add(partition, record, today.outcome_of)
                    progress.show(batch.left)
    progress.clear()
    account.close()
    return account
