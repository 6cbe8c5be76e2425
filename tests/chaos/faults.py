"""What goes wrong, and when: the weather at FullStory, blows that fall in it, and the plan that a seed makes."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

from processor.workload import generate
from tests.chaos.scene import CHAOS, FILES, SESSION_S, Scene, Script, until
from tests.chaos.traffic import MIX
from tests.kafka.by_hand import produce_poisoned
from tests.kafka.programs import half_open
from tests.kafka.topics import committed, end_offsets

KILLS_PER_BLOCK = 25
"""Among so many kills every other fault comes once."""
PAIR_EVERY = 4
"""Of so many kills two come together."""
SPELL_S = (2.0, 5.0)
"""How long a connection is spoilt."""
POISONED = 5
"""So many records of each partition have a header that no client can read."""
POISON_SEEDS = (10**6, 10**9)
"""Of the generator: one of them for each time, none for ordinary traffic."""
OVERSLEEP_S = 4.0
"""How long a worker may at most sleep on when others have taken its partitions."""

CALM = MappingProxyType(
    {
        "throttle_ratio": 0.0,
        "error_ratio": 0.0,
        "drop_before_ratio": 0.0,
        "drop_after_ratio": 0.0,
        "outage_status": None,
        "slow_job_ratio": 0.0,
        "job_failure_ratio": 0.0,
    }
)
USUAL = CALM | {"drop_after_ratio": 0.02}
"""Answers are lost after their effect, in every weather."""

WEATHER: Mapping[str, Mapping[str, Any]] = {
    "fair": {},
    "throttling": {"throttle_ratio": 0.3, "retry_after_s": 1},
    "errors": {"error_ratio": 0.3, "error_status": 503},
    "outage": {"outage_status": 502, "outage_s": 4},
    "failing jobs": {"job_failure_ratio": 0.3},
    "slow jobs": {"slow_job_ratio": 0.1, "slow_job_s": 8},
    "lost requests": {"drop_before_ratio": 0.1, "drop_after_ratio": 0.2},
}
"""Faults of the sandbox. None of them is a literal 500, for FullStory may replay it until the key is given up."""


class Round(NamedTuple):
    """A blow, and the weather in which it falls."""

    weather: str
    blow: str


def plan(script: Script) -> Iterator[Round]:
    """Yield the rounds of a script: the same for the same seed."""
    if script.scenario != CHAOS:
        yield Round("fair", script.scenario)
        return
    chance = random.Random(script.seed)
    for done in range(0, script.kills, KILLS_PER_BLOCK):
        kills = min(script.kills - done, KILLS_PER_BLOCK)
        pairs = kills // PAIR_EVERY
        blows = ["kill"] * (kills - 2 * pairs) + ["kill-two"] * pairs
        blows += [blow for blow in BLOWS if blow not in blows and not blow.startswith("kill")]
        weather = list(WEATHER) * (len(blows) // len(WEATHER) + 1)
        chance.shuffle(blows)
        chance.shuffle(weather)
        yield from map(Round, weather, blows)


def strike(scene: Scene, each: Round, chance: random.Random) -> str:
    """Let a blow fall, and return when it is over, with some words about it; raises `TimeoutError` if it never is."""
    scene.server.set_faults(**{**USUAL, **WEATHER[each.weather]})
    return BLOWS[each.blow](scene, chance)


def clear_up(scene: Scene) -> None:
    """End every fault; all workers run."""
    scene.server.set_faults(**CALM)
    scene.proxies.heal()
    for slot in list(scene.absent):
        scene.wake(slot)
    scene.start(*(slot for slot in range(scene.script.workers) if slot not in scene.workers))


def _kill(scene: Scene, chance: random.Random) -> str:
    """A worker ends, while all have requests in flight."""
    return _kill_busy(scene, _busy(scene, chance, scene.script.workers)[0])


def _kill_two(scene: Scene, chance: random.Random) -> str:
    """Two workers end at once, or the second while the group still gets over the first."""
    first, second = _busy(scene, chance, scene.script.workers)[:2]
    if chance.random() < 1 / 2:
        return _kill_busy(scene, first, second)
    said = _kill_busy(scene, first)
    time.sleep(chance.uniform(0, SESSION_S))
    return f"{said}, and another {_kill_busy(scene, *_busy(scene, chance, 1))}"


def _kill_busy(scene: Scene, *slots: int) -> str:
    in_flight: list[int] = []

    def are_busy() -> bool:
        in_flight[:] = [scene.in_flight(slot) for slot in slots]
        return all(in_flight)

    until(are_busy, "those to be killed have requests in flight")
    scene.kill(*slots)
    scene.start(*slots)
    scene.killed += in_flight
    return f"with {' and '.join(map(str, in_flight))} requests in flight"


def _suspend(scene: Scene, chance: random.Random) -> str:
    """A worker sleeps until others have its partitions, and longer."""
    return _estrange(scene, chance, scene.suspend, scene.wake)


def _cut_off(scene: Scene, chance: random.Random) -> str:
    """A worker hears nothing from Kafka until others have its partitions, and can still reach FullStory."""

    def cut(slot: int) -> None:
        scene.absent.add(slot)
        scene.proxies.spoil(f"kafka-{slot}", "timeout", timeout=0)

    def reconnect(slot: int) -> None:
        scene.proxies.heal()
        scene.absent.discard(slot)

    return _estrange(scene, chance, cut, reconnect)


def _estrange(
    scene: Scene, chance: random.Random, leave: Callable[[int], None], come_back: Callable[[int], None]
) -> str:
    """Part a worker from its group for longer than its session; it has to join again."""
    scene.wait_until_assigned()
    (slot,) = _busy(scene, chance, 1)
    parted = _parted(scene, slot)
    left_at = time.monotonic()
    leave(slot)
    try:
        until(lambda: sum(scene.assigned()) == scene.script.partitions, "others take over")
        time.sleep(chance.uniform(0, OVERSLEEP_S))
    finally:
        come_back(slot)
    away_s = time.monotonic() - left_at
    until(lambda: _parted(scene, slot) > parted, f"the worker in slot {slot} notices its loss")
    scene.wait_until_assigned()
    return f"for {away_s:.1f} s"


def _parted(scene: Scene, slot: int) -> float:
    metrics = scene.look(slot)
    return sum(metrics.get(f"rebalances_total{{kind={kind}}}", 0) for kind in ("lost", "revoked"))


def _spoil_kafka(scene: Scene, chance: random.Random) -> str:
    return _spoil(scene, chance, "kafka")


def _spoil_fullstory(scene: Scene, chance: random.Random) -> str:
    return _spoil(scene, chance, "fullstory")


def _spoil(scene: Scene, chance: random.Random, what: str) -> str:
    """Spoil the connections of one worker for a while."""
    proxy = f"{what}-{_busy(scene, chance, 1)[0]}"
    how = chance.choice(["silent", "reset", "slow", "closed"])
    match how:
        case "silent":
            scene.proxies.spoil(proxy, "timeout", timeout=0)
        case "reset":
            scene.proxies.spoil(proxy, "reset_peer", timeout=200)
        case "slow":
            scene.proxies.spoil(proxy, "latency", latency=400, jitter=300)
        case _:
            scene.proxies.close(proxy)
    time.sleep(chance.uniform(*SPELL_S))
    scene.proxies.heal()
    return how


def _leave_log_unread(scene: Scene, chance: random.Random) -> str:
    """Nobody reads what a worker says, from its start on; then somebody does."""
    scene.wait_until_assigned()
    (slot,) = _busy(scene, chance, 1)
    scene.terminate(slot)
    pipe = scene.start_unread(slot)
    scene.wait_until_assigned()
    _go_on_for_a_while(scene, chance, slot)
    pipe.read()
    until(lambda: bool(pipe.lines()), "the log goes on")
    return ""


def _poison(scene: Scene, chance: random.Random) -> str:
    """Every partition is sent records with a header that no client can read; the group gets past them."""
    records = generate(chance.randrange(*POISON_SEEDS), None, MIX)
    for partition in range(scene.script.partitions):
        produce_poisoned(scene.kafka, scene.names.topic, partition, islice(records, POISONED), scene.oracle.produced)
    ends = end_offsets(scene.kafka, scene.names.topic)

    def done() -> dict[int, int]:
        return committed(scene.kafka, scene.names.group, scene.names.topic)

    def has_moved(before: dict[int, int]) -> bool:
        return done() != before

    # In its weather for a while; then in fair weather, for they come behind all that has piled up before.
    time.sleep(chance.uniform(*SPELL_S))
    scene.server.set_faults(**USUAL)
    while any((before := done()).get(partition, 0) < end for partition, end in ends.items()):
        until(partial(has_moved, before), "the group goes on towards records with an unreadable header")
    return ""


def _half_open(scene: Scene, chance: random.Random) -> str:
    """A worker's port is sent more half requests than the worker has descriptors."""
    scene.wait_until_assigned()
    (slot,) = _busy(scene, chance, 1)
    with half_open(scene.workers[slot], 2 * FILES):
        _go_on_for_a_while(scene, chance, slot)
    return ""


def _go_on_for_a_while(scene: Scene, chance: random.Random, slot: int) -> None:
    """See that a worker keeps delivering, and answers."""
    time.sleep(chance.uniform(*SPELL_S))
    before = _delivered(scene, slot)
    until(lambda: _delivered(scene, slot) > before, f"the worker in slot {slot} goes on")


def _delivered(scene: Scene, slot: int) -> float:
    return scene.look(slot).get("records_delivered_total", 0)


def _restart_broker(scene: Scene, chance: random.Random) -> str:
    is_killed = chance.random() < 1 / 2
    if is_killed:
        scene.kafka.kill()
    scene.kafka.restart()
    return "by SIGKILL" if is_killed else "in good order"


def _roll(scene: Scene, _chance: random.Random) -> str:
    """Replace one worker after the other, as a deployment does."""
    scene.wait_until_assigned()
    for slot in sorted(scene.workers):
        scene.terminate(slot)
        scene.start(slot)
        scene.wait_until_assigned()
    return ""


def _scale(scene: Scene, _chance: random.Random) -> str:
    """One worker, all, two, all."""
    scene.wait_until_assigned()
    slots = sorted(scene.workers)
    for many in (1, 2):
        scene.terminate(*slots[many:])
        scene.wait_until_assigned()
        scene.start(*slots[many:])
        scene.wait_until_assigned()
    return ""


def _busy(scene: Scene, chance: random.Random, count: int) -> list[int]:
    """Return the slots of so many workers that have requests in flight, when there are some."""
    order = chance.sample(sorted(scene.workers), len(scene.workers))
    found: list[int] = []

    def are_found() -> bool:
        found[:] = [slot for slot in order if scene.in_flight(slot) > 0][:count]
        return len(found) == count

    until(are_found, f"{count} workers have requests in flight")
    return found


BLOWS: Mapping[str, Callable[[Scene, random.Random], str]] = {
    "kill": _kill,
    "kill-two": _kill_two,
    "suspend": _suspend,
    "cut-off": _cut_off,
    "spoil-kafka": _spoil_kafka,
    "spoil-fullstory": _spoil_fullstory,
    "unread-log": _leave_log_unread,
    "half-open": _half_open,
    "poison": _poison,
    "broker": _restart_broker,
    "rolling": _roll,
    "scale": _scale,
}
