"""Logs: a line for a change of state, repeats now and then, and nothing of any event."""

import io
import json
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from processor.adapters.telemetry.logs import CAUSES, KINDS, UNTOLD, Format, LogObserver, logging_to
from processor.adapters.telemetry.memory import ACTION as MEMORY_ACTION
from processor.adapters.telemetry.repeats import QUIET_S
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
from processor.engine.verdict import RetryReason
from processor.model.reasons import DeadLetterReason, HaltReason, Kind, ReleaseReason
from processor.model.records import TopicPartition


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Return the moment."""
        return self.now

    def wall(self) -> float:
        """Return the moment."""
        return self.now


class Lines:
    """An observer and what it has written."""

    def __init__(self, stream: io.StringIO, observe: LogObserver, clock: Clock) -> None:
        self.observe = observe
        self.clock = clock
        self._stream = stream

    def take(self) -> list[dict[str, Any]]:
        """Return the lines since the last time, without their moments and the logger's name."""
        lines = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        self._stream.seek(0)
        self._stream.truncate()
        for line in lines:
            assert line.pop("timestamp").endswith("Z")
            assert line.pop("logger") == "segment_fullstory"
        return lines


@contextmanager
def capture(level: str = "debug") -> Iterator[Lines]:
    """Observe into a buffer."""
    stream, clock = io.StringIO(), Clock()
    with logging_to(stream, level, "json") as log:
        yield Lines(stream, LogObserver(log, clock), clock)


def dead_lettered(**reasons: int) -> Settled:
    """Return the notice of a batch with dead letters."""
    counts = Counter({DeadLetterReason(reason): count for reason, count in reasons.items()})
    return Settled(Counter({Kind.USER: 1}), Counter(), counts, (1,))


P = TopicPartition("t", 1)
EMAIL = "jane@example.com"

TOLD: list[tuple[Notice, dict[str, Any]]] = [
    (
        Rebalanced("assigned", (TopicPartition("u", 0), TopicPartition("t", 2), P)),
        {"level": "info", "event": "partitions assigned", "partitions": {"t": [1, 2], "u": [0]}},
    ),
    (Begun((P,)), {"level": "info", "event": "partitions begin", "partitions": {"t": [1]}}),
    (Rebalanced("revoked", ()), {"level": "info", "event": "partitions revoked", "partitions": {}}),
    (Rebalanced("lost", (P,)), {"level": "warning", "event": "partitions lost", "partitions": {"t": [1]}}),
    (
        Halted(HaltReason.GAP, "why", "do"),
        {"level": "error", "event": "delivery halted", "reason": "gap", "cause": "why", "action": "do"},
    ),
    (
        Halted(HaltReason.FULLSTORY_UNAVAILABLE, "why", "do"),
        {
            "level": "warning",
            "event": "not delivering",
            "reason": "fullstory_unavailable",
            "cause": "why",
            "action": "do",
        },
    ),
    (
        Resumed(HaltReason.GAP, 36.2, is_cured=True),
        {"level": "info", "event": "delivery resumed", "reason": "gap", "seconds": 36},
    ),
    (
        Resumed(HaltReason.KAFKA_UNAVAILABLE, 3.0, is_cured=True),
        {"level": "info", "event": "delivering again", "reason": "kafka_unavailable", "seconds": 3},
    ),
    (
        Resumed(HaltReason.GAP, 3.0, is_cured=False),
        {"level": "info", "event": "halt handed over", "reason": "gap", "seconds": 3},
    ),
    (
        KeyKnown("o-1", "ARCHITECT", is_batch=True),
        {"level": "info", "event": "the key is known", "org": "o-1", "role": "ARCHITECT", "mode": "batch"},
    ),
    (
        JobIsLate(Kind.EVENT, "j1", "t[1]", 600.2),
        {"level": "warning", "event": "job is late", "partition": "t[1]", "kind": "event", "job": "j1", "seconds": 600},
    ),
    (
        HeldInOrder((P, TopicPartition("t", 2))),
        {"level": "warning", "event": "order of users limits throughput", "partitions": "t[1], t[2]"},
    ),
    (
        MemoryIsShort(230_000_000, 268_435_456),
        {
            "level": "warning",
            "event": "memory is short",
            "resident_bytes": 230_000_000,
            "limit_bytes": 268_435_456,
            "action": MEMORY_ACTION,
        },
    ),
    (
        HeldUp(P, 7, 31.5, "a commit"),
        {
            "level": "warning",
            "event": "partition held up",
            "partition": "t[1]",
            "offset": 7,
            "waits_for": "a commit",
            "seconds": 32,
        },
    ),
    (Gap(P, 5), {"level": "error", "event": "records lost to retention", "partition": "t[1]", "records": 5}),
    (Recreated(P, 100), {"level": "error", "event": "topic was recreated", "partition": "t[1]", "committed": 100}),
    (
        JournalResumed(Counter({"job": 2, "settled": 1})),
        {"level": "info", "event": "journal resumed", "job": 2, "settled": 1},
    ),
    (
        JournalIgnored(P, "corrupt"),
        {"level": "warning", "event": "journal ignored", "partition": "t[1]", "reason": "corrupt"},
    ),
    (
        JournalIgnored(P, "foreign", perhaps_sent=7),
        {
            "level": "warning",
            "event": "journal ignored",
            "partition": "t[1]",
            "reason": "foreign",
            "perhaps_sent": 7,
        },
    ),
    (Redelivered(5), {"level": "warning", "event": "records redelivered", "records": 5}),
    (
        Released(ReleaseReason.REVOKED, 5),
        {"level": "info", "event": "records released", "reason": "revoked", "records": 5},
    ),
    (
        Released(ReleaseReason.LOST, 5),
        {"level": "warning", "event": "records released", "reason": "lost", "records": 5},
    ),
    (SchemaCacheTrouble("full"), {"level": "warning", "event": "schema cache trouble", "detail": "full"}),
    (SourceTrouble("away"), {"level": "warning", "event": "kafka trouble", "detail": "away"}),
    (
        Committed("failed", 5, "coordinator not available"),
        {"level": "warning", "event": "commit failed", "detail": "coordinator not available", "partitions": 5},
    ),
    (
        DeadLetterWrite("retry", "timed out"),
        {"level": "warning", "event": "dead letter not written", "reason": "retry", "detail": "timed out"},
    ),
    (
        RegistryAsked("unavailable", "refused"),
        {"level": "warning", "event": "schema registry trouble", "detail": "refused"},
    ),
    (
        dead_lettered(rejected=5),
        {"level": "warning", "event": "records dead-lettered", "reason": "rejected", "records": 5},
    ),
    (
        Retried(RetryReason.TIMEOUT),
        {"level": "warning", "event": "request retried", "reason": "timeout", "call": "request"},
    ),
    (
        Retried(RetryReason.SERVER_ERROR, "a gateway answers 502 (nginx, text/html)", 502, "question"),
        {
            "level": "warning",
            "event": "request retried",
            "reason": "server_error",
            "detail": "a gateway answers 502 (nginx, text/html)",
            "call": "question",
            "status": 502,
        },
    ),
    (Throttled(1.23456), {"level": "info", "event": "fullstory asks to wait", "seconds": 1.235}),
]

ORDINARY: list[Notice] = [
    Consumed("t", 5),
    Built(1, 2, Counter()),
    Answered("users", "2xx", 0.1),
    JobEnded(Kind.USER, 1.0),
    RegistryAsked("absent"),
    Committed("ok", 5),
    DeadLetterWrite("ok"),
    dead_lettered(),
]


@pytest.mark.parametrize(("notice", "line"), TOLD, ids=[f"{type(notice).__name__}" for notice, _ in TOLD])
def test_a_change_of_state_is_one_line(notice: Notice, line: dict[str, Any]) -> None:
    """Each change of state is one line with fields for machines."""
    with capture() as lines:
        lines.observe(notice)

        assert lines.take() == [line]


@pytest.mark.parametrize("notice", ORDINARY, ids=lambda notice: type(notice).__name__)
def test_the_ordinary_course_of_things_is_not_told(notice: Notice) -> None:
    """Notices of the ordinary course write no line."""
    with capture() as lines:
        lines.observe(notice)

        assert lines.take() == []


def test_every_notice_is_told_or_silent_on_purpose() -> None:
    """Every type of notice has a line or stands in the list of silent ones."""
    with capture() as lines:
        told = set(lines.observe._on)

    assert told | set(UNTOLD) == set(get_args(Notice)) == {type(each) for each in [*ORDINARY, *(n for n, _ in TOLD)]}
    assert not told & set(UNTOLD)


def test_repeats_wait_and_come_as_one_line_that_counts_them() -> None:
    """The first of several notices is written at once, the others as one line with their sum."""
    with capture() as lines:
        for records in (1, 2, 3, 4):
            lines.observe(dead_lettered(rejected=records))
        assert [line["records"] for line in lines.take()] == [1]

        lines.clock.now += QUIET_S
        lines.observe(Consumed("t", 1))

        [line] = lines.take()
        assert (line["event"], line["records"], line["suppressed"]) == ("records dead-lettered", 9, 2)


def test_the_quiet_time_begins_anew_with_each_line() -> None:
    """While a trouble goes on, each quiet time ends with one line."""
    with capture() as lines:
        for second in range(int(3 * QUIET_S) + 1):
            lines.clock.now = 100.0 + second
            lines.observe(SourceTrouble(f"detail {second}"))

        told = lines.take()
        assert [line.get("suppressed") for line in told] == [None, QUIET_S - 2, QUIET_S - 1, QUIET_S - 1]
        assert [line["detail"] for line in told] == ["detail 0", "detail 29", "detail 59", "detail 89"]


def test_after_a_quiet_time_without_repeats_the_next_is_told_at_once() -> None:
    """After a quiet time without repeats, the next notice is written at once and counts itself alone."""
    with capture() as lines:
        lines.observe(Retried(RetryReason.TIMEOUT))
        lines.clock.now += QUIET_S
        lines.observe(Consumed("t", 1))
        assert not lines.observe._repeats

        lines.observe(Retried(RetryReason.TIMEOUT))

        assert len(lines.take()) == 2


def test_reasons_do_not_hold_each_other_back() -> None:
    """Each pair of event and reason has a quiet time of its own."""
    with capture() as lines:
        lines.observe(dead_lettered(rejected=1, malformed=2))
        lines.observe(Retried(RetryReason.TIMEOUT))
        lines.observe(Retried(RetryReason.CONNECTION))

        assert len(lines.take()) == 4


def test_a_new_cause_is_told_at_once_and_causes_are_bounded() -> None:
    """A 502 among 503s waits for nobody; numbers make no new cause; beyond the first few causes all are one."""
    with capture() as lines:
        for status in (503, 503, 502):
            lines.observe(Retried(RetryReason.SERVER_ERROR, status=status))
        for took in range(3):
            lines.observe(SourceTrouble(f"connection refused (after {took}ms)"))
        assert len(lines.take()) == 3

        for kind in "abcdefghi":
            lines.observe(Retried(RetryReason.CONNECTION, f"{kind} refuses connections"))
        told = [line["detail"] for line in lines.take()]
        assert told == [f"{kind} refuses connections" for kind in "abcdefghi"[: CAUSES + 1]]

        lines.clock.now += QUIET_S
        lines.observe(Consumed("t", 1))
        assert [(line.get("detail"), line["suppressed"]) for line in lines.take()] == [
            (None, 0),
            ("connection refused (after 2ms)", 1),
            ("i refuses connections", 2),
        ]


def test_a_cause_is_cut() -> None:
    """However long a text is, its line is not."""
    with capture() as lines:
        lines.observe(SourceTrouble("x" * 10_000))

        assert [len(line["detail"]) for line in lines.take()] == [MAX_CHARACTERS]


def test_changes_of_state_are_never_held_back() -> None:
    """A halt that comes and goes writes a line each time."""
    with capture() as lines:
        for _ in range(3):
            lines.observe(Halted(HaltReason.GAP, "why", "do"))
            lines.observe(Resumed(HaltReason.GAP, 1.0, is_cured=True))

        assert len(lines.take()) == 6


def test_a_halt_writes_a_line_for_each_of_the_first_places_and_then_few() -> None:
    """A thousand partitions in a gap are named ten at once, and the others are counted."""
    with capture() as lines:
        for places in range(1, SHOWN_FAULTS + 6):
            lines.observe(Halted(HaltReason.GAP, f"t[{places}] lacks records", "do", places))
        told = lines.take()
        lines.clock.now += QUIET_S
        lines.observe(KeyKnown("o-1", "ADMIN", is_batch=True))
        later = lines.take()[0]

    assert [line["cause"] for line in told] == [f"t[{each}] lacks records" for each in range(1, SHOWN_FAULTS + 2)]
    assert [line.get("places") for line in told] == [None, *range(2, SHOWN_FAULTS + 2)]
    assert (later["cause"], later["suppressed"]) == (f"t[{SHOWN_FAULTS + 5}] lacks records", 3)
    assert (later["event"], later["reason"], later["places"]) == ("delivery halted", "gap", SHOWN_FAULTS + 5)


def test_what_is_below_the_level_is_not_written() -> None:
    """Lines below the level are not written, neither the worker's nor a library's."""
    with capture("warning") as lines:
        lines.observe(Resumed(HaltReason.GAP, 1.0, is_cured=True))
        lines.observe(Halted(HaltReason.GAP, "why", "do"))
        logging.getLogger("segment_fullstory").info("of a library")

        assert [line["level"] for line in lines.take()] == ["error"]


def test_lines_of_libraries_have_the_same_form() -> None:
    """What librdkafka and aiohttp log, and warnings, become JSON like the worker's own lines."""
    stream = io.StringIO()
    with logging_to(stream, "info", "json"):
        logging.getLogger("librdkafka").warning("broker %s is down", "a:9092")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=True)
            warnings.warn("old ways", DeprecationWarning, stacklevel=1)

    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first | {"timestamp": None} == {
        "event": "broker a:9092 is down",
        "level": "warning",
        "logger": "librdkafka",
        "timestamp": None,
    }
    assert "old ways" in second["event"]


@pytest.mark.parametrize("format_", get_args(Format))
def test_a_traceback_has_no_local_variables(format_: Format) -> None:
    """A logged traceback holds no local variables, which would show an event."""
    stream = io.StringIO()
    with logging_to(stream, "info", format_) as log:
        try:
            _fail(EMAIL)
        except ValueError:
            log.exception("stopped")
            logging.getLogger("library").exception("stopped too")

    text = stream.getvalue()
    assert text.count("ValueError: no good") == 2
    assert text.count("in _fail") == 2
    assert EMAIL not in text


def _fail(email: str) -> None:
    if email:
        raise ValueError("no good")


def test_an_exception_of_json_is_one_line() -> None:
    """In JSON, an exception stays within one line."""
    stream = io.StringIO()
    with logging_to(stream, "info", "json") as log:
        try:
            _fail("x")
        except ValueError:
            log.exception("stopped")

    [line] = stream.getvalue().splitlines()
    assert "Traceback" in json.loads(line)["exception"]


def test_the_console_shows_text() -> None:
    """The console format is one line of text without colours."""
    stream = io.StringIO()
    with logging_to(stream, "info", "console") as log:
        LogObserver(log, Clock())(Halted(HaltReason.GAP, "why", "do"))

    [line] = stream.getvalue().splitlines()
    assert "delivery halted" in line
    assert "reason=gap" in line
    assert "\x1b" not in line


def test_logging_is_as_before_afterwards() -> None:
    """Afterwards, handlers and levels are those from before."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers))

    with capture():
        assert (root.level, list(root.handlers)) != before

    assert (root.level, list(root.handlers)) == before


def test_every_line_is_documented() -> None:
    """docs/logs.md lists every event that the program writes, and no other."""
    root = Path(__file__).parents[2]
    sources = "\n".join(
        (root / "processor" / file).read_text(encoding="utf-8")
        for file in (
            "adapters/telemetry/logs.py",
            "commands/run.py",
            *(f"app/{each}.py" for each in ("run", "ending", "lane", "renew", "stranded")),
        )
    )
    written = set(re.findall(r'(?:_say|_repeat)\(\s*[\w.]+,\s*"([a-z][^"]+)"', sources))
    written |= set(re.findall(r'log\.(?:info|warning|error|critical)\(\s*"([a-z][^"]+)"', sources))
    written |= {f"partitions {kind}" for kind in ("assigned", "revoked", "lost")}
    written |= set(re.findall(r'"msg": "([a-z][^"]+)"', sources))
    documented = re.findall(r"(?m)^\| `([^`]+)` \|", (root / "docs" / "logs.md").read_text(encoding="utf-8"))

    assert len(written) > 20
    assert sorted(documented) == sorted(written)


def test_a_library_that_repeats_itself_is_held_back() -> None:
    """The first line of a kind is written at once, of the others the last, with the number of those in between."""
    stream, clock = io.StringIO(), Clock()
    with logging_to(stream, "info", "json", clock.monotonic) as log:
        for number in range(1_000):
            logging.getLogger("asyncio").error("socket.accept() out of system resource\nsocket: fd=%s", number)
            logging.getLogger("librdkafka").error("%s [%s] %s", "FAIL", "rdkafka#1", f"broker {number}: refused")
            log.error("the worker's own")
        logging.getLogger("librdkafka").error("%s [%s] %s", "SSL", "rdkafka#1", "the certificate is old")
        assert len(stream.getvalue().splitlines()) == 1_003

        clock.now += QUIET_S
        logging.getLogger("asyncio").error("something else")
        lines = [json.loads(line) for line in stream.getvalue().splitlines()[1_003:]]

    assert [(line["event"].splitlines()[0], line.get("suppressed")) for line in lines] == [
        ("socket.accept() out of system resource", 998),
        ("FAIL [rdkafka#1] broker 999: refused", 998),
        ("something else", None),
    ]


def test_what_was_held_back_is_written_at_the_end() -> None:
    """No line is held back for ever: the end writes the last of each kind."""
    stream = io.StringIO()
    with logging_to(stream, "info", "json", Clock().monotonic):
        for _ in range(3):
            logging.getLogger("library").error("again")

    assert [json.loads(line).get("suppressed") for line in stream.getvalue().splitlines()] == [None, 1]


def test_errors_of_other_types_and_lines_of_debugging_are_not_held_back() -> None:
    """A line with another exception is of another kind, and what was asked for comes whole."""
    stream = io.StringIO()
    with logging_to(stream, "debug", "json", Clock().monotonic):
        for error in (ValueError("a"), KeyError("b"), ValueError("c")):
            logging.getLogger("library").error("failed", exc_info=error)
        for _ in range(3):
            logging.getLogger("librdkafka").debug("%s [%s] %s", "RECV", "rdkafka#1", "Received")
        told = stream.getvalue().splitlines()

    assert len(told) == 5


def test_kinds_of_lines_are_bounded() -> None:
    """A library whose every line is of a kind of its own cannot fill the memory."""
    stream = io.StringIO()
    with logging_to(stream, "info", "json", Clock().monotonic):
        for number in range(3 * KINDS):
            logging.getLogger("library").error("x" * number)
        told = len(stream.getvalue().splitlines())

    assert told == KINDS + 1
