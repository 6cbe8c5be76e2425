"""What librdkafka's faults mean."""

import re

from confluent_kafka import KafkaError, KafkaException

from processor.model.errors import SourceError

GROUP_ACTION = "Grant the worker Read on the group that PROCESSOR_KAFKA__GROUP_ID names."

_REASONS = (
    re.compile(r"Connect to \S+ failed: (?P<reason>.+?) \(after"),
    re.compile(r"Failed to resolve '[^']*': (?P<reason>.+?) \(after"),
    re.compile(r"(?P<reason>SASL .+?)(?: \(after|$)"),
    re.compile(r"(?P<reason>SSL handshake failed: .+?)(?: \(after|$)"),
    re.compile(r"(?P<reason>Connection setup timed out)"),
    re.compile(r"(?P<reason>Disconnected.*?)(?: \(after|$)"),
)
"""What says why in librdkafka's texts (2.16), such as "HOST:PORT/bootstrap: Connect to ipv4#… failed: Connection
refused (after 0ms in state CONNECT)"."""


_SERVER = re.compile(r"([\w.-]+:\d+|\[[\da-fA-F:]+\]:\d+)(?:/\w+)?: ")
_AFTER = re.compile(r" \(after \d+ms in .*", re.DOTALL)


def in_short(text: str) -> str:
    """Return one of librdkafka's texts without how long it took and how often it was: then two of a kind are equal."""
    return _AFTER.sub("", text)


def said(error: KafkaException) -> str:
    """Return what librdkafka says of a fault, for people."""
    fault = error.args[0]
    return fault.str() if isinstance(fault, KafkaError) else str(fault)


def reason_in(text: str) -> str:
    """Return why a broker cannot be reached, out of one of librdkafka's texts; the whole text where that is unknown."""
    found = next((match["reason"] for each in _REASONS if (match := each.search(text))), text)
    return found[:1].lower() + found[1:] if found[1:2].islower() else found


def server_in(text: str) -> str:
    """Return which server one of librdkafka's texts is about; empty where it names none."""
    found = _SERVER.search(text)
    return "" if found is None else found[1]


def is_fatal(fault: KafkaError) -> bool:
    """Return whether the client that reports it can never go on; a consumer says so by the code alone."""
    return fault.fatal() or fault.code() == KafkaError._FATAL


def fatal(error: KafkaError) -> SourceError:
    """Say that the client has ended. A group by KIP-848 ends one that it refuses (librdkafka 2.16)."""
    is_refusal = "group authorization" in error.str().lower()
    return SourceError(f"Kafka's client cannot go on: {error.str()}" + (f". {GROUP_ACTION}" if is_refusal else ""))


def ended(error: Exception) -> SourceError:
    """Say what has ended the client's thread."""
    if isinstance(error, SourceError):
        return error
    detail = said(error) if isinstance(error, KafkaException) else f"{type(error).__name__}: {error}"
    return SourceError(f"Kafka's client ended: {detail}")
