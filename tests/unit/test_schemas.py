"""The shipped Avro schemas and their documentation."""

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

SCHEMAS = Path(__file__).parents[2] / "schemas"
FILES = sorted(SCHEMAS.glob("*.avsc"))
MESSAGE_TYPES = {"identify", "track", "page", "screen", "group", "alias", "delete"}
TYPE_SPECIFIC = {"traits", "event", "properties", "name", "category", "groupId", "previousId"}

Json = dict[str, Any]

each_schema = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def load(path: Path) -> Json:
    """Return the schema in `path` as it was written."""
    schema: Json = json.loads(path.read_text(encoding="utf-8"))
    return schema


def is_nullable(field: Json) -> bool:
    """Tell whether the field's type is a union with null."""
    return isinstance(field["type"], list)


def type_name(field: Json) -> str:
    """Return the field's type in the README's words."""
    inner = field["type"][1] if is_nullable(field) else field["type"]
    return inner if isinstance(inner, str) else f"{inner['type']}, {inner['logicalType']}"


def readme_rows(record: str) -> list[str]:
    """Return the rows of the README's table for `record`, without its two heading lines."""
    section = (SCHEMAS / "README.md").read_text(encoding="utf-8").split(f"\n### {record}\n")[1].split("\n### ")[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


def required_only(schema: Json) -> Json:
    """Return a value that fills the required fields alone."""
    return {field["name"]: "x" for field in schema["fields"] if not is_nullable(field)}


def test_every_segment_message_type_has_a_schema() -> None:
    """There is one file per message type and no other."""
    assert {path.stem for path in FILES} == MESSAGE_TYPES


def test_the_ids_name_every_schema_once() -> None:
    """Without a registry every shipped schema is found under exactly one id."""
    ids = json.loads((SCHEMAS / "ids.json").read_text(encoding="utf-8"))

    assert sorted(ids.values()) == [path.name for path in FILES]
    assert all(int(schema_id) > 0 for schema_id in ids)


@each_schema
def test_a_schema_is_a_documented_record(path: Path) -> None:
    """Each is a valid Avro record of the namespace, and it and all its fields say what they mean."""
    schema = load(path)

    fastavro.parse_schema(schema)
    assert (schema["namespace"], schema["name"]) == ("com.segment", path.stem.title())
    assert schema["doc"]
    assert all(field["doc"] for field in schema["fields"])


@each_schema
def test_the_readme_lists_the_schemas_fields(path: Path) -> None:
    """The README's table of a record has a row per field, in order, with its type and meaning."""
    schema = load(path)

    expected = [
        f"| `{field['name']}` | {type_name(field)} | {'yes' if is_nullable(field) else 'no'} | {field['doc']} |"
        for field in schema["fields"]
    ]

    assert expected == readme_rows(schema["name"])


@each_schema
def test_nullable_fields_default_to_null(path: Path) -> None:
    """A nullable field may be left out, by a writer or by an older schema; a required field has no default."""
    for field in load(path)["fields"]:
        assert ("default" in field) == is_nullable(field)
        assert not is_nullable(field) or (field["type"][0] == "null" and field["default"] is None)


@each_schema
def test_the_required_fields_suffice(path: Path) -> None:
    """A record without any optional field can be written, and reads back with nulls."""
    schema = load(path)
    buffer = io.BytesIO()

    fastavro.schemaless_writer(buffer, schema, required_only(schema))
    buffer.seek(0)

    decoded = fastavro.schemaless_reader(buffer, schema, None)
    assert isinstance(decoded, dict)
    assert {name: value for name, value in decoded.items() if value is not None} == required_only(schema)
    assert [field["name"] for field in schema["fields"]] == list(decoded)


@each_schema
def test_common_fields_are_the_same_in_every_record(path: Path) -> None:
    """All records share the fields that every Segment message has, in name, type and default."""
    common = [
        [{**field, "doc": ""} for field in load(file)["fields"] if field["name"] not in TYPE_SPECIFIC]
        for file in (path, FILES[0])
    ]

    assert common[0] == common[1]
