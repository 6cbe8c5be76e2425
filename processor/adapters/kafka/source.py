"""Kafka as a `Source`: one thread owns the consumer, and whatever it learns is told on the event loop.

Rules:

1. Only the consumer's thread touches the consumer: a call from another thread while one sits in `consume` hangs
   (confluent-kafka 2.16). The loop leaves commands; the thread carries them out between two calls of `consume`.
2. An epoch belongs to one assignment of one partition. Commands of an ended epoch are left out, records of a partition
   without an epoch are dropped. Both happen on the thread, where epochs begin and end: the broker takes commits of
   partitions that a member has lost, and `consume` may return what it had of them.
3. Before a partition goes, what is in flight is finished, then its offset is committed, then its epoch ends (in this
   order). A lost partition's epoch ends at once, and nothing is committed.
4. Inside of a callback nothing is called that serves callbacks itself or keeps state across one (`poll`, `consume`,
   `list_topics`, `close`): confluent-kafka 2.16 then forgets the call that it is in, and the next callback of that call
   aborts the process.
5. Whatever is assigned is paused until the loop resumes it. librdkafka may have asked for records before, for it pauses
   nothing that is not assigned yet; those it drops, but a gap it tells, once.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from typing import Any, cast, final

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from processor.adapters.kafka.commits import CommitCalls
from processor.adapters.kafka.config import LIBRDKAFKA_LOG, KafkaSettings, Login, consumer_config, refusals
from processor.adapters.kafka.described import Described
from processor.adapters.kafka.faults import ended, fatal, in_short, is_fatal, said
from processor.adapters.kafka.figures import figures
from processor.adapters.kafka.looks import LOOK_SOON_S, Looks, SourceFaults
from processor.adapters.kafka.messages import parted
from processor.adapters.kafka.offsets import Offsets, Start, named
from processor.adapters.kafka.tenures import Tenures
from processor.model.records import ClientFigures, Commit, TopicPartition, held_bytes
from processor.runtime.ports import Fetched, LoopWatch, SourceListener

CONSUME_RECORDS = 1_000
CONSUME_WAIT_S = 0.02
"""`consume` waits so long unless it has all the records it was asked for, and commands wait with it."""

REVOKE_MARGIN_S = 5.0
"""What the loop may take beyond the drain time before a partition goes without its word."""

JOIN_PATIENCE_S = 6.0
"""For a join that is under way when the source stops: the others hear of it by a heartbeat, every 3 s, and drain."""

UNSUBSCRIBE_S = 5.0
"""Leaving the group takes a round trip, beyond what is in flight."""

STOP_S = 25.0
"""For all of that together, where nothing else is said: without a broker the rest is given up."""

TOLD_THROTTLE_S = 1.0
"""Shorter ones are told by nothing but the bottleneck."""

GIVE_UP_S = 15.0
"""For leaving the group when the loop does not answer; then the process ends all the same."""


@final
class KafkaSource:
    """Records of the subscribed topics.

    `drain_s` is how long `SourceListener.revoking` may take, `stop_s` how long `stop` may, all in all. Where
    `watch` says that the loop is lost, the member leaves its group, which would wait for it as long as librdkafka sends
    heartbeats, and lets the watch end the process.
    """

    def __init__(
        self, settings: KafkaSettings, drain_s: float, stop_s: float = STOP_S, watch: LoopWatch | None = None
    ) -> None:
        self._settings = settings
        self._revoke_deadline_s = drain_s + REVOKE_MARGIN_S
        self._stop_s = stop_s
        self._watch = watch
        self._is_loop_lost = False
        self._commands: deque[Callable[[Consumer], None]] = deque()
        self._stopping = threading.Event()
        self._caught_up = threading.Event()
        self._polled_at = time.monotonic()
        self._figures = ClientFigures()
        self._handed_over = 0  # bytes; written by the thread
        self._taken_over = 0  # bytes; written by the loop
        self._listener: SourceListener
        self._loop: asyncio.AbstractEventLoop
        self._ended: asyncio.Future[None] | None = None
        # Of the consumer's thread alone:
        self._login = Login.of(settings.properties)
        self._described: Described
        self._offsets: Offsets
        self._tenures: Tenures
        self._looks: Looks
        self._commits: CommitCalls
        self._told_faults: SourceFaults = {}
        self._begin_at = float("-inf")  # when to ask where the group begins
        self._subscribed: tuple[str, ...] = ()
        self._is_cut_off = False  # while leaving: the group does not answer
        self._last_epoch = 0
        self._epochs: dict[TopicPartition, int] = {}
        self._positions: dict[TopicPartition, int] = {}  # the next offset to hand over
        self._arrived: dict[TopicPartition, Start] | None = None  # assigned and not told yet
        self._lost_offsets: set[TopicPartition] = set()  # assigned, and nobody knows where to begin

    # On the event loop

    @property
    def figures(self) -> ClientFigures:
        """What librdkafka last said of itself."""
        return self._figures

    @property
    def polled_at(self) -> float:
        """When the thread last turned to Kafka, on the monotonic clock."""
        return self._polled_at

    def start(self, listener: SourceListener) -> None:
        """Join the group, on a thread of its own; raise `ConfigurationError` for properties that librdkafka refuses."""
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        callbacks: dict[str, Callable[..., None]] = {
            "error_cb": self._on_error,
            "on_commit": self._on_commit,
            "stats_cb": self._on_statistics,
            "throttle_cb": self._on_throttle,
        }
        with refusals():
            consumer = Consumer(consumer_config(self._settings, **callbacks), logger=LIBRDKAFKA_LOG)
        self._described = Described(consumer, self._settings, self._stopping.wait, self._on_silence)
        self._offsets = Offsets(consumer, self._settings, self._described)
        self._tenures = Tenures(self._described, self._offsets)
        self._looks = Looks(self._settings, self._described, self._offsets, self._tenures)
        self._commits = CommitCalls(consumer, self._tell_committed)
        self._ended = self._loop.create_future()
        threading.Thread(target=self._run, args=(consumer,), name="kafka-consumer", daemon=True).start()

    def pause(self, epochs: Mapping[TopicPartition, int]) -> None:
        """Fetch no more of these; librdkafka drops what it has fetched ahead."""
        self._commands.append(lambda consumer: consumer.pause(self._current(epochs)))

    def resume(self, epochs: Mapping[TopicPartition, int]) -> None:
        """Fetch these again, at once."""
        self._commands.append(partial(self._resume, epochs))

    def seek(self, partition: TopicPartition, epoch: int, offset: int) -> None:
        """Go on from this offset."""
        self._commands.append(partial(self._seek, partition, epoch, offset))

    def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Commit what is still owned in its epoch when it is carried out."""
        wanted = dict(commits)
        self._commands.append(lambda _consumer: self._commits.send(self._still_owned(wanted)))

    def log_in(self, login: Login) -> None:
        """Use another login from the next connection on."""
        self._commands.append(partial(self._log_in, login))

    async def stop(self) -> None:
        """Leave the group; returns when the thread has ended, or when that takes too long."""
        self._stopping.set()
        if self._ended is not None:
            await asyncio.wait({self._ended}, timeout=self._stop_s)

    def _take_over(self, chunk: Sequence[Fetched], size: int) -> None:
        self._listener.fetched(chunk)
        self._taken_over += size
        self._caught_up.set()

    # On the consumer's thread

    def _run(self, consumer: Consumer) -> None:
        try:
            try:
                self._consume(consumer)
                self._leave(consumer)
            finally:
                consumer.close()
                self._described.close()
        except Exception as error:  # noqa: BLE001 - whatever it is, the process must not go on without a consumer
            self._tell(self._listener.failed, ended(error))
        finally:
            self._tell(self._end)
            if self._watch is not None and self._is_loop_lost:
                self._watch.end()

    def _end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _consume(self, consumer: Consumer) -> None:
        while not self._stopping.is_set() and not self._has_lost_the_loop():
            self._polled_at = time.monotonic()
            self._carry_out_commands(consumer)
            self._commits.give_up_late()
            if self._looks.is_due:
                self._look()
            if not self._subscribed and self._may_join():
                self._subscribe(consumer)
            if self._handed_over - self._taken_over > self._settings.queue_bytes:
                self._caught_up.wait(CONSUME_WAIT_S)
                self._caught_up.clear()
            else:
                self._tell_of(consumer.consume(CONSUME_RECORDS, CONSUME_WAIT_S))

    def _may_join(self) -> bool:
        """Say whether the group can be joined, and where it begins; until then the questions are asked again."""
        if time.monotonic() < self._begin_at:
            return False
        try:
            refusal = self._described.refusal()
            self._looks.hold(refusal)
            if refusal is not None:
                self._begin_at = time.monotonic() + LOOK_SOON_S
                return False
            self._offsets.begin()
        except KafkaException as error:
            self._looks.note(cast("KafkaError", error.args[0]))
            self._begin_at = time.monotonic() + LOOK_SOON_S
            return False
        return True

    def _subscribe(self, consumer: Consumer) -> None:
        self._subscribed = self._described.to_subscribe
        self._looks.subscribed()
        consumer.subscribe(
            list(self._subscribed), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _has_lost_the_loop(self) -> bool:
        """Whether to leave the group without the loop, commit nothing, and end the process.

        What is in flight is as if the process had been killed: the next owner carries it on. Should the loop wake up
        meanwhile, its leases have ended, and its commits are of ended epochs.
        """
        if self._watch is not None and self._watch.look():
            self._is_loop_lost = True
            late = threading.Timer(GIVE_UP_S, self._watch.end)  # a broker may stand still, too
            late.daemon = True
            late.start()
        return self._is_loop_lost

    def _leave(self, consumer: Consumer) -> None:
        """Leave the group, where `close` alone would leave a ghost for whom all others wait until its session ends.

        librdkafka (2.16) sends the coordinator nothing while a join awaits its answer, and gives up to leave after 5 s:
        any question waits in the same line, so its answer tells that the line is free. And `close` forgets to leave
        where a member of a cooperative group owns nothing, and answers no question during the last revoke: therefore
        `unsubscribe`.
        """
        if not consumer.memberid():
            return
        try:
            consumer.committed([KafkaPartition(self._settings.topics[0], 0)], timeout=JOIN_PATIENCE_S)
        except KafkaException:
            self._is_cut_off = True
        consumer.unsubscribe()
        deadline = time.monotonic() + UNSUBSCRIBE_S
        while self._is_member(consumer) and time.monotonic() < deadline:
            consumer.consume(CONSUME_RECORDS, CONSUME_WAIT_S)  # what comes is dropped, and was not committed

    def _is_member(self, consumer: Consumer) -> bool:
        """Whether anything is owned yet; a classic member has a name until it has said that it leaves."""
        return bool(self._epochs) or (self._settings.is_classic and bool(consumer.memberid()))

    def _look(self) -> None:
        """Look at what librdkafka does not tell, and act on it."""
        seen = self._looks.look({each: self._positions[each] for each in self._epochs}, self._subscribed)
        if seen.ends:
            self._tell(self._listener.ends, seen.ends)
        if seen.recreated:
            self._commands.append(partial(self._assign_anew, seen.recreated))
        if seen.is_subscription_old:
            self._commands.append(self._subscribe)
        if seen.is_member:
            self._arrived = self._arrived or {}
            self._tell_assigned()
        self._tell_faults()

    def _assign_anew(self, partitions: Sequence[TopicPartition], consumer: Consumer) -> None:
        """End the epochs of partitions whose topic was created anew, and begin others.

        What is in flight is of the topic before, or of an offset that the topic before had: it is finished, and nothing
        is committed. Kafka has deleted the group's offsets together with the topic, or holds what was committed since.
        """
        going = [each for each in partitions if each in self._epochs]
        if not going:
            return
        self._finish(going)
        self._end_epochs(going)
        starts = self._offsets.starts([KafkaPartition(*each) for each in going])
        self._positions |= dict.fromkeys(going, 0)
        self._reassign(consumer, going)
        consumer.pause([KafkaPartition(*each) for each in going])
        self._arrived = (self._arrived or {}) | starts

    def _tell_faults(self) -> None:
        """Tell what keeps the source from reading, where that has changed."""
        faults = self._looks.faults(self._lost_offsets)
        if faults != self._told_faults:
            self._told_faults = faults
            self._tell(self._listener.faults, faults)

    def _carry_out_commands(self, consumer: Consumer) -> None:
        while self._commands:
            command = self._commands.popleft()
            try:
                command(consumer)
            except KafkaException as error:
                self._tell(self._listener.trouble, f"Kafka's client refused a command: {said(error)}")

    def _tell_of(self, messages: Sequence[Any]) -> None:
        """Tell what came, then what was assigned meanwhile, of which no record can be among it, then the faults."""
        faults = self._hand_over(messages)
        self._tell_assigned()
        for message in faults:
            self._meet(message, message.error())

    def _hand_over(self, messages: Sequence[Any]) -> list[Any]:
        """Give records and ends to the loop, but not those of partitions that went in the meantime; return the rest.

        The messages are untyped because the stubs call everything optional that only error events lack.
        """
        found, others = parted(messages)
        ended = {
            TopicPartition(message.topic(), message.partition()): message.offset()
            for message in others
            if message.error().code() == KafkaError._PARTITION_EOF
        }
        chunk = [
            Fetched(partition, epoch, records, held_bytes(records))
            for partition, records in found.items()
            if (epoch := self._epochs.get(partition)) is not None
        ]
        if chunk or ended:
            self._looks.answered()
        if chunk:
            self._positions |= {part.id: part.records[-1].offset + 1 for part in chunk}
            size = sum(part.bytes for part in chunk)
            self._handed_over += size
            self._tell(self._take_over, chunk, size)
        if at_end := {each: offset for each, offset in ended.items() if each in self._epochs}:
            self._positions |= at_end  # librdkafka (2.16) goes on behind a marker, too, after a pause as well
            self._tell(self._listener.at_end, at_end)
        return [message for message in others if message.error().code() != KafkaError._PARTITION_EOF]

    def _meet(self, message: Message, error: KafkaError) -> None:
        """React to an event that came in a record's place."""
        if is_fatal(error):
            raise fatal(error)
        self._looks.note(error)
        partition = TopicPartition(message.topic() or "", message.partition() or 0)
        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED and partition in self._epochs:
            self._described.refused.add(partition.topic)
        if error.code() == KafkaError._AUTO_OFFSET_RESET and partition in self._epochs:
            self._meet_gap(partition)
        else:
            self._tell(self._listener.trouble, in_short(error.str()))

    def _meet_gap(self, partition: TopicPartition) -> None:
        """The position is not in the topic; perhaps it is one of a topic that was deleted since."""
        if recreated := self._tenures.recreated(self._epochs, self._described.topic_ids([partition.topic]), {}):
            self._commands.append(partial(self._assign_anew, recreated))
        else:
            available = self._offsets.available(partition)
            self._tell(self._listener.gap, partition, self._positions[partition], available)

    def _resume(self, epochs: Mapping[TopicPartition, int], consumer: Consumer) -> None:
        """Resume, and wake librdkafka up: it would look for these up to a second later (2.16, 2026-11).

        The thread of a broker of which all partitions were paused sleeps, and to resume one wakes nobody. Telling the
        login wakes all, be it the same one. A question to the broker would, too, but waits behind a fetch under way,
        and the consumer with it: 64 partitions then came to a third of their events a second.
        """
        consumer.resume(self._current(epochs))
        consumer.set_sasl_credentials(*self._login)

    def _log_in(self, login: Login, consumer: Consumer) -> None:
        self._login = login
        consumer.set_sasl_credentials(*login)
        self._described.log_in(login)

    def _seek(self, partition: TopicPartition, epoch: int, offset: int, consumer: Consumer) -> None:
        if self._epochs.get(partition) == epoch:
            self._positions[partition] = offset
            self._reassign(consumer, [partition])

    def _reassign(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Have their positions take effect: librdkafka refuses to seek where it has stopped to fetch."""
        if self._settings.is_incremental:
            places = _kafka_offsets({each: self._positions[each] for each in partitions})
            consumer.incremental_unassign(places)
            consumer.incremental_assign(places)
        else:
            consumer.assign(_kafka_offsets(self._positions))

    # Rebalances

    def _on_assign(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        if self._stopping.is_set():  # nothing is read of what goes back at once
            self._place(consumer, [KafkaPartition(each.topic, each.partition, OFFSET_END) for each in partitions])
            return
        starts = self._offsets.starts(partitions)
        positions = {each: start.offset for each, start in starts.items()}
        placed = _kafka_offsets(positions)
        self._place(consumer, placed)
        if placed:
            consumer.pause(placed)
        self._positions |= positions
        self._arrived = (self._arrived or {}) | starts

    def _place(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        if self._settings.is_incremental:
            consumer.incremental_assign(partitions)
        else:
            consumer.assign(partitions)

    def _tell_assigned(self) -> None:
        """Begin the epochs of what was assigned during the last `consume` and has not gone again."""
        if self._arrived is None:
            return
        arrived, self._arrived = self._arrived, None
        self._looks.joined()
        self._figures = self._figures._replace(answered_at=time.time())  # the first statistics come later
        ids = self._described.topic_ids({each.topic for each in arrived})
        session_s = self._described.session_s() if arrived else None
        self._lost_offsets.update(self._offsets.lost(self._tenures.of_the_same(arrived, ids), ids))
        begun = {each: start for each, start in arrived.items() if each not in self._lost_offsets}
        for each in begun:
            self._last_epoch += 1
            self._epochs[each] = self._last_epoch
        assignments = self._tenures.begin(begun, self._epochs, ids, session_s)
        self._tell(self._listener.assigned, assignments, self._described.partitions_in_topics())
        self._tell_faults()

    def _on_revoke(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        if commits := self._still_owned(self._finish(self._owned(partitions))):
            try:
                self._commit_last(commits)
            except KafkaException as error:
                self._tell(self._listener.trouble, f"the last commit of revoked partitions failed: {said(error)}")
        self._let_go(consumer, partitions)

    def _commit_last(self, commits: Mapping[TopicPartition, Commit]) -> None:
        if self._is_cut_off:
            raise KafkaException(KafkaError(KafkaError._WAIT_COORD))
        self._commits.last(commits)

    def _finish(self, going: list[TopicPartition]) -> dict[TopicPartition, Commit]:
        """Let the loop finish what is in flight of these partitions; return what to commit of them."""
        if not going or self._is_loop_lost or self._loop.is_closed():
            return {}
        finishing = asyncio.run_coroutine_threadsafe(self._listener.revoking(going), self._loop)
        try:
            return finishing.result(self._revoke_deadline_s)
        except (TimeoutError, CancelledError):
            finishing.cancel()
            self._tell(self._listener.lost, going)
            return {}

    def _on_lost(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        if going := self._owned(partitions):
            self._tell(self._listener.lost, going)
        self._let_go(consumer, partitions)

    def _let_go(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        gone = list(map(named, partitions))
        self._end_epochs(gone)
        self._lost_offsets.difference_update(gone)
        if self._settings.is_incremental:
            consumer.incremental_unassign(partitions)
        else:
            consumer.unassign()

    def _end_epochs(self, partitions: Sequence[TopicPartition]) -> None:
        for each in partitions:
            position = self._positions.pop(each, None)
            if self._epochs.pop(each, None) is not None and position is not None:
                self._tenures.end(each, position)
            if self._arrived is not None:
                self._arrived.pop(each, None)

    def _owned(self, partitions: list[KafkaPartition]) -> list[TopicPartition]:
        return [each for each in map(named, partitions) if each in self._epochs]

    def _still_owned(self, commits: Mapping[TopicPartition, Commit]) -> dict[TopicPartition, Commit]:
        return {each: commit for each, commit in commits.items() if self._epochs.get(each) == commit.epoch}

    def _current(self, epochs: Mapping[TopicPartition, int]) -> list[KafkaPartition]:
        return [KafkaPartition(*each) for each, epoch in epochs.items() if self._epochs.get(each) == epoch]

    # What librdkafka tells of itself

    def _on_commit(self, error: KafkaError | None, partitions: list[KafkaPartition]) -> None:
        self._commits.judge(error, partitions)

    def _tell_committed(
        self, commits: Mapping[TopicPartition, Commit], faults: Mapping[TopicPartition, object]
    ) -> None:
        for each in commits.keys() - faults.keys():
            self._offsets.remember(each, self._tenures.topic_id(each))
        self._tell(self._listener.committed, commits, faults)

    def _on_error(self, error: KafkaError) -> None:
        if is_fatal(error):
            self._tell(self._listener.failed, fatal(error))
        else:
            self._looks.note(error)
            self._tell(self._listener.trouble, in_short(error.str()))

    def _on_silence(self, fault: str) -> None:
        """Tell that an assignment waits for Kafka, which keeps the thread from looking at anything else."""
        self._looks.not_answered()
        self._tell_faults()
        self._tell(self._listener.trouble, f"Kafka has not told yet where to begin: {fault}")

    def _on_statistics(self, text: str) -> None:
        self._figures = figures(text, self._figures, self._epochs)
        self._looks.note_silent(self._figures.silent)
        self._looks.note_joining(self._figures.joining)

    def _on_throttle(self, event: Any) -> None:
        """Tell of a quota: a broker (Kafka 4.1) keeps its answers back for as long, a quarter of an hour if need be.

        The event is untyped because the stubs do not know what it has.
        """
        self._figures = self._figures._replace(throttled_until=time.time() + event.throttle_time)
        if event.throttle_time >= TOLD_THROTTLE_S:
            by = f"{event.broker_name} answers nothing for {event.throttle_time:.0f} s"
            self._tell(self._listener.trouble, f"{by}: a quota of the brokers limits this client")

    def _tell(self, what: Callable[..., None], *values: object) -> None:
        """Call on the event loop's thread, in the order of the calls here."""
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(self._call, what, values)

    def _call(self, what: Callable[..., None], values: Sequence[object]) -> None:
        try:
            what(*values)
        except Exception as error:  # noqa: BLE001 - a defect: in a callback of the loop nobody else would learn of it
            self._listener.failed(error)


def _kafka_offsets(offsets: Mapping[TopicPartition, int]) -> list[KafkaPartition]:
    return [KafkaPartition(each.topic, each.partition, offset) for each, offset in offsets.items()]
