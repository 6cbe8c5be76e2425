"""The `Schemas` port: one suite over the fake, a folder and a registry; then what only one of them can meet."""

import asyncio
import json
import random
import sys
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from processor import shipped_folder
from processor.adapters.proxies import Proxies
from processor.adapters.schemas.cache import CachedSchemas
from processor.adapters.schemas.glue import GlueSchemas
from processor.adapters.schemas.local import LocalSchemas, fingerprint_of
from processor.adapters.schemas.places import SchemaPlaces
from processor.adapters.schemas.registry import RegistrySchemas
from processor.events.avro import reader_of
from processor.events.framing import ApicurioId, Fingerprint, GlueId, Guid, SchemaId
from processor.model.errors import ConfigurationError, RegistryUnavailableError
from processor.runtime.ports import SchemaIncompleteError, Schemas, SchemaText
from tests.fakes.glue import VERSION, FakeGlue
from tests.fakes.schemas import APICURIOS_PATH, FakeRegistry, FakeSchemas, text_of
from tests.fakes.tls import PASSWORD, Certificates

TEXT = json.dumps(
    {
        "type": "record",
        "name": "Track",
        "namespace": "com.segment",
        "fields": [{"name": "type", "type": "string"}, {"name": "userId", "type": "string"}],
    }
)
SECRET = "s3cret"


@asynccontextmanager
async def fake(_folder: Path) -> AsyncIterator[Schemas]:
    """Run over the fake."""
    yield FakeSchemas({7: TEXT})


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[Schemas]:
    """Run over a folder."""
    (folder / "ids.json").write_text('{"7": "track.avsc"}')
    (folder / "track.avsc").write_text(TEXT)
    yield LocalSchemas(folder)


@asynccontextmanager
async def registry(_folder: Path) -> AsyncIterator[Schemas]:
    """Run over a registry."""
    async with FakeRegistry() as server, RegistrySchemas(server.url, {}) as schemas:
        server.schemas[7] = {"schema": TEXT}
        yield schemas


@asynccontextmanager
async def cached(folder: Path) -> AsyncIterator[Schemas]:
    """Run over a cache on disk."""
    yield CachedSchemas(FakeSchemas({7: TEXT}), folder, "http://registry", untold)


def untold(detail: str) -> None:
    """Fail: nothing is to be told."""
    raise AssertionError(detail)


Open = Callable[[Path], AbstractAsyncContextManager[Schemas]]
over_all = pytest.mark.parametrize("open_schemas", [fake, local, registry, cached])


@over_all
def test_a_known_id_gives_the_text_each_time(open_schemas: Open, tmp_path: Path) -> None:
    """A known id gives the same text when it is asked for again, or twice at once."""

    async def run() -> list[str | None]:
        async with open_schemas(tmp_path) as schemas:
            return [await text_of(schemas, 7), *await asyncio.gather(text_of(schemas, 7), text_of(schemas, 7))]

    assert asyncio.run(run()) == [TEXT] * 3


@over_all
@pytest.mark.parametrize("schema_id", [0, 8, 2**32 - 1])
def test_an_unknown_id_gives_none(open_schemas: Open, tmp_path: Path, schema_id: int) -> None:
    """An unknown id gives None and no error."""

    async def run() -> str | None:
        async with open_schemas(tmp_path) as schemas:
            return await text_of(schemas, schema_id)

    assert asyncio.run(run()) is None


def ask(
    prepare: Callable[[FakeRegistry], Any],
    properties: dict[str, Any] | None = None,
    deadline_s: float = 30.0,
    url: Callable[[str], str] = str,
    schema_id: SchemaId = 7,
) -> tuple[str | None, FakeRegistry]:
    """Ask a registry for the schema 7; return what it gave, and the registry."""

    async def run() -> tuple[str | None, FakeRegistry]:
        async with FakeRegistry() as server:
            prepare(server)
            async with RegistrySchemas(url(server.url), properties or {}, deadline_s=deadline_s) as schemas:
                return await text_of(schemas, schema_id), server

    return asyncio.run(run())


def outage(prepare: Callable[[FakeRegistry], Any], deadline_s: float = 30.0, url: Callable[[str], str] = str) -> str:
    """Return what the error of an unavailable registry says."""
    with pytest.raises(RegistryUnavailableError) as caught:
        ask(prepare, {"basic.auth.user.info": f"me:{SECRET}"}, deadline_s, url)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def fault(status: int, body: str) -> Callable[[FakeRegistry], None]:
    """Let the registry answer so."""

    def prepare(server: FakeRegistry) -> None:
        server.fault = (status, body)

    return prepare


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, '{"error_code": 50001, "message": "store"}'),
        (503, "no healthy upstream"),
        (401, '{"error_code": 401, "message": "Unauthorized"}'),
        (403, '{"error_code": 40301, "message": "User is denied"}'),
        (404, "<html>nginx</html>"),
        (404, '{"error_code": 404, "message": "HTTP 404 Not Found"}'),
        (404, '{"error_code": "40403"}'),
        (404, "[]"),
        (302, ""),
        (200, "<html>log in</html>"),
        (200, '{"message": "under maintenance"}'),
        (200, "[]"),
        (200, ""),
        (204, ""),
    ],
)
def test_any_other_answer_says_nothing_about_the_schema(status: int, body: str) -> None:
    """Only the registry's own "schema not found" means absent; the error names the address."""
    message = outage(fault(status, body))

    assert message.startswith("the schema registry at http://127.0.0.1:")
    assert body[:20] == "" or body[:20] not in message


@pytest.mark.parametrize(("status", "hint"), [(401, "credentials"), (403, "credentials"), (404, "__URL")])
def test_the_error_says_what_to_check(status: int, hint: str) -> None:
    """An answer that configuration would cure names the variable."""
    message = outage(fault(status, "{}"))

    assert f"answers {status}" in message
    assert hint in message


def test_a_strange_success_is_not_remembered() -> None:
    """A proxy's page with status 200 is not cached as a schema."""

    async def run() -> str | None:
        async with FakeRegistry() as server, RegistrySchemas(server.url, {}) as schemas:
            server.fault = (200, "{}")
            with pytest.raises(RegistryUnavailableError):
                await text_of(schemas, 7)
            server.fault = None
            server.schemas[7] = {"schema": TEXT}
            return await text_of(schemas, 7)

    assert asyncio.run(run()) == TEXT


def test_a_registry_that_hangs_is_given_up() -> None:
    """The deadline ends the question, whatever the client's own timeouts are."""

    def hang(server: FakeRegistry) -> None:
        server.hangs = True

    assert "did not answer within 0.05 s" in outage(hang, deadline_s=0.05)


def test_a_registry_that_refuses_connections_is_unavailable() -> None:
    """A refused connection means that the registry is unavailable."""

    async def run() -> None:
        async with FakeRegistry() as server:
            url = server.url
        async with RegistrySchemas(url, {}) as schemas:
            await text_of(schemas, 7)

    with pytest.raises(RegistryUnavailableError, match="does not answer"):
        asyncio.run(run())


def test_cancellation_is_not_an_outage() -> None:
    """A question that is cancelled ends as cancelled."""

    async def run() -> None:
        async with FakeRegistry() as server, RegistrySchemas(server.url, {}) as schemas:
            server.hangs = True
            question = asyncio.create_task(text_of(schemas, 7))
            await server.arrived.wait()
            question.cancel()
            await question

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())


def test_credentials_are_sent_and_never_shown() -> None:
    """Given as a property or in the address, they reach the registry, and no message."""
    expected = f"Basic {b64encode(f'me:{SECRET}'.encode()).decode()}"

    def prepare(server: FakeRegistry) -> None:
        server.schemas[7] = {"schema": TEXT}

    def with_credentials(url: str) -> str:
        return url.replace("://", f"://me:{SECRET}@")

    assert ask(prepare, {"basic.auth.user.info": f"me:{SECRET}"})[1].authorizations == [expected]
    assert ask(prepare, url=with_credentials)[1].authorizations == [expected]
    with pytest.raises(RegistryUnavailableError) as caught:
        ask(fault(500, ""), url=with_credentials)
    assert SECRET not in str(caught.value)
    assert "http://127.0.0.1:" in str(caught.value)


def test_credentials_may_be_renewed() -> None:
    """Renewed credentials are used for the next question, and invalid ones change nothing."""

    async def run() -> None:
        async with FakeRegistry() as server:
            server.schemas[7] = {"schema": TEXT}
            async with RegistrySchemas(server.url, {"basic.auth.user.info": "me:old"}) as schemas:
                await text_of(schemas, 7)
                with pytest.raises(ConfigurationError):
                    await schemas.renew({"basic.auth.user.info": "no colon", "timeout": -1})
                await text_of(schemas, 8)
                await schemas.renew({"basic.auth.user.info": "me:new"})
                assert await text_of(schemas, 7) == TEXT
            told = [b64decode((each or "").removeprefix("Basic ")).decode() for each in server.authorizations]
            assert told == ["me:old", "me:old", "me:new"]

    asyncio.run(run())


def test_the_second_address_answers_when_the_first_is_down() -> None:
    """Of several addresses, the second is asked if the first is down."""

    async def run() -> str | None:
        async with FakeRegistry() as gone:
            dead = gone.url
        async with FakeRegistry() as server, RegistrySchemas(f"{dead}, {server.url}", {}) as schemas:
            server.schemas[7] = {"schema": TEXT}
            return await text_of(schemas, 7)

    assert asyncio.run(run()) == TEXT


GUID = Guid(bytes(range(16)))


def test_a_guid_is_asked_for_as_such() -> None:
    """A schema that a header names is found by its guid, with what it refers to; an unknown one gives none."""

    async def run() -> list[str | None]:
        async with FakeRegistry() as server, RegistrySchemas(server.url, {}) as schemas:
            server.guids[str(GUID)] = {"schema": TEXT, "guid": str(GUID)}
            return [await text_of(schemas, GUID), await text_of(schemas, GUID), await text_of(schemas, Guid(bytes(16)))]

    assert asyncio.run(run()) == [TEXT, TEXT, None]


def test_a_registry_knows_no_fingerprints() -> None:
    """A registry is not asked for a fingerprint."""
    text, server = ask(lambda _: None, schema_id=Fingerprint(bytes(8)))

    assert text is None
    assert server.authorizations == []


@pytest.mark.parametrize("more", [{}, {"bearer.auth.logical.cluster": "lsrc-1"}])
def test_a_bearer_token_is_sent_and_never_shown(more: dict[str, str]) -> None:
    """A bearer token reaches the registry with or without a logical cluster, and no message shows it."""
    properties = {"bearer.auth.credentials.source": "STATIC_TOKEN", "bearer.auth.token": SECRET, **more}

    def prepare(server: FakeRegistry) -> None:
        server.schemas[7] = {"schema": TEXT}

    text, server = ask(prepare, properties)

    assert (text, server.authorizations) == (TEXT, [f"Bearer {SECRET}"])
    with pytest.raises(RegistryUnavailableError) as caught:
        ask(fault(401, ""), properties)
    assert SECRET not in str(caught.value)


def over_tls(folder: Path, **properties: str) -> str | None:
    """Ask a registry that wants a client's certificate; the authority is known, and whatever is given."""

    async def run() -> str | None:
        tls = certificates.server_context()
        settings = {"ssl.ca.location": str(certificates.authority), **properties}
        async with FakeRegistry(tls) as server, RegistrySchemas(server.url, settings) as schemas:
            server.schemas[7] = {"schema": TEXT}
            return await text_of(schemas, 7)

    certificates = Certificates.make(folder)
    return asyncio.run(run())


def test_a_client_certificate_is_shown_to_the_registry(tmp_path: Path) -> None:
    """Mutual TLS: the registry's certificate is verified, and it verifies ours."""
    own = {
        "ssl.certificate.location": str(tmp_path / "client.pem"),
        "ssl.key.location": str(tmp_path / "client.key"),
        "ssl.key.password": PASSWORD,
    }

    assert over_tls(tmp_path, **own) == TEXT


def test_without_its_certificate_a_client_is_refused(tmp_path: Path) -> None:
    """A client without its certificate reports an outage, not an absent schema."""
    with pytest.raises(RegistryUnavailableError, match=r"https://127\.0\.0\.1:"):
        over_tls(tmp_path)


def test_a_registry_of_an_unknown_authority_is_not_asked(tmp_path: Path) -> None:
    """A registry whose certificate is not trusted counts as unavailable."""
    (tmp_path / "other").mkdir()
    other = Certificates.make(tmp_path / "other")

    with pytest.raises(RegistryUnavailableError, match=r"TLS: .*certificate"):
        over_tls(tmp_path, **{"ssl.ca.location": str(other.authority)})


def test_a_key_that_cannot_be_opened_is_a_configuration_error(tmp_path: Path) -> None:
    """A private key that cannot be opened is reported before anything is asked, without its password."""
    made = Certificates.make(tmp_path)
    own = {"ssl.certificate.location": str(made.client), "ssl.key.location": str(made.client_key)}

    with pytest.raises(ConfigurationError, match="PROCESSOR_SCHEMA_REGISTRY__PROPERTIES") as caught:
        RegistrySchemas("https://registry.example", {**own, "ssl.key.password": "other-s3cret"})
    assert SECRET not in str(caught.value)


def test_nobody_is_asked_for_the_password_of_a_key(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An encrypted key without a password is an error, not a question at the terminal that holds up the start."""
    made = Certificates.make(tmp_path)
    own = {"ssl.certificate.location": str(made.client), "ssl.key.location": str(made.client_key)}

    with pytest.raises(ConfigurationError, match="PROCESSOR_SCHEMA_REGISTRY__PROPERTIES"):
        RegistrySchemas("https://registry.example", own)
    assert capfd.readouterr().err == ""


def reference(name: str) -> dict[str, Any]:
    """Refer to a type that is registered under a subject of its name."""
    return {"name": name, "subject": f"{name}-value", "version": 1}


def record(name: str, **fields: Any) -> str:
    """Return the text of a record."""
    return json.dumps(
        {"type": "record", "name": name, "fields": [{"name": key, "type": kind} for key, kind in fields.items()]}
    )


def test_referenced_schemas_are_written_out() -> None:
    """A schema that refers to others, and they to others, gives a text that stands alone."""

    def prepare(server: FakeRegistry) -> None:
        text = record("com.x.Track", type="string", userId="string", sent="com.x.Place", got=["null", "com.x.Place"])
        server.schemas[7] = {"schema": text, "references": [reference("com.x.Place"), reference("com.y.Address")]}
        server.subjects["com.x.Place-value", 1] = {
            "schema": record("com.x.Place", ip="com.y.Address"),
            "references": [reference("com.y.Address")],
            "subject": "com.x.Place-value",
            "version": 1,
            "id": 5,
        }
        server.subjects["com.y.Address-value", 1] = {
            "schema": record("com.y.Address", text="string"),
            "subject": "com.y.Address-value",
            "version": 1,
            "id": 6,
        }

    text, _ = ask(prepare)

    assert text is not None
    event = reader_of(text, None)(b"\0\0\0\0\7" + b"\x0atrack" + b"\4u1" + b"\2a" + b"\2" + b"\2b")
    assert event == {"type": "track", "userId": "u1", "sent": {"ip": {"text": "a"}}, "got": {"ip": {"text": "b"}}}


def test_a_schema_that_is_no_record_may_refer_too() -> None:
    """A union of referenced types is written out as well."""

    def prepare(server: FakeRegistry) -> None:
        server.schemas[7] = {"schema": '["null", "com.x.Place"]', "references": [reference("com.x.Place")]}
        server.subjects["com.x.Place-value", 1] = {"schema": record("com.x.Place", ip="string"), "id": 5}

    text, _ = ask(prepare)

    assert text is not None
    assert [each if each == "null" else each["name"] for each in json.loads(text)] == ["null", "com.x.Place"]


def test_a_reference_that_is_not_found_is_no_outage() -> None:
    """A schema whose reference the registry does not have cannot be had; which one lacks is said."""

    def prepare(server: FakeRegistry) -> None:
        server.schemas[7] = {"schema": record("T", a="com.x.Place"), "references": [reference("com.x.Place")]}

    with pytest.raises(
        SchemaIncompleteError, match=r"refers to 'com\.x\.Place' \(subject 'com.x.Place-value', version 1\)"
    ):
        ask(prepare)


def test_a_registry_that_writes_references_out_is_asked_to() -> None:
    """If the registry can write references out, its text is used, and they are not looked for one by one."""
    whole = record("T", a={"type": "record", "name": "Place", "namespace": "com.x", "fields": []})

    def prepare(server: FakeRegistry) -> None:
        server.schemas[7] = {"schema": record("T", a="com.x.Place"), "references": [reference("place.avsc")]}
        server.resolved[7] = whole

    text, server = ask(prepare)

    assert text == whole
    assert server.asked == ["/schemas/ids/7", "/schemas/ids/7?format=resolved"]


@pytest.mark.parametrize("schema_id", [0, 2**31, 2**32 - 1])
def test_an_id_that_no_registry_gives_is_not_asked_for(schema_id: int) -> None:
    """An id outside of the registry's numbers is absent without a question."""
    text, server = ask(lambda _: None, schema_id=schema_id)

    assert text is None
    assert server.asked == []


def known(server: FakeRegistry) -> None:
    """Let the registry have something else."""
    server.schemas[1] = {"schema": TEXT}


def test_an_id_that_alone_is_refused_is_no_outage() -> None:
    """If the registry refuses one id and answers otherwise, that schema cannot be had."""

    def prepare(server: FakeRegistry) -> None:
        known(server)
        server.faults["/schemas/ids/7"] = (404, '{"error_code": 0, "message": "RESTEASY003870: Unable to extract"}')

    with pytest.raises(SchemaIncompleteError, match="answers 404"):
        ask(prepare)


def test_a_registry_that_refuses_everything_is_unavailable() -> None:
    """If the registry answers nothing else either, the address is wrong and not the id."""
    with pytest.raises(RegistryUnavailableError, match="__URL"):
        ask(fault(404, '{"error_code": 0, "message": "RESTEASY003210: Could not find resource"}'))


def test_a_registry_that_shows_nothing_does_not_prove_a_schema_absent() -> None:
    """If the registry shows this login no subject, it may have started just now, or the login may not read."""
    with pytest.raises(RegistryUnavailableError, match="shows no subject at all to this login"):
        ask(lambda _: None)


def test_a_registry_that_does_not_list_its_subjects_is_believed() -> None:
    """A login that may read schemas but not the list of subjects finds out which are absent."""

    def prepare(server: FakeRegistry) -> None:
        server.faults["/subjects"] = (403, '{"error_code": 40301, "message": "User is denied"}')

    assert ask(prepare)[0] is None


def test_a_schema_that_the_login_may_not_read_is_no_outage_of_all() -> None:
    """A refusal of one schema says that it is of this one, and is no absence."""
    with pytest.raises(RegistryUnavailableError, match="may not read") as caught:
        ask(fault(403, '{"error_code": 40301, "message": "User is denied operation Read on Subject: x"}'))

    assert caught.value.is_of_one_schema


@pytest.mark.parametrize(("asked", "obeyed"), [("5", 5.0), ("3600", 60.0), ("soon", 0.0)])
def test_what_stands_in_between_is_told_and_waited_for_a_minute_at_most(asked: str, obeyed: float) -> None:
    """A page of a gateway is told without its body, and silences for a minute at most."""
    headers = {"Server": "nginx/1.22.1\x80" + "x" * 200, "Content-Type": "text/html", "Retry-After": asked}

    def prepare(server: FakeRegistry) -> None:
        server.fault = (503, "<html>secret-of-a-page</html>", headers)

    with pytest.raises(RegistryUnavailableError) as caught:
        ask(prepare)
    said = str(caught.value)

    assert "answers 503 (server nginx/1.22.1" in said
    assert "content-type text/html" in said
    assert "no registry that speaks" in said
    assert "secret-of-a-page" not in said
    assert said.isascii()
    assert len(said) < 400
    assert caught.value.retry_after_s == obeyed


def odd_answers(seed: int, count: int) -> list[tuple[int, str, dict[str, str]]]:
    """Make up answers as gateways, login pages and half a registry give them."""
    chance = random.Random(seed)
    bodies = [
        *("", "<html>secret-of-a-page</html>", "null", "[]", "{}", "7", '"text"', "\ufeff{}", "[" * 5_000, "{"),
        *('{"error_code": 40403}', '{"error_code": "40403", "message": "x"}', '{"error_code": 40403, "message": 5}'),
        *('{"error_code": true, "message": "x"}', '{"message": "Unauthorized"}', '{"schema": 5}', '{"id": 7}'),
        *('{"status": "maintenance"}', '{"error_code": 50001, "message": "store"}', '{"error_code": 0, "message": ""}'),
    ]
    statuses = [200, 201, 204, 206, 301, 302, 304, 400, 401, 403, 404, 406, 407, 408, 409, 410, 413, 418, 422, 429]
    statuses += [431, 451, 500, 501, 502, 503, 504, 520, 599]
    waits = ["", "0", "5", "3600", "99999999999", "-1", "soon", "Wed, 21 Oct 2099 07:28:00 GMT"]
    media = ["text/html", "application/json", "application/vnd.schemaregistry.v1+json", "text/plain; charset=utf-16"]
    return [
        (
            chance.choice(statuses),
            chance.choice(bodies),
            {
                "Content-Type": chance.choice(media),
                **({"Retry-After": wait} if (wait := chance.choice(waits)) else {}),
                **({"Server": chance.choice(["nginx", "\u00e9" * 300, "a\tb"])} if chance.random() < 0.5 else {}),
            },
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_no_odd_answer_proves_anything_of_a_schema(seed: int) -> None:
    """Whatever is answered in the registry's place, no schema is absent by it, and no other error escapes."""

    async def run() -> None:
        async with FakeRegistry() as server, RegistrySchemas(server.url, {}) as schemas:
            known(server)
            for status, body, headers in odd_answers(seed, 200):
                server.faults["/schemas/ids/7"] = (status, body, headers)
                print(f"seed {seed}: {status} {body[:40]!r} {headers}")  # noqa: T201 - shown where it fails
                with pytest.raises((RegistryUnavailableError, SchemaIncompleteError)) as caught:
                    await text_of(schemas, 7)
                is_the_registrys = body.startswith('{"error_code": ') and body.endswith('"}') and status >= 400
                assert isinstance(caught.value, RegistryUnavailableError) or is_the_registrys
                assert "secret" not in str(caught.value)
                if isinstance(caught.value, RegistryUnavailableError) and not is_the_registrys:
                    assert caught.value.retry_after_s <= 60.0

    asyncio.run(run())


def test_a_registry_that_asks_for_time_gets_it() -> None:
    """The registry's own Retry-After is obeyed as it is."""

    def prepare(server: FakeRegistry) -> None:
        server.fault = (429, '{"error_code": 42901, "message": "slow down"}', {"Retry-After": "90"})

    with pytest.raises(RegistryUnavailableError) as caught:
        ask(prepare)
    assert caught.value.retry_after_s == 90.0


def test_the_second_address_answers_when_a_gateway_stands_before_the_first() -> None:
    """A gateway's page is no answer: of several addresses, the next one is asked."""

    async def run() -> str | None:
        async with (
            FakeRegistry() as first,
            FakeRegistry() as second,
            RegistrySchemas(f"{first.url}, {second.url}", {}) as schemas,
        ):
            first.fault = (404, "<html>no route</html>")
            second.schemas[7] = {"schema": TEXT}
            return await text_of(schemas, 7)

    assert asyncio.run(run()) == TEXT


def test_references_that_do_not_help_leave_the_text_to_its_reader() -> None:
    """If references define no missing type, the text is returned as it is."""
    text = record("T", a="com.x.Elsewhere")

    def prepare(server: FakeRegistry) -> None:
        server.schemas[7] = {"schema": text, "references": [reference("com.x.Place")]}
        server.subjects["com.x.Place-value", 1] = {"schema": record("com.x.Place", ip="string"), "id": 5}

    assert ask(prepare)[0] == text


@pytest.mark.parametrize(
    "url", ["", "registry:8081", "mock://x", "ftp://registry", "http://", "http://a,", "http://a:x"]
)
def test_an_address_that_is_no_url_is_a_configuration_error(url: str) -> None:
    """An address that is no URL is an error before anything is asked."""
    with pytest.raises(ConfigurationError, match="PROCESSOR_SCHEMA_REGISTRY__URL"):
        RegistrySchemas(url, {})


@pytest.mark.parametrize(
    "properties",
    [
        {"no.such.property": SECRET},
        {"timeout": "10"},
        {"timeout": 0},
        {"timeout": None},
        {"basic.auth.user.info": SECRET},
        {"ssl.ca.location": "no/such/file"},
        {"ssl.key.location": "no/such/file"},
        {"bearer.auth.credentials.source": "OAUTHBEARER", "bearer.auth.client.secret": SECRET},
    ],
)
def test_properties_that_make_no_sense_are_a_configuration_error(properties: dict[str, Any]) -> None:
    """The error names the variable and holds no value that could be secret."""
    with pytest.raises(ConfigurationError, match="PROCESSOR_SCHEMA_REGISTRY__PROPERTIES") as caught:
        RegistrySchemas("https://registry.example", properties)

    assert SECRET not in str(caught.value)


def test_a_folder_knows_every_schema_by_its_fingerprint(tmp_path: Path) -> None:
    """A folder finds every schema by its fingerprint, also one without an id."""
    (tmp_path / "ids.json").write_text("{}")
    (tmp_path / "track.avsc").write_text(TEXT)
    schemas = LocalSchemas(tmp_path)

    assert asyncio.run(text_of(schemas, fingerprint_of(TEXT))) == TEXT
    assert asyncio.run(text_of(schemas, Fingerprint(bytes(8)))) is None
    assert asyncio.run(text_of(schemas, GUID)) is None


def test_fingerprints_are_the_folders_and_ids_the_registrys() -> None:
    """The folder is asked for fingerprints and the registry for ids."""
    registry, folder = FakeSchemas({7: "registry", GUID: "registry"}), FakeSchemas({7: "folder", PRINT: "folder"})
    both = SchemaPlaces(folder, registry)

    assert [asyncio.run(text_of(both, each)) for each in (7, GUID, PRINT, 8)] == [
        "registry",
        "registry",
        "folder",
        None,
    ]


PRINT = fingerprint_of(TEXT)
GLUED = GlueId(UUID(VERSION))


def test_glues_ids_are_glues_and_nobody_elses() -> None:
    """Glue is asked for its own ids alone; where the settings name none, that is what such records wait for."""
    registry, glue, folder = FakeSchemas({7: "registry"}), FakeSchemas({GLUED: "glue"}), FakeSchemas({7: "folder"})
    places = SchemaPlaces(folder, registry, glue)

    assert [asyncio.run(text_of(places, each)) for each in (7, GLUED)] == ["registry", "glue"]
    assert asyncio.run(text_of(SchemaPlaces(folder, None, glue), 7)) == "folder"
    with pytest.raises(SchemaIncompleteError, match="GLUE_REGION names no region"):
        asyncio.run(text_of(SchemaPlaces(folder, registry), GLUED))


def glue_asked(monkeypatch: pytest.MonkeyPatch, server: FakeGlue) -> GlueSchemas:
    """Return AWS's own client of a Glue of our own."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return GlueSchemas("eu-central-1")


@pytest.mark.parametrize("language", ["AVRO", "JSON", "PROTOBUF"])
def test_a_version_of_glues_gives_its_definition_and_its_language(
    monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    """Glue is asked by AWS's own client; a version that it does not know is absent, and so are others' ids."""
    with FakeGlue() as server:
        server.versions[VERSION] = {"SchemaDefinition": TEXT, "DataFormat": language}
        schemas = glue_asked(monkeypatch, server)

        assert asyncio.run(schemas.fetch(GLUED)) == SchemaText(TEXT, language)
        assert asyncio.run(schemas.fetch(GlueId(UUID(int=1)))) is None
        assert asyncio.run(schemas.fetch(7)) is None
    assert [asked for _, asked in server.asked] == [
        {"SchemaVersionId": VERSION},
        {"SchemaVersionId": str(UUID(int=1))},
    ]


def test_a_version_of_glues_that_is_not_available_is_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that Glue is still checking, or has refused, cannot be had."""
    with FakeGlue() as server:
        server.versions[VERSION] = {"SchemaDefinition": TEXT, "DataFormat": "AVRO", "Status": "PENDING"}
        schemas = glue_asked(monkeypatch, server)
        with pytest.raises(SchemaIncompleteError, match="its status is 'PENDING'"):
            asyncio.run(schemas.fetch(GLUED))


@pytest.mark.parametrize(
    ("status", "code", "told", "is_of_one_schema"),
    [
        (
            400,
            "AccessDeniedException",
            "answers AccessDeniedException; check the credentials, which need glue:Get",
            True,
        ),
        (400, "ThrottlingException", "answers ThrottlingException", False),
        (500, "InternalServiceException", "answers InternalServiceException", False),
    ],
)
def test_what_glue_answers_instead_says_nothing_of_a_schema(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, told: str, *, is_of_one_schema: bool
) -> None:
    """Refused credentials, throttling and faults of Glue are told as they are, and asked again by the worker alone."""
    with FakeGlue() as server:
        server.fault = (status, code)
        with pytest.raises(RegistryUnavailableError) as caught:
            asyncio.run(glue_asked(monkeypatch, server).fetch(GLUED))

    assert str(caught.value).startswith(f"AWS Glue in eu-central-1 {told}")
    assert caught.value.is_of_one_schema is is_of_one_schema
    assert len(server.asked) == 1


def test_a_glue_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an answer the partition waits; no credential is shown."""
    with FakeGlue() as server:
        schemas = glue_asked(monkeypatch, server)
    with pytest.raises(RegistryUnavailableError, match=r"does not answer \(EndpointConnectionError\)"):
        asyncio.run(schemas.fetch(GLUED))


def test_glue_without_its_client_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever names a region without the extra is told what to install; a region that is none is refused."""
    with pytest.raises(ConfigurationError, match="client cannot be made"):
        GlueSchemas("no region")
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigurationError, match=r"install it with `pip install '\.\[glue\]'`"):
        GlueSchemas("eu-central-1")


@pytest.mark.parametrize("language", ["JSON", "PROTOBUF", "OTHER"])
def test_the_language_of_a_schema_is_the_registrys(language: str, tmp_path: Path) -> None:
    """The registry's `schemaType` is given on, also from the disk, and nothing such a schema refers to is asked for."""
    reference = {"name": "other.proto", "subject": "other", "version": 1}

    async def run() -> tuple[list[SchemaText | None], list[str]]:
        async with FakeRegistry() as server:
            server.schemas[7] = {"schema": "text", "schemaType": language, "references": [reference]}
            async with RegistrySchemas(server.url, {}) as schemas:
                cache = CachedSchemas(schemas, tmp_path, server.url, untold)
                return [await cache.fetch(7), await cache.fetch(7)], server.asked

    given, asked = asyncio.run(run())

    assert given == [SchemaText("text", language)] * 2
    assert len(asked) == 1


def of_apicurio(schema_id: SchemaId, path: str = APICURIOS_PATH, **settings: Any) -> SchemaText | None:
    """Ask a registry that has the global ids 7, 8 and 9 and the content ids 8 and 9, of which the last are alike."""
    one, other = (json.dumps({"type": "record", "name": f"a.{name}", "fields": []}) for name in ("One", "Other"))
    spaced = {"type": "record", "name": "One", "namespace": "a", "fields": []}

    async def run() -> SchemaText | None:
        async with FakeRegistry() as server:
            server.globals = {7: ("PROTOBUF", "never asked for"), **dict.fromkeys((8, 9), ("AVRO", spaced))}
            server.schemas = {8: {"schema": other}, 9: {"schema": one}, 10: {"schema": one}}
            async with RegistrySchemas(server.url + path, {}, **settings) as schemas:
                return await schemas.fetch(schema_id)

    return asyncio.run(run())


def test_a_global_id_is_asked_of_apicurios_own_api() -> None:
    """It knows the schema and its language, beside the API that is like Confluent's; that one knows content ids."""
    assert of_apicurio(ApicurioId("globalId", 7)) == SchemaText("", "PROTOBUF")
    assert of_apicurio(ApicurioId("globalId", 8)) != of_apicurio(ApicurioId("contentId", 8))
    assert of_apicurio(ApicurioId("globalId", 10)) is None
    assert of_apicurio(ApicurioId("contentId", 10)) is not None
    assert of_apicurio(ApicurioId("contentId", 7)) is None


@pytest.mark.parametrize(
    ("language", "schema"),
    [
        ("AVRO", {"type": "record", "name": "a.Track", "fields": []}),
        ("AVRO", [{"type": "record", "name": "a.Track", "fields": []}]),
        ("AVRO", "string"),
        ("JSON", {"$schema": "http://json-schema.org/draft-07/schema#", "type": "string"}),
        ("JSON", {"type": "object"}),
        ("JSON", {"properties": {"userId": {"type": "string"}}}),
        ("JSON", {"type": ["object", "null"]}),
    ],
)
def test_a_global_id_of_an_older_version_is_found_without_the_search(language: str, schema: Any) -> None:
    """Apicurio 2.6.13 finds artifacts by their latest versions only: the schema tells the language of others."""

    async def run() -> list[SchemaText | None]:
        async with FakeRegistry() as server:
            server.globals = {7: (language, schema), 8: ("PROTOBUF", 'syntax = "proto3";')}
            server.superseded = {7, 8}
            async with RegistrySchemas(server.url + APICURIOS_PATH, {}) as schemas:
                return [await schemas.fetch(ApicurioId("globalId", number)) for number in (7, 8, 9)]

    assert asyncio.run(run()) == [SchemaText(json.dumps(schema), language), SchemaText("", "PROTOBUF"), None]


@pytest.mark.parametrize("path", ["", "/ccompat"])
def test_a_registry_that_is_not_apicurios_is_asked_for_no_global_id(path: str) -> None:
    """What is missing is the address, and that is what records wait for."""
    with pytest.raises(SchemaIncompleteError, match="an address that ends in /apis/ccompat/v7"):
        of_apicurio(ApicurioId("globalId", 8), path)


def test_eight_bytes_are_either_id_unless_both_exist_and_differ() -> None:
    """A number that only one kind has is of that kind; of two different schemas, somebody has to say which."""
    by_global, by_content = (
        of_apicurio(ApicurioId("eight-byte-id", 8), long_ids=kind) for kind in ("global", "content")
    )

    assert [of_apicurio(ApicurioId("eight-byte-id", each)) for each in (7, 9, 10, 11)] == [
        SchemaText("", "PROTOBUF"),
        of_apicurio(ApicurioId("globalId", 9)),
        of_apicurio(ApicurioId("contentId", 10)),
        None,
    ]
    assert (by_global, by_content) == (
        of_apicurio(ApicurioId("globalId", 8)),
        of_apicurio(ApicurioId("contentId", 8)),
    )
    with pytest.raises(RegistryUnavailableError, match="set PROCESSOR_SCHEMA_REGISTRY__LONG_IDS") as caught:
        of_apicurio(ApicurioId("eight-byte-id", 8))
    assert caught.value.is_of_one_schema


def test_a_folder_gives_no_schema_the_id_0(tmp_path: Path) -> None:
    """No registry gives it, and Apicurio's ids of eight bytes begin with it; content ids are ids."""
    (tmp_path / "track.avsc").write_text(TEXT)
    (tmp_path / "ids.json").write_text('{"0": "track.avsc"}')
    with pytest.raises(ConfigurationError, match="ids from 1"):
        LocalSchemas(tmp_path)
    (tmp_path / "ids.json").write_text('{"1": "track.avsc"}')

    assert asyncio.run(text_of(LocalSchemas(tmp_path), ApicurioId("contentId", 1))) == TEXT
    assert asyncio.run(text_of(LocalSchemas(tmp_path), ApicurioId("globalId", 1))) is None


def test_the_shipped_schemas_are_found() -> None:
    """Without a registry, the shipped schemas are found by their ids."""
    schemas = LocalSchemas(shipped_folder())

    assert all(asyncio.run(text_of(schemas, schema_id)) for schema_id in range(1, 7))


@pytest.mark.parametrize(
    "index",
    [None, "not json", "[]", '{"one": "a.avsc"}', '{"-1": "a.avsc"}', '{"1": 2}', '{"1": ""}', b"\xff"],
)
def test_an_index_that_cannot_be_read_is_a_configuration_error(tmp_path: Path, index: str | bytes | None) -> None:
    """The error names the file and what it must hold."""
    path = tmp_path / "ids.json"
    if index is not None:
        path.write_bytes(index.encode() if isinstance(index, str) else index)

    with pytest.raises(ConfigurationError) as caught:
        LocalSchemas(tmp_path)
    assert str(path) in str(caught.value)
    assert '{"1": "identify.avsc"}' in str(caught.value)


def test_every_file_at_fault_is_named_at_once(tmp_path: Path) -> None:
    """A missing file, a file that is not JSON and one that is not Avro: one line each."""
    (tmp_path / "ids.json").write_text('{"1": "missing.avsc", "2": "text.avsc", "3": "type.avsc", "4": "good.avsc"}')
    (tmp_path / "text.avsc").write_text("record Track")
    (tmp_path / "type.avsc").write_text('{"type": "record"}')
    (tmp_path / "good.avsc").write_text(TEXT)

    with pytest.raises(ConfigurationError) as caught:
        LocalSchemas(tmp_path)
    named = [problem.partition(": ")[0] for problem in caught.value.problems]
    assert named == [str(tmp_path / name) for name in ("missing.avsc", "text.avsc", "type.avsc")]


def test_a_registry_is_asked_through_the_proxy_that_was_read_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry's client follows the proxies that it is given, and not the environment by rules of its own."""
    monkeypatch.setenv("http_proxy", "socks5://me:s3cret@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")

    async def run() -> list[str | None]:
        async with FakeRegistry() as server:
            server.schemas[7] = {"schema": TEXT}
            proxies = Proxies.of({"http_proxy": server.url, "no_proxy": ".direct.example"})
            found: list[str | None] = []
            for url in ("http://registry.example:8081", server.url):
                async with RegistrySchemas(url, {}, proxies=proxies) as schemas:
                    found.append(await text_of(schemas, 7))
            async with RegistrySchemas("http://direct.example:8081", {}, proxies=proxies, deadline_s=5.0) as schemas:
                with pytest.raises(RegistryUnavailableError, match=r"direct\.example"):
                    await text_of(schemas, 7)
            async with RegistrySchemas("http://direct.example", {"proxy": server.url}, proxies=proxies) as schemas:
                found.append(await text_of(schemas, 7))
            return found

    assert asyncio.run(run()) == 3 * [TEXT]


def test_one_registry_of_a_list_may_be_asked_directly() -> None:
    """Of several addresses one may take a proxy and another none, whatever their paths."""

    async def run() -> str | None:
        async with FakeRegistry() as proxy, FakeRegistry() as server:
            server.schemas[7] = {"schema": TEXT}
            proxy.fault = (503, "")
            proxies = Proxies.of({"http_proxy": proxy.url})
            urls = f"http://registry.example, http://127.0.0.2:1/apis/ccompat/v7, {server.url}"
            async with RegistrySchemas(urls, {}, proxies=proxies) as schemas:
                found = await text_of(schemas, 7)
            assert proxy.arrived.is_set()
            return found

    assert asyncio.run(run()) == TEXT


@pytest.mark.parametrize("proxy", ["ftp://me:s3cret@proxy", "http://me:s3#cret@proxy", "http://me:s3cret@proxy:x"])
def test_a_proxy_among_the_properties_is_checked_and_not_told(proxy: str) -> None:
    """A proxy among the properties is held to the rules for those of the environment, and its login is not told."""
    with pytest.raises(ConfigurationError, match="PROCESSOR_SCHEMA_REGISTRY__PROPERTIES: proxy: ") as caught:
        RegistrySchemas("http://registry.example", {"proxy": proxy})
    assert "cret" not in str(caught.value)
