"""JSON objects as protobuf's JSON takes them: null is the same as absent, and every field has two names.

A field may be written `display_name` or `displayName`, but once only. The free-form objects, `properties` and what a
schema declares, are no messages: the names in them are their own.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, final

from processor.sandbox.wire import Json, invalid, require


@final
class ApiMessage:
    """The fields of an object; `inner` are those that are messages themselves, with none in them."""

    def __init__(
        self, what: str, fields: Iterable[str], inner: "Mapping[str, ApiMessage]" = MappingProxyType({})
    ) -> None:
        self.what = what
        self.fields = frozenset((*fields, *inner))
        self._inner = tuple(inner.items())
        self._names = {spelling: name for name in self.fields for spelling in (name, _camel(name))}

    def read(self, given: Any) -> Json:
        """Return the object with its fields in snake_case and without null; `given` stays as it is.

        Raises `ApiError` 400 for what is no object, for unknown fields and for a field that is given twice.
        """
        message: Json = require(given, dict, self.what)
        if not message.keys() <= self.fields or None in message.values():
            message = self._rewritten(message)
        for name, inner in self._inner:
            value = message.get(name)
            # Most are in order as they are, and a call for each would cost more than this.
            if value is None or (type(value) is dict and value.keys() <= inner.fields and None not in value.values()):
                continue
            message = {**message, name: inner.read(value)}
        return message

    def _rewritten(self, given: Json) -> Json:
        if unknown := given.keys() - self._names.keys():
            raise invalid(f"unknown field {min(unknown)!r} in {self.what}")
        message: Json = {}
        for spelling, value in given.items():
            name = self._names[spelling]
            if name != spelling and name in given:
                raise invalid(f"{name} is given twice in {self.what}")
            if value is not None:
                message[name] = value
        return message


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
