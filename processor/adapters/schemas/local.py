"""Schemas of a folder: `ids.json` names a file for each id, and every `*.avsc` is known by its fingerprint."""

import json
from pathlib import Path
from typing import Any, final

from fastavro.schema import fingerprint

from processor import shipped_folder
from processor.events.avro_schema import SchemaError, canonical, parse_schema
from processor.events.framing import ApicurioId, Fingerprint, SchemaId
from processor.events.json_text import parse_json
from processor.model.errors import ConfigurationError
from processor.runtime.ports import SchemaText

INDEX = "ids.json"
_INDEX_FORM = f'{INDEX} must hold an object of ids from 1 and file names, for example {{"1": "identify.avsc"}}'


def shipped_files() -> dict[int, Path]:
    """Return the files of the schemas that come with the worker, by id; raises `ConfigurationError`."""
    folder = shipped_folder()
    return {schema_id: folder / name for schema_id, name in sorted(_index(folder).items())}


@final
class LocalSchemas:
    """The `Schemas` port over a folder, read once. Raises `ConfigurationError` that names every file at fault."""

    def __init__(self, folder: Path) -> None:
        problems: list[str] = []
        self._texts: dict[SchemaId, str] = {}
        index = _index(folder)
        for name in {*index.values(), *(path.name for path in folder.glob("*.avsc"))}:
            path = folder / name
            try:
                text = path.read_text(encoding="utf-8")
                self._texts[fingerprint_of(text)] = text
                self._texts.update((schema_id, text) for schema_id, file in index.items() if file == name)
            except OSError as error:
                problems.append(f"{path}: {error.strerror}; restore the file or remove it from {INDEX}")
            except UnicodeDecodeError:
                problems.append(f"{path}: not text in UTF-8; correct the file")
            except SchemaError as fault:
                problems.append(f"{path}: not an Avro schema ({fault}); correct the file")
        if problems:
            raise ConfigurationError(sorted(problems))

    async def fetch(self, schema_id: SchemaId) -> SchemaText | None:
        """Return the schema, None when none of the folder is named so.

        A content id of Apicurio's is an id: its API like Confluent's calls it so.
        """
        if isinstance(schema_id, ApicurioId) and schema_id.kind == "contentId":
            schema_id = schema_id.number
        text = self._texts.get(schema_id)
        return None if text is None else SchemaText(text)


def fingerprint_of(text: str) -> Fingerprint:
    """Return what the single-object encoding names a schema by; raises `SchemaError` for what is no Avro schema."""
    return Fingerprint(bytes.fromhex(fingerprint(canonical(parse_schema(parse_json(text))), "CRC-64-AVRO")))


def _index(folder: Path) -> dict[int, str]:
    path = folder / INDEX
    try:
        index: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror}; {_INDEX_FORM}"]) from None
    except ValueError:
        raise ConfigurationError([f"{path}: not JSON; {_INDEX_FORM}"]) from None
    if not isinstance(index, dict) or not all(map(_is_entry, index.items())):
        raise ConfigurationError([f"{path}: {_INDEX_FORM}"])
    return {int(schema_id): name for schema_id, name in index.items()}


def _is_entry(entry: tuple[str, Any]) -> bool:
    schema_id, name = entry
    return schema_id.isascii() and schema_id.isdecimal() and int(schema_id) > 0 and isinstance(name, str) and bool(name)
