"""Secrets that change while the worker runs: their files, swapped for real."""

import asyncio
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from processor.adapters.fullstory.key import ApiKey
from processor.adapters.kafka.config import KafkaSettings, Login
from processor.adapters.kafka.mock import MockCluster
from processor.adapters.schemas.registry import RegistrySchemas
from processor.adapters.tls import Tls
from processor.app.renew import CertificateFiles, ClientProperties, KeyFile, kafka_properties, registry_properties
from processor.engine.verdict import Answer, NoAnswer, RetryReason
from processor.model.errors import ConfigurationError, SourceError
from processor.runtime.account import KeyAccount
from processor.settings.client_properties import kafka_properties_in
from processor.settings.connections import SchemaRegistrySection
from tests.fakes.schemas import FakeRegistry
from tests.fakes.tls import Certificates

OLD, NEW = "na1.old", "na1.new"


def me(org_id: str = "ORG", role: str = "ARCHITECT") -> Answer:
    """Return FullStory's answer to the question for the account."""
    return Answer(200, {"email": "a@example.com", "orgId": org_id, "role": role})


@dataclass
class World:
    """A file with a key, and what FullStory says of the next keys."""

    folder: Path
    answers: list[Answer | NoAnswer]
    org_id: str | None = "ORG"
    refusal: str | None = None
    used: list[tuple[str, KeyAccount]] = field(default_factory=list)
    log: LogCapture = field(default_factory=LogCapture)

    def __post_init__(self) -> None:
        self.path = self.folder / "key"
        self.write(OLD)
        log = structlog.wrap_logger(None, processors=[self.log])
        self.file = KeyFile(self.path, OLD, self._ask_whose, self._use, lambda: self.org_id, log)

    async def _ask_whose(self, key: ApiKey) -> Answer | NoAnswer:
        assert key.authorization == ApiKey(NEW).authorization
        return self.answers.pop(0)

    def _use(self, key: ApiKey, account: KeyAccount) -> None:
        if self.refusal is not None:
            raise ConfigurationError([self.refusal])
        self.used.append((key.authorization, account))

    def write(self, key: str) -> None:
        """Swap the file as Kubernetes does: another one in its place, at once."""
        fresh = self.folder / "fresh"
        fresh.write_text(f"{key}\n", encoding="utf-8")
        fresh.replace(self.path)

    def look(self, times: int = 1) -> Sequence[str]:
        """Look at the file; return what was complained of."""
        for _ in range(times):
            asyncio.run(self.file.look())
        return [entry["detail"] for entry in self.log.entries]


def test_a_file_that_did_not_change_is_no_question(tmp_path: Path) -> None:
    """While the key file stays the same, FullStory is not asked."""
    world = World(tmp_path, [])
    assert world.look(times=3) == []
    assert world.used == []


def test_a_new_key_that_works_is_used_once(tmp_path: Path) -> None:
    """A new key that works is used, and tried only once."""
    world = World(tmp_path, [me(role="STANDARD")])
    world.write(NEW)
    assert world.look(times=3) == []
    assert world.used == [(ApiKey(NEW).authorization, KeyAccount("ORG", "STANDARD"))]


@pytest.mark.parametrize(
    ("answer", "word"),
    [(Answer(401, {"code": "unauthorized"}), "401"), (me(org_id="ANOTHER"), "ANOTHER")],
    ids=["refused", "another's"],
)
def test_a_key_that_does_not_fit_is_told_of_once_and_not_used(tmp_path: Path, answer: Answer, word: str) -> None:
    """A key that does not fit is reported once and not tried again until the file changes."""
    world = World(tmp_path, [answer])
    world.write(NEW)
    complaints = world.look(times=3)
    assert len(complaints) == 1
    assert word in complaints[0]
    assert NEW not in complaints[0]
    assert world.used == []


def test_a_key_that_cannot_be_tried_is_tried_again(tmp_path: Path) -> None:
    """A key that an outage kept from being tried is tried again."""
    unavailable = Answer(503, {"code": "unavailable"})
    world = World(tmp_path, [NoAnswer(RetryReason.TIMEOUT, "late"), unavailable, unavailable, me()])
    world.write(NEW)
    told = ["the new key could not be tried yet: late", "the new key could not be tried yet: FullStory answers 503"]
    assert world.look(times=4) == told
    assert len(world.used) == 1


def test_where_no_organisation_is_known_any_may_come(tmp_path: Path) -> None:
    """If the organisation was never learned, a key of any organisation is used."""
    world = World(tmp_path, [me(org_id="WHOEVER")], org_id=None)
    world.write(NEW)
    assert world.look() == []
    assert len(world.used) == 1


def test_a_key_that_the_client_refuses_is_told_of_once_and_the_worker_goes_on(tmp_path: Path) -> None:
    """As one of another data centre is, while no organisation is known that would tell them apart."""
    world = World(tmp_path, [me()])
    world.refusal = "PROCESSOR_FULLSTORY__BASE_URL: another data centre's"
    world.write(NEW)
    assert world.look(times=3) == [world.refusal]
    assert world.used == []


@pytest.mark.parametrize("content", ["", "two words", "\N{SNOWMAN}"])
def test_a_file_without_a_key_is_told_of_and_the_old_one_stays(tmp_path: Path, content: str) -> None:
    """A file that is empty or gone is reported, and the old key stays."""
    world = World(tmp_path, [])
    world.write(content)
    assert len(world.look(times=2)) == 1
    world.path.unlink()
    assert len(world.look(times=2)) == 2
    assert world.used == []


class Client:
    """A client whose properties stand in a file, and one of them in another file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "kafka.json"
        self.path.write_text("{}")
        self.certificate = folder / "client.pem"
        self.certificate.write_text("old")
        self.taken: list[Mapping[str, str]] = []
        self.refusal: str | None = None
        self.log = LogCapture()
        current = {
            "sasl.password": OLD,
            "ssl.certificate.location": str(self.certificate),
            "ssl.key.location": str(folder / "missing.key"),
        }
        log = structlog.wrap_logger(None, processors=[self.log])
        self.file = ClientProperties("Kafka", self.path, kafka_properties_in, current, self._use, log)

    async def _use(self, properties: Mapping[str, str], changed: set[str]) -> None:
        if self.refusal is not None:
            raise SourceError(self.refusal)
        self.taken.append({name: properties[name] for name in changed})

    def look(self, text: str | None, times: int = 3) -> list[tuple[str, object]]:
        """Look at a file that holds this; return what was told anew."""
        told = len(self.log.entries)
        self.path.unlink(missing_ok=True)
        if text is not None:
            self.path.write_text(text, encoding="utf-8")
        for _ in range(times):
            asyncio.run(self.file.look())
        return [(entry["event"], entry.get("names", entry.get("detail"))) for entry in self.log.entries[told:]]


def test_properties_that_did_not_change_are_left_alone(tmp_path: Path) -> None:
    """Unchanged properties cause no update, and one that leaves the file stays in force."""
    client = Client(tmp_path)

    assert client.look('{"sasl.password": "na1.old"}') == []
    assert client.look("{}") == []
    assert client.taken == []


def test_a_new_password_is_used_once(tmp_path: Path) -> None:
    """A new password is used once, and the log names its property alone."""
    client = Client(tmp_path)

    assert client.look('{"sasl.password": "na1.new"}') == [("new properties are used", ["sasl.password"])]
    assert client.taken == [{"sasl.password": NEW}]


def test_a_certificate_that_changes_in_its_place_is_used(tmp_path: Path) -> None:
    """A certificate file that changes is used once for each change; one that is gone for a moment is no change."""
    client = Client(tmp_path)
    told = [("new properties are used", ["ssl.certificate.location"])]

    client.certificate.write_text("new")
    assert client.look("{}") == told
    client.certificate.unlink()
    assert client.look("{}") == []
    client.certificate.write_text("newer")
    assert client.look("{}") == told
    assert [sorted(each) for each in client.taken] == 2 * [["ssl.certificate.location"]]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (None, "the file cannot be read: No such file or directory"),
        ('{"sasl.password": "na1.n', "the file is not valid JSON"),
        ('{"group.id": "na1.new"}', "the file must not contain `group.id`: has its own setting: "),
    ],
)
def test_a_file_that_cannot_be_used_is_told_of_once(tmp_path: Path, text: str | None, detail: str) -> None:
    """A file that cannot be used is reported once, and the properties from before stay in force."""
    client = Client(tmp_path)

    [(event, said)] = client.look(text)
    assert event == "new properties are not used"
    assert str(said).startswith(detail)
    assert client.taken == []
    assert client.look('{"sasl.password": "na1.new"}') == [("new properties are used", ["sasl.password"])]
    assert client.look(text) != []


def test_properties_that_a_client_refuses_are_offered_again(tmp_path: Path) -> None:
    """Refused properties are offered again, since a certificate may follow its key."""
    client = Client(tmp_path)
    client.refusal = "no broker takes the certificate"

    assert client.look('{"sasl.password": "na1.new"}') == [("new properties are not used", client.refusal)]
    client.refusal = None
    assert client.look('{"sasl.password": "na1.new"}') == [("new properties are used", ["sasl.password"])]


class Member:
    """A client of Kafka's that notes each login it is given."""

    def __init__(self, logins: list[object]) -> None:
        self._logins = logins

    def log_in(self, login: Login) -> None:
        """Note it."""
        self._logins.append(login)


def test_kafka_takes_a_login_at_once_and_begins_anew_for_all_else(tmp_path: Path) -> None:
    """Kafka's clients take a new login in place; for all else they start anew with what was tried first."""
    path = tmp_path / "kafka.json"
    told: list[object] = []
    log = LogCapture()

    async def run(bootstrap_servers: str, *texts: str) -> None:
        kafka = KafkaSettings(bootstrap_servers, ("segment",), "group", "letters", properties={"sasl.password": OLD})
        logger = structlog.wrap_logger(None, processors=[log])
        properties = kafka_properties(path, kafka, [Member(told)], lambda: told.append("anew"), logger)
        for text in texts:
            path.write_text(text)
            await properties.look()

    with MockCluster("segment", "letters") as cluster:
        another = '{"sasl.password": "na1.new", "client.rack": "a"}'
        asyncio.run(run(cluster.bootstrap_servers, '{"sasl.password": "na1.new"}', another, another))
    assert told == [("", NEW), "anew"]
    assert [entry["event"] for entry in log.entries] == 2 * ["new properties are used"]


def test_the_registry_is_asked_with_what_its_file_says_now(tmp_path: Path) -> None:
    """The worker asks the registry with the credentials that the file holds now."""
    path = tmp_path / "registry.json"
    path.write_text('{"basic.auth.user.info": "me:old"}')

    async def run() -> list[str]:
        async with FakeRegistry() as server:
            settings = SchemaRegistrySection.model_validate({"url": server.url, "properties_file": path})
            async with RegistrySchemas(server.url, settings.client_properties()) as schemas:
                properties = registry_properties(
                    settings, schemas, structlog.wrap_logger(None, processors=[LogCapture()])
                )
                texts = ('{"basic.auth.user.info": "me:old"}', '{"basic.auth', '{"basic.auth.user.info": "me:new"}')
                for schema_id, text in enumerate(texts, 1):
                    server.schemas[schema_id] = {"schema": '"string"'}
                    path.write_text(text)
                    await properties.look()
                    await schemas.fetch(schema_id)
            return [b64decode((each or "").removeprefix("Basic ")).decode() for each in server.authorizations]

    assert asyncio.run(run()) == ["me:old", "me:old", "me:new"]


def test_a_renewed_bundle_is_used_for_fullstory_and_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewed bundle is used once, by both; one that either cannot use is reported once, and tried again."""
    bundle = Certificates.make(tmp_path).authority
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    log = LogCapture()
    told: list[str] = []
    refusals = [ConfigurationError(["the registry's client cannot read it yet"])]

    async def also() -> None:
        if refusals:
            raise refusals.pop()
        told.append("registry")

    tls = Tls()
    before, whole = tls.context, bundle.read_bytes()
    files = CertificateFiles(tls, also, structlog.wrap_logger(None, processors=[log]))
    for content in (whole + b"\n", b"half", whole):
        bundle.write_bytes(content)
        for _ in range(3):
            asyncio.run(files.look())

    events = ["new certificates are not used", "new certificates are used"]
    assert [entry["event"] for entry in log.entries] == 2 * events
    assert tls.context is not before
    assert told == 2 * ["registry"]
