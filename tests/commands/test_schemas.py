"""`segment-fullstory schemas` as a user runs it: what needs no registry, and a registry that gives no answer."""

import asyncio
import json

import fastavro
import pytest

from processor import shipped_folder
from tests.commands.program import Done, run
from tests.fakes.schemas import FakeRegistry

SECRET = "s3cret"


def test_every_schema_is_listed() -> None:
    """The list has each shipped schema with its name, id and purpose."""
    listed = run("schemas", "list").out.splitlines()
    files = {path.stem for path in shipped_folder().glob("*.avsc")}

    assert {line.split()[0] for line in listed} == files
    assert "track        2  com.segment.Track      What a user did." in listed


def test_a_schema_is_shown_as_it_is() -> None:
    """`schemas show` prints the file unchanged."""
    done = run("schemas", "show", "track")

    assert done.out == (shipped_folder() / "track.avsc").read_text(encoding="utf-8")
    assert fastavro.parse_schema(json.loads(done.out))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show", "tracks"], "there is no schema 'tracks', but identify, track, "),
        (["register", "tracks=topic"], "there is no schema 'tracks'"),
        (["compatibility", "identify=events", "track=events"], "two schemas are for one subject"),
    ],
)
def test_a_wrong_name_is_named(arguments: list[str], complaint: str) -> None:
    """For an unknown schema, the message lists the known ones."""
    done = run("schemas", *arguments)

    assert done.code == 2
    assert complaint in " ".join(done.err.split())


def ask(registry: FakeRegistry, *properties: tuple[str, str]) -> Done:
    """Compare with the registry, with some properties of its client."""
    environment = {
        "PROCESSOR_SCHEMA_REGISTRY__URL": registry.url,
        "PROCESSOR_SCHEMA_REGISTRY__PROPERTIES": json.dumps(dict(properties)),
    }
    return run("schemas", "compatibility", "track", environment=environment)


@pytest.mark.parametrize(
    ("status", "body", "complaint"),
    [
        (401, '{"error_code": 401, "message": "Unauthorized"}', "check the credentials"),
        (404, "<html>", "check PROCESSOR_SCHEMA_REGISTRY__URL"),
        (500, '{"error_code": 50001, "message": "store"}', "answers 500"),
        (200, "<html>", "something in between or another server"),
    ],
)
def test_a_registry_that_gives_no_answer_is_named(status: int, body: str, complaint: str) -> None:
    """If the registry does not answer, the message says what to check, without credentials."""

    async def compare() -> tuple[Done, list[str | None]]:
        async with FakeRegistry() as registry:
            registry.fault = (status, body)
            properties = ("basic.auth.user.info", f"me:{SECRET}")
            return await asyncio.to_thread(ask, registry, properties), registry.authorizations

    done, authorizations = asyncio.run(compare())

    assert done.code == 2
    assert complaint in done.err
    assert SECRET not in done.err
    assert all(each and each.startswith("Basic ") for each in authorizations)


def test_a_registry_must_be_configured() -> None:
    """Without a registry, or with a wrong address, each command that asks it fails with one line."""
    away = {"PROCESSOR_SCHEMA_REGISTRY__URL": "http://127.0.0.1:1"}
    for command in ("compatibility", "register"):
        assert "PROCESSOR_SCHEMA_REGISTRY__URL: is not set" in run("schemas", command).err
        done = run("schemas", command, environment=away)
        assert done.code == 2
        assert "the schema registry at http://127.0.0.1:1 does not answer (connection refused)" in done.err
