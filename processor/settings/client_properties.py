"""Properties handed on to the clients of Kafka and of the schema registry, except those that are not the operator's."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Secret

from processor.settings import validators

Scalar = str | int | float | bool
Properties = dict[str, Secret[Scalar]]
"""Every value is a secret: which of librdkafka's properties hold one is a list that grows."""

FILE_PROPERTY = ".location"
"""How the names of properties end, of both clients, that name a file."""

_OWN_SETTING = "has its own setting: {}"
_COMMITS = "only the offsets of settled records are committed; otherwise a crash loses records"
_MEMORY = "is computed from PROCESSOR_MEMORY__BUDGET_BYTES"
_ACKNOWLEDGED = "a record counts as dead-lettered only when every in-sync replica has it"
_CALLBACK = "is a callback, which only code can set"

KAFKA_RESERVED: Mapping[str, str] = {
    "bootstrap.servers": _OWN_SETTING.format("PROCESSOR_KAFKA__BOOTSTRAP_SERVERS"),
    "metadata.broker.list": _OWN_SETTING.format("PROCESSOR_KAFKA__BOOTSTRAP_SERVERS"),
    "group.id": _OWN_SETTING.format("PROCESSOR_KAFKA__GROUP_ID"),
    "enable.auto.commit": _COMMITS,
    "auto.commit.enable": _COMMITS,
    "enable.auto.offset.store": _COMMITS,
    "auto.offset.reset": "a missing offset is never skipped silently: "
    "PROCESSOR_KAFKA__START and PROCESSOR_KAFKA__ON_GAP decide what happens",
    "enable.partition.eof": "the worker would take the end of a partition for a record",
    "allow.auto.create.topics": "a missing topic is told, never made with the brokers' defaults",
    "fetch.max.bytes": _MEMORY,
    "fetch.message.max.bytes": _MEMORY,
    "max.partition.fetch.bytes": _MEMORY,
    "queued.max.messages.kbytes": _MEMORY,
    "message.max.bytes": "only the dead-letter topic's own limit decides which dead letter is too large",
    "acks": _ACKNOWLEDGED,
    "request.required.acks": _ACKNOWLEDGED,
    "enable.idempotence": "a dead letter that the client writes again must not appear twice",
    "delivery.report.only.error": "the acknowledgement of a dead letter settles its record",
    "transactional.id": "dead letters are written outside of transactions",
    "rebalance_cb": _CALLBACK,
    "offset_commit_cb": _CALLBACK,
    "on_assign": _CALLBACK,
    "on_revoke": _CALLBACK,
    "on_lost": _CALLBACK,
    "on_commit": _CALLBACK,
    "on_delivery": _CALLBACK,
    "dr_cb": _CALLBACK,
    "dr_msg_cb": _CALLBACK,
    "error_cb": _CALLBACK,
    "log_cb": _CALLBACK,
    "logger": _CALLBACK,
    "oauth_cb": _CALLBACK,
    "stats_cb": _CALLBACK,
    "throttle_cb": _CALLBACK,
}
"""Properties of librdkafka that the worker's guarantees rest on, each with the reason."""

REGISTRY_RESERVED: Mapping[str, str] = {"url": _OWN_SETTING.format("PROCESSOR_SCHEMA_REGISTRY__URL")}


_SHOWN = {
    "security.protocol": re.compile(r"(sasl_)?(plaintext|ssl)", re.IGNORECASE),
    "sasl.mechanism": re.compile(r"PLAIN|GSSAPI|OAUTHBEARER|SCRAM-SHA-(256|512)"),
    "sasl.mechanisms": re.compile(r"PLAIN|GSSAPI|OAUTHBEARER|SCRAM-SHA-(256|512)"),
    "sasl.oauthbearer.method": re.compile(r"default|oidc", re.IGNORECASE),
    "group.protocol": re.compile(r"classic|consumer", re.IGNORECASE),
}
"""Properties that hold no secrets, and what their values look like: anything else may be one in the wrong place."""

_QUANTITY = re.compile(r".+\.(ms|bytes|kbytes|messages)|timeout")
"""Names of properties whose values are numbers and no secrets."""


def parse_properties(value: Any, reserved: Mapping[str, str]) -> dict[str, Any]:
    """Return the properties of a JSON text or a TOML table; a `ValueError` names properties, but never a value."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("is not valid JSON") from None
    if not isinstance(value, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004 - pydantic collects a ValueError
    faults = [fault for name, each in value.items() if (fault := _fault(name, each, reserved)) is not None]
    if faults:
        raise ValueError("; ".join(faults))
    return value


def _fault(name: str, value: Any, reserved: Mapping[str, str]) -> str | None:
    if name in reserved:
        return f"must not contain `{name}`: {reserved[name]}"
    if isinstance(value, dict):
        return f"contains the table `{name}`: in TOML, put a property name that has dots into quotes"
    if not isinstance(value, Scalar):
        return f"contains `{name}`, which is not a string, a number, true or false"
    return None


def _properties_in(path: Path, reserved: Mapping[str, str]) -> dict[str, Scalar]:
    """Return the properties in a JSON file; a `ValueError` names neither the path nor a value."""
    text = validators.secret_in(path)
    try:
        return parse_properties(text, reserved)
    except ValueError as error:
        raise ValueError(f"the file {error}") from None


def kafka_properties_in(path: Path) -> dict[str, str]:
    """Return the properties as librdkafka reads them; raise a `ValueError` for what is none."""
    return {name: as_text(value) for name, value in _properties_in(path, KAFKA_RESERVED).items()}


def registry_properties_in(path: Path) -> dict[str, Scalar]:
    """Return the properties as the registry's client takes them; raise a `ValueError` for what is none."""
    return _properties_in(path, REGISTRY_RESERVED)


def outranked(given: Properties, in_file: Mapping[str, Scalar]) -> Properties:
    """Return the properties that are given and those of the file, which outrank them."""
    return given | {name: Secret(value) for name, value in in_file.items()}


def reveal(properties: Properties) -> dict[str, Scalar]:
    """Return the properties with their values, for the client that they are meant for and nobody else."""
    return {name: value.get_secret_value() for name, value in properties.items()}


def disclosed(name: str, value: Scalar) -> Scalar | None:
    """Return the value of a property if it cannot be a secret, else None: a list of what can would never be whole."""
    text = as_text(value)
    if text in {"true", "false"}:
        return value
    if name in _SHOWN:
        return value if _SHOWN[name].fullmatch(text) else None
    if name.endswith(FILE_PROPERTY):
        return value if _exists(text) else None
    return value if _QUANTITY.fullmatch(name) and text.isdecimal() else None


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def as_text(value: Scalar) -> str:
    """Write a value as librdkafka reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
