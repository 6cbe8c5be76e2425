"""`run` over the sandbox, whatever the spelling of what failed: exactly the failed events are dead-lettered."""

import asyncio
import json
import signal
from collections import Counter
from typing import Any

from processor.adapters.kafka.mock import MockCluster
from processor.sandbox import Echo, Faults, Role, Sandbox, SandboxOptions
from tests.commands.program import started, worker_settings
from tests.kafka.programs import wait_until

KEY = "na1.key"
EVENTS = 60
DEADLINE_S = 90.0
RECOGNISED: list[Echo] = [echo for echo in Echo if echo is not Echo.NONE]


def track(echo: Echo, number: int) -> dict[str, Any]:
    """Return a message whose item has whatever a spelling may change; events differ by user, time and number."""
    return {
        "type": "track",
        "userId": f"u{number % 7}",
        "messageId": f"{echo}-{number}",
        "event": f"Echo {echo}",
        "timestamp": f"2026-11-20T10:00:{number % 5:02}.000Z",
        "properties": {
            "number": number,
            "large": 2**53 + 1 + number * 4,
            "zero": 0,
            "nothing": None,
            "off": False,
            "empty": "",
            "list": [0, number],
            "inner": {"zero": 0.0, "none": None},
            "seen": "2026-11-20T10:00:00.000Z",
        },
        "context": {"location": {"country": "GH", "latitude": 0, "longitude": -0.5}, "screen": {"width": 0}},
    }


def settings(kafka: MockCluster, sandbox: Sandbox) -> dict[str, str]:
    """Return the settings of a worker that sends batches and nulls, and takes many dead letters."""
    return {
        **worker_settings(kafka, sandbox, KEY),
        "PROCESSOR_MAPPING__NULLS": "send",
        "PROCESSOR_DELIVERY__DEAD_LETTER_RATIO": "1",
    }


def deliver(kafka: MockCluster, sandbox: Sandbox, echoes: list[Echo]) -> None:
    """Let a worker settle some events for each of the echoes."""
    with started("run", environment=settings(kafka, sandbox)) as worker:
        try:
            for rounds, echo in enumerate(echoes, 1):
                sandbox.faults.echo = echo
                for number in range(EVENTS):
                    message = track(echo, number)
                    kafka.produce("segment", message["userId"].encode(), json.dumps(message).encode(), [], _ignore)
                wait_until(lambda: _written(kafka) == rounds * EVENTS, "all is in the topic", DEADLINE_S)  # noqa: B023
                ends = kafka.ends("segment")
                wait_until(lambda: kafka.committed("segment", "fullstory") == ends, f"{echo} is settled", DEADLINE_S)  # noqa: B023
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.communicate()


def _ignore(_partition: int, _offset: int) -> None:
    pass


def _written(kafka: MockCluster) -> int:
    kafka.serve()
    return sum(kafka.ends("segment").values())


def letters_in(kafka: MockCluster) -> list[tuple[str, str]]:
    """Return the message id and the reason of each dead letter."""
    tail = kafka.tail("letters")
    ends = kafka.ends("letters")
    found = []
    while tail.offsets != ends:
        for record in tail.read():
            assert record.value is not None
            reason = dict(record.headers or [])["fullstory.dlq.reason"] or b""
            found.append((json.loads(record.value)["messageId"], reason.decode()))
    return found


def play(echoes: list[Echo]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the ids of the events that took effect, and the dead letters with their reasons."""

    async def played() -> tuple[list[str], list[tuple[str, str]]]:
        options = SandboxOptions(keys={KEY: Role.ARCHITECT}, faults=Faults(item_failure_ratio=0.3))
        async with Sandbox(options) as sandbox:
            with MockCluster("segment", "letters") as kafka:
                await asyncio.to_thread(deliver, kafka, sandbox, echoes)
                items = [effect.item for effect in sandbox.truth.effects]
                delivered = [f"{item['name'].removeprefix('Echo ')}-{item['properties']['number']}" for item in items]
                return delivered, await asyncio.to_thread(letters_in, kafka)

    return asyncio.run(played())


def test_exactly_the_failed_events_are_dead_lettered_whatever_their_echo() -> None:
    """However FullStory spells the failed items, each event took effect or is a dead letter, and none is both."""
    delivered, letters = play(RECOGNISED)

    assert {reason for _, reason in letters} == {"rejected"}
    assert sorted(delivered + [name for name, _ in letters]) == sorted(
        f"{echo}-{number}" for echo in RECOGNISED for number in range(EVENTS)
    )
    failed = Counter(name.rpartition("-")[0] for name, _ in letters)
    assert all(0 < failed[echo] < EVENTS for echo in RECOGNISED)
