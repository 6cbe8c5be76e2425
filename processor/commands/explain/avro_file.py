"""An Avro container file: its schema, and the bodies of its records as Kafka would hold them.

The bodies are found by the worker's own decoder, so that what it makes of them is what it would make of a topic.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Any, final

import fastavro
import orjson

from processor.events.avro_binary import FAULTS, compile_value, name_of
from processor.events.framing import SchemaId
from processor.runtime.ports import SchemaText

SCHEMA_ID = 1
"""Under which the file's schema is found; it is the only one."""


@final
class AvroFile:
    """The `Schemas` port for the records of one file. Raises `ValueError`, in plain words, for what is no such file."""

    def __init__(self, content: bytes) -> None:
        try:
            self._blocks: Any = fastavro.block_reader(BytesIO(content))
        except Exception as error:  # noqa: BLE001 - fastavro raises many kinds for bytes it cannot use
            raise ValueError(f"it is no Avro container file ({type(error).__name__})") from None
        self.codec: str = self._blocks.codec
        self._schema_text: str = self._blocks.metadata["avro.schema"]
        try:
            schema: Any = fastavro.parse_schema(orjson.loads(self._schema_text))
            self._measure = compile_value(schema)
        except Exception:  # noqa: BLE001 - of fastavro and of the compiler, for a schema they cannot use
            raise ValueError("the schema of the file cannot be used") from None

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
                    _, end = self._measure(content, at)
                    yield content[at:end]
                    at = end
        except FAULTS as fault:
            raise ValueError(f"record {number}: the file is damaged: {name_of(fault)}") from None
        except Exception as error:  # noqa: BLE001 - of fastavro and of the codecs
            raise ValueError(f"after record {number}: the file is damaged ({type(error).__name__})") from None
