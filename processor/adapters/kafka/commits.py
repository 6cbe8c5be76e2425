"""Commits of offsets and metadata: one call at a time, each answered once. For the consumer's thread alone."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from processor.adapters.kafka.faults import said
from processor.adapters.kafka.offsets import Stored, committed, stored
from processor.adapters.kafka.patience import LOOK_S
from processor.engine.commits import FORGOTTEN, CommitFault
from processor.model.records import Commit, TopicPartition

COMMIT_DEADLINE_S = 30.0
"""A commit without an answer until then counts as unknown; the next one is made in its place."""

LAST_COMMIT_S = 5.0
"""For the last commit of partitions that go: the rest of the group waits for it."""

Told = Callable[[Mapping[TopicPartition, Commit], Mapping[TopicPartition, CommitFault]], None]
"""Told what a call committed, and where it failed."""


OF_ONE_TOPIC = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART})
"""The topic of a partition was deleted, or may not be read. The others of the call may be in order."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that awaits its answer."""

    commits: Mapping[TopicPartition, Commit]
    deadline: float
    refused: Mapping[TopicPartition, Commit] = field(default_factory=dict)
    """What was part of the call before, until the broker refused it."""
    detail: str = ""
    """Why."""


@final
class CommitCalls:
    """The consumer's commits. Whose the partitions are, the caller knows: the broker would take any."""

    def __init__(self, consumer: Consumer, tell: Told) -> None:
        self._consumer = consumer
        self._tell = tell
        self._sent: _Call | None = None
        self._given_up: list[dict[TopicPartition, Stored]] = []  # librdkafka answers them yet
        self._is_kept = False  # whether metadata was ever read back as it was committed

    def send(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Commit; `tell` is told of the answer, at once where there is nothing to commit."""
        self._send(_Call(commits, time.monotonic() + COMMIT_DEADLINE_S))

    def _send(self, call: _Call) -> None:
        self._sent = call
        if not call.commits:
            self._answer({})
            return
        try:
            self._consumer.commit(offsets=_offsets(call.commits), asynchronous=True)
        except KafkaException as error:
            self._answer_for_all(said(error))

    def judge(self, error: KafkaError | None, partitions: Sequence[KafkaPartition]) -> None:
        """Take an answer; one that came after its deadline is not taken for the next one's."""
        answered = stored(partitions)
        if answered in self._given_up:
            self._given_up.remove(answered)
        elif self._sent is not None and answered == _wanted(self._sent.commits):
            self._judge_sent(self._sent, error)

    def _judge_sent(self, call: _Call, error: KafkaError | None) -> None:
        if error is None:
            self._answer({} if self._is_kept else self._find_forgotten(call.commits))
        elif error.code() == KafkaError.OFFSET_METADATA_TOO_LARGE:
            self._find_too_large(call.commits, error)
        elif error.code() in OF_ONE_TOPIC and not call.refused:
            self._leave_out_refused(call, error)
        else:
            self._answer_for_all(error.str())

    def give_up_late(self) -> None:
        """Answer a call that the broker leaves without an answer."""
        if self._sent is not None and time.monotonic() > self._sent.deadline:
            self._given_up.append(_wanted(self._sent.commits))
            self._answer_for_all(f"no answer in {COMMIT_DEADLINE_S:.0f} s")

    def last(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Commit, and wait until the group says what it has, which it is asked in the same line; raise if that differs.

        A synchronous commit has no deadline: while the coordinator is away it waits for minutes. Where a commit is on
        its way already, and the connection breaks, librdkafka makes both again in order (tests/kafka/test_refusals.py).
        Between them the group has the first again, and keeps it where it refuses the second by then: whoever goes on
        from it knows all that was POSTed, for nothing is before its commit is acknowledged.
        """
        self._consumer.commit(offsets=_offsets(commits), asynchronous=True)
        if committed(self._consumer, commits, LAST_COMMIT_S) != _wanted(commits):
            raise KafkaException(KafkaError(KafkaError._FAIL, "the group has something else"))

    def _find_forgotten(self, commits: Mapping[TopicPartition, Commit]) -> dict[TopicPartition, CommitFault]:
        """Read the process's first metadata back: there are brokers that take any and return none (tansu 0.6, 2026-11).

        Nothing is to be sent there, for the next owner would not know of it. What cannot be read is looked at with the
        next commit.
        """
        told = {each: commit for each, commit in commits.items() if commit.metadata}
        try:
            found = committed(self._consumer, told, LOOK_S) if told else {}
        except KafkaException:
            return {}
        same = [each for each, kept in found.items() if kept.offset == told[each].offset]
        forgotten = [each for each in same if found[each].metadata != told[each].metadata]
        self._is_kept = bool(same) and not forgotten
        return dict.fromkeys(forgotten, CommitFault(FORGOTTEN, is_too_large=False, is_forgotten=True))

    def _find_too_large(self, commits: Mapping[TopicPartition, Commit], error: KafkaError) -> None:
        """Read back which commits were refused: librdkafka (2.16) gives the fault of one partition to all of the call.

        The others took effect, and in this epoch, for the broker looks at metadata after it has let the member in.
        """
        try:
            found = committed(self._consumer, commits, LOOK_S)
        except KafkaException:
            self._answer_for_all(error.str())
            return
        refused = [each for each, wanted in _wanted(commits).items() if found.get(each) != wanted]
        self._answer(dict.fromkeys(refused, CommitFault(error.str(), is_too_large=True)))

    def _leave_out_refused(self, call: _Call, error: KafkaError) -> None:
        """Commit the others again: librdkafka (2.16) gives the fault of one partition to all of the call.

        That the group has what was committed does not do: it may have it from before, of a member that it let in then.
        """
        try:
            told = self._consumer.committed([KafkaPartition(*each) for each in call.commits], timeout=LOOK_S)
        except KafkaException:
            told = []
        found = stored(each for each in told if not each.error)
        taken = {each for each, wanted in _wanted(call.commits).items() if found.get(each) == wanted}
        if not taken:
            self._answer_for_all(error.str())
            return
        refused = {each: commit for each, commit in call.commits.items() if each not in taken}
        others = {each: commit for each, commit in call.commits.items() if each in taken}
        self._send(_Call(others, call.deadline, refused, error.str()))

    def _answer_for_all(self, detail: str) -> None:
        if self._sent is not None:
            self._answer(dict.fromkeys(self._sent.commits, CommitFault(detail, is_too_large=False)))

    def _answer(self, faults: Mapping[TopicPartition, CommitFault]) -> None:
        sent, self._sent = self._sent, None
        if sent is not None:
            refused = dict.fromkeys(sent.refused, CommitFault(sent.detail, is_too_large=False))
            self._tell({**sent.commits, **sent.refused}, {**faults, **refused})


def _offsets(commits: Mapping[TopicPartition, Commit]) -> list[KafkaPartition]:
    return [KafkaPartition(*each, commit.offset, commit.metadata) for each, commit in commits.items()]


def _wanted(commits: Mapping[TopicPartition, Commit]) -> dict[TopicPartition, Stored]:
    return {each: Stored(commit.offset, commit.metadata) for each, commit in commits.items()}
