"""Other people's serializers, real ones, with real registries: what they write is read."""

import json

import pytest

from processor.events.avro import decode, reader_of
from processor.events.framing import ApicurioId, GlueId, schema_ids
from processor.model.errors import RegistryUnavailableError
from processor.model.records import Record
from tests.fakes.glue import FakeGlue
from tests.needs import need
from tests.registry.apicurio import TWO, Apicurio
from tests.registry.serdes import APICURIO_2, APICURIO_3, GLUE, Serde
from tests.registry.serdes.event import EVENT, READ, SCHEMA


@pytest.fixture(params=["registry", "registry_3"])
def either(request: pytest.FixtureRequest) -> Apicurio:
    """Give one release of the registry after the other."""
    registry: Apicurio = request.getfixturevalue(request.param)
    return registry


def written(serde: Serde, *properties: str) -> Record:
    """Return the event as a serializer writes it; skip where Maven cannot fetch it."""
    try:
        _ = serde.classpath
    except (OSError, RuntimeError) as fault:
        need(f"Maven could not fetch {serde.artifact}: {fault}")
    return serde.write(SCHEMA, EVENT, *properties)


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["headers.enabled=true"],
        ["headers.enabled=true", "use-id=globalId"],
        ["headers.enabled=true", "use-id=contentId"],
        ["headers.enabled=true", "avro.encoding=JSON"],
        ["headers.enabled=false"],
        ["headers.enabled=false", "avro.encoding=JSON"],
    ],
    ids=lambda settings: "+".join(settings) or "default",
)
def test_what_apicurios_serializer_writes_is_read(either: Apicurio, subject: str, settings: list[str]) -> None:
    """A record names its schema in the registry, and is the event that the serializer was given."""
    registered = either.register(subject, {"type": "record", "name": "Other", "fields": []})
    either.register(f"{subject}-again", {"type": "record", "name": "Other", "fields": []})
    serde, api = (APICURIO_2, "v2") if either.release is TWO else (APICURIO_3, "v3")
    url = either.url.replace("/apis/ccompat/v7", f"/apis/registry/{api}")
    record = written(serde, *(f"apicurio.registry.{each}" for each in (f"url={url}", "auto-register=true", *settings)))

    [named] = schema_ids([record])
    found = either.schema(named, "global" if either.release is TWO else None)

    assert registered
    assert found is not None
    assert decode(record, {named: reader_of(found.text, None, found.language_for(named))}) == READ


def test_the_languages_of_schemas_are_the_registrys(either: Apicurio, subject: str) -> None:
    """JSON Schema and Protobuf are known by the registry's word, by each kind of id; absent ids are absent."""
    json_schema = json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "title": subject})
    protobuf = f'syntax = "proto3"; message T{subject.split("-")[1]} {{ string a = 1; }}'
    texts = {"JSON": json_schema, "PROTOBUF": protobuf}
    names = {language: f"{subject}-{language}" for language in texts}
    contents = {language: either.register_text(names[language], texts[language], language) for language in texts}

    globals_ = {language: either.global_id(names[language]) for language in texts}

    for language in texts:
        by_content, by_global = (
            either.schema(each) for each in (contents[language], ApicurioId("globalId", globals_[language]))
        )
        assert by_content is not None
        assert by_global is not None
        assert (by_content.language, by_global.language) == (language, language)
    assert either.schema(ApicurioId("globalId", 2**40)) is None
    assert either.schema(ApicurioId("contentId", 2**30)) is None


@pytest.mark.parametrize("language", ["AVRO", "JSON", "PROTOBUF"])
def test_a_global_id_outlives_the_next_version(either: Apicurio, subject: str, language: str) -> None:
    """Records of before a schema was changed are read by the version that they name.

    Apicurio 2.6.13 finds artifacts by the global ids of their latest versions only; 3.3.3 by all (2026-11).
    """
    name = f"T{subject.split('-')[1]}"
    fields = [{"name": "a", "type": "string", "default": ""}, {"name": "b", "type": "string", "default": ""}]
    draft = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
    first, second = {
        "AVRO": [json.dumps({"type": "record", "name": name, "fields": fields[:end]}) for end in (1, 2)],
        "JSON": [json.dumps({**draft, "title": title}) for title in (name, f"{name}2")],
        "PROTOBUF": [f'syntax = "proto3"; message {name} {{ string a = 1;{b} }}' for b in ("", " string b = 2;")],
    }[language]
    either.register_text(subject, first, language)
    older = ApicurioId("globalId", either.global_id(subject))
    before = either.schema(older)
    either.register_text(subject, second, language)

    assert before is not None
    assert before.language == language
    assert either.schema(older) == before
    assert either.global_id(subject) != older.number


def test_a_number_of_two_schemas_halts_until_it_is_said_which_is_meant(either: Apicurio, subject: str) -> None:
    """Eight bytes may be a global id or a content id: where both exist and differ, nobody guesses.

    Both count on alike until the registry refuses something, which costs the id of a content (2.6.13, 3.3.3, 2026-11).
    """
    group, kind = f"group-{subject}", subject.split("-")[1]

    def own(at: int) -> dict[str, object]:
        return {"type": "record", "name": f"T{at}{kind}", "fields": []}

    either.store(group, "artifact", own(0))
    with pytest.raises(ValueError, match="409"):
        either.store(group, "artifact", own(1))
    number = either.register(f"{subject}-2", own(2))
    for at in range(3, 100):
        either.register(f"{subject}-{at}", own(at))
        if either.global_id(f"{subject}-{at}") == number:
            break
    long = ApicurioId("eight-byte-id", number)

    with pytest.raises(RegistryUnavailableError, match="set PROCESSOR_SCHEMA_REGISTRY__LONG_IDS"):
        either.schema(long)
    by_global, by_content = (either.schema(long, each) for each in ("global", "content"))

    assert by_global == either.schema(ApicurioId("globalId", number))
    assert by_content == either.schema(ApicurioId("contentId", number))
    assert by_global is not None
    assert by_content is not None
    assert by_global != by_content


@pytest.mark.xdist_group("servers")
@pytest.mark.parametrize("compression", ["NONE", "ZLIB"])
def test_what_glues_serializer_writes_is_read(compression: str) -> None:
    """A record of AWS Glue's serializer names its schema's version, compressed or not."""
    with FakeGlue() as glue:
        named = ("region=eu-central-1", f"endpoint={glue.url}", "registry.name=r", "dataFormat=AVRO")
        record = written(GLUE, *named, f"compression={compression}")

    [version] = schema_ids([record])
    text = glue.asked[0][1]["SchemaDefinition"]

    assert isinstance(version, GlueId)
    assert decode(record, {version: reader_of(text, None)}) == READ
