"""The dead-letter topic: a letter is written when the broker says so, and only then."""

import asyncio
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self, cast, final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from processor.adapters.kafka.config import LIBRDKAFKA_LOG, KafkaSettings, Login, producer_config, refusals
from processor.adapters.kafka.faults import is_fatal
from processor.adapters.kafka.figures import figures
from processor.model.errors import ConfigurationError, DeadLetterError, WriteFault
from processor.model.records import ClientFigures, LetterPlace
from processor.runtime.ports import DeadLetter

SERVE_S = 0.1
"""How long the thread waits for delivery reports at a time."""

ON_THEIR_WAY_BYTES = 16 * 1024 * 1024
"""Of letters without an answer; a larger one goes when it is alone."""

FLUSH_S = 1.0
"""For letters on their way when the process ends; what is not acknowledged then is read and written again."""

_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_REFUSED = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.INVALID_RECORD,
        KafkaError.POLICY_VIOLATION,
    }
)


@final
class KafkaDeadLetters:
    """`DeadLetters` on an idempotent producer; made, entered, used and left on the event loop's thread.

    A thread of its own serves the delivery reports, which librdkafka only gives to whoever polls.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._figures = ClientFigures()
        self._producer = self._new_producer()
        self._broken: Producer | None = None  # by a fatal error, or without brokers: it writes nothing any more
        self._bytes = 0  # of letters on their way
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="dead-letters", daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)

    def log_in(self, login: Login) -> None:
        """Use another login from the next connection on."""
        self._settings = self._settings.with_login(login)
        self._producer.set_sasl_credentials(*login)

    async def write(self, letter: DeadLetter) -> LetterPlace | None:
        """Return when the broker has acknowledged the letter, with its place; raise `DeadLetterError` otherwise."""
        size = len(letter.value or b"") + len(letter.key or b"")
        if self._bytes and self._bytes + size > ON_THEIR_WAY_BYTES:
            raise DeadLetterError("too many dead letters are on their way", "retry")
        self._bytes += size
        try:
            return await self._write(letter, self._producer)
        finally:
            self._bytes -= size

    async def _write(self, letter: DeadLetter, producer: Producer) -> LetterPlace | None:
        loop = asyncio.get_running_loop()
        reported: asyncio.Future[KafkaError | LetterPlace | None] = loop.create_future()

        def report(fault: KafkaError | None, message: Message) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, reported, _place(message) if fault is None else fault)

        try:
            producer.produce(
                self._settings.dead_letter_topic,
                value=letter.value,
                key=letter.key,
                headers=letter.headers,  # type: ignore[arg-type]  # a header may be null, which the stubs forget
                on_delivery=report,
            )
        except BufferError:
            raise DeadLetterError("the producer's queue is full", "retry") from None
        except KafkaException as refusal:
            raise self._error(cast("KafkaError", refusal.args[0]), producer) from None
        told = await reported
        if isinstance(told, KafkaError):
            raise self._error(told, producer)
        return told

    def _error(self, fault: KafkaError, producer: Producer) -> DeadLetterError:
        if is_fatal(fault):
            self._broken = producer
        return DeadLetterError(_why(self._settings.dead_letter_topic, fault), _kind(fault))

    def _new_producer(self) -> Producer:
        with refusals():
            return Producer(producer_config(self._settings, stats_cb=self._on_statistics), logger=LIBRDKAFKA_LOG)

    def _on_statistics(self, text: str) -> None:
        """Replace a producer that has lost all brokers for good (`app.stranded` says how)."""
        self._figures = figures(text, self._figures)
        if self._figures.is_stranded:
            self._figures, self._broken = ClientFigures(), self._producer

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                self._producer.poll(SERVE_S)
            except (KafkaException, SystemError):  # a fatal error; with a delivery report in the same call, the latter
                self._broken = self._producer
            if self._broken is self._producer:
                with suppress(ConfigurationError):  # until it can be made, the broken one refuses every letter
                    self._replace(self._producer)
        self._producer.flush(FLUSH_S)

    def _replace(self, broken: Producer) -> None:
        """Take another producer; what the broken one held is reported as a fault, to be written again."""
        self._producer = self._new_producer()
        broken.purge()
        broken.flush(SERVE_S)


def _why(topic: str, fault: KafkaError) -> str:
    if fault.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
        return f"the dead-letter topic {topic} does not exist"
    if fault.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return f"the worker may not write to the dead-letter topic {topic}"
    return f"the dead-letter topic {topic} does not take a record ({fault.str()})"


def _kind(fault: KafkaError) -> WriteFault:
    if fault.code() in _TOO_LARGE:
        return "too_large"
    return "refused" if fault.code() in _REFUSED else "retry"


def _place(message: Message) -> LetterPlace | None:
    """Return where a letter is; a broker that finds that it has it already does not tell."""
    partition, offset = message.partition(), message.offset()
    return None if partition is None or offset is None or offset < 0 else LetterPlace(partition, offset)


def _resolve(reported: asyncio.Future[KafkaError | LetterPlace | None], told: KafkaError | LetterPlace | None) -> None:
    if not reported.done():
        reported.set_result(told)
