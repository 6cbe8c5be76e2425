"""200 odd answers in FullStory's place, to the real client and the whole worker but Kafka.

A raw server answers each call as FullStory would, or oddly, as drawn: whatever status, media type, body and headers,
whole or broken off, before or after FullStory took the request. What no gateway can know is not drawn: a success with
the body that FullStory documents for this very call, or a refusal of the content with an error code of FullStory's.
"""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import orjson
import pytest

from processor.adapters.fullstory import ApiKey, FullStory
from processor.app.assemble import Ports, RuntimeSettings, assemble
from processor.engine.limits import LimitSettings
from processor.engine.notices import Redelivered
from processor.engine.partition.common import PartitionSettings
from processor.engine.partition.range_queue import BatchLimits
from processor.engine.verdict import Answer, NoAnswer
from processor.events.dead_letters import Stamp
from processor.events.mapping import Mapping as EventMapping
from processor.events.mapping import MappingRules
from processor.model.reasons import Kind
from processor.model.records import TopicPartition
from processor.runtime.worker import WorkerSettings
from tests.fakes.clock import FakeClock
from tests.fakes.dead_letters import FakeDeadLetters, coordinates, header
from tests.fakes.fullstory import FakeFullStory
from tests.fakes.hurried_loop import run_hurriedly
from tests.fakes.observer import RecordingObserver
from tests.fakes.schemas import FakeSchemas
from tests.fakes.source import FakeBroker, FakeSource
from tests.simulation.records import as_json, identify, mark, marks_of, track

SEED = 19
WORLDS = 20
ODD_EACH = 10
RECORDS = 24
"""So many at once, until all odd answers are given."""
USERS = 5
PARTITION = TopicPartition("segment", 0)
PATIENCE_S = 3_000.0
"""Of the loop's fast seconds, and less than a record may be suspected for."""

STATUSES = (
    *(200, 201, 202, 204, 301, 302, 307),
    *(400, 401, 403, 404, 405, 408, 409, 411, 413, 415, 418, 421, 422, 425, 429, 431, 451),
    *(500, 501, 502, 503, 504, 505, 507, 511, 520, 522, 599),
)
MEDIA_TYPES = ("application/json", "application/json; charset=utf-16", "text/html", "text/plain", "", "image/png", "x")
BODIES = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b"true",
    b'"ok"',
    b"7",
    b"\xff\xfe\x00",
    b"<html><h1>Back soon</h1></html>",
    b'{"status":"maintenance"}',
    b'{"id":""}',
    b'{"id":7}',
    b'{"id":"7"}',
    b'{"job":null}',
    b'{"job":{}}',
    b'{"job":{"id":""}}',
    b'{"job":{"status":"COMPLETED"}}',
    b'{"results":null}',
    b'{"results":{}}',
    b'{"code":7}',
    b'{"code":""}',
    b'{"code":"not a code"}',
    b'{"error":{"code":404,"message":"no route"}}',
    b'{"message":"Forbidden"}',
    b'{"code":"unavailable","message":"busy"}',
    b'{"truncated":',
    b"x" * 70_000,
    b"[" * 10_000,
)
HEADERS: tuple[Mapping[str, str], ...] = (
    {},
    {"Retry-After": "3600"},
    {"Retry-After": "-1"},
    {"Retry-After": "1e9"},
    {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"},
    {"Retry-After": "soon"},
    {"Content-Encoding": "gzip"},
    {"Content-Encoding": "br"},
    {"Location": "https://login.example.com/"},
    {"Server": "nginx/1.22.1"},
    {"Server": "\u00e9" * 300},
    {"Connection": "close"},
    {"Date": "never"},
)
BREAKS = ("nowhere", "nowhere", "nowhere", "before it", "in its head", "in its body", "reset")
CODED = b'{"code":"unavailable","message":"busy"}'


@dataclass(frozen=True, slots=True)
class Odd:
    """An answer that FullStory did not give; `passes`: FullStory got the request all the same."""

    status: int
    media_type: str
    body: bytes
    headers: Mapping[str, str]
    breaks: str
    passes: bool

    def text(self) -> bytes:
        """Return what is written of it."""
        fields = {"Content-Type": self.media_type, "Content-Length": str(len(self.body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} Odd", *(f"{name}: {value}" for name, value in fields.items() if value)]
        head = "\r\n".join([*lines, "", ""]).encode()
        if self.breaks in ("before it", "reset"):
            return b""
        if self.breaks == "in its head":
            return head[: len(head) // 2]
        return head + (self.body[: len(self.body) // 2] if self.breaks == "in its body" else self.body)


def draw(chance: random.Random, call: str) -> Odd:
    """Draw an answer to this call that FullStory does not give to it."""
    while True:
        odd = Odd(
            chance.choice(STATUSES),
            chance.choice(MEDIA_TYPES),
            chance.choice(BODIES),
            chance.choice(HEADERS),
            chance.choice(BREAKS),
            passes=chance.random() < 0.5,
        )
        if not is_of_fullstory(odd, call) and not (odd.passes and odd.status == 413):
            return odd


def is_of_fullstory(odd: Odd, call: str) -> bool:
    """Say whether this is, as far as anybody can tell, an answer of FullStory that settles something."""
    documented = {
        "event": b"{}",
        "user": b'{"id":"7"}',
        "job": b'{"job":{"status":"COMPLETED"}}',
    }
    if odd.body == CODED:
        return odd.status in (400, 413, 422, 403, 404)
    return odd.status < 300 and odd.body == documented.get(call)


@dataclass(slots=True)
class OddServer:
    """FullStory behind something that answers in its place, so many times."""

    fullstory: FakeFullStory
    chance: random.Random
    left: int = ODD_EACH
    posts: list[tuple[str, list[tuple[int, int]]]] = field(default_factory=list)
    """Of each POST that FullStory took: the key, and the marks of the records that it does not refuse later."""
    given: list[tuple[str, Odd]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection."""
        try:
            while await self._answer(reader, writer):
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one; say whether the connection stays."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *lines = head.split("\r\n")[:-2]
        fields = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        method, target, _ = line.split(" ")
        call = call_of(method, target)
        if not self.left or self.chance.random() < 0.4:
            write(writer, await self._fullstory(method, target, fields, body))
            return True
        self.left -= 1
        odd = draw(self.chance, call)
        self.given.append((call, odd))
        if odd.passes:
            await self._fullstory(method, target, fields, body)
        if odd.breaks == "reset":
            writer.transport.abort()
            return False
        writer.write(odd.text())
        return odd.breaks == "nowhere" and "Connection" not in odd.headers

    async def _fullstory(self, method: str, target: str, fields: Mapping[str, str], body: bytes) -> Answer:
        path = urlsplit(target).path
        kind = Kind.USER if path.startswith("/v2/users") else Kind.EVENT
        if method == "POST":
            key, batch = fields["idempotency-key"], path.endswith("/batch")
            answer = await self.fullstory.post(kind, body, key, batch=batch)
            assert not isinstance(answer, NoAnswer)
            if answer.status == 200:
                content = orjson.loads(body)
                items = content["requests"] if batch else [content]
                taken = [each for each in items if self.fullstory.refuse(kind, each) is None]
                self.posts.append((key, [found for each in taken for found in marks_of(each)]))
            return answer
        job_id = unquote(path.split("/")[4])
        about_errors = path.endswith("/errors")
        found = await (self.fullstory.errors(kind, job_id, "") if about_errors else self.fullstory.job(kind, job_id))
        assert not isinstance(found, NoAnswer)
        return found


def call_of(method: str, target: str) -> str:
    """Name a call."""
    path = urlsplit(target).path
    if method == "POST":
        return "batch" if path.endswith("/batch") else path.removeprefix("/v2/").removesuffix("s")
    return "errors" if path.endswith("/errors") else "job"


def write(writer: asyncio.StreamWriter, answer: Answer) -> None:
    """Write an answer as FullStory does."""
    body = orjson.dumps(answer.body)
    fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}"
    writer.write(f"HTTP/1.1 {answer.status} FullStory\r\n{fields}\r\n\r\n".encode() + body)


@dataclass(slots=True)
class World:
    """What became of the records of a world."""

    records: int
    letters: FakeDeadLetters
    effects: Counter[int]
    redelivered: int
    posts: list[tuple[str, list[tuple[int, int]]]]
    given: list[tuple[str, Odd]]


def is_bad(number: int) -> bool:
    """Say whether FullStory refuses this record."""
    return number % 8 == 5


def append(broker: FakeBroker, chance: random.Random) -> None:
    """Put a record into the topic."""
    number = broker.available[PARTITION][1]
    uid = f"u{chance.randrange(USERS)}"
    make = identify if chance.random() < 0.3 else track
    event = make(uid, mark(PARTITION, number), **({"bad": True} if is_bad(number) else {}))
    broker.append(PARTITION, as_json(event), key=uid.encode())


async def live(seed: int, *, is_batch: bool) -> World:
    """Deliver records through odd answers."""
    chance = random.Random(seed)
    fullstory, broker, letters, observer = (
        FakeFullStory(seed),
        FakeBroker([PARTITION]),
        FakeDeadLetters(),
        RecordingObserver(),
    )
    fullstory.refuse = lambda _kind, item: "invalid" if item.get("properties", {}).get("bad") else None
    odd = OddServer(fullstory, chance)
    server = await asyncio.start_server(odd.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    settings = RuntimeSettings(
        WorkerSettings(1_000_000, 5.0, 5.0),
        PartitionSettings(BatchLimits(6, 50_000, 1.0), lease_s=1_000.0),
        LimitSettings(),
        EventMapping(MappingRules()),
        Stamp("odd", "0.0.0", "f00d"),
    )
    async with server, FullStory(ApiKey("na1.architect"), FakeClock(), base_url=url) as client:
        source = FakeSource(broker, 5.0)
        worker = assemble(Ports(source, client, letters, FakeSchemas({}), FakeClock(), chance), settings, observer)
        worker.use_batches(is_batch=is_batch)
        stop = asyncio.Event()
        running = asyncio.get_running_loop().create_task(worker.run(stop))
        worker.open("destination")
        await asyncio.sleep(0)
        await source.assign(PARTITION)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        while odd.left or not broker.is_committed():
            assert not running.done(), running
            assert loop.time() < deadline, f"world {seed}: {worker.state()}; {odd.given}"
            if broker.is_committed():
                for _ in range(RECORDS):
                    append(broker, chance)
            await asyncio.sleep(0.5)
        stop.set()
        await running
    effects = Counter(offset for effect in fullstory.effects for _, offset in marks_of(effect.item))
    redelivered = sum(each.records for each in observer.of(Redelivered))
    return World(broker.available[PARTITION][1], letters, effects, redelivered, odd.posts, odd.given)


@pytest.mark.parametrize("is_batch", [True, False], ids=["batch", "single"])
def test_no_odd_answer_costs_or_doubles_a_record(*, is_batch: bool) -> None:
    """Each record arrives, or is the one that FullStory refuses; what may be there twice was counted as redelivered."""
    sys.stdout.write(f"seeds {SEED * 1_000} to {SEED * 1_000 + WORLDS - 1}\n")
    faults: list[object] = []

    async def live_all() -> list[World]:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
        return await asyncio.gather(*(live(SEED * 1_000 + each, is_batch=is_batch) for each in range(WORLDS)))

    worlds = run_hurriedly(live_all())

    assert faults == []
    assert sum(len(world.given) for world in worlds) == WORLDS * ODD_EACH
    for world in worlds:
        dead = {coordinates(letter)[2] for letter in world.letters.letters}
        assert {header(letter, "fullstory.dlq.reason") for letter in world.letters.letters} <= {"rejected"}
        assert all(map(is_bad, dead))
        assert dead | set(world.effects) == set(range(world.records)), world.given
        assert not dead & set(world.effects)
        assert sum(count - 1 for count in world.effects.values()) <= world.redelivered, world.given
        assert sum(anew(world.posts).values()) <= world.redelivered, world.given


def anew(posts: list[tuple[str, list[tuple[int, int]]]]) -> Counter[int]:
    """Count for each record the keys, after the first, under which FullStory took it."""
    keys: dict[int, set[str]] = {}
    for key, marks in posts:
        for _, offset in marks:
            keys.setdefault(offset, set()).add(key)
    return Counter({offset: len(found) - 1 for offset, found in keys.items() if len(found) > 1})
