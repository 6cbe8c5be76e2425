"""The `Schemas` port over a real registry."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from processor.adapters.schemas.cache import CachedSchemas
from processor.adapters.schemas.local import fingerprint_of
from processor.adapters.schemas.registry import RegistrySchemas, Sight
from processor.events.avro import reader_of
from processor.events.framing import Guid, SchemaId
from processor.model.errors import RegistryUnavailableError
from processor.runtime.ports import SchemaIncompleteError
from tests.fakes.schemas import text_of
from tests.properties.segment import framed
from tests.registry.apicurio import TWO, Apicurio

PLACE = {"type": "record", "name": "com.acme.Place", "fields": [{"name": "city", "type": "string"}]}
EVENT = {"type": "track", "userId": "u", "sent": {"city": "Ulm"}, "got": {"city": "Bonn"}}

PATIENT = {"timeout": 60.0}
"""A registry that was just started loads its classes with the first question of each kind, on a busy machine slowly."""


@pytest.fixture(params=["registry", "registry_3"])
def either(request: pytest.FixtureRequest) -> Apicurio:
    """Give one release of the registry after the other."""
    registry: Apicurio = request.getfixturevalue(request.param)
    return registry


def ask(registry: Apicurio, schema_id: SchemaId, properties: dict[str, Any] | None = None) -> str | None:
    """Ask the registry for one schema."""

    async def run() -> str | None:
        async with RegistrySchemas(registry.url, PATIENT | (properties or {}), deadline_s=90.0) as schemas:
            return await text_of(schemas, schema_id)

    return asyncio.run(run())


def own(subject: str) -> str:
    """Return the name of a type that no other test registers."""
    return f"com.acme.T{subject.split('-')[1]}"


def record(name: str, **fields: Any) -> dict[str, Any]:
    """Return the schema of a record."""
    return {"type": "record", "name": name, "fields": [{"name": key, "type": kind} for key, kind in fields.items()]}


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"basic.auth.user.info": "me:s3cret"},
        {"bearer.auth.credentials.source": "STATIC_TOKEN", "bearer.auth.token": "s3cret"},
    ],
    ids=["open", "basic", "bearer"],
)
def test_a_registered_schema_is_found_by_its_id(either: Apicurio, subject: str, properties: dict[str, Any]) -> None:
    """A schema is found by its id, with each kind of credentials and without."""
    schema = record(own(subject), type="string", userId="string")
    text = ask(either, either.register(subject, schema), properties)

    assert text is not None
    assert fingerprint_of(text) == fingerprint_of(json.dumps(schema))  # 3.3.3 writes it in a form of its own


def test_an_id_that_was_never_given_is_absent(either: Apicurio, subject: str) -> None:
    """The registry's answer for an unknown id is understood as absent, once it shows that it has anything."""
    either.register(subject, record(own(subject), type="string"))

    assert ask(either, 2**31 - 1) is None


def test_an_id_that_no_registry_gives_is_absent(either: Apicurio) -> None:
    """An id outside of the registry's numbers is absent; 2.6.13 refuses it with 404 and code 0."""
    assert [ask(either, each) for each in (0, 2**31, 2**32 - 1)] == [None] * 3


@pytest.mark.usefixtures("registry")
def test_what_shows_nothing_proves_nothing(tmp_path: Path) -> None:
    """A registry without any subject is empty, or has just started, or hides them: no id is absent by its word."""
    with Apicurio(tmp_path) as empty, pytest.raises(RegistryUnavailableError, match="shows no subject"):
        ask(empty, 1)


REFERRING = record("com.acme.Track", type="string", userId="string", sent="com.acme.Place", got="com.acme.Place")


@pytest.mark.parametrize("name", ["com.acme.Place", "place.avsc"], ids=["type", "file"])
def test_a_reference_to_another_group_is_had_from_a_registry_that_writes_it_out(
    registry_3: Apicurio, subject: str, name: str
) -> None:
    """Apicurio 3 tells no group of a reference, and its 40401 is no outage: it writes the reference out if asked."""
    registry_3.store("other", f"place-{subject}", PLACE)
    reference = {"name": name, "groupId": "other", "artifactId": f"place-{subject}", "version": "1"}
    text = ask(registry_3, registry_3.store("default", subject, REFERRING, [reference]))

    assert text is not None
    assert reader_of(text, None)(framed(text, EVENT)) == EVENT


def test_a_reference_that_cannot_be_had_is_told_as_that(registry: Apicurio, subject: str) -> None:
    """Apicurio 2 can give a reference to another group to nobody; which one it is, is said."""
    registry.store("other", f"place-{subject}", PLACE)
    reference = {"name": "com.acme.Place", "groupId": "other", "artifactId": f"place-{subject}", "version": "1"}
    schema_id = registry.store("default", subject, REFERRING, [reference])

    with pytest.raises(SchemaIncompleteError, match=r"refers to 'com\.acme\.Place'"):
        ask(registry, schema_id)


def test_its_mode_is_seen_where_it_has_one(either: Apicurio, subject: str) -> None:
    """Apicurio 3 tells its mode, 2 has none; both show that they have subjects."""
    either.register(subject, record(own(subject), type="string"))

    async def run() -> Sight:
        async with RegistrySchemas(either.url, PATIENT) as schemas:
            return await schemas.look()

    assert asyncio.run(run()) == Sight(has_subjects=True, mode=None if either.release is TWO else "READWRITE")


def test_a_registry_that_knows_no_guids_says_nothing_about_a_schema(either: Apicurio) -> None:
    """If the registry knows no guids, records framed by guid wait, and the halt says what to look at.

    Apicurio 3.3.3 sends no answer to one such question in sixty, to the first one of a busy start more often; its own
    log says that it did (2026-11). The worker asks again then, and so does this.
    """
    answered = re.compile(r"answers 404.*; .* that the registry knows guids")
    said: list[str] = []
    while not (said and answered.search(said[-1])):
        assert len(said) < 20, said
        with pytest.raises(RegistryUnavailableError) as refused:
            ask(either, Guid(bytes(16)), {"timeout": 3.0})
        said.append(str(refused.value))

    assert all("ReadTimeout" in each for each in said[:-1]), said


def test_referenced_schemas_are_written_out(either: Apicurio, subject: str) -> None:
    """A schema with references to other subjects is returned as one text that stands alone."""
    either.register(f"place-{subject}", PLACE)
    schema = record("com.acme.Track", type="string", userId="string", sent="com.acme.Place", got="com.acme.Place")
    reference = {"name": "com.acme.Place", "subject": f"place-{subject}", "version": 1}
    text = ask(either, either.register(subject, schema, [reference]))

    assert text is not None
    assert reader_of(text, None)(framed(text, EVENT)) == EVENT


def test_a_union_of_referenced_types_may_share_a_topic(either: Apicurio, subject: str) -> None:
    """A union of referenced types, as Confluent's serializers register it, decodes each of them."""
    kinds = {
        "com.acme.Track": record("com.acme.Track", type="string", userId="string", event="string"),
        "com.acme.Identify": record("com.acme.Identify", type="string", userId="string", traits="string"),
    }
    for name, schema in kinds.items():
        either.register(f"{name}-{subject}", schema)
    references = [{"name": name, "subject": f"{name}-{subject}", "version": 1} for name in kinds]
    text = ask(either, either.register(subject, list(kinds), references))

    assert text is not None
    written = {"type": "identify", "userId": "u", "traits": "{}"}
    value = framed(text, ("com.acme.Identify", written))
    assert reader_of(text)(value) == {**written, "traits": {}}


def test_what_is_on_disk_needs_no_registry(registry: Apicurio, subject: str, cache: Path) -> None:
    """A schema that was fetched once is found while the registry is away."""
    schema = record(own(subject), type="string", userId="string")
    schema_id = registry.register(subject, schema)
    told: list[str] = []

    async def run(*ids: int) -> list[str | None]:
        async with RegistrySchemas(registry.url, PATIENT) as schemas:
            cached = CachedSchemas(schemas, cache, schemas.address, told.append)
            return [await text_of(cached, each) for each in ids]

    [text] = asyncio.run(run(schema_id))
    registry.stop()
    try:
        assert asyncio.run(run(schema_id)) == [text]
        with pytest.raises(RegistryUnavailableError, match="does not answer"):
            asyncio.run(run(schema_id + 1))
    finally:
        registry.start()
    assert ask(registry, schema_id) == text
    assert told == []
