"""Dead letters as they are read: what one tells of the record that it was, and which of many are meant.

Two kinds stand in such topics: those that `dead_letters` writes, and those of Kafka's share groups (KIP-1191), which
have the headers that begin with `__dlq.errors.` alone. What is absent or misspelt there is empty or None.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, final

from processor.events.dead_letters import (
    APP_VERSION,
    ATTEMPTS,
    DELIVERY_COUNT,
    DETAIL,
    FINGERPRINT,
    FIRST_ATTEMPT,
    GROUP,
    HTTP_STATUS,
    JOB_ID,
    LAST_ATTEMPT,
    MESSAGE,
    ORIGIN_OFFSET,
    ORIGIN_PARTITION,
    ORIGIN_TOPIC,
    ORIGINAL_TIMESTAMP,
    REASON,
    REDRIVE_COUNT,
    RETURN_BLOCK,
    redrive_count,
)
from processor.model.reasons import DeadLetterReason
from processor.model.records import NO_TIME, OffsetRange, Record

SHARE_GROUP = "share_group"
"""Of a letter that Kafka wrote for a share group: a consumer rejected the record, or too many tries failed."""

REASONS = (*(each.value for each in DeadLetterReason), SHARE_GROUP)
"""Every reason that a letter may have, unless another version wrote it."""

KAFKA_HEADERS = (ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, GROUP, DELIVERY_COUNT, MESSAGE)
"""Those of both kinds; Kafka leaves out the last two where it knows neither."""

OWN_HEADERS = (
    *(REASON, DETAIL, HTTP_STATUS, JOB_ID, ATTEMPTS, FIRST_ATTEMPT, LAST_ATTEMPT, APP_VERSION, FINGERPRINT),
    *(ORIGINAL_TIMESTAMP, REDRIVE_COUNT),
)
_ALL = frozenset((*KAFKA_HEADERS, *OWN_HEADERS))
_OF_KAFKA = frozenset(KAFKA_HEADERS)
_MAX_DIGITS = 19


class Letter(NamedTuple):
    """A dead letter; one exists for each of millions, so it is a tuple that reads its headers when it is asked."""

    record: Record
    """As it stands in the dead-letter topic; its timestamp is the time of writing."""
    told: Mapping[str, bytes | None]
    """What was added to the record's own headers."""

    @property
    def reason(self) -> str:
        """One of `REASONS`, or one of another version's."""
        return self.text(REASON) if REASON in self.told else SHARE_GROUP

    @property
    def detail(self) -> str:
        """What exactly was wrong, for people."""
        return self.text(DETAIL if REASON in self.told else MESSAGE)

    @property
    def topic(self) -> str:
        """Where the record came from; Kafka writes the topic's id where the topic is gone."""
        return self.text(ORIGIN_TOPIC)

    @property
    def partition(self) -> int | None:
        """The record's own partition."""
        return self._number(ORIGIN_PARTITION)

    @property
    def offset(self) -> int | None:
        """The record's own offset."""
        return self._number(ORIGIN_OFFSET)

    @property
    def origin(self) -> str:
        """The record's own place, for people."""
        partition, offset = (self.text(each) or "?" for each in (ORIGIN_PARTITION, ORIGIN_OFFSET))
        return f"{self.topic or '?'}[{partition}] at {offset}"

    @property
    def http_status(self) -> int | None:
        """What FullStory answered, where it did."""
        return self._number(HTTP_STATUS)

    @property
    def attempts(self) -> str:
        """How often delivery was tried; empty where Kafka did not know."""
        return self.text(ATTEMPTS) or self.text(DELIVERY_COUNT)

    @property
    def is_empty(self) -> bool:
        """Whether Kafka wrote only where the record is: a share group copies records if its settings say so."""
        return REASON not in self.told and self.record.key is None and self.record.value is None

    @property
    def redrives(self) -> str:
        """How often the record was brought back."""
        return redrive_count(self.record)

    @property
    def original(self) -> Record:
        """The record as it was: its own headers, also those of earlier letters, and its own timestamp.

        Its offset is the letter's, and so is the timestamp of a share group's, which Kafka does not keep.
        """
        headers = self.record.headers or []
        begin = len(headers) - len(self.told)
        is_in_order = headers[begin][0] == ORIGIN_TOPIC  # as both kinds are written: one block, behind the others
        own = headers[:begin] if is_in_order else [each for each in headers if each[0] not in self.told]
        timestamp_ms = self._number(ORIGINAL_TIMESTAMP)
        offset, written_ms, key, value, _ = self.record
        return Record(offset, written_ms if timestamp_ms is None else timestamp_ms, key, value, own or None)

    @property
    def brought_back(self) -> Record:
        """The record as `redrive` writes it: as it was, and counted up by a header behind its own."""
        original = self.original
        count = (REDRIVE_COUNT, str(int(self.redrives) + 1).encode())
        return original._replace(headers=[*(original.headers or ()), count])

    @property
    def returned(self) -> Record:
        """The record as it comes back without a topic in between: if it fails again, its letter has the same origin."""
        back = self.brought_back
        if not self.topic or self.partition is None or self.offset is None:
            return back  # nobody knows its origin: the letter itself is one
        headers = back.headers or []
        block = [(name, self.told.get(name)) for name in RETURN_BLOCK[:-1]]
        return back._replace(headers=[*headers[:-1], *block, *headers[-1:]])

    @property
    def parked(self) -> Record:
        """The letter as it is copied to another topic, where the time of writing is another one."""
        return self.record._replace(timestamp_ms=NO_TIME)

    def text(self, name: str) -> str:
        """Return what a header says; nothing where there is none."""
        return (self.told.get(name) or b"").decode(errors="replace")

    def _number(self, name: str) -> int | None:
        text = self.told.get(name) or b""
        is_number = text.removeprefix(b"-").isdigit() and len(text) <= _MAX_DIGITS
        return int(text) if is_number else None


def letter_of(record: Record) -> Letter | None:
    """Return the dead letter that a record is; None for any other record.

    Of several headers with one name the last counts. Which kind it is, its last headers say: the record may have been a
    letter of the other kind before.
    """
    headers = record.headers
    if not headers:
        return None
    block = headers[-len(_ALL) :]
    if block[0][0] == ORIGIN_TOPIC and block[-1][0] == REDRIVE_COUNT and len(told := dict(block)) == len(_ALL):
        return Letter(record, told)  # as `dead_letters` writes it: there may be millions
    last = next((name for name, _ in reversed(headers) if name in (REASON, ORIGIN_TOPIC)), None)
    if last is None:
        return None
    names = _ALL if last == REASON else _OF_KAFKA
    return Letter(record, {name: value for name, value in headers if name in names})


@final
@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters are meant: those that agree with all that is given here."""

    reasons: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    """Of FullStory's answer."""
    since_ms: int | None = None
    """The first time of writing."""
    until_ms: int | None = None
    """The time of writing before which they were written."""
    topic: str | None = None
    """Where the record came from, as are the next two."""
    partition: int | None = None
    offsets: OffsetRange | None = None
    key: bytes | None = None
    detail: re.Pattern[str] | None = None
    """Found anywhere in the detail."""

    def matches(self, letter: Letter) -> bool:
        """Say whether a letter is meant."""
        return self._is_of_time(letter.record.timestamp_ms) and self._is_of_place(letter) and self._is_of_fault(letter)

    def _is_of_time(self, written_ms: int) -> bool:
        return (self.since_ms is None or written_ms >= self.since_ms) and (
            self.until_ms is None or written_ms < self.until_ms
        )

    def _is_of_place(self, letter: Letter) -> bool:
        if self.topic is not None and letter.topic != self.topic:
            return False
        if self.partition is not None and letter.partition != self.partition:
            return False
        if self.offsets is not None:
            offset = letter.offset
            if offset is None or not self.offsets.start <= offset < self.offsets.end:
                return False
        return self.key is None or letter.record.key == self.key

    def _is_of_fault(self, letter: Letter) -> bool:
        if self.reasons and letter.reason not in self.reasons:
            return False
        if self.statuses and letter.http_status not in self.statuses:
            return False
        return self.detail is None or self.detail.search(letter.detail) is not None


EVERY = LetterFilter()
"""All letters are meant."""
