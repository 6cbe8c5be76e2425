"""Schemas that refer to others in the registry, made into one that stands alone.

A registry keeps a referenced named type under a subject of its own; the referring text alone cannot be parsed.
"""

import json
from collections.abc import Mapping
from typing import Any, final

from fastavro.repository import AbstractSchemaRepository
from fastavro.repository.base import SchemaRepositoryError
from fastavro.schema import load_schema

_ROOT = ""


@final
class _Texts(AbstractSchemaRepository):
    """Schema texts by the full name of the type that they define."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def load(self, name: str) -> Any:
        try:
            return json.loads(self._texts[name])
        except KeyError:
            raise SchemaRepositoryError(name) from None


def stands_alone(text: str) -> bool:
    """Say whether a schema names no type that it does not define."""
    try:
        load_schema(_ROOT, repo=_Texts({_ROOT: text}))
    except Exception:  # noqa: BLE001 - fastavro raises many kinds for a schema it cannot use
        return False
    return True


def standing_alone(text: str, referenced: Mapping[str, str]) -> str:
    """Return the schema with each referenced type written out where it first occurs.

    A text that cannot be completed is returned as it is: whoever parses it finds the fault.
    """
    if not referenced:
        return text
    try:
        schema = load_schema(_ROOT, repo=_Texts({**referenced, _ROOT: text}))
    except Exception:  # noqa: BLE001 - fastavro raises many kinds for a schema it cannot use
        return text
    if isinstance(schema, dict):
        schema = {name: value for name, value in schema.items() if not name.startswith("__")}  # fastavro's own marks
    return json.dumps(schema)
