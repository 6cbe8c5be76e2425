"""The probe of the group: what only shows when a client joins and commits."""

from collections.abc import Iterator

from processor.adapters.kafka import probing
from processor.app.parts import kafka_settings
from processor.commands.check import findings
from processor.commands.check.findings import Found
from processor.model.errors import SourceError
from processor.model.records import TopicPartition
from processor.settings import Settings


def probe_group(settings: Settings) -> Iterator[Found]:
    """Join the group, and commit in a group beside it; blocks for as long as that takes."""
    kafka = kafka_settings(settings)
    try:
        if members := probing.members_of(kafka):
            yield Found(findings.GROUP_AT_WORK, f"{kafka.group_id}: members: {members}")
        elif (refusal := probing.refusal(kafka)) is None:
            yield Found(findings.GROUP_JOINED, kafka.group_id)
        else:
            yield Found(findings.GROUP_REFUSED, f"{kafka.group_id}: {refusal}")
        is_kept = probing.keeps_metadata(kafka, TopicPartition(kafka.topics[0], 0))
        yield Found(findings.GROUP_METADATA_KEPT if is_kept else findings.GROUP_METADATA_FORGOTTEN, kafka.group_id)
    except SourceError as error:
        yield Found(findings.GROUP_UNPROBED, str(error))
