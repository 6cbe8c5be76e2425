"""What `explain` shows is what `run` sends: both as programs, over the same records."""

import asyncio
import json
import signal
from collections import Counter

from processor.adapters.kafka.mock import MockCluster
from processor.sandbox import Role, Sandbox, SandboxOptions
from processor.workload import generate
from tests.commands.program import run, started, worker_settings
from tests.kafka.programs import wait_until

KEY = "na1.key"
RECORDS = 150
SEED = 6
DEADLINE_S = 60.0


def settings(kafka: MockCluster, sandbox: Sandbox) -> dict[str, str]:
    """Return the settings of a worker that sends each record by itself."""
    return {
        **worker_settings(kafka, sandbox, KEY),
        "PROCESSOR_DELIVERY__MODE": "single",
        "PROCESSOR_BATCH__MAX_RECORDS": "1",  # else two identifies of one user become one
        "PROCESSOR_BATCH__LINGER_S": "0",
    }


def work(kafka: MockCluster, environment: dict[str, str]) -> None:
    """Let the worker settle all that is in the topic."""
    ends = kafka.ends("segment")
    with started("run", environment=environment) as worker:
        try:
            wait_until(lambda: kafka.committed("segment", "fullstory") == ends, "all is settled", DEADLINE_S)
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.communicate()


def explained(kafka: MockCluster, environment: dict[str, str]) -> tuple[Counter[str], Counter[str]]:
    """Return the bodies that would be sent, and the outcomes."""
    bodies: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    for partition, end in kafka.ends("segment").items():
        place = ["--topic", "segment", "--partition", str(partition), "--offset", "0", "--count", str(end)]
        done = run("explain", *place, "--format", "json", environment=environment)
        assert done.code == 0, done.err
        for told in done.objects():
            outcomes[told["outcome"]] += 1
            bodies.update(json.dumps(each["body"], sort_keys=True) for each in told["requests"])
    return bodies, outcomes


def test_what_is_explained_is_what_is_sent() -> None:
    """The bodies that FullStory received are exactly those that `explain` shows, as often."""

    async def play() -> tuple[Counter[str], Counter[str], Counter[str], int]:
        async with Sandbox(SandboxOptions(keys={KEY: Role.USER})) as sandbox:
            with MockCluster("segment", "letters") as kafka:
                for record in generate(seed=SEED, count=RECORDS):
                    kafka.produce("segment", record.key, record.value, record.headers or [], lambda *_: None)
                while sum(kafka.ends("segment").values()) < RECORDS:
                    kafka.serve()
                environment = settings(kafka, sandbox)
                await asyncio.to_thread(work, kafka, environment)
                sent = Counter(json.dumps(each.item, sort_keys=True) for each in sandbox.truth.effects)
                letters = sum(kafka.ends("letters").values())
                return sent, *await asyncio.to_thread(explained, kafka, environment), letters

    sent, shown, outcomes, letters = asyncio.run(play())

    assert sent == shown
    assert sum(outcomes.values()) == RECORDS
    assert outcomes["delivered"] == sum(sent.values()) > 0
    assert outcomes["dead-lettered"] == letters
