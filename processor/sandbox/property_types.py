"""The types of properties: those that a schema may declare, and those that FullStory infers."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from processor.sandbox.wire import Json

DATE_AND_TIME = len("2026-01-01T00:00")
Fits = Callable[[Any], bool]


def _is_integer(value: Any) -> bool:
    """A whole number may be written as a real: to protobuf's JSON all numbers are doubles."""
    return type(value) is int or (type(value) is float and value.is_integer())


def _is_real(value: Any) -> bool:
    return type(value) is float or type(value) is int


def _is_date(value: Any) -> bool:
    """A date and a time in ISO 8601, with or without an offset; that a date alone is one, no source says."""
    if type(value) is not str or len(value) < DATE_AND_TIME:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _every(fits: Fits) -> Fits:
    return lambda values: type(values) is list and all(map(fits, values))


_SCALARS: Mapping[str, Fits] = {
    "str": lambda value: type(value) is str,
    "int": _is_integer,
    "real": _is_real,
    "bool": lambda value: type(value) is bool,
    "date": _is_date,
}
DECLARABLE: Mapping[str, Fits] = MappingProxyType(
    {**_SCALARS, **{f"{kind}s": _every(fits) for kind, fits in _SCALARS.items()}}
)
"""Each type that can be declared, with what says whether a value is of it."""

_INFERRED: Mapping[type, str] = {str: "str", bool: "bool", int: "real", float: "real"}


def types_of(properties: Json, declared: Json, parents: str = "") -> Json:
    """Return the types of properties by dotted path, inferred unless declared; what is declared without value stays.

    Every number is a real and every text a string (docs/fullstory-api.md#properties). An array without a type that all
    of its elements have is left out.
    """
    types: Json = {}
    for name, value in properties.items():
        path = parents + name
        if type(value) is dict:
            types |= types_of(value, {}, f"{path}.")
        elif type(value) is list:
            of_elements = {_INFERRED.get(type(element)) for element in value}
            kind = of_elements.pop() if len(of_elements) == 1 else None
            if kind is not None:
                types[path] = f"{kind}s"
        else:
            types[path] = _INFERRED[type(value)]
    return types | declared
