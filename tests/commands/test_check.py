"""`segment-fullstory check` as a user runs it, on the embedded Kafka and the sandbox: docs/check.md."""

import asyncio
import json
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, final

import pytest
from aiohttp import web

from processor.adapters.kafka.mock import MockCluster
from processor.commands.check.findings import CONFIGURATION_INVALID, FINDINGS
from processor.commands.check.probe import UID
from processor.commands.generate import CLEAN, MIXED
from processor.sandbox import Effect, Role, Sandbox, SandboxOptions
from processor.workload import Mix, generate
from tests.commands.program import Done, interrupt, run, started
from tests.fakes.glue import FakeGlue
from tests.fakes.schemas import FakeRegistry

KEY = "na1.c2VjcmV0LWtleQ"
TRAIT = "john.doe@example.com"
PRODUCED_S = 10.0

Message = dict[str, Any]


def identify(user: str, **fields: Any) -> Message:
    """Return an identify with a trait that nobody must see."""
    return {"type": "identify", "userId": user, "traits": {"email": TRAIT}, **fields}


def page(user: str) -> Message:
    """Return a message that is filtered."""
    return {"type": "page", "userId": user}


@final
@dataclass(frozen=True, slots=True)
class World:
    """A cluster with two topics and a FullStory."""

    kafka: MockCluster
    sandbox: Sandbox

    def environment(self, **settings: str) -> dict[str, str]:
        """Return settings that work, with others in their place."""
        return {
            "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "PROCESSOR_KAFKA__TOPICS": "segment",
            "PROCESSOR_KAFKA__GROUP_ID": "fullstory",
            "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "letters",
            "PROCESSOR_FULLSTORY__API_KEY": KEY,
            "PROCESSOR_FULLSTORY__BASE_URL": self.sandbox.url,
            **{f"PROCESSOR_{name}": value for name, value in settings.items()},
        }

    async def check(self, *options: str, **settings: str) -> Done:
        """Run the command while the sandbox goes on; nothing secret is said."""
        done = await asyncio.to_thread(run, "check", *options, environment=self.environment(**settings))
        assert KEY not in done.out + done.err
        assert TRAIT not in done.out + done.err
        return done

    async def produce(self, messages: Iterable[tuple[str, Message]]) -> None:
        """Write messages under their keys, and return when they are in the topic."""
        await self.write((key.encode(), json.dumps(message).encode()) for key, message in messages)

    async def write(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Write keys and values, and return when they are in the topic."""
        waiting = set()
        for number, (key, value) in enumerate(records):
            waiting.add(number)
            self.kafka.produce(
                "segment",
                key,
                value,
                [],
                lambda _partition, _offset, number=number: waiting.remove(number),  # type: ignore[misc]
            )
        async with asyncio.timeout(PRODUCED_S):
            while waiting:
                self.kafka.serve()
                await asyncio.sleep(0)


@asynccontextmanager
async def world(role: Role = Role.ARCHITECT, **options: Any) -> AsyncIterator[World]:
    """Give a cluster and a FullStory where all is well."""
    async with Sandbox(SandboxOptions(keys={KEY: role}, **options)) as sandbox:
        with MockCluster("segment", "letters") as kafka:
            yield World(kafka, sandbox)


def ids(done: Done) -> dict[str, str]:
    """Return what was seen, by the id of the finding."""
    (report,) = done.objects()
    assert {each["id"] for each in report["findings"]} <= {each.id for each in FINDINGS}
    return {each["id"]: each["seen"] for each in report["findings"]}


def test_where_all_is_well_nothing_is_worse_than_the_embedded_kafka() -> None:
    """With everything well, the only warnings are about what the embedded cluster does not tell."""

    async def check() -> Done:
        async with world() as here:
            await here.produce((f"u-{number}", identify(f"u-{number}")) for number in range(50))
            return await here.check("--format", "json")

    done = asyncio.run(check())
    found = ids(done)

    assert done.code == 1, done.err
    assert set(found) == {
        "configuration.valid",
        "kafka.reached",
        "kafka.reticent",
        "topic.found",
        "dead_letters.found",
        "group.ready",
        "fullstory.account",
        "clock.agrees",
        "registry.none",
        "records.sampled",
    }
    assert found["records.sampled"].startswith("50 records: delivered 50, filtered 0, dead-lettered 0")
    assert "role ARCHITECT; PROCESSOR_DELIVERY__MODE=auto: requests of many items" in found["fullstory.account"]
    assert found["group.ready"] == "fullstory: new: begins at the earliest record, 50 records behind"


def test_people_read_what_a_finding_means_and_what_to_do() -> None:
    """A warning comes first, with its meaning and advice below it, and the last line counts."""

    async def check() -> Done:
        async with world(Role.USER) as here:
            return await here.check()

    done = asyncio.run(check())

    assert done.code == 1
    assert "warning  fullstory.single" in done.out
    assert "→ Use a key of level Architect" in done.out
    levels = [line.split()[0] for line in done.out.splitlines()[:-2] if not line.startswith(" ")]
    assert levels == ["warning"] * 2 + ["ok"] * 9
    assert done.out.splitlines()[-1] == "no errors, 2 warnings, 9 ok"


def test_records_that_are_sampled_tell_of_settings_and_producers() -> None:
    """Sampled records that are filtered, rejected, spread or anonymous are counted by reason."""
    anonymous = {"type": "identify", "anonymousId": "a-1", "channel": "browser"}
    messages = [
        *((f"u-{number}", page(f"u-{number}")) for number in range(6)),
        ("u-1", {"type": "track", "userId": "u-1"}),
        *((f"key-{number}", identify("u-7")) for number in range(20)),
        ("a-1", anonymous),
    ]

    async def check() -> tuple[dict[str, str], dict[str, str]]:
        async with world() as here:
            await here.produce(messages)
            spread = ids(await here.check("--format", "json"))
        async with world() as here:
            await here.produce(messages[:7])
            return spread, ids(await here.check("--format", "json"))

    spread, filtered = asyncio.run(check())

    assert spread["records.sampled"] == (
        "28 records: delivered 21, filtered 6 (message_type 6), dead-lettered 1 (missing_event_name 1)"
    )
    assert spread["records.rejected"] == "1 of 28 records: missing_event_name 1"
    assert spread["records.user_spread"] == "1 of 2 users"
    assert spread["records.anonymous_browser"] == "1 of 28 records"
    assert "records.mostly_filtered" not in spread
    assert filtered["records.mostly_filtered"] == "6 of 7 records: message_type 6"


def test_visitors_that_are_no_users_are_no_warning() -> None:
    """If an anonymousId is only a property, anonymous records are no warning."""
    visitor = {"type": "track", "anonymousId": "a-1", "event": "Seen", "channel": "browser"}

    async def check() -> dict[str, str]:
        async with world() as here:
            await here.produce([("a-1", visitor)])
            return ids(await here.check("--format", "json", MAPPING__ANONYMOUS="property"))

    found = asyncio.run(check())

    assert found["records.sampled"].startswith("1 records: delivered 1")
    assert "records.anonymous_browser" not in found


def test_consent_that_is_not_asked_for_is_a_warning() -> None:
    """Records that state consent are a warning, with their categories, until the settings ask for consent."""
    message = {**identify("u-1"), "context": {"consent": {"categoryPreferences": {"Analytics": False, "Ads": True}}}}

    async def check() -> list[dict[str, str]]:
        async with world() as here:
            await here.produce([("u-1", message), ("u-2", identify("u-2"))])
            return [
                ids(await here.check("--format", "json", **settings))
                for settings in ({}, {"MAPPING__CONSENT": "Analytics"})
            ]

    ignored, asked = asyncio.run(check())

    assert ignored["records.consent_ignored"] == "1 of 2 records, with the categories: Ads, Analytics"
    assert "records.consent_ignored" not in asked
    assert asked["records.sampled"] == "2 records: delivered 1, filtered 1 (consent 1), dead-lettered 0"


@pytest.mark.parametrize("mix", [CLEAN, MIXED], ids=["clean", "mixed"])
def test_generated_records_keep_the_order_of_each_user(mix: Mix) -> None:
    """Records of `generate` cause no warning about order."""

    async def check() -> dict[str, str]:
        async with world() as here:
            await here.write((each.key, each.value) for each in generate(1, 1_000, mix))
            return ids(await here.check("--format", "json"))

    found = asyncio.run(check())

    assert found["records.sampled"].startswith("1000 records: ")
    assert "records.user_spread" not in found


def test_no_more_than_a_thousand_records_are_sampled() -> None:
    """The sample has the latest thousand records, spread over the partitions."""

    async def check() -> dict[str, str]:
        async with world() as here:
            await here.produce((f"u-{number}", page("x")) for number in range(1_500))
            return ids(await here.check("--format", "json"))

    assert asyncio.run(check())["records.sampled"].startswith("1000 records: ")


@pytest.mark.parametrize(
    ("settings", "finding"),
    [
        ({"KAFKA__TOPICS": "segment,nothing"}, "topic.missing"),
        ({"KAFKA__DEAD_LETTER_TOPIC": "nothing"}, "dead_letters.missing"),
        ({"KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}, "kafka.unreachable"),
        ({"FULLSTORY__API_KEY": "na1.another"}, "fullstory.refused"),
        ({"FULLSTORY__ORG_ID": "another"}, "fullstory.wrong_org"),
        ({"FULLSTORY__BASE_URL": "http://127.0.0.1:1"}, "fullstory.unreachable"),
        ({"SCHEMA_REGISTRY__URL": "http://127.0.0.1:1"}, "registry.unreachable"),
        ({"KAFKA__START": "sometimes"}, "configuration.invalid"),
        ({"KAFKA__PROPERTIES": '{"no.such.property": "x"}'}, "configuration.invalid"),
    ],
)
def test_what_would_keep_the_worker_from_its_work_is_an_error(settings: dict[str, str], finding: str) -> None:
    """An error makes the exit code 2, and what does not depend on it is checked all the same."""

    async def check() -> Done:
        async with world() as here:
            return await here.check("--format", "json", **settings)

    done = asyncio.run(check())

    assert done.code == 2
    assert finding in ids(done)
    assert "records.none" in ids(done) or finding.startswith(("kafka", "registry", "configuration"))
    assert "clock.agrees" in ids(done) or not finding.startswith(("kafka", "topic", "dead", "registry"))


def test_a_proxy_on_the_way_is_told() -> None:
    """A proxy is named without its login, with what it means for private addresses, and so is a fault of it."""

    async def check() -> Done:
        async with world() as here:
            own = here.environment(FULLSTORY__BASE_URL="https://api.fullstory.com")
            proxied = {**own, "https_proxy": "http://worker:s3cret@127.0.0.1:1", "no_proxy": ""}
            return await asyncio.to_thread(run, "check", "--format", "json", environment=proxied)

    done = asyncio.run(check())

    seen = ids(done)
    assert seen["fullstory.proxy"] == (
        "through http://********@127.0.0.1:1 (https_proxy): it resolves the name, so private addresses are not refused"
    )
    assert "the proxy 127.0.0.1:1 refuses connections: check https_proxy" in seen["fullstory.unreachable"]
    assert "s3cret" not in done.out + done.err


def hides_all(_registry: FakeRegistry) -> None:
    """Show this login nothing."""


def takes_nothing_new(registry: FakeRegistry) -> None:
    """Have the mode READONLY."""
    registry.schemas[1] = {"schema": '"string"'}
    registry.mode = "READONLY"


def is_being_filled(registry: FakeRegistry) -> None:
    """Have the mode IMPORT."""
    registry.schemas[1] = {"schema": '"string"'}
    registry.mode = "IMPORT"


def forbids_one(registry: FakeRegistry) -> None:
    """Keep what a record names to itself."""
    registry.schemas[1] = {"schema": '"string"'}
    registry.faults["/schemas/ids/7"] = (403, '{"error_code": 40301, "message": "User is denied"}')


def stands_behind_a_gateway(registry: FakeRegistry) -> None:
    """Let something in between answer."""
    registry.fault = (502, "<html>bad gateway</html>", {"Server": "nginx"})


@pytest.mark.parametrize(
    ("prepare", "code", "finding"),
    [
        (hides_all, 1, "registry.empty"),
        (takes_nothing_new, 1, "registry.readonly"),
        (is_being_filled, 1, "registry.import"),
        (forbids_one, 2, "registry.forbidden"),
        (stands_behind_a_gateway, 2, "registry.unreachable"),
    ],
)
def test_what_a_registry_does_not_give_is_said(
    prepare: Callable[[FakeRegistry], None], code: int, finding: str
) -> None:
    """A registry that shows nothing, takes nothing new, refuses a schema or is not who answers is told as that."""

    async def check() -> Done:
        async with world() as here, FakeRegistry() as registry:
            prepare(registry)
            if prepare is forbids_one:
                await here.write([(b"u", b"\0\0\0\0\7x")])
            return await here.check("--format", "json", SCHEMA_REGISTRY__URL=registry.url)

    done = asyncio.run(check())

    assert done.code == code
    assert finding in ids(done)
    assert "bad gateway" not in done.out


AWS = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "s3cret-of-aws", "AWS_EC2_METADATA_DISABLED": "true"}
NO_LOGIN = dict.fromkeys(AWS, "") | {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_CONFIG_FILE": os.devnull,
}


GLUE_CHECK = ("check", "--format", "json", "--timeout", "60")
"""AWS's client takes seconds to be imported where much else runs."""


@pytest.mark.parametrize(
    ("fault", "login", "finding", "seen"),
    [
        (None, AWS, "glue.reached", "AWS Glue in eu-central-1"),
        ((400, "AccessDeniedException"), AWS, "glue.forbidden", "glue:GetSchemaVersion"),
        ((500, "InternalServiceException"), AWS, "glue.unreachable", "answers InternalServiceException"),
        (None, NO_LOGIN, "glue.forbidden", "finds no credentials"),
    ],
)
def test_of_glue_it_is_said_whether_versions_may_be_read(
    fault: tuple[int, str] | None, login: dict[str, str], finding: str, seen: str
) -> None:
    """AWS's own client asks; Glue alone is no absence of a registry, and no secret is shown."""

    async def check(server: FakeGlue) -> Done:
        async with world() as here:
            environment = here.environment(SCHEMA_REGISTRY__GLUE_REGION="eu-central-1") | login
            environment["AWS_ENDPOINT_URL_GLUE"] = server.url
            return await asyncio.to_thread(run, *GLUE_CHECK, environment=environment)

    with FakeGlue() as server:
        server.fault = fault
        done = asyncio.run(check(server))
    found = ids(done)
    assert seen in found[finding]
    assert "registry.none" not in found
    assert "s3cret" not in done.out + done.err


def test_a_glue_that_is_not_there_is_said() -> None:
    """By the region, and what to look at."""

    async def check(url: str) -> Done:
        async with world() as here:
            settings = here.environment(SCHEMA_REGISTRY__GLUE_REGION="eu-central-1")
            environment = settings | AWS | {"AWS_ENDPOINT_URL_GLUE": url}
            return await asyncio.to_thread(run, "check", "--format", "json", environment=environment)

    with FakeGlue() as gone:
        url = gone.url
    done = asyncio.run(check(url))
    assert "eu-central-1" in ids(done)["glue.unreachable"]
    assert done.code == 2


def test_a_broker_that_is_not_reached_is_said_once_and_hides_nothing_else() -> None:
    """An unreachable broker is reported once, with address, reason and setting, and the rest is checked."""

    async def check() -> tuple[Done, str]:
        with socket.socket() as unheard:
            unheard.bind(("127.0.0.1", 0))
            server = f"127.0.0.1:{unheard.getsockname()[1]}"
            async with world() as here:
                return await here.check(KAFKA__BOOTSTRAP_SERVERS=server), server

    done, server = asyncio.run(check())
    said = f"Kafka does not answer at {server} (connection refused): check PROCESSOR_KAFKA__BOOTSTRAP_SERVERS"
    lines = done.out.splitlines()

    assert done.code == 2
    assert lines[0] == f"error    kafka.unreachable            {said}"
    assert lines[-1] == f"1 error: {said}"
    assert done.out.count("\nerror ") == 0
    assert "not checked: topics, dead-letter topic, consumer group, latest records" in done.out
    assert {"fullstory.account", "clock.agrees", "registry.none"} <= {
        line.split()[1] for line in lines if line.startswith("ok ")
    }


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (
            "no-such-host.invalid:9092",
            r"no-such-host\.invalid:9092 \(.*name.*\): check PROCESSOR_KAFKA__BOOTSTRAP_SERVERS",
        ),
        ("127.0.0.1:{http}", r"127\.0\.0\.1:\d+ \(an HTTP server answers\): check .*security\.protocol"),
        ("127.0.0.1:{silent}", r"127\.0\.0\.1:\d+ \(timed out\): check PROCESSOR_KAFKA__BOOTSTRAP_SERVERS"),
        ("127.0.0.1:{silent},127.0.0.1:1", r"127\.0\.0\.1:\d+ \(timed out\), 127\.0\.0\.1:1 \(connection refused\)"),
    ],
)
def test_each_way_of_not_reaching_a_broker_has_its_reason(server: str, reason: str) -> None:
    """Unknown names, servers that are no Kafka, silent ones and several at once each have their reason."""

    async def check() -> dict[str, str]:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            async with world() as here:
                ports = {"http": here.sandbox.url.rpartition(":")[2], "silent": silent.getsockname()[1]}
                address = server.format(**ports)
                return ids(await here.check("--format", "json", KAFKA__BOOTSTRAP_SERVERS=address))

    assert re.match(f"Kafka does not answer at {reason}", asyncio.run(check())["kafka.unreachable"])


def test_what_never_answers_is_given_up() -> None:
    """If Kafka, the registry and FullStory never answer, each is reported after its deadline."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        settings = {
            "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
            "PROCESSOR_KAFKA__TOPICS": "segment",
            "PROCESSOR_KAFKA__GROUP_ID": "fullstory",
            "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "letters",
            "PROCESSOR_SCHEMA_REGISTRY__URL": f"http://127.0.0.1:{port}",
            "PROCESSOR_FULLSTORY__API_KEY": KEY,
            "PROCESSOR_FULLSTORY__BASE_URL": f"http://127.0.0.1:{port}",
        }
        done = run("check", "--format", "json", "--timeout", "4", environment=settings)
    found = ids(done)

    assert done.code == 2
    assert list(found) == [
        *("kafka.unreachable", "registry.unreachable", "fullstory.unreachable"),
        *("checks.skipped", "configuration.valid"),
    ]
    assert "did not answer within" in found["registry.unreachable"]
    assert f"does not answer (127.0.0.1:{port} does not answer in time: see" in found["fullstory.unreachable"]
    assert found["checks.skipped"] == ("not checked: topics, dead-letter topic, consumer group, clock, latest records")


def test_missing_settings_share_one_sentence() -> None:
    """Missing settings share one explanation, and each has a valid example."""
    done = run("check")
    lines = done.out.splitlines()

    assert done.code == 2
    assert lines[0].split()[:2] == ["error", "configuration.invalid"]
    assert lines[0].endswith("5 required settings are not set. Set them in the environment, for example:")
    assert "PROCESSOR_KAFKA__TOPICS=segment.identify,segment.track" in [line.strip() for line in lines]
    assert done.out.count("not set") == 2, "in the finding and in the closing line"
    assert done.out.count(CONFIGURATION_INVALID.meaning) == done.out.count(CONFIGURATION_INVALID.advice) == 1
    assert lines[-1] == (
        "1 error: 5 required settings are not set (PROCESSOR_KAFKA__BOOTSTRAP_SERVERS, PROCESSOR_KAFKA__TOPICS, "
        "PROCESSOR_KAFKA__GROUP_ID, PROCESSOR_KAFKA__DEAD_LETTER_TOPIC, PROCESSOR_FULLSTORY__API_KEY): "
        "set them in the environment"
    )


def test_a_missing_topic_names_the_one_that_was_meant() -> None:
    """A missing topic's finding and the closing line name the topic that was probably meant."""

    async def check() -> Done:
        async with world() as here:
            return await here.check("--format", "json", KAFKA__TOPICS="segmt")

    (report,) = asyncio.run(check()).objects()

    assert report["findings"][0]["seen"] == "topic segmt does not exist (did you mean segment?)"
    assert report["summary"] == (
        "1 error: topic segmt does not exist (did you mean segment?): "
        "create it, correct PROCESSOR_KAFKA__TOPICS or PROCESSOR_KAFKA__REDRIVE_TOPIC, or allow Describe and Read on it"
    )


def test_asking_creates_no_topic() -> None:
    """Checking a missing topic does not create it."""

    async def check() -> list[int]:
        async with world() as here:
            return [(await here.check(KAFKA__DEAD_LETTER_TOPIC="nothing")).code for _ in range(2)]

    assert asyncio.run(check()) == [2, 2]


@pytest.mark.parametrize(
    ("mode", "finding"), [("auto", "fullstory.single"), ("batch", "fullstory.unattributed"), ("single", None)]
)
def test_what_a_standard_key_means_depends_on_the_mode(mode: str, finding: str | None) -> None:
    """A Standard key is fine for single requests that were chosen, and a warning otherwise."""

    async def check() -> dict[str, str]:
        async with world(Role.USER) as here:
            return ids(await here.check("--format", "json", DELIVERY__MODE=mode))

    found = {each for each in asyncio.run(check()) if each in ("fullstory.single", "fullstory.unattributed")}

    assert found == ({finding} if finding else set())


@pytest.mark.parametrize(
    ("date", "finding"),
    [("Thu, 01 Jan 2015 00:00:00 GMT", "clock.skew"), ("soon", "clock.unknown")],
)
def test_a_clock_that_is_wrong_is_told(date: str, finding: str) -> None:
    """A clock that differs from the time in FullStory's answers is reported."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"orgId": "o", "role": "ADMIN"}, headers={"Date": date})

    async def check() -> dict[str, str]:
        application = web.Application()
        application.router.add_get("/me", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with world() as here:
                url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                return ids(await here.check("--format", "json", FULLSTORY__BASE_URL=url))
        finally:
            await runner.cleanup()

    assert finding in asyncio.run(check())


def test_without_a_probe_nothing_is_written() -> None:
    """Without a probe, `check` writes nothing to FullStory or Kafka and commits nothing."""

    async def check() -> tuple[int, dict[int, int], dict[int, int]]:
        async with world(job_duration_s=(0.0, 0.0)) as here:
            await here.produce([("u-1", identify("u-1"))])
            await here.check()
            effects = len(here.sandbox.truth.effects)
            return effects, here.kafka.ends("letters"), here.kafka.committed("segment", "fullstory")

    effects, letters, committed = asyncio.run(check())

    assert effects == 0
    assert set(letters.values()) == {0}
    assert set(committed.values()) == {0}


def test_a_probe_wants_consent() -> None:
    """Without --yes a probe writes nothing, and says what it would write."""
    done = run("check", "--probe-idempotency")

    assert done.code == 2
    assert UID in done.err
    assert "--yes" in done.err


@pytest.mark.parametrize(
    ("ttl_s", "finding", "events"), [(24 * 3600.0, "idempotency.honoured", 1), (0.0, "idempotency.ignored", 2)]
)
def test_a_probe_tells_whether_keys_are_honoured(ttl_s: float, finding: str, events: int) -> None:
    """A probe sends one batch twice under one key, and tells by the jobs whether the key is honoured."""

    async def check() -> tuple[dict[str, str], list[Effect]]:
        async with world(idempotency_ttl_s=ttl_s, job_duration_s=(0.0, 0.0)) as here:
            done = await here.check("--format", "json", "--probe-idempotency", "--yes")
            return ids(done), here.sandbox.truth.effects

    found, effects = asyncio.run(check())

    assert finding in found
    assert [each.item["user"] for each in effects if each.kind == "event"] == [{"uid": UID}] * events
    assert {each.item["uid"] for each in effects if each.kind == "user"} == {UID}


def test_a_probe_is_not_made_where_the_key_is_not_known() -> None:
    """Without a known organisation the probe writes nothing."""

    async def check() -> tuple[dict[str, str], int]:
        async with world(job_duration_s=(0.0, 0.0)) as here:
            options = ("--format", "json", "--probe-idempotency", "--yes")
            done = await here.check(*options, FULLSTORY__ORG_ID="another")
            return ids(done), len(here.sandbox.truth.effects)

    found, effects = asyncio.run(check())

    assert "fullstory.wrong_org" in found
    assert not any(each.startswith("idempotency.") for each in found)
    assert effects == 0


def test_ctrl_c_ends_the_program_at_once() -> None:
    """Ctrl-C ends the program without a traceback, even while it waits for an answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {
            "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{silent.getsockname()[1]}",
            "PROCESSOR_KAFKA__TOPICS": "segment",
            "PROCESSOR_KAFKA__GROUP_ID": "fullstory",
            "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "letters",
            "PROCESSOR_FULLSTORY__API_KEY": KEY,
        }
        with started("check", environment=settings) as process, silent.accept()[0]:
            said = interrupt(process)

    assert said == ""
    assert process.returncode == -signal.SIGINT
