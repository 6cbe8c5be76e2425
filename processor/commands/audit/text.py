"""The account of an audit for people."""

from collections.abc import Mapping

from processor.commands.audit.account import AuditAccount, AuditGap, Column, LetterNotice, PartitionAudit
from processor.commands.audit.limits import limits_of
from processor.commands.common.terminal import BAD, DIM, DOUBTFUL, GOOD, NAME, TITLE, Style, Terminal
from processor.model.records import TopicPartition

GAPS: Mapping[AuditGap, str] = {
    AuditGap.NO_LETTER: "settled, refused by today's mapping, and no letter is there",
    AuditGap.NOT_BY_WORKER: "without a letter, and passed by an offset that no worker of the group set",
    AuditGap.DELETED: "offsets that Kafka deleted before the group passed them",
    AuditGap.BEYOND_END: "offsets that the group has passed and the topic does not have",
}
"""What each gap is."""

NOTICES: Mapping[LetterNotice, str] = {
    LetterNotice.REPEATED: "letters of a record that has another one, as a crash leaves them",
    LetterNotice.AHEAD: "letters of records that are pending: they are settled next, or are read again",
    LetterNotice.WITHOUT_RECORD: "letters in whose place the topic has no record: it was compacted away",
    LetterNotice.OF_ANOTHER_RECORD: "letters in whose place another record is: the topic was created anew",
    LetterNotice.OF_DELETED_RECORD: "letters of records that the topic no longer holds",
    LetterNotice.BEYOND_END: "letters of places that the topic does not have: it was created anew, or cut",
}
"""What each notice means."""

_PARTITION = 32
_NUMBER = 13
_SHOWN = 5


def show_account(account: AuditAccount, group: str, topic: str, terminal: Terminal) -> None:
    """Print it."""
    terminal.print((f"{group}: {account.columns.total():,} records, dead letters in {topic}", TITLE))
    terminal.print("")
    head = "".join(f"{each.value.replace('_', '-'):>{_NUMBER + 1}}" for each in Column)
    terminal.print((f"{'partition':<{_PARTITION}} {'committed':>{_NUMBER}} {'set by':<16}{head}", NAME))
    for at, each in account.partitions.items():
        _show_partition(at, each, terminal)
    terminal.print(f"{'all':<{_PARTITION}} {'':>{_NUMBER}} {'':<16}{_numbers(account.columns)}")
    _show_gaps(account, terminal)
    notices = account.notices
    for notice, said in NOTICES.items():
        if notices[notice]:
            terminal.print((f"{notices[notice]:>{_NUMBER},}  {said}", DIM))
    terminal.print("")
    terminal.print("What Kafka cannot tell:")
    for limit in limits_of(account):
        terminal.print(f"- {limit}")
    terminal.print("")
    verdict: tuple[str, Style] = ("balanced: every record is accounted for", GOOD)
    if not account.is_balanced:
        verdict = ("NOT balanced: see what is unaccounted for", BAD)
    terminal.print(verdict)


def _show_partition(at: TopicPartition, audit: PartitionAudit, terminal: Terminal) -> None:
    standing = audit.standing
    committed = f"{standing.offset:,}" if standing.is_of_topic else "-"
    line = f"{at!s:<{_PARTITION}} {committed:>{_NUMBER}} {standing.set_by:<16}{_numbers(audit.columns)}"
    terminal.print((line, BAD) if audit.gaps.total() else line)


def _numbers(columns: Mapping[Column, int]) -> str:
    return "".join(f" {columns[each]:>{_NUMBER},}" for each in Column)


def _show_gaps(account: AuditAccount, terminal: Terminal) -> None:
    gaps = account.gaps
    for gap, said in GAPS.items():
        if not gaps[gap]:
            continue
        terminal.print("")
        terminal.print((f"{gap}: {gaps[gap]:,} {said}", DOUBTFUL))
        for each in [each for each in account.examples if each.gap is gap][:_SHOWN]:
            terminal.print(f"  {each.partition} at {each.offset}, today: {each.today}")
