"""What librdkafka's faults mean."""

import re
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException

from processor.model.errors import SourceError

GROUP_ACTIONS: Mapping[int, str] = {
    KafkaError.GROUP_AUTHORIZATION_FAILED: "Grant the worker Read on the group that PROCESSOR_KAFKA__GROUP_ID names.",
    KafkaError.GROUP_MAX_SIZE_REACHED: (
        "Run fewer workers, or raise group.max.size of the brokers (group.consumer.max.size for "
        "group.protocol=consumer)."
    ),
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: (
        "The group has members of another kind: a share group, or consumers with another "
        "partition.assignment.strategy. Stop them, or choose another PROCESSOR_KAFKA__GROUP_ID."
    ),
    KafkaError.GROUP_ID_NOT_FOUND: (
        "The group has members of another kind: a share group, or classic consumers that one with "
        "group.protocol=consumer cannot join (docs/kip-848.md). Stop them, or choose another PROCESSOR_KAFKA__GROUP_ID."
    ),
    KafkaError.UNSUPPORTED_VERSION: (
        "group.protocol=consumer needs Kafka 4.0 or newer, and the brokers to allow it "
        "(group.coordinator.rebalance.protocols): else remove it from PROCESSOR_KAFKA__PROPERTIES."
    ),
    KafkaError.INVALID_SESSION_TIMEOUT: (
        "Set session.timeout.ms in PROCESSOR_KAFKA__PROPERTIES within what the brokers allow "
        "(group.min.session.timeout.ms to group.max.session.timeout.ms)."
    ),
}
"""What an operator does where a group refuses a member, by the broker's error."""

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
    """Say that the client has ended. A group by KIP-848 ends one that it refuses (librdkafka 2.16).

    The code of such an error says only that it is fatal; the broker's error stands in its text.
    """
    text = error.str()
    actions = [f". {action}" for code, action in GROUP_ACTIONS.items() if KafkaError(code).str() in text]
    return SourceError("".join([f"Kafka's client cannot go on: {text}", *actions[:1]]))


def ended(error: Exception) -> SourceError:
    """Say what has ended the client's thread."""
    if isinstance(error, SourceError):
        return error
    detail = said(error) if isinstance(error, KafkaException) else f"{type(error).__name__}: {error}"
    return SourceError(f"Kafka's client ended: {detail}")
