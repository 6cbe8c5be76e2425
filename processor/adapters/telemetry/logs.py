"""Structured logs: one line for a change of state, none for a record, and repeats only now and then.

Nothing of an event is ever written: no traits, no keys, no ids of users. Tracebacks come without local variables,
which would hold them.
"""

import logging
import re
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, TextIO, final

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from processor.adapters.telemetry.headline import named
from processor.adapters.telemetry.memory import ACTION as MEMORY_ACTION
from processor.adapters.telemetry.outlet import Outlet
from processor.adapters.telemetry.repeats import QUIET_S, Repeats
from processor.engine.causes import MAX_CHARACTERS
from processor.engine.halts import SHOWN_FAULTS
from processor.engine.notices import (
    Answered,
    Begun,
    Built,
    Committed,
    Consumed,
    DeadLetterWrite,
    Gap,
    Halted,
    HeldInOrder,
    HeldUp,
    JobEnded,
    JobIsLate,
    JournalIgnored,
    JournalResumed,
    KeyKnown,
    MemoryIsShort,
    Notice,
    Rebalanced,
    Recreated,
    Redelivered,
    RegistryAsked,
    Released,
    Resumed,
    Retried,
    SchemaCacheTrouble,
    Settled,
    SourceTrouble,
    Throttled,
)
from processor.model.reasons import OUTAGES, ReleaseReason
from processor.model.records import TopicPartition
from processor.runtime.ports import Clock

Format = Literal["json", "console"]

OWN = "segment_fullstory"
"""The worker's own logger."""

KINDS = 200
"""Of the lines of a library that repeat, so many are told apart; beyond, all are one kind."""

CAUSES = 5
"""Of lines of one event and reason, so many causes are told apart; beyond, all are one kind."""

UNTOLD = (Consumed, Built, Answered, JobEnded)
"""Notices of the ordinary course of things: metrics count them."""


@contextmanager
def logging_to(
    stream: TextIO | Outlet, level: str, format_: Format, monotonic: Callable[[], float] = time.monotonic
) -> Iterator[FilteringBoundLogger]:
    """Send the worker's logs and those of its libraries to the stream until the end of the `with`."""
    handler = LineWriter(stream, monotonic)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_FOREIGN,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(format_)],
        )
    )
    root = logging.getLogger()
    previous = root.level
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    try:
        yield structlog.wrap_logger(
            logging.getLogger(OWN),
            processors=[*_CONTEXT, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
            wrapper_class=structlog.make_filtering_bound_logger(level),
        )
    finally:
        handler.catch_up(everything=True)
        logging.captureWarnings(capture=False)
        root.setLevel(previous)
        root.removeHandler(handler)


@final
class LineWriter(logging.StreamHandler[TextIO | Outlet]):
    """Writes lines, for any thread; of libraries, a repeat only now and then.

    A library may write as much as somebody else makes it: asyncio 128 lines a second while it has no descriptor for a
    connection, aiohttp one for each request that is none. The worker's own lines hold their repeats back themselves,
    and lines of debugging were asked for.
    """

    def __init__(self, stream: TextIO | Outlet, monotonic: Callable[[], float]) -> None:
        super().__init__(stream)
        if isinstance(stream, Outlet):
            stream.note = self.note
            self.lock = stream.lock  # two would be taken in either order where a finalizer logs, in whatever thread
        self._repeats: Repeats[logging.LogRecord] = Repeats(monotonic, KINDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or hold it back."""
        if record.name == OWN or record.levelno <= logging.DEBUG:
            super().emit(record)
            return
        self.catch_up()
        if self._repeats.is_first(record.name, _kind(record), record):
            super().emit(record)
        else:
            record.exc_info = None  # it would keep all that the frames hold

    def catch_up(self, *, everything: bool = False) -> None:
        """Write what was held back for long enough; to be called now and then."""
        with self.lock or nullcontext():
            for record, suppressed in self._repeats.due(everything=everything):
                record.suppressed = suppressed
                super().emit(record)

    def note(self, lines: int) -> str:
        """Return the line that tells of lost ones."""
        fields = {"name": OWN, "levelno": logging.WARNING, "levelname": "WARNING"}
        return self.format(logging.makeLogRecord({**fields, "msg": "log lines lost", "lines": lines})) + "\n"


def _kind(record: logging.LogRecord) -> Hashable:
    """Return what repeats of a library's line have in common: the text of the call, but for numbers, and the error.

    Where that text holds nothing but places for others, as librdkafka's and that of warnings do, the whole line counts.
    """
    text = str(record.msg)
    if not _WORD.search(_PLACE.sub("", text)):
        text = record.getMessage()
    error = record.exc_info[0] if record.exc_info else None
    return record.levelno, _NUMBER.sub("#", text.partition("\n")[0]), error


_PLACE = re.compile(r"%[^a-zA-Z%]*[a-zA-Z]")
_WORD = re.compile(r"[a-zA-Z]")
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


def line_writer() -> LineWriter | None:
    """Return what writes this process' lines; None where nothing was set up."""
    return next((each for each in logging.getLogger().handlers if isinstance(each, LineWriter)), None)


_CONTEXT: Sequence[Processor] = (
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
_FOREIGN: Sequence[Processor] = (*_CONTEXT, structlog.stdlib.ExtraAdder(allow=("lines", "suppressed")))
"""Of lines that do not come through structlog: of libraries, and about lines."""


def _rendering(format_: Format) -> list[Processor]:
    if format_ == "console":
        return [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


@final
@dataclass(frozen=True, slots=True)
class _Line:
    level: int
    event: str
    fields: Mapping[str, Any]


@final
class LogObserver:
    """An `Observer` that writes lines; for the event loop's thread."""

    def __init__(self, log: FilteringBoundLogger, clock: Clock, quiet_s: float = QUIET_S) -> None:
        self._log = log
        self._repeats = Repeats(clock.monotonic, CAUSES, quiet_s, _joined)
        self._on: Mapping[type[Notice], Callable[[Any], None]] = {
            Rebalanced: self._rebalanced,
            Begun: self._begun,
            Halted: self._halted,
            Resumed: self._resumed,
            KeyKnown: self._key_known,
            JournalResumed: self._journal_resumed,
            JournalIgnored: self._journal_ignored,
            Gap: self._gap,
            Recreated: self._recreated,
            JobIsLate: self._job_is_late,
            HeldUp: self._held_up,
            HeldInOrder: self._held_in_order,
            MemoryIsShort: self._memory_is_short,
            Redelivered: self._redelivered,
            Released: self._released,
            SchemaCacheTrouble: self._schema_cache_trouble,
            SourceTrouble: self._source_trouble,
            Committed: self._committed,
            DeadLetterWrite: self._dead_letter_write,
            RegistryAsked: self._registry_asked,
            Settled: self._settled,
            Retried: self._retried,
            Throttled: self._throttled,
        }

    def __call__(self, notice: Notice) -> None:
        """Write what the notice tells, and what was held back for long enough."""
        if self._repeats:
            self._catch_up()
        if not isinstance(notice, UNTOLD):
            self._on[type(notice)](notice)

    # Changes of state: each is a line

    def _rebalanced(self, notice: Rebalanced) -> None:
        level = logging.WARNING if notice.kind == "lost" else logging.INFO
        self._say(level, f"partitions {notice.kind}", partitions=_by_topic(notice.partitions))

    def _begun(self, notice: Begun) -> None:
        self._say(logging.INFO, "partitions begin", partitions=_by_topic(notice.partitions))

    def _halted(self, notice: Halted) -> None:
        """Write a line for each of the first places where delivery stands still; more of them are repeats."""
        fields: dict[str, Any] = {"reason": notice.reason.value, "cause": notice.cause, "action": notice.action}
        fields |= {"places": notice.places} if notice.places > 1 else {}
        if notice.reason in OUTAGES:
            self._say(logging.WARNING, "not delivering", **fields)
        elif notice.places <= SHOWN_FAULTS:
            self._say(logging.ERROR, "delivery halted", **fields)
        else:
            self._repeat(logging.ERROR, "delivery halted", **fields)

    def _resumed(self, notice: Resumed) -> None:
        fields = {"reason": notice.reason.value, "seconds": round(notice.lasted_s)}
        if not notice.is_cured:
            self._say(logging.INFO, "halt handed over", **fields)
        elif notice.reason in OUTAGES:
            self._say(logging.INFO, "delivering again", **fields)
        else:
            self._say(logging.INFO, "delivery resumed", **fields)

    def _key_known(self, notice: KeyKnown) -> None:
        mode = "batch" if notice.is_batch else "single"
        self._say(logging.INFO, "the key is known", org=notice.org_id, role=notice.role, mode=mode)

    def _journal_resumed(self, notice: JournalResumed) -> None:
        self._say(logging.INFO, "journal resumed", **{str(part): count for part, count in notice.parts.items()})

    def _journal_ignored(self, notice: JournalIgnored) -> None:
        sent = {"perhaps_sent": notice.perhaps_sent} if notice.perhaps_sent else {}
        self._say(logging.WARNING, "journal ignored", partition=str(notice.partition), reason=notice.fault, **sent)

    def _gap(self, notice: Gap) -> None:
        self._say(logging.ERROR, "records lost to retention", partition=str(notice.partition), records=notice.records)

    def _recreated(self, notice: Recreated) -> None:
        self._say(logging.ERROR, "topic was recreated", partition=str(notice.partition), committed=notice.position)

    def _job_is_late(self, notice: JobIsLate) -> None:
        self._say(
            logging.WARNING,
            "job is late",
            partition=notice.where,
            kind=notice.kind.value,
            job=notice.job_id,
            seconds=round(notice.age_s),
        )

    def _held_up(self, notice: HeldUp) -> None:
        self._say(
            logging.WARNING,
            "partition held up",
            partition=str(notice.partition),
            offset=notice.offset,
            waits_for=notice.waits_for,
            seconds=round(notice.age_s),
        )

    def _held_in_order(self, notice: HeldInOrder) -> None:
        self._say(
            logging.WARNING,
            "order of users limits throughput",
            partitions=named([str(each) for each in notice.partitions]),
        )

    def _memory_is_short(self, notice: MemoryIsShort) -> None:
        self._say(
            logging.WARNING,
            "memory is short",
            resident_bytes=notice.resident_bytes,
            limit_bytes=notice.limit_bytes,
            action=MEMORY_ACTION,
        )

    def _released(self, notice: Released) -> None:
        level = logging.WARNING if notice.reason is ReleaseReason.LOST else logging.INFO
        self._say(level, "records released", reason=notice.reason.value, records=notice.records)

    # What repeats: a line now and then

    def _redelivered(self, notice: Redelivered) -> None:
        self._repeat(logging.WARNING, "records redelivered", "", records=notice.records)

    def _schema_cache_trouble(self, notice: SchemaCacheTrouble) -> None:
        if notice.detail:
            self._repeat(logging.WARNING, "schema cache trouble", "", notice.detail)

    def _source_trouble(self, notice: SourceTrouble) -> None:
        self._repeat(logging.WARNING, "kafka trouble", "", notice.detail)

    def _committed(self, notice: Committed) -> None:
        if notice.outcome != "ok":
            self._repeat(logging.WARNING, "commit failed", "", notice.detail, partitions=notice.partitions)

    def _dead_letter_write(self, notice: DeadLetterWrite) -> None:
        if notice.outcome != "ok":
            self._repeat(logging.WARNING, "dead letter not written", notice.outcome, notice.detail)

    def _registry_asked(self, notice: RegistryAsked) -> None:
        if notice.outcome == "unavailable":
            self._repeat(logging.WARNING, "schema registry trouble", "", notice.detail)

    def _settled(self, notice: Settled) -> None:
        for reason, records in notice.dead_lettered.items():
            self._repeat(logging.WARNING, "records dead-lettered", reason.value, records=records)

    def _retried(self, notice: Retried) -> None:
        fields = {"call": notice.call} | ({"status": notice.status} if notice.status else {})
        self._repeat(logging.WARNING, "request retried", notice.reason.value, notice.detail, **fields)

    def _throttled(self, notice: Throttled) -> None:
        self._repeat(logging.INFO, "fullstory asks to wait", "", seconds=round(notice.seconds, 3))

    def _repeat(self, level: int, event: str, reason: str, detail: str = "", **fields: Any) -> None:
        """Write the line, unless one of its event, reason and cause was written lately: a new cause is told at once."""
        told = {"reason": reason, "detail": detail[:MAX_CHARACTERS]}
        line = _Line(level, event, {name: text for name, text in told.items() if text} | fields)
        cause = (_NUMBER.sub("#", detail), fields.get("call"), fields.get("status"))
        if self._repeats.is_first((event, reason), cause, line):
            self._say(level, event, **line.fields)

    def _catch_up(self) -> None:
        """Write what was held back and is due: the last of each kind, how many more there were, all their records."""
        for line, suppressed in self._repeats.due():
            self._say(line.level, line.event, **line.fields, suppressed=suppressed)

    def _say(self, level: int, event: str, **fields: Any) -> None:
        self._log.log(level, event, **fields)


def _joined(held: _Line, line: _Line) -> _Line:
    if "records" not in line.fields:
        return line
    return replace(line, fields={**line.fields, "records": held.fields["records"] + line.fields["records"]})


def _by_topic(partitions: Sequence[TopicPartition]) -> dict[str, list[int]]:
    topics: dict[str, list[int]] = {}
    for each in sorted(partitions):
        topics.setdefault(each.topic, []).append(each.partition)
    return topics
