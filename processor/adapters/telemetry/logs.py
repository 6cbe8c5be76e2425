"""Structured logs: one line for a change of state, none for a record, and repeats only now and then.

Nothing of an event is ever written: no traits, no keys, no ids of users. Tracebacks come without local variables,
which would hold them.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TextIO, final

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from processor.adapters.telemetry.headline import named
from processor.engine.halts import SHOWN_FAULTS
from processor.engine.notices import (
    Answered,
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
    Notice,
    Rebalanced,
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

QUIET_S = 30.0
"""How long a line that was written keeps the next one of its kind back: two lines a minute tell that it goes on."""

UNTOLD = (Consumed, Built, Answered, JobEnded, RegistryAsked)
"""Notices of the ordinary course of things: metrics count them. A registry that is away is a halt."""


@contextmanager
def logging_to(stream: TextIO, level: str, format_: Format) -> Iterator[FilteringBoundLogger]:
    """Send the worker's logs and those of its libraries to the stream until the end of the `with`."""
    handler = Outlet(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_CONTEXT,
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
            logging.getLogger("segment_fullstory"),
            processors=[*_CONTEXT, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
            wrapper_class=structlog.make_filtering_bound_logger(level),
        )
    finally:
        logging.captureWarnings(capture=False)
        root.setLevel(previous)
        root.removeHandler(handler)


@final
class Outlet(logging.StreamHandler[TextIO]):
    """Where lines go. What cannot be written is counted and shown elsewhere: there is no other place to write it.

    `logging` itself would write a traceback to standard error, which usually is the very stream that fails.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.lost = 0
        """Lines that could not be written since the last one that could."""
        self.fault = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        lost = self.lost
        super().emit(record)
        if self.lost == lost:
            self.lost, self.fault = 0, ""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        """Remember why a line could not be written; a fault of the program is no fault of the stream."""
        error = sys.exception()
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self.lost += 1
        self.fault = error.strerror or type(error).__name__


def outlet() -> Outlet | None:
    """Return where this process' lines go; None where nothing was set up."""
    return next((each for each in logging.getLogger().handlers if isinstance(each, Outlet)), None)


_CONTEXT: Sequence[Processor] = (
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


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
@dataclass(slots=True)
class _Repeats:
    """Lines of one kind after one was written."""

    quiet_until: float
    last: _Line
    suppressed: int = 0
    records: int = 0
    """What the suppressed lines told of, where they told of records."""


@final
class LogObserver:
    """An `Observer` that writes lines; for the event loop's thread."""

    def __init__(self, log: FilteringBoundLogger, clock: Clock, quiet_s: float = QUIET_S) -> None:
        self._log = log
        self._clock = clock
        self._quiet_s = quiet_s
        self._repeats: dict[tuple[str, str], _Repeats] = {}
        self._on: Mapping[type[Notice], Callable[[Any], None]] = {
            Rebalanced: self._rebalanced,
            Halted: self._halted,
            Resumed: self._resumed,
            KeyKnown: self._key_known,
            JournalResumed: self._journal_resumed,
            JournalIgnored: self._journal_ignored,
            Gap: self._gap,
            JobIsLate: self._job_is_late,
            HeldUp: self._held_up,
            HeldInOrder: self._held_in_order,
            Redelivered: self._redelivered,
            Released: self._released,
            SchemaCacheTrouble: self._schema_cache_trouble,
            SourceTrouble: self._source_trouble,
            Committed: self._committed,
            DeadLetterWrite: self._dead_letter_write,
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
        self._say(logging.WARNING, "journal ignored", partition=str(notice.partition), reason=notice.fault)

    def _gap(self, notice: Gap) -> None:
        self._say(logging.ERROR, "records lost to retention", partition=str(notice.partition), records=notice.records)

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

    def _released(self, notice: Released) -> None:
        level = logging.WARNING if notice.reason is ReleaseReason.LOST else logging.INFO
        self._say(level, "records released", reason=notice.reason.value, records=notice.records)

    # What repeats: a line now and then

    def _redelivered(self, notice: Redelivered) -> None:
        self._repeat(logging.WARNING, "records redelivered", "", records=notice.records)

    def _schema_cache_trouble(self, notice: SchemaCacheTrouble) -> None:
        if notice.detail:
            self._repeat(logging.WARNING, "schema cache trouble", "", detail=notice.detail)

    def _source_trouble(self, notice: SourceTrouble) -> None:
        self._repeat(logging.WARNING, "kafka trouble", "", detail=notice.detail)

    def _committed(self, notice: Committed) -> None:
        if notice.outcome != "ok":
            self._repeat(logging.WARNING, "commit failed", "", partitions=notice.partitions)

    def _dead_letter_write(self, notice: DeadLetterWrite) -> None:
        if notice.outcome != "ok":
            self._repeat(logging.WARNING, "dead letter not written", notice.outcome)

    def _settled(self, notice: Settled) -> None:
        for reason, records in notice.dead_lettered.items():
            self._repeat(logging.WARNING, "records dead-lettered", reason.value, records=records)

    def _retried(self, notice: Retried) -> None:
        fields = {"status": notice.status} if notice.status else {"detail": notice.detail} if notice.detail else {}
        self._repeat(logging.WARNING, "request retried", notice.reason.value, **fields)

    def _throttled(self, notice: Throttled) -> None:
        self._repeat(logging.INFO, "fullstory asks to wait", "", seconds=round(notice.seconds, 3))

    def _repeat(self, level: int, event: str, reason: str, **fields: Any) -> None:
        """Write the line, unless one of its event and reason was written lately."""
        line = _Line(level, event, {"reason": reason, **fields} if reason else fields)
        repeats = self._repeats.get((event, reason))
        if repeats is None:
            self._repeats[event, reason] = _Repeats(self._clock.monotonic() + self._quiet_s, line)
            self._say(level, event, **line.fields)
        else:
            repeats.last = line
            repeats.suppressed += 1
            repeats.records += fields.get("records", 0)

    def _catch_up(self) -> None:
        """Write what was held back and is due: the last of each kind, how many more there were, all their records."""
        now = self._clock.monotonic()
        for key, repeats in [each for each in self._repeats.items() if each[1].quiet_until <= now]:
            if not repeats.suppressed:
                del self._repeats[key]
                continue
            line = repeats.last
            total = {"records": repeats.records} if "records" in line.fields else {}
            self._repeats[key] = _Repeats(now + self._quiet_s, line)
            self._say(line.level, line.event, **{**line.fields, **total}, suppressed=repeats.suppressed - 1)

    def _say(self, level: int, event: str, **fields: Any) -> None:
        self._log.log(level, event, **fields)


def _by_topic(partitions: Sequence[TopicPartition]) -> dict[str, list[int]]:
    topics: dict[str, list[int]] = {}
    for each in sorted(partitions):
        topics.setdefault(each.topic, []).append(each.partition)
    return topics
