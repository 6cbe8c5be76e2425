"""The context of an event: its fields, and what each may hold (docs/fullstory-api.md#events)."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, NamedTuple

from processor.sandbox.message import ApiMessage
from processor.sandbox.wire import Json, invalid

INT32_LIMIT = 2**31
REGION = re.compile(r"(?:[A-Z]{2}-)?[A-Z0-9]{1,3}")
"""ISO 3166-2, whole or without the country: no source says which. Whether the code is assigned is not checked."""

_SECOND_LETTERS = {
    "A": "DEFGILMOQRSTUWXZ",
    "B": "ABDEFGHIJLMNOQRSTVWYZ",
    "C": "ACDFGHIKLMNORUVWXYZ",
    "D": "EJKMOZ",
    "E": "CEGHRST",
    "F": "IJKMOR",
    "G": "ABDEFGHILMNPQRSTUWY",
    "H": "KMNRTU",
    "I": "DELMNOQRST",
    "J": "EMOP",
    "K": "EGHIMNPRWYZ",
    "L": "ABCIKRSTUVY",
    "M": "ACDEFGHKLMNOPQRSTUVWXYZ",
    "N": "ACEFGILOPRUZ",
    "O": "M",
    "P": "AEFGHKLMNRSTWY",
    "Q": "A",
    "R": "EOSUW",
    "S": "ABCDEGHIJKLMNORSTVXYZ",
    "T": "CDFGHJKLMNORTVWZ",
    "U": "AGMSYZ",
    "V": "ACEGINU",
    "W": "FS",
    "X": "K",
    "Y": "ET",
    "Z": "AMW",
}
COUNTRIES = frozenset(first + second for first, seconds in _SECOND_LETTERS.items() for second in seconds)
"""ISO 3166-1 alpha-2, as assigned, and XK for Kosovo, which databases of addresses use."""


class ContextField(NamedTuple):
    """What a field may hold, in words that go on after "must be"; `zero` is what protobuf has for its absence."""

    text: str
    fits: Callable[[Any], bool]
    zero: str | int = ""


def _is_int32(value: Any) -> bool:
    return type(value) is int and -INT32_LIMIT <= value < INT32_LIMIT


def _degrees(limit: int) -> ContextField:
    def fits(value: Any) -> bool:
        return (type(value) is float or type(value) is int) and -limit <= value <= limit

    return ContextField(f"a number of degrees from -{limit} to {limit}", fits, 0)


def _is_region(value: Any) -> bool:
    return type(value) is str and REGION.fullmatch(value) is not None


@lru_cache(maxsize=4_096)
def _names_an_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


TEXT = ContextField("a string", lambda value: type(value) is str)
INT32 = ContextField("a 32-bit integer", _is_int32, 0)
COUNTRY = ContextField("a country by ISO 3166-1 alpha-2", lambda value: type(value) is str and value in COUNTRIES)
SUBDIVISION = ContextField("a region by ISO 3166-2", _is_region)
ADDRESS = ContextField("an IP address", lambda value: type(value) is str and _names_an_address(value))

FIELDS: Mapping[str, Mapping[str, ContextField]] = MappingProxyType(
    {
        "browser": dict.fromkeys(("url", "user_agent", "initial_referrer"), TEXT),
        "mobile": dict.fromkeys(("app_id", "app_version", "app_name", "build_variant"), TEXT),
        "device": dict.fromkeys(("manufacturer", "model"), TEXT)
        | dict.fromkeys(("screen_width", "screen_height", "viewport_width", "viewport_height"), INT32),
        "location": {
            "country": COUNTRY,
            "region": SUBDIVISION,
            "city": TEXT,
            "ip_address": ADDRESS,
            "latitude": _degrees(90),
            "longitude": _degrees(180),
        },
    }
)
CONTEXT = ApiMessage("context", (), {group: ApiMessage(f"context.{group}", fields) for group, fields in FIELDS.items()})


def take(given: Any) -> Json:
    """Return the context of an event, as `ApiMessage.read` does; also raises for values that do not fit."""
    if type(given) is dict and _fault(given) is None:
        return given
    context = CONTEXT.read(given)
    if (fault := _fault(context)) is not None:
        raise invalid(fault)
    return context


def _fault(context: Json) -> str | None:
    """Say what is wrong first, or None; a name that is not known as it is written counts as wrong."""
    for group, values in context.items():
        kinds = FIELDS.get(group)
        if kinds is None or type(values) is not dict:
            return str(group)
        for name, value in values.items():
            kind = kinds.get(name)
            if kind is None:
                return str(name)
            if not (type(value) is str if kind is TEXT else kind.fits(value)):
                return f"context.{group}.{name} must be {kind.text}"
    return None
