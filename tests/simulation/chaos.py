"""Random records, faults, rebalances, crashes and restarts; in the end all is well, and the laws have held."""

import asyncio
import random
import signal
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from processor.engine.limits import LimitSettings
from processor.engine.partition.journal_format import METADATA_BYTES
from processor.engine.verdict import Answer, NoAnswer, RetryReason
from processor.events.mapping import MappingRules
from processor.model.errors import WriteFault
from processor.model.reasons import HaltReason, Kind
from tests.fakes.fullstory import Gateway, Item, Weather
from tests.simulation.records import SCHEMA, SCHEMA_ID, as_avro, as_json
from tests.simulation.world import Plan, World, simulate

STEPS = 25

SEED_TAKES_S = 120
"""A hundred times what one takes, on a slow machine too."""

FAULTS: tuple[WriteFault, ...] = ("retry", "refused", "too_large")

BETWEEN: tuple[Answer | NoAnswer, ...] = (
    Answer(200, {"status": "maintenance"}),
    Answer(200, None),
    Answer(204, None),
    Answer(302, None),
    Answer(400, None),
    Answer(401, None),
    Answer(403, None),
    Answer(404, {"message": "no route"}),
    Answer(413, None),
    Answer(429, None),
    Answer(502, None),
    Answer(503, None),
    Answer(503, None, 3_600.0),
    NoAnswer(RetryReason.CONNECTION, "reset", was_connected=True),
    NoAnswer(RetryReason.TIMEOUT, "silence", was_connected=True),
)
"""What gateways, proxies, firewalls and pages say."""

STANDS_S = 90.0
"""Longer than the worker's patience with a job that FullStory denies to know."""

END_BY_HAND = {HaltReason.UNATTRIBUTED, HaltReason.RECREATED}
"""By design these end with the epoch, and the second one with another setting."""

DELETES = MappingRules(message_types=("identify", "track", "delete"))

Action = Callable[[], Coroutine[Any, Any, None]]


def plan_of(seed: int) -> Plan:
    """Return settings that differ as users' do, and more."""
    chance = random.Random(f"plan {seed}")
    concurrency = chance.choice((1, 2, 8))
    return Plan(
        seed=seed,
        partitions=chance.randint(1, 4),
        max_records=chance.choice((1, 3, 10, 40)),
        max_bytes=chance.choice((500, 5_000, 50_000)),
        linger_s=chance.choice((0.0, 0.2, 1.0, 5.0)),
        budget_bytes=chance.choice((5_000, 50_000, 1_000_000)),
        depth=chance.choice((1, 3, 8)),
        is_batch=chance.random() < 0.75,
        limits=LimitSettings(chance.choice((0.0, 0.05, 0.8)), concurrency, concurrency * 4, chance.choice((2.0, 15.0))),
        schemas={SCHEMA_ID: orjson.dumps(SCHEMA).decode()},
        start=chance.choice(("earliest", "latest")),
        on_recreated=chance.choice(("halt", "restart", "restart")),
        rules=DELETES if random.Random(f"deletes {seed}").random() < 0.5 else MappingRules(),
    )


def refuse(kind: Kind, item: Item) -> str | None:
    """Refuse what says that it is to be refused."""
    is_refused = "kept" in item["uid"] if kind is Kind.DELETION else "poison" in item["properties"]
    return "invalid_argument" if is_refused else None


class Chaos:
    """What happens to one world, drawn from its seed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = random.Random(f"chaos {world.plan.seed}")
        self._users = random.Random(f"users {world.plan.seed}").choice((7, 7, 300))
        traits = random.Random(f"traits {world.plan.seed}")
        self._busy, self._nested = traits.choice((0.0, 0.1, 0.3)), traits.choice((0.0, 0.3, 1.0))
        world.fullstory.refuse = refuse
        world.encode = lambda event: as_json(event) if self._chance.random() < 0.5 else as_avro(event)
        self._actions: list[Action] = [
            self._weather,
            self._outage,
            self._doubt,
            self._gateway,
            self._gateway,
            self._no_route,
            self._letters,
            self._registry,
            self._commits,
            self._rebalance,
            self._rebalance,
            self._loss,
            self._restart,
            self._kill,
            self._crash_soon,
            self._crash_soon,
            self._cut_off,
            self._metadata,
            self._grow,
            self._elections,
            self._recreate,
            self._forgetful_brokers,
            self._reset_offsets,
        ]
        self._lives = random.Random(f"lives {world.plan.seed}")
        self._living: set[str] = set()
        self._markers = random.Random(f"markers {world.plan.seed}")
        self._is_transactional = self._markers.random() < 0.5

    async def run(self) -> None:
        """Let things happen, then let all be well and wait for the end."""
        for _ in range(STEPS):
            self._send_soon()
            await asyncio.sleep(self._chance.choice((0.0, 0.3, 2.0, 10.0)))
            if self._chance.random() < 0.6:
                await self._chance.choice(self._actions)()
            await self._start_after_a_crash()
        self._clear_up()
        await self._start_after_a_crash()
        await self._assign_missing()
        self._world.track("last", 0)  # where a topic is empty, nothing else would show that FullStory takes it again
        if END_BY_HAND & self._world.member.gate.halts.keys():
            self._world.plan = replace(self._world.plan, on_recreated="restart")
            await self._restart()
        await self._world.settled()
        await asyncio.sleep(self._world.plan.limits.probe_interval_s + 10.0)
        assert not self._world.member.gate.halts

    # Records

    def _send_soon(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(self._chance.choice((1, 5, 30))):
            loop.call_later(self._chance.uniform(0.0, 5.0) * self._chance.choice((0, 1)), self._send)
        if self._is_transactional:
            loop.call_later(self._markers.uniform(0.0, 6.0), self._end_transaction)

    def _end_transaction(self) -> None:
        """A partition ends in a marker, or in what was aborted as well."""
        self._world.broker.mark(self._markers.choice(self._world.partitions), self._markers.choice((1, 1, 5)))

    def _send(self, at: int | None = None) -> None:
        world, chance = self._world, self._chance
        at = chance.randrange(len(world.partitions)) if at is None else at
        skip = chance.choice((0, 0, 0, 0, 3))
        if self._deletes and self._lives.random() < 0.3:
            self._send_of_a_life(at, skip)
            return
        kind = chance.random()
        if kind < 0.04:
            world.send(None, "filtered", at, skip)
        elif kind < 0.08:
            world.send(b"\xff garbage %d" % world.broker.topic_ids[world.partitions[at]], "dead_lettered", at, skip)
        else:
            uid = "busy" if chance.random() < self._busy else f"u{chance.randrange(self._users)}"
            text = "x" * chance.choice((0, 10, 10, 200, 2_000))
            send = world.identify if chance.random() < 0.5 else world.track
            if send == world.identify and chance.random() < self._nested:
                send = partial(send, company={name: 1 for name in "abc" if chance.random() < 0.6})
            if chance.random() < 0.05:
                send(uid, at, fate="dead_lettered", skip=skip, poison=True)
            else:
                send(uid, at, skip=skip, text=text)

    @property
    def _deletes(self) -> bool:
        return self._world.plan.rules.deletes_users

    def _send_of_a_life(self, at: int, skip: int) -> None:
        """Let users come, go and come again, each in a partition of its own; of some FullStory refuses the deletion."""
        world, chance = self._world, self._lives
        partition = world.partitions[at]
        name = chance.choice(("a", "b", "kept"))
        uid = f"{name} of {partition.partition}, {world.broker.topic_ids[partition]}"
        if uid in self._living and chance.random() < 0.4:
            self._living.remove(uid)
            world.delete(uid, at, fate="dead_lettered" if name == "kept" else "delivered", skip=skip)
        else:
            self._living.add(uid)
            send = world.identify if chance.random() < 0.5 else world.track
            if chance.random() < 0.05:
                send(uid, at, fate="dead_lettered", skip=skip, poison=True)
            else:
                send(uid, at, skip=skip)

    # Faults

    def _range(self, highest_s: float) -> tuple[float, float]:
        return (0.0, self._chance.choice((0.0, highest_s / 10, highest_s)))

    async def _weather(self) -> None:
        chance = self._chance
        throttled, server_error, lost_before, lost_after, job_failure = (
            chance.choice((0.0, 0.0, 0.1, 0.5)) for _ in range(5)
        )
        self._world.fullstory.weather = Weather(
            throttled,
            server_error,
            lost_before,
            lost_after,
            job_failure,
            retry_after_s=chance.choice((None, 0.0, 1.0, 20.0)),
            latency_s=self._range(2.0),
            job_duration_s=self._range(30.0),
            timeout_s=10.0,
        )

    async def _outage(self) -> None:
        self._world.fullstory.outage = self._chance.choice((None, None, 401, 403, 404, 503))

    async def _doubt(self) -> None:
        self._world.fullstory.jobs_unknown = self._chance.random() < 0.3

    async def _gateway(self) -> None:
        """Let something in between answer: to all, to some, to large bodies; before or after FullStory's work."""
        chance = self._chance
        answer = chance.choice(BETWEEN)
        is_413 = isinstance(answer, Answer) and answer.status == 413  # told before a body is passed on
        rate = chance.choice((0.1, 0.5, 1.0))
        is_after = chance.random() < 0.3 and not is_413
        larger_than = chance.choice((-1, -1, 300, 1_000, 3_000))
        has_posts = chance.random() < 0.8
        gateway = Gateway(
            answer, rate, is_after, lambda body: has_posts and len(body) > larger_than, chance.random() < 0.5
        )
        self._world.fullstory.gateway = chance.choice((None, gateway, gateway))

    async def _no_route(self) -> None:
        """Let something in between lose the way to jobs, and not that of POSTs, for longer than a job may be denied."""
        answer = Answer(404, {"message": "no route"})
        self._world.fullstory.gateway = Gateway(answer, stops=lambda _body: False)
        await asyncio.sleep(STANDS_S)
        self._world.fullstory.gateway = None

    async def _letters(self) -> None:
        rate = self._chance.choice((0.0, 0.3, 1.0))
        fault = self._chance.choice(FAULTS)
        self._world.letters.refuses = lambda _letter: fault if self._chance.random() < rate else None
        self._world.letters.delay_s = lambda: self._chance.choice((0.0, 0.5))

    async def _registry(self) -> None:
        self._world.schemas.is_out = self._chance.random() < 0.4
        self._world.schemas.latency_s = self._chance.choice((0.0, 1.0))

    async def _commits(self) -> None:
        source, chance = self._world.member.source, self._chance
        rate = chance.choice((0.0, 0.5))
        source.commit_outcome = lambda: chance.choice(("failed", "unknown")) if chance.random() < rate else "ok"
        commit_s, handover_s = self._range(3.0), self._range(0.5)
        source.commit_s = lambda: chance.uniform(*commit_s)
        source.handover_s = lambda: chance.uniform(*handover_s)
        source.max_records = chance.choice((1, 7, 100))

    def _clear_up(self) -> None:
        world = self._world
        world.fullstory.weather = Weather()
        world.fullstory.outage = None
        world.fullstory.jobs_unknown = False
        world.fullstory.gateway = None
        world.letters.refuses = lambda _letter: None
        world.schemas.is_out = False
        world.member.source.commit_outcome = lambda: "ok"
        world.crash_at = None
        world.broker.max_metadata = METADATA_BYTES
        world.elect()

    # Partitions

    def _some(self) -> list[int]:
        numbers = range(len(self._world.partitions))
        return self._chance.sample(numbers, self._chance.randint(1, len(numbers)))

    async def _rebalance(self) -> None:
        world = self._world
        await world.member.source.revoke(*(world.partitions[number] for number in self._some()))
        if self._chance.random() < 0.7:
            await self._assign_missing()

    async def _loss(self) -> None:
        world = self._world
        await world.member.source.lose(*(world.partitions[number] for number in self._some()))
        if self._chance.random() < 0.7:
            await self._assign_missing()

    async def _assign_missing(self) -> None:
        source = self._world.member.source
        await source.assign(*(each for each in self._world.partitions if each not in source.holdings))

    async def _grow(self) -> None:
        """Add a partition, which holds records before anybody hears of it."""
        world = self._world
        at = world.grow().partition
        for _ in range(self._chance.choice((0, 1, 10))):
            world.track("new", at)
        if self._chance.random() < 0.7:
            await self._assign_missing()

    async def _elections(self) -> None:
        """Leave partitions without a leader for a while; what is added meanwhile is read when they have one."""
        world = self._world
        world.elect(*(world.partitions[number] for number in self._some()))
        self._send_soon()
        await asyncio.sleep(self._chance.choice((0.0, 3.0, 40.0)))
        world.elect()

    async def _recreate(self) -> None:
        """Delete a topic and create it anew, under a worker that looks every ten seconds, or while there is none.

        A worker that is to stand still notes only that; how much of the new topic it has sent by then, nobody knows
        who is told later to read it whole.
        """
        world, chance = self._world, self._chance
        at, runs = chance.randrange(len(world.partitions)), chance.random() < 0.7
        if not world.is_of_today(at):  # the next process would not know of which topic the offset is
            return
        keeps_offset = chance.random() < 0.5 or world.plan.start == "latest"  # else the group may be new to a process
        if runs:
            world.crash_at = None
            await world.member.source.compare()
        else:
            await world.member.kill()
        world.recreate(at, keeps_offset=keeps_offset)
        for _ in range(chance.choice((0, 3, 30, 90))):
            self._send(at)
        if not runs:
            await self._start()
            return
        await asyncio.sleep(chance.uniform(0.0, 10.0))
        await world.member.source.compare()
        if world.plan.on_recreated == "halt":
            world.laws.repeats_allowed += len(world.records[world.partitions[at]])

    async def _reset_offsets(self) -> None:
        """Set an offset back while no worker runs, as Kafka's tools do: what was committed with it is gone."""
        world, chance = self._world, self._chance
        await world.member.kill()
        for number in self._some():
            committed = world.committed[number]
            if committed is not None and world.is_of_today(number):
                world.rewind(number, chance.choice((committed, chance.randint(0, committed))))
        await self._start()

    async def _forgetful_brokers(self) -> None:
        """Let brokers take the place of others that take metadata and give none back, until somebody mends them."""
        world = self._world
        await world.member.kill()
        for number, committed in enumerate(world.committed):
            if committed is not None and world.is_of_today(number):
                world.rewind(number, committed)
        world.broker.keeps_metadata = False
        await self._start()
        await asyncio.sleep(self._chance.choice((1.0, 20.0)))
        world.broker.keeps_metadata = True

    # The process

    async def _start(self) -> None:
        """Start the next worker, whose settings may differ in what forms batches."""
        chance = self._chance
        plan = replace(
            self._world.plan,
            max_records=chance.choice((1, 3, 10, 40)),
            max_bytes=chance.choice((500, 5_000, 50_000)),
            budget_bytes=chance.choice((5_000, 50_000, 1_000_000)),
            depth=chance.choice((1, 3, 8)),
            is_batch=chance.random() < 0.75,
        )
        await self._world.start(plan=plan)

    async def _restart(self) -> None:
        begun = self._world.now
        await self._world.member.stop()
        assert self._world.now - begun <= self._world.plan.grace_s
        await self._start()

    async def _kill(self) -> None:
        await self._world.member.kill()
        await self._start()

    async def _crash_soon(self) -> None:
        """Let the process end in the middle of something."""
        moments = ["post", "answer", "poll", "commit", "committed", "letter", "lettered"]
        moments += ["delete", "deleted"] * self._deletes
        self._world.crash_at = (self._chance.choice(moments), self._chance.choice((1, 2, 5)))

    async def _start_after_a_crash(self) -> None:
        if self._world.member.was_killed:
            await self._start()

    async def _cut_off(self) -> None:
        """Let the group go on without a worker that hears of it only later, if at all."""
        cut_off = self._world.member
        cut_off.cut_off_at = self._world.now
        cut_off.source.is_cut_off = True
        if self._deletes:  # they have no key that would hold them back: the group goes on after a session, as it does
            await asyncio.sleep(2 * cut_off.settings.partition.lease_s)
        await self._start()
        loop, chance = asyncio.get_running_loop(), self._chance
        if chance.random() < 0.5:
            loop.call_later(chance.uniform(0.0, 60.0), cut_off.worker.lost, self._world.partitions)

    async def _metadata(self) -> None:
        """Let the brokers take less metadata with an offset, or what they take by default."""
        self._world.broker.max_metadata = self._chance.choice((100, 400, 900, METADATA_BYTES))


def run_seed(seed: int) -> World:
    """Let one world live; raises what was found wrong."""

    async def story(world: World) -> None:
        await Chaos(world).run()

    return simulate(story, plan_of(seed))


def fault_of(seed: int) -> tuple[int, str | None]:
    """Run a seed, on the main thread; return it with what was found wrong: a law, or that it does not end."""
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(SEED_TAKES_S)
    try:
        run_seed(seed)
    except BaseException:  # noqa: BLE001 - whatever ends it is what was found
        return seed, traceback.format_exc()
    finally:
        signal.alarm(0)
    return seed, None


def _give_up(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"the seed does not end within {SEED_TAKES_S} s")
