"""The worker and a Kafka that trusts nobody: TLS, every login, and exactly the rights that docs/security.md names."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from processor.adapters.kafka.config import LOGIN, KafkaSettings
from processor.adapters.kafka.group_commits import GroupCommits
from processor.adapters.kafka.marks import mark
from processor.adapters.kafka.offsets import Stored
from processor.adapters.kafka.reading import TopicReader
from processor.model.errors import SourceError
from processor.model.records import TopicPartition
from processor.workload import Mix, generate
from tests.commands.program import run
from tests.fakes import oidc
from tests.fakes.tls import PASSWORD, Certificates
from tests.kafka.cluster import KafkaCluster, free_port
from tests.kafka.conftest import Names
from tests.kafka.members import kip_848
from tests.kafka.programs import WorkerProgram, environment_of, sandbox, wait_until, worker
from tests.kafka.topics import committed, end_offsets, produce_all, read_all

SECRET = "the-password-of-nobody-else"
ANSWER_S = 30.0
TOKEN_S = 10
RECORDS = 300
MIX = Mix(poison=0.05, oversize_bytes=1_000)

BROKER = """
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.mutual.ssl.client.auth=required
listener.name.mutual.ssl.principal.mapping.rules=RULE:^CN=(.*)$/worker/
listener.name.login.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.login.plain.sasl.jaas.config={security}.plain.PlainLoginModule required user_worker="{secret}";
listener.name.login.scram-sha-256.sasl.jaas.config={security}.scram.ScramLoginModule required;
listener.name.login.scram-sha-256.connections.max.reauth.ms=3000
listener.name.login.scram-sha-512.sasl.jaas.config={security}.scram.ScramLoginModule required;
listener.name.login.oauthbearer.sasl.jaas.config={security}.oauthbearer.OAuthBearerLoginModule required \\
  unsecuredLoginStringClaim_sub="broker";
listener.name.oidc.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.oidc.oauthbearer.sasl.jaas.config={security}.oauthbearer.OAuthBearerLoginModule required;
listener.name.oidc.oauthbearer.sasl.server.callback.handler.class=\
  {security}.oauthbearer.OAuthBearerValidatorCallbackHandler
listener.name.oidc.oauthbearer.sasl.oauthbearer.jwks.endpoint.url={keys}
listener.name.oidc.oauthbearer.sasl.oauthbearer.expected.audience={oidc.AUDIENCE}
listener.name.oidc.oauthbearer.sasl.oauthbearer.expected.issuer={oidc.ISSUER}
"""
"""In the clear, as ANONYMOUS, everything is allowed; by the other listeners only what the worker was granted."""


class Guarded(NamedTuple):
    """A Kafka with listeners for passwords, for tokens of an identity provider, and for certificates."""

    cluster: KafkaCluster
    certificates: Certificates
    provider: oidc.IdentityProvider
    login: str
    tokens: str
    mutual: str

    def tls(self) -> dict[str, str]:
        """Return what every client needs."""
        return {"ssl.ca.location": str(self.certificates.authority)}

    def properties(self, kind: str) -> dict[str, str]:
        """Return the properties of a client that logs in so."""
        if kind == "certificate":
            return {
                **self.tls(),
                "security.protocol": "SSL",
                "ssl.certificate.location": str(self.certificates.client),
                "ssl.key.location": str(self.certificates.client_key),
                "ssl.key.password": PASSWORD,
            }
        if kind == "OIDC":
            return {
                **self.tls(),
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "OAUTHBEARER",
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.client.id": oidc.CLIENT,
                "sasl.oauthbearer.client.secret": oidc.SECRET,
                "sasl.oauthbearer.token.endpoint.url": self.provider.url,
            }
        own = {**self.tls(), "security.protocol": "SASL_SSL", "sasl.mechanism": kind}
        if kind == "OAUTHBEARER":
            return {
                **own,
                "enable.sasl.oauthbearer.unsecure.jwt": "true",
                "sasl.oauthbearer.config": "principal=worker",
            }
        return {**own, "sasl.username": "worker", "sasl.password": SECRET}

    def set_password(self, user: str, password: str, kind: ScramMechanism) -> None:
        """Let the user log in by this password from now on."""
        admin = AdminClient({"bootstrap.servers": self.cluster.bootstrap_servers})
        credential = UserScramCredentialUpsertion(user, ScramCredentialInfo(kind, 4_096), password.encode())
        admin.alter_user_scram_credentials([credential])[user].result(ANSWER_S)

    def address(self, kind: str) -> str:
        """Return where such a client connects."""
        return {"certificate": self.mutual, "OIDC": self.tokens}.get(kind, self.login)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Give a Kafka that trusts nobody."""
    folder = tmp_path_factory.mktemp("guarded")
    certificates = Certificates.make(folder)
    keystore = folder / "keystore.pem"
    keystore.write_bytes(certificates.server.with_suffix(".key").read_bytes() + certificates.server.read_bytes())
    ports = {"LOGIN": (free_port(), "SASL_SSL"), "OIDC": (free_port(), "SASL_SSL"), "MUTUAL": (free_port(), "SSL")}
    provider = oidc.IdentityProvider(folder, TOKEN_S)
    properties = BROKER.format(
        keystore=keystore,
        authority=certificates.authority,
        secret=SECRET,
        security="org.apache.kafka.common.security",
        keys=provider.keys.as_uri(),
        oidc=oidc,
    )
    options = [f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={provider.keys.as_uri()}"]
    with provider, KafkaCluster(folder, secure=ports, properties=properties, options=options) as cluster:
        guarded = Guarded(cluster, certificates, provider, *(f"127.0.0.1:{port}" for port, _ in ports.values()))
        for kind in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            guarded.set_password("worker", SECRET, kind)
        yield guarded


RIGHTS = [
    (ResourceType.TOPIC, "topic", (AclOperation.READ, AclOperation.DESCRIBE)),
    (ResourceType.GROUP, "group", (AclOperation.READ,)),
    (ResourceType.TOPIC, "dead_letters", (AclOperation.WRITE, AclOperation.DESCRIBE)),
]
"""The table of docs/security.md."""


def grant(guarded: Guarded, names: Names, user: str = "worker") -> None:
    """Grant a worker what it needs, and nothing else."""
    for kind, name, operations in RIGHTS:
        allow(guarded, kind, getattr(names, name), operations, user)


def allow(
    guarded: Guarded,
    kind: ResourceType,
    name: str,
    operations: Collection[AclOperation],
    user: str = "worker",
    pattern: ResourcePatternType = ResourcePatternType.LITERAL,
) -> None:
    """Allow a user these operations."""
    admin = AdminClient({"bootstrap.servers": guarded.cluster.bootstrap_servers})
    bindings = [
        AclBinding(kind, name, pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
        for operation in operations
    ]
    for done in admin.create_acls(bindings).values():
        done.result(ANSWER_S)


def environment(guarded: Guarded, names: Names, kind: str, url: str, **changes: str) -> dict[str, str]:
    """Return the settings of a worker that logs in so."""
    settings = environment_of(guarded.cluster, names, url, BATCH__LINGER_S=0.1)
    properties = {**guarded.properties(kind), **changes}
    return {
        **settings,
        "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": guarded.address(kind),
        "PROCESSOR_KAFKA__PROPERTIES": json.dumps(properties),
    }


def deliver(guarded: Guarded, names: Names, seed: int, program: WorkerProgram) -> None:
    """Produce, and return when all of it is committed."""
    produce_all(guarded.cluster, names.topic, generate(seed, RECORDS, MIX), lambda *_: None)
    ends = end_offsets(guarded.cluster, names.topic)
    wait_until(
        lambda: committed(guarded.cluster, names.group, names.topic) == ends,
        f"everything is committed; it says {program.said()[-1_000:]}",
    )


@pytest.mark.parametrize("kind", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "OIDC", "certificate"])
def test_every_login_delivers_dead_letters_and_commits(
    guarded: Guarded, names: Names, kind: str, tmp_path: Path
) -> None:
    """With each login, TLS and the documented rights alone, the worker does its work and logs no password."""
    guarded.cluster.create_topic(names.topic, 2)
    guarded.cluster.create_topic(names.dead_letters)
    grant(guarded, names)
    with sandbox("--job-seconds", "0", "0.1") as server:
        with worker(environment(guarded, names, kind, server.url), tmp_path / "log") as program:
            deliver(guarded, names, 1, program)
            said, metrics = program.said(), program.metrics()
            assert program.terminate(30) == 0
        effects = server.effects()
    assert effects > RECORDS / 2
    assert metrics["records_dead_lettered_total"] == len(read_all(guarded.cluster, names.dead_letters)) > 0
    assert not [secret for secret in (SECRET, PASSWORD, oidc.SECRET) if secret in said]


def test_a_renewed_password_is_used_without_a_restart(guarded: Guarded, names: Names, tmp_path: Path) -> None:
    """A renewed password is used by consumer and producer, even after the old one was refused."""
    guarded.cluster.create_topic(names.topic, 2)
    guarded.cluster.create_topic(names.dead_letters)
    user, file = names.group, tmp_path / "login.json"
    grant(guarded, names, user)

    def renew(password: str) -> None:
        file.with_suffix(".new").write_text(json.dumps({"sasl.username": user, "sasl.password": password}))
        file.with_suffix(".new").replace(file)

    guarded.set_password(user, "first-secret", ScramMechanism.SCRAM_SHA_256)
    renew("first-secret")
    with sandbox("--job-seconds", "0", "0.1") as server:
        settings = environment(guarded, names, "SCRAM-SHA-256", server.url)
        others = {key: value for key, value in guarded.properties("SCRAM-SHA-256").items() if key not in LOGIN}
        settings["PROCESSOR_KAFKA__PROPERTIES"] = json.dumps(others)
        settings["PROCESSOR_KAFKA__PROPERTIES_FILE"] = str(file)
        with worker(settings, tmp_path / "log") as program:
            deliver(guarded, names, 1, program)
            guarded.set_password(user, "second-secret", ScramMechanism.SCRAM_SHA_256)
            wait_until(lambda: "Authentication failed" in program.said(), "the old password is refused")
            renew("second-secret")
            wait_until(lambda: "new properties are used" in program.said(), "the new password is noticed")
            deliver(guarded, names, 2, program)
            said, metrics = program.said(), program.metrics()
            assert program.terminate(30) == 0
    assert metrics["records_dead_lettered_total"] == len(read_all(guarded.cluster, names.dead_letters)) > RECORDS / 50
    assert metrics["records_consumed_total"] == 2 * RECORDS
    assert "-secret" not in said


def test_a_renewed_certificate_is_used_without_a_restart(guarded: Guarded, names: Names, tmp_path: Path) -> None:
    """A renewed certificate is used without repeating anything; one that no broker takes changes nothing."""
    guarded.cluster.create_topic(names.topic, 2)
    guarded.cluster.create_topic(names.dead_letters)
    grant(guarded, names)
    certificate = tmp_path / "client.pem"
    good = guarded.certificates.client.read_text(encoding="utf-8")
    certificate.write_text(good)
    with sandbox("--job-seconds", "0", "0.1") as server:
        changed = {"ssl.certificate.location": str(certificate)}
        settings = environment(guarded, names, "certificate", server.url, **changed)
        with worker(settings, tmp_path / "log") as program:
            deliver(guarded, names, 1, program)
            certificate.write_text("half of a certif")
            wait_until(lambda: "new properties are not used" in program.said(), "the broken one is told")
            deliver(guarded, names, 2, program)
            certificate.write_text(f"{good}\n")
            wait_until(lambda: program.said().count('"event": "started"') == 2, "it begins anew")
            deliver(guarded, names, 3, program)
            metrics = program.metrics()
            assert program.terminate(30) == 0
    assert metrics["records_consumed_total"] == RECORDS
    assert metrics["records_redelivered_total"] == 0


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("PLAIN", {"sasl.password": "wrong-password"}, "Authentication failed"),
        ("PLAIN", {"ssl.ca.location": ""}, "certificate"),
        ("OIDC", {"sasl.oauthbearer.client.secret": "wrong-password"}, "invalid_client"),
    ],
    ids=["password", "authority", "provider"],
)
def test_a_login_that_fails_is_told_in_words(
    guarded: Guarded, names: Names, kind: str, changes: dict[str, str], words: str
) -> None:
    """`check` reports a refused login as an error about Kafka, without the password."""
    properties = {name: value for name, value in (guarded.properties(kind) | changes).items() if value}
    with sandbox() as server:
        settings = environment(guarded, names, kind, server.url)
        done = run("check", environment={**settings, "PROCESSOR_KAFKA__PROPERTIES": json.dumps(properties)})
    assert done.code == 2
    assert "kafka.unreachable" in done.out
    assert words in done.out
    assert "wrong-password" not in done.out + done.err


def test_describe_on_group_and_topics_is_enough_to_see_what_workers_do(guarded: Guarded, names: Names) -> None:
    """A redrive beside them needs no more; without the one on the group, librdkafka (2.16) times out."""
    guarded.cluster.create_topic(names.topic, 2)
    settings = KafkaSettings(
        guarded.login, (names.topic,), names.group, names.dead_letters, properties=guarded.properties("PLAIN")
    )
    with GroupCommits(settings, (names.topic,)) as commits:
        with pytest.raises(SourceError, match="uthorization failed"):
            commits.metadata()
        allow(guarded, ResourceType.TOPIC, names.topic, (AclOperation.DESCRIBE,))
        allow(guarded, ResourceType.GROUP, names.group, (AclOperation.DESCRIBE,))
        assert commits.metadata() == ["", ""]


def test_a_backfill_has_the_rights_that_are_documented(guarded: Guarded, names: Names) -> None:
    """Those of docs/backfill.md, and no others."""
    guarded.cluster.create_topic(names.topic, 2)
    guarded.cluster.create_topic(names.dead_letters)
    produce_all(guarded.cluster, names.topic, generate(1, 30, Mix(poison=0.3)), lambda *_: None)
    clear = KafkaSettings(guarded.cluster.bootstrap_servers, (names.topic,), names.group, names.dead_letters)
    ends = end_offsets(guarded.cluster, names.topic)
    mark(clear, {TopicPartition(names.topic, each): Stored(end, "") for each, end in ends.items()})
    allow(guarded, ResourceType.TOPIC, names.topic, (AclOperation.READ, AclOperation.DESCRIBE))
    allow(guarded, ResourceType.TOPIC, names.dead_letters, (AclOperation.WRITE, AclOperation.DESCRIBE))
    allow(guarded, ResourceType.GROUP, names.group, (AclOperation.DESCRIBE,))
    prefix, prefixed = f"{names.group}.backfill.", ResourcePatternType.PREFIXED
    allow(guarded, ResourceType.GROUP, prefix, (AclOperation.READ,), pattern=prefixed)
    arguments = (
        "backfill",
        "--topic",
        names.topic,
        "--since",
        "2000-01-01",
        "--share",
        "0.9",
        "--yes",
        "--format",
        "json",
    )
    with sandbox("--job-seconds", "0", "0.1") as server:
        settings = environment(guarded, names, "PLAIN", server.url)
        done = run(*arguments, environment=settings)

    assert done.code == 0, done.err
    (account,) = done.objects()
    assert (account["balances"], account["left"], account["selected"]) == (True, 0, sum(ends.values()))
    assert account["dead_lettered"]


def test_a_worker_without_a_right_says_which(guarded: Guarded, names: Names, tmp_path: Path) -> None:
    """Without any right, the worker waits, names the topic, and ends when told to."""
    guarded.cluster.create_topic(names.topic)
    with sandbox() as server, worker(environment(guarded, names, "PLAIN", server.url), tmp_path / "log") as program:
        wait_until(lambda: "uthorization failed" in program.said(), "the missing right is told")
        assert program.process.poll() is None
        assert program.terminate(40) == 0


@pytest.mark.parametrize("protocol", ["classic", pytest.param("consumer", marks=kip_848)])
def test_a_topic_that_may_not_be_read_is_named_and_keeps_no_other_from_being_read(
    guarded: Guarded, names: Names, protocol: str, tmp_path: Path
) -> None:
    """Without Describe, and without Read alone; both are read when the rights are there."""
    hidden, closed = f"{names.topic}-hidden", f"{names.topic}-closed"
    topics = (names.topic, hidden, closed)
    for each in topics:
        guarded.cluster.create_topic(each)
        produce_all(guarded.cluster, each, generate(len(each), RECORDS), lambda *_: None)
    guarded.cluster.create_topic(names.dead_letters)
    grant(guarded, names)
    allow(guarded, ResourceType.TOPIC, closed, [AclOperation.DESCRIBE])

    def is_read(topic: str) -> bool:
        return committed(guarded.cluster, names.group, topic) == end_offsets(guarded.cluster, topic)

    with sandbox("--job-seconds", "0", "0.1") as server:
        settings = environment(guarded, names, "PLAIN", server.url, **{"group.protocol": protocol})
        settings["PROCESSOR_KAFKA__TOPICS"] = ",".join(topics)
        with worker(settings, tmp_path / "log") as program:

            def denied() -> set[str]:
                halts = program.ready().get("halts", {})
                return {each["cause"] for each in halts.get("source_topic", {"faults": []})["faults"]}

            named = {f"the worker may not read topic {each}" for each in (hidden, closed)}
            wait_until(lambda: denied() == named, f"both are named; it says {program.said()[-1_000:]}")
            wait_until(lambda: is_read(names.topic), "the other topic is read")
            assert not is_read(hidden)
            assert not is_read(closed)
            for each in (hidden, closed):
                allow(guarded, ResourceType.TOPIC, each, [AclOperation.READ, AclOperation.DESCRIBE])
            wait_until(lambda: is_read(hidden) and is_read(closed), "both are read")
            wait_until(lambda: program.ready()["halts"] == {}, "and named no longer")
            assert program.terminate(30) == 0


def test_an_audit_says_which_right_is_missing(guarded: Guarded, names: Names) -> None:
    """With Read on the topics and Describe on the group it balances; without one of them it says which, and where."""
    guarded.cluster.create_topic(names.topic)
    guarded.cluster.create_topic(names.dead_letters)
    for topic in (names.topic, names.dead_letters):
        produce_all(guarded.cluster, topic, generate(1, 20), lambda *_: None)
    user = names.group
    guarded.set_password(user, SECRET, ScramMechanism.SCRAM_SHA_256)
    kind, own = "SCRAM-SHA-256", {"sasl.username": user}
    settings = environment(guarded, names, kind, "http://127.0.0.1:1", **own)
    allow(guarded, ResourceType.TOPIC, names.topic, [AclOperation.READ], user)
    allow(guarded, ResourceType.TOPIC, names.dead_letters, [AclOperation.DESCRIBE], user)

    kafka = KafkaSettings(
        guarded.address(kind),
        (names.topic,),
        names.group,
        names.dead_letters,
        properties=guarded.properties(kind) | own,
    )
    told = pytest.raises(SourceError, match=f"this client may not describe the group {names.group}")
    with TopicReader(kafka, within_s=8.0) as reader, told:
        reader.committed([TopicPartition(names.topic, 0)])
    allow(guarded, ResourceType.GROUP, names.group, [AclOperation.DESCRIBE], user)
    unread = run("audit", environment=settings)
    allow(guarded, ResourceType.TOPIC, names.dead_letters, [AclOperation.READ], user)
    done = run("audit", "--format", "json", environment=settings)

    assert (unread.code, unread.out) == (2, "")
    assert f"records of {names.dead_letters} cannot be read" in unread.err
    assert "Topic authorization failed" in unread.err
    (account,) = done.objects()
    assert (done.code, account["balanced"], account["pending"]) == (0, True, 20)
