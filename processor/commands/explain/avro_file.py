"""An Avro container file: its schema, and the bodies of its records as Kafka would hold them.

The bodies are found by the worker's own decoder, so that what it makes of them is what it would make of a topic.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Any, final

import fastavro

from processor.events.avro_binary import FAULTS, compile_value, name_of
from processor.events.avro_bytes import read_long, sized
from processor.events.avro_schema import SchemaError, parse_schema
from processor.events.framing import SchemaId
from processor.events.json_text import parse_json
from processor.runtime.ports import SchemaText

SCHEMA_ID = 1
"""Under which the file's schema is found; it is the only one."""

_MAGIC = b"Obj\1"
_SCHEMA, _CODEC = b"avro.schema", b"avro.codec"
_NO_SCHEMA = b'"null"'


@final
class AvroFile:
    """The `Schemas` port for the records of one file. Raises `ValueError`, in plain words, for what is no such file.

    fastavro unpacks the blocks. It would judge the schema more strictly than the worker does, so it is given another.
    """

    def __init__(self, content: bytes) -> None:
        try:
            named, start = _header(content)
            self.codec = named.get(_CODEC, b"null").decode()
            self._schema_text = named[_SCHEMA].decode()
            head = _MAGIC + _map({_CODEC: self.codec.encode(), _SCHEMA: _NO_SCHEMA})
            self._blocks: Any = fastavro.block_reader(BytesIO(head + content[start:]))
        except Exception as error:  # noqa: BLE001 - fastavro raises many kinds for bytes it cannot use
            raise ValueError(f"it is no Avro container file ({type(error).__name__})") from None
        try:
            schema = parse_schema(parse_json(self._schema_text))
            self._end_of = compile_value(schema.type, schema.named).end_of
        except (SchemaError, RecursionError) as fault:
            raise ValueError(f"the schema of the file cannot be used: {fault}") from None

    async def fetch(self, schema_id: SchemaId) -> SchemaText | None:
        """Return the file's schema under its id."""
        return SchemaText(self._schema_text) if schema_id == SCHEMA_ID else None

    def bodies(self) -> Iterator[bytes]:
        """Give each record's bytes; raises `ValueError` where the file is damaged."""
        number = 0
        try:
            for block in self._blocks:
                content, at = block.bytes_.getvalue(), 0
                for _ in range(block.num_records):
                    number += 1
                    end = self._end_of(content, at)
                    yield content[at:end]
                    at = end
        except FAULTS as fault:
            raise ValueError(f"record {number}: the file is damaged: {name_of(fault)}") from None
        except Exception as error:  # noqa: BLE001 - of fastavro and of the codecs
            raise ValueError(f"after record {number}: the file is damaged ({type(error).__name__})") from None


def _header(content: bytes) -> tuple[dict[bytes, bytes], int]:
    """Return what a file says of itself, and where that ends; raises one of `FAULTS` for what is no such file."""
    if not content.startswith(_MAGIC):
        raise ValueError
    said: dict[bytes, bytes] = {}
    count, at = read_long(content, len(_MAGIC))
    while count:
        if count < 0:  # then the block's size follows
            _, at = read_long(content, at)
        for _ in range(abs(count)):
            name, at = sized(content, at)
            said[name], at = sized(content, at)
        count, at = read_long(content, at)
    return said, at


def _map(said: dict[bytes, bytes]) -> bytes:
    """Return few and short entries as Avro writes them: each of these numbers fits into a byte."""
    entries = b"".join(bytes([len(each) << 1]) + each for entry in said.items() for each in entry)
    return bytes([len(said) << 1]) + entries + b"\0"
