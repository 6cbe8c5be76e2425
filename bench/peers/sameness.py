"""Whether a peer does the worker's work: its items are those that the worker's own mapping makes of the same events."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from bench.peers.runs import Topics, run
from processor.events.avro import Reader, decode, reader_of
from processor.events.framing import SchemaId
from processor.events.mapping import Mapping, MappingRules
from processor.model.outcomes import Mapped
from processor.model.records import Record
from tests.kafka.cluster import Cluster
from tests.kafka.topics import read_all

SHOWN = 500
"""Characters of an item."""


def differences(name: str, cluster: Cluster, topics: Topics, schema: str, schema_id: SchemaId) -> Iterator[str]:
    """Let a peer deliver, and say which items are not as they should be; no user may occur twice in the topics."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bodies"
        run(name, cluster, topics, "--bodies", str(file))
        found = {_unique(item): item for line in file.read_bytes().splitlines() for item in _items(line)}
    readers: dict[SchemaId, Reader] = {schema_id: reader_of(schema)}
    mapping = Mapping(MappingRules())
    for message in read_all(cluster, topics.typed_maps.topic):
        record = Record(message.offset() or 0, message.timestamp()[1], message.key(), message.value(), None)
        event = decode(record, readers)
        assert isinstance(event, dict), event
        mapped = mapping.map(event, record.timestamp_ms, lambda _rule, _path: None)
        assert isinstance(mapped, Mapped), mapped
        expected = orjson.loads(orjson.dumps(mapped.body))
        if (item := found.get(_unique(expected))) != expected:
            yield f"{name} made {str(item)[:SHOWN]} of what is {str(expected)[:SHOWN]}"


def _items(body: bytes) -> list[dict[str, Any]]:
    """Return the items of a batch, or the one of a request for a single item."""
    found: dict[str, Any] = orjson.loads(body)
    items: list[dict[str, Any]] = found.get("requests") or [found]
    return items


def _unique(item: dict[str, Any]) -> str:
    """Return what tells an item from all others: a property of an event, the id of a user."""
    return str(item["properties"].get("unique") or item["uid"])
