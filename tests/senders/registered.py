"""What serializers write that ask a registry: real ones of Apicurio, and a Glue of our own."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from processor.adapters.schemas.apicurio import LongIds
from processor.events.framing import schema_ids
from processor.model.records import Record
from processor.runtime.ports import SchemaText
from tests.fakes.glue import FakeGlue
from tests.registry.apicurio import CONFLUENT_API, THREE, TWO, Apicurio
from tests.registry.serdes import APICURIO_2, APICURIO_3, GLUE, Serde
from tests.senders.senders import BY_APICURIO, BY_GLUE, SCHEMA, Serialized, parsed

TEXT = SCHEMA.read_text(encoding="utf-8")
TRACK = {
    "type": "track",
    "userId": "42",
    "event": "Serialized",
    "timestamp": 1772597167890,
    "properties": {"whole": 42},
}
"""In Avro's JSON encoding."""


def by_registries(flink: Sequence[str], converters: Sequence[str]) -> Iterator[Serialized]:
    """Yield what each of them writes; the arguments call programs of ours, less the registry's address."""
    with (
        TemporaryDirectory() as two,
        TemporaryDirectory() as three,
        Apicurio(Path(two), TWO) as older,
        Apicurio(Path(three), THREE) as newer,
    ):
        yield from _by_apicurio(APICURIO_2, older, "v2", "global")
        yield from _by_apicurio(APICURIO_3, newer, "v3", "content")
        yield from _by_program([*flink, newer.url], newer, "content")
        yield from _by_program([*converters, _own_api(older, "v2")], older, "global")
    yield from _by_glue()


def _by_apicurio(serde: Serde, registry: Apicurio, api: str, long_ids: LongIds) -> Iterator[Serialized]:
    url = _own_api(registry, api)
    for name, each, settings in BY_APICURIO:
        if each is serde:
            properties = (f"apicurio.registry.{one}" for one in (f"url={url}", "auto-register=true", *settings))
            yield _registered(_of_record(name, serde.write(json.loads(TEXT), TRACK, *properties)), registry, long_ids)


def _by_glue() -> Iterator[Serialized]:
    with FakeGlue() as glue:
        named = (f"endpoint={glue.url}", "region=eu-central-1", "registry.name=r", "dataFormat=AVRO")
        for name, compression in BY_GLUE.items():
            written = _of_record(name, GLUE.write(json.loads(TEXT), TRACK, *named, f"compression={compression}"))
            yield written._replace(schema=SchemaText(glue.asked[-1][1]["SchemaDefinition"]))


def _by_program(call: Sequence[str], registry: Apicurio, long_ids: LongIds) -> Iterator[Serialized]:
    done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
        yield _registered(parsed(line), registry, long_ids)


def _own_api(registry: Apicurio, version: str) -> str:
    """Return where a registry speaks its own protocol, as its serializers do."""
    return registry.url.replace(CONFLUENT_API, f"/apis/registry/{version}")


def _of_record(name: str, record: Record) -> Serialized:
    return Serialized(name, record.value or b"", record.headers or [], None)


def _registered(written: Serialized, registry: Apicurio, long_ids: LongIds) -> Serialized:
    """Return it with the schema that the registry has for it, if it names one."""
    for named in schema_ids([written.record]):
        return written._replace(schema=registry.schema(named, long_ids))
    return written
