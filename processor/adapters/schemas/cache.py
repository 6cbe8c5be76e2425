"""Schemas on disk, so that a worker that starts while the registry is away goes on with those it knows.

An id belongs to one schema for ever, so what is there is never asked for again, and never changes. One file holds one
schema, written to another name first and moved: processes may share the folder. A file that is damaged, or of another
registry, is as good as none.
"""

import asyncio
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from processor.events.framing import SchemaId, kind_of
from processor.runtime.ports import Schemas, SchemaText


@final
class CachedSchemas:
    """The `Schemas` port over another one and a folder; `registry` is the address of the other.

    `tell` is called on some thread: with what keeps the folder from being read or written, which does no more harm than
    that, and with "" when it can be written again.
    """

    def __init__(self, schemas: Schemas, folder: Path, registry: str, tell: Callable[[str], None]) -> None:
        self._schemas = schemas
        self._folder = folder / _digest(registry)[:16]
        self._registry = registry
        self._tell = tell
        self._is_unwritable = False

    async def fetch(self, schema_id: SchemaId) -> SchemaText | None:
        """Return the schema from the folder, else from the registry; raises what that raises."""
        path = self._folder / f"{kind_of(schema_id)}-{schema_id}.json"
        schema = await asyncio.to_thread(self._read, path)
        if schema is None:
            schema = await self._schemas.fetch(schema_id)
            if schema is not None:
                await asyncio.to_thread(self._write, path, schema)
        return schema

    def _read(self, path: Path) -> SchemaText | None:
        try:
            held: Any = json.loads(path.read_bytes())
            text = held["schema"]
            if held["registry"] == self._registry and held["sha256"] == _digest(text):
                # A release that did not know of languages wrote this: the registry is asked for it.
                return SchemaText(str(text), str(held["language"])) if "language" in held else None
        except FileNotFoundError:
            return None
        except OSError as error:
            self._tell(f"{path} cannot be read: {error.strerror}")
            return None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            pass
        self._tell(f"{path} is damaged, or no schema of {self._registry}: it is fetched anew")
        return None

    def _write(self, path: Path, schema: SchemaText) -> None:
        text, language = schema
        document = {"registry": self._registry, "sha256": _digest(text), "schema": text, "language": language}
        held = json.dumps(document)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False, encoding="utf-8") as file:
                try:
                    file.write(held)
                    file.flush()
                    os.fsync(file.fileno())
                    Path(file.name).replace(path)
                except OSError:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            self._is_unwritable = True
            self._tell(f"{path} cannot be written: {error.strerror}")
        else:
            if self._is_unwritable:
                self._is_unwritable = False
                self._tell("")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
