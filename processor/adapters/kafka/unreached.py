"""Brokers that do not answer: which, why, and the setting to look at, read from what librdkafka reports."""

import logging
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

from confluent_kafka import KafkaError

from processor.adapters.kafka.faults import in_short, reason_in

DEFAULT_PORT = 9092

SERVERS = "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS"
PROPERTIES = "PROCESSOR_KAFKA__PROPERTIES"
_LISTENER = f"{SERVERS}, and security.protocol in {PROPERTIES}"

MAX_REPORTS = 1_000

SYSLOG_INFO = 6
"""Of the levels that librdkafka has from syslog."""

_REPORT = re.compile(r"(?:^|\s)(?:\w+://)?(?P<server>\S+)/(?:bootstrap|\d+): (?P<text>.*)")
_FRAME = re.compile(r"\w+ \[rdkafka#[^]]*\] \[thrd:[^]]*\]: ")
"""Around a line of the log."""
_SIZE = re.compile(r"Invalid response size (-?\d+)")
_OTHERS: Mapping[bytes, str] = {b"HTTP": "an HTTP server answers", b"\x15\x03": "a TLS listener answers"}
"""What answers instead of a broker, by its first bytes, which librdkafka reads as a size."""


@final
class Reports(logging.Logger):
    """Keeps what a client reports of its connections: it is the client's logger, and `config` is for the client, too.

    Some faults stand in librdkafka's log only: that a server closed the connection, above all.
    """

    def __init__(self) -> None:
        super().__init__("librdkafka")
        self.texts: deque[str] = deque(maxlen=MAX_REPORTS)
        """The latest of them, in order."""
        self.config: Mapping[str, Any] = {"log_level": SYSLOG_INFO, "error_cb": self._hear}

    def handle(self, record: logging.LogRecord) -> None:
        """Keep a line of the log."""
        self.texts.append(record.getMessage())

    def _hear(self, error: KafkaError) -> None:
        self.texts.append(error.str())


def unreached(servers: str, reports: Iterable[str]) -> str:
    """Say in a line which servers do not answer, each with its reason, and what to check.

    `reports` are texts of librdkafka's errors, the latest last. A server without a report has timed out, or no login
    to it could be had.
    """
    reports = list(reports)
    reasons, login = _reasons(reports), _login(reports)
    other = (login, PROPERTIES) if login else ("timed out", SERVERS)
    each_of = [(each, *reasons.get(_named(each), other)) for each in servers.split(",")]
    places = ", ".join(f"{server} ({reason})" for server, reason, _ in each_of)
    checks = " and ".join(dict.fromkeys(check for *_, check in each_of))
    return f"Kafka does not answer at {places}: check {checks}"


def faults(reports: Iterable[str]) -> list[str]:
    """Return the latest fault of each server, for the end of a message."""
    return [f"{server}: {reason}" for server, (reason, _) in _reasons(reports).items()]


def _reasons(reports: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return for each server its latest reason, and what to check."""
    return {
        found["server"]: _reason(found["text"]) for report in reports if (found := _REPORT.search(report)) is not None
    }


def _login(reports: Sequence[str]) -> str | None:
    """Return what is said of a login that is no server's fault: of the provider of tokens."""
    about = [_FRAME.sub("", each) for each in reports if "SASL" in each and not _REPORT.search(each)]
    return about[-1] if about else None


def _named(server: str) -> str:
    """Return a server as librdkafka names it."""
    host = server.rpartition("//")[2]
    return host if re.search(r":\d+\Z", host) else f"{host}:{DEFAULT_PORT}"


def _reason(text: str) -> tuple[str, str]:
    """Return the reason in a few words, and what to check."""
    if (size := _SIZE.search(text)) is not None:
        first = int(size[1]).to_bytes(8, "big", signed=True)[4:]
        return next(
            (what for start, what in _OTHERS.items() if first.startswith(start)), "no broker answers"
        ), _LISTENER
    reason = in_short(reason_in(text))
    if "SASL" in reason:
        return reason, PROPERTIES
    if "SSL" in reason:
        return f"TLS: {reason}", PROPERTIES
    if reason.startswith("disconnected"):
        return "connection closed by the server", _LISTENER
    return reason, SERVERS
