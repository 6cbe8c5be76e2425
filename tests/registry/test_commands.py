"""`schemas`, `explain` and `check` with a real registry."""

import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from processor import shipped_folder
from processor.adapters.kafka.mock import MockCluster
from processor.adapters.schemas.local import fingerprint_of
from processor.model.records import Headers
from processor.workload.encoding import AvroEncoder
from tests.commands.program import Done, run
from tests.commands.test_explain_topic import produce
from tests.kafka.programs import ROOT
from tests.kafka.reader import Reader
from tests.kafka.tools import write_script
from tests.registry.apicurio import Apicurio

TRACK: dict[str, Any] = {
    "type": "track",
    "messageId": "m",
    "userId": "u-1",
    "event": "Bought",
    "properties": '{"n": 1}',
}
BODY = {"name": "Bought", "user": {"uid": "u-1"}}


class Framed(NamedTuple):
    """A value with what names its schema, and how that is told."""

    value: bytes
    headers: Headers
    framing: str
    schema: str


def schemas(registry: Apicurio, *arguments: str) -> Done:
    """Run a command on schemas."""
    return run("schemas", *arguments, environment={"PROCESSOR_SCHEMA_REGISTRY__URL": registry.url})


def topic_of(subject: str) -> str:
    """Return the topic of a subject."""
    return subject.removesuffix("-value")


def test_a_schema_is_registered_once(registry: Apicurio, subject: str) -> None:
    """A schema is registered once and then reported under its id; a dry run changes nothing."""
    wanted = f"track={topic_of(subject)}"
    new = f"{subject}: new: the registry has no such subject\n"

    assert schemas(registry, "compatibility", wanted).out == new
    assert schemas(registry, "register", "--dry-run", wanted).out == new
    registered = schemas(registry, "register", wanted)
    assert registered.code == 0, registered.err
    schema_id = int(registered.out.split()[-1])
    there = f"{subject}: registered, version 1, id {schema_id}\n"
    assert registered.out == f"{new}{subject}: now registered, id {schema_id}\n"
    assert schemas(registry, "register", wanted).out == there
    assert schemas(registry, "compatibility", wanted).out == there


def test_an_incompatible_schema_keeps_all_from_being_registered(registry: Apicurio, subject: str) -> None:
    """If one schema is incompatible, none is registered, and the exit code says so."""
    registry.register(
        subject,
        {"type": "record", "name": "Page", "namespace": "com.segment", "fields": [{"name": "type", "type": "int"}]},
    )
    registry.keep(subject, "BACKWARD")
    wanted = [f"track={topic_of(subject)}-other", f"page={topic_of(subject)}"]
    done = schemas(registry, "register", *wanted)

    assert done.code == 1
    assert f"{subject}: INCOMPATIBLE with version 1" in done.out
    assert "reader type: STRING not compatible with writer type: INT" in done.out
    assert "now registered" not in done.out
    assert "new: the registry has no such subject" in schemas(registry, "compatibility", wanted[0]).out


def test_a_compatible_schema_becomes_the_next_version(registry: Apicurio, subject: str) -> None:
    """A shipped schema is registered as the next version of one with fewer fields."""
    fields = [{"name": name, "type": "string"} for name in ("type", "messageId", "event")]
    registry.register(subject, {"type": "record", "name": "Track", "namespace": "com.segment", "fields": fields})
    registry.keep(subject, "BACKWARD")
    wanted = f"track={topic_of(subject)}"

    assert f"{subject}: compatible with version 1" in schemas(registry, "compatibility", wanted).out
    assert schemas(registry, "register", wanted).code == 0
    assert f"{subject}: registered, version 2" in schemas(registry, "compatibility", wanted).out


def test_a_version_before_the_latest_may_keep_a_schema_out(registry: Apicurio, subject: str) -> None:
    """With a transitive rule, a conflict with an older version is reported."""
    for kind in ("int", "string"):
        fields = [{"name": "type", "type": kind}, {"name": "messageId", "type": "string"}]
        registry.register(subject, {"type": "record", "name": "Page", "namespace": "com.segment", "fields": fields})
        registry.keep(subject, "NONE")
    registry.keep(subject, "BACKWARD_TRANSITIVE")
    done = schemas(registry, "register", f"page={topic_of(subject)}")

    assert done.code == 1
    assert f"{subject}: REFUSED" in done.out or f"{subject}: INCOMPATIBLE" in done.out


def test_a_wrong_path_is_named(registry: Apicurio) -> None:
    """If the address leads to another API than Confluent's, the message names the setting to check."""
    away = {"PROCESSOR_SCHEMA_REGISTRY__URL": registry.url.removesuffix("/apis/ccompat/v7")}
    done = run("schemas", "compatibility", environment=away)

    assert done.code == 2
    assert "check PROCESSOR_SCHEMA_REGISTRY__URL" in done.err


def test_each_framing_is_explained(registry: Apicurio, subject: str) -> None:
    """`explain` decodes a prefix or header with the registry's id and a shipped schema's fingerprint."""
    text = (shipped_folder() / "track.avsc").read_text(encoding="utf-8")
    schema_id = registry.register(subject, json.loads(text))
    names = [field["name"] for field in json.loads(text)["fields"]]
    avro = AvroEncoder()(dict.fromkeys(names) | TRACK)[5:]
    prefix = b"\0" + schema_id.to_bytes(4, "big")
    framed = [
        Framed(prefix + avro, [], "Confluent's, by the first bytes of the value", f"id {schema_id}"),
        Framed(
            avro, [("__value_schema_id", prefix)], "Confluent's, by the header __value_schema_id", f"id {schema_id}"
        ),
        Framed(b"\xc3\x01" + fingerprint_of(text) + avro, [], "Avro's single-object encoding", "fingerprint "),
    ]
    with MockCluster("segment", "letters") as kafka:
        environment = {
            "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "PROCESSOR_KAFKA__TOPICS": "segment",
            "PROCESSOR_KAFKA__GROUP_ID": "fullstory",
            "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "letters",
            "PROCESSOR_SCHEMA_REGISTRY__URL": registry.url,
        }
        for value, headers, framing, named in framed:
            partition, offset = produce(kafka, "segment", value, headers)
            place = ["--topic", "segment", "--partition", str(partition), "--offset", str(offset)]
            (told,) = run("explain", *place, "--format", "json", environment=environment).objects()
            text_ = run("explain", *place, environment=environment).out

            assert told["requests"][0]["body"].items() >= BODY.items()
            assert f"framing   {framing}" in text_
            assert f"schema    {named}" in text_
            assert "com.segment.Track" in text_

        partition, offset = produce(kafka, "segment", b"\0" + (2**31 - 1).to_bytes(4, "big") + avro, [])
        place = ["--topic", "segment", "--partition", str(partition), "--offset", str(offset)]
        (told,) = run("explain", *place, "--format", "json", environment=environment).objects()
        assert told["reason"] == "unknown_schema"
        assert any("waits 300 s for the schema" in note["text"] for note in told["notes"])


def test_check_asks_the_registry_and_not_the_cache(registry: Apicurio, subject: str, tmp_path: Path) -> None:
    """`check` reports a registry that is away, even if the schema is on disk."""
    schema_id = registry.register(subject, "string")
    assert schema_id
    with MockCluster("segment", "letters") as kafka:
        environment = {
            "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "PROCESSOR_KAFKA__TOPICS": "segment",
            "PROCESSOR_KAFKA__GROUP_ID": "fullstory",
            "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "letters",
            "PROCESSOR_FULLSTORY__API_KEY": "na1.key",
            "PROCESSOR_FULLSTORY__BASE_URL": "http://127.0.0.1:1",
            "PROCESSOR_SCHEMA_REGISTRY__URL": registry.url,
            "PROCESSOR_SCHEMA_REGISTRY__CACHE_DIR": str(tmp_path),
        }
        up = run("check", "--format", "json", environment=environment)
        registry.stop()
        try:
            down = run("check", "--format", "json", environment=environment)
        finally:
            registry.start()

    assert "registry.reached" in up.out
    assert "registry.unreachable" in down.out


def test_the_documented_commands_work(registry: Apicurio, tmp_path: Path) -> None:
    """The commands of schemas/README.md work from top to end, the first time and again."""
    write_script(tmp_path / "segment-fullstory", f"env PYTHONPATH='{ROOT}' '{sys.executable}' -m processor \"$@\"")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PROCESSOR_SCHEMA_REGISTRY__URL": registry.url}
    with Reader(tmp_path, environment) as reader:
        reader.follow((ROOT / "schemas" / "README.md").read_text(encoding="utf-8"))

    assert "registered, version 1" in schemas(registry, "compatibility", "track=segment.track").out
