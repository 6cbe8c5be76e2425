"""The whole worker on virtual time, between fakes of everything that is not the worker."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from processor.app.assemble import Ports, RuntimeSettings, assemble
from processor.engine.beginnings import GroupStart
from processor.engine.job_polling import STUCK_AFTER_S
from processor.engine.limits import LimitSettings
from processor.engine.notices import WaitsFor, fan_out
from processor.engine.partition.common import PartitionSettings, Unattributed
from processor.engine.partition.owner import End
from processor.engine.partition.range_queue import BatchLimits
from processor.engine.suspicion import POISON_AFTER_S
from processor.events.dead_letters import Stamp
from processor.events.framing import SchemaId
from processor.events.mapping import Mapping as EventMapping
from processor.events.mapping import MappingRules
from processor.model.outcomes import Event
from processor.model.records import LetterPlace, TopicPartition
from processor.runtime.ports import DeadLetter
from processor.runtime.worker import WorkerSettings
from processor.simulation.loop import VirtualLoop, run_virtually
from tests.fakes.clock import FakeClock
from tests.fakes.dead_letters import FakeDeadLetters, coordinates, header
from tests.fakes.fullstory import FakeFullStory
from tests.fakes.observer import RecordingObserver
from tests.fakes.schemas import FakeSchemas
from tests.fakes.source import FakeBroker, FakeSource
from tests.simulation.laws import Laws, Ledger
from tests.simulation.records import TOPICS_APART, Fate, Sent, as_json, identify, mark, marks_of, track
from tests.simulation.wire import Post, Wire

TOPIC = "segment"
DESTINATION = "destination"
STAMP = Stamp("simulated", "0.0.0", "f00d")
PATIENCE_S = 3_600.0
DRAIN_S = 5.0

Encode = Callable[[Event], bytes]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a world is made."""

    seed: int = 0
    partitions: int = 1
    max_records: int = 20
    max_bytes: int = 50_000
    linger_s: float = 1.0
    budget_bytes: int = 1_000_000
    depth: int = 8
    grace_s: float = 25.0
    on_gap: Literal["halt", "continue"] = "halt"
    on_recreated: Literal["halt", "restart"] = "halt"
    is_batch: bool = True
    unattributed: Unattributed = "halt"
    limits: LimitSettings = field(default_factory=LimitSettings)
    poison_after_s: float = POISON_AFTER_S
    stuck_job_after_s: float = STUCK_AFTER_S
    dead_letter_ratio: float = 1.0
    schemas: Mapping[SchemaId, str] = field(default_factory=dict)
    unknown_after_s: float = 0.0
    start: GroupStart = "earliest"
    rules: MappingRules = field(default_factory=MappingRules)

    @property
    def settings(self) -> RuntimeSettings:
        """The worker's part of it."""
        limits = BatchLimits(self.max_records, self.max_bytes, self.linger_s)
        return RuntimeSettings(
            WorkerSettings(self.budget_bytes, DRAIN_S, min(DRAIN_S, self.grace_s / 2)),
            PartitionSettings(
                limits,
                self.depth,
                on_gap=self.on_gap,
                on_recreated=self.on_recreated,
                unattributed=self.unattributed,
            ),
            self.limits,
            EventMapping(self.rules),
            STAMP,
            self.poison_after_s,
            self.stuck_job_after_s,
            self.dead_letter_ratio,
            self.unknown_after_s,
        )


@dataclass(frozen=True, slots=True)
class MortalLetters:
    """The dead-letter topic as one process has it: when that has ended, it writes nothing more."""

    letters: FakeDeadLetters
    lives: Callable[[], bool]

    async def write(self, letter: DeadLetter) -> LetterPlace | None:
        """Pass on."""
        if not self.lives():
            raise asyncio.CancelledError
        return await self.letters.write(letter)


class Member:
    """One worker, from its start to its end."""

    def __init__(self, world: "World", number: int, plan: Plan) -> None:
        self._world = world
        self.plan = plan
        self.settings = replace(plan.settings, mapping=world.mapping)
        chance = random.Random(plan.seed * 1_000 + number)
        self.number = number
        self.was_killed = False
        self.cut_off_at: float | None = None
        """Since when the group goes on without it, and it does not know."""
        self.observer = RecordingObserver()
        self.ledger = Ledger()
        observe = fan_out([self.observer, self.ledger])
        self.source = FakeSource(world.broker, self.settings.worker.drain_s)
        self.source.moment = partial(world.pass_moment, self)
        self.source.on_handover = partial(world.laws.at_handover, self)
        self.source.on_acknowledged = partial(world.laws.at_acknowledgement, self)
        self.wire = Wire(
            world.fullstory,
            partial(world.laws.at_post, self),
            world.laws.at_answer,
            world.laws.at_job_end,
            partial(world.pass_moment, self),
            lambda: not self.was_killed,
        )
        letters = MortalLetters(world.letters, lambda: not self.was_killed)
        ports = Ports(self.source, self.wire, letters, world.schemas, world.clock, chance)
        self.worker = assemble(ports, self.settings, observe)
        self.worker.use_batches(is_batch=plan.is_batch)
        self.gate = self.worker.gate
        self.limits = self.gate.limits
        self._stop = asyncio.Event()
        self._run = asyncio.get_running_loop().create_task(self.worker.run(self._stop))

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._run.done()

    async def stop(self) -> None:
        """Ask it to end, and wait for that; raises what made it impossible to go on."""
        self._stop.set()
        await asyncio.wait({self._run})
        if not self.was_killed:
            self._run.result()

    async def kill(self) -> None:
        """End it as a power cut would: it finishes nothing and tells nobody."""
        tasks = self.crash(asyncio.current_task())
        await asyncio.gather(*tasks, return_exceptions=True)

    def crash(self, *survivors: asyncio.Task[Any] | None) -> set[asyncio.Task[Any]]:
        """Begin to end it so, and whoever was cut off before; return the tasks that end with it."""
        for member in self._world.members:
            if member.is_running:
                member.was_killed = True
                member.source.die()
        tasks = asyncio.all_tasks() - set(survivors)
        for task in tasks:
            task.cancel()
        return tasks


class World:
    """A topic, a FullStory, a dead-letter topic, a registry, and one worker at a time."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.settings = plan.settings
        self.partitions = [TopicPartition(TOPIC, number) for number in range(plan.partitions)]
        self.records: dict[TopicPartition, list[Sent]] = {each: [] for each in self.partitions}
        self.broker = FakeBroker(self.partitions)
        self.broker.start = plan.start
        self.fullstory = FakeFullStory(plan.seed)
        self.letters = FakeDeadLetters()
        self.letters.moment = lambda name: self.pass_moment(self.member, name)
        self.schemas = FakeSchemas(plan.schemas)
        self.encode: Encode = as_json
        self.laws = Laws(self)
        self.broker.on_commit = self.laws.at_commit
        self.broker.on_other_topic = self.laws.noticed
        self.members: list[Member] = []
        self.mapping = EventMapping(plan.rules)
        self.clock = FakeClock()
        self.crash_at: tuple[str, int] | None = None
        """At which moment the worker ends as by a power cut: the name, and how often it has to come."""
        self.story: asyncio.Task[Any] | None = None

    # The worker

    @property
    def member(self) -> Member:
        """The worker of the moment, or the last one."""
        return self.members[-1]

    def pass_moment(self, member: Member, name: str) -> None:
        """End the worker when this is the moment."""
        if self.crash_at is None or member is not self.member or name != self.crash_at[0]:
            return
        self.crash_at = (name, self.crash_at[1] - 1)
        if self.crash_at[1] == 0:
            self.crash_at = None
            member.crash(self.story)

    async def start(self, *, is_open: bool = True, plan: Plan | None = None) -> None:
        """Start a worker that owns every partition; its gate is closed unless `is_open`."""
        member = Member(self, len(self.members), plan or self.plan)
        self.members.append(member)
        if is_open:
            member.worker.open(DESTINATION)
        await asyncio.sleep(0)
        await member.source.assign(*self.partitions)

    def grow(self) -> TopicPartition:
        """Add a partition to the topic; nobody owns it yet."""
        added = TopicPartition(TOPIC, len(self.partitions))
        self.broker.add(added)
        self.records[added] = []
        self.partitions.append(added)
        return added

    # Records

    def send(self, value: bytes | None, fate: Fate, at: int = 0, skip: int = 0) -> Sent:
        """Put a record into a partition that is neither an identify nor a track of anybody."""
        return self._append(value, at, skip, None, fate, is_identify=False)

    def identify(self, uid: str, at: int = 0, *, fate: Fate = "delivered", skip: int = 0, **traits: Any) -> Sent:
        """Put an identify into a partition."""
        value = self.encode(identify(uid, self._next_mark(at, skip), **traits))
        return self._append(value, at, skip, uid, fate, is_identify=True)

    def track(self, uid: str, at: int = 0, *, fate: Fate = "delivered", skip: int = 0, **properties: Any) -> Sent:
        """Put a track into a partition."""
        value = self.encode(track(uid, self._next_mark(at, skip), **properties))
        return self._append(value, at, skip, uid, fate, is_identify=False)

    def delete(self, uid: str, at: int = 0, *, fate: Fate = "delivered", skip: int = 0) -> Sent:
        """Put the deletion of a user into a partition, where all records of the user are."""
        sent = self.send(self.encode({"type": "delete", "userId": uid}), fate, at, skip)
        sent.deletes = uid
        self.laws.to_delete(sent, uid)
        return sent

    def _next_mark(self, at: int, skip: int) -> str:
        partition = self.partitions[at]
        return mark(partition, self.broker.available[partition][1] + skip, self.broker.topic_ids[partition])

    def _append(
        self, value: bytes | None, at: int, skip: int, uid: str | None, fate: Fate, *, is_identify: bool
    ) -> Sent:
        partition = self.partitions[at]
        record = self.broker.append(partition, value, key=uid.encode() if uid else None, skip=skip)
        sent = Sent(partition, record, uid, is_identify, fate, self.broker.topic_ids[partition])
        self.records[partition].append(sent)
        self.laws.sent(sent)
        return sent

    def rewind(self, at: int, offset: int) -> None:
        """Set the group's offset back from outside, as Kafka's tools do: whatever was said with it is gone."""
        partition = self.partitions[at]
        self.broker.committed[partition] = offset
        self.broker.metadata[partition] = ""
        self.laws.rewound(partition)

    def recreate(self, at: int = 0, *, keeps_offset: bool = False) -> None:
        """Delete a topic and create it anew: what it held is gone, and offsets begin with 0."""
        partition = self.partitions[at]
        self.broker.recreate(partition, keeps_offset=keeps_offset)
        self.records[partition].clear()
        self.laws.recreated(partition)

    def elect(self, *leaderless: TopicPartition) -> None:
        """Let each partition have a leader again but these, of which nobody can read."""
        self.broker.leaderless = set(leaderless)
        for watcher in self.broker.watchers:
            watcher()
        ends = {each: End(end, end) for each, (_, end) in self.broker.available.items() if each not in leaderless}
        if self.member.is_running:
            self.member.worker.ends({**ends, **dict.fromkeys(leaderless, WaitsFor.LEADER)})

    def is_of_today(self, at: int) -> bool:
        """Say whether the group's position says that it is one of today's topic."""
        return self.broker.is_of_today(self.partitions[at])

    def forget(self, *partitions: TopicPartition) -> None:
        """Delete the group's offsets of these, as their expiry does."""
        for each in partitions:
            self.broker.committed.pop(each)
            self.broker.metadata.pop(each)

    # Waiting and looking

    async def until(self, condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
        """Let time pass until the condition holds."""
        deadline = self.now + within_s
        while not condition():
            assert self.now < deadline, f"in vain for {within_s} s: {self.member.worker.state()}"
            await asyncio.sleep(0.05)

    async def settled(self, within_s: float = PATIENCE_S) -> None:
        """Let time pass until everything in the topic is committed."""
        await self.until(self.broker.is_committed, within_s)

    @property
    def now(self) -> float:
        """The loop's time."""
        return asyncio.get_running_loop().time()

    @property
    def posts(self) -> list[Post]:
        """Every POST of the worker of the moment."""
        return self.member.wire.posts

    @property
    def committed(self) -> list[int | None]:
        """The committed offset of each partition."""
        return [self.broker.committed.get(each) for each in self.partitions]

    def letters_of(self, reason: str) -> list[int]:
        """Return the offsets of the dead letters with this reason, in order."""
        found = [letter for letter in self.letters.letters if header(letter, "fullstory.dlq.reason") == reason]
        return sorted(coordinates(letter)[2] for letter in found)

    def delivered(self, at: int = 0) -> list[int]:
        """Return the offsets of a partition that took effect, in their order, once for each effect."""
        its_own = at + TOPICS_APART * self.broker.topic_ids[self.partitions[at]]
        effects = self.fullstory.effects
        return [offset for effect in effects for number, offset in marks_of(effect.item) if number == its_own]


Story = Callable[[World], Coroutine[Any, Any, None]]


def simulate(story: Story, plan: Plan | None = None, *, is_open: bool = True) -> World:
    """Let a world with a running worker live through a story; then end it and check the laws."""

    async def live() -> World:
        world = World(plan or Plan())
        world.story = asyncio.current_task()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        await world.start(is_open=is_open)
        loop.on_idle.append(world.laws.at_idle)
        try:
            await story(world)
            if world.member.is_running:
                await world.member.stop()
            for member in world.members:
                if member.is_running:  # it was cut off, and nobody told it
                    await member.kill()
        except BaseException:
            loop.on_idle.clear()
            await world.member.kill()
            raise
        await asyncio.sleep(1.0)
        world.laws.at_end()
        return world

    return run_virtually(live())
