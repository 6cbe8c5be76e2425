"""What an audit cannot prove, in words: Kafka knows what was committed and dead-lettered, not what FullStory has."""

from collections.abc import Iterator

from processor.commands.audit.account import AuditAccount

OF_DELIVERY = (
    "Whether FullStory has what counts as delivered: a worker committed that it is settled, today's mapping takes it, "
    "and it has no letter. A record that FullStory refused, and whose letter is gone, counts as delivered."
)
OF_OFFSETS = (
    "Who set earlier offsets: if a tool set the group's offset and a worker has committed since, what was skipped "
    "counts as delivered or filtered. So does what stood in the topic before the group began."
)
OF_MAPPING = (
    "How records were mapped then: with other settings or schemas since, a record that was delivered may count as "
    "filtered, or seem to lack a letter."
)
OF_LETTERS = (
    "Which letters there were: the dead-letter topic no longer holds its first offsets ({:,} in all). The letter of a "
    "record without one may have been among them."
)
OF_THE_PAST = (
    "What the group did where it has no offset of the topic: all records there count as pending, whether or not they "
    "were delivered before the offset was lost."
)


def limits_of(account: AuditAccount) -> Iterator[str]:
    """Give what this account does not prove."""
    yield from (OF_DELIVERY, OF_OFFSETS, OF_MAPPING)
    if deleted := account.letters.deleted:
        yield OF_LETTERS.format(deleted)
    if any(not each.standing.is_of_topic for each in account.partitions.values()):
        yield OF_THE_PAST
