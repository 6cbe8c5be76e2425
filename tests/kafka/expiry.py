"""The offsets of a stopped group expire on a real broker, and the worker that is started then begins nothing anew.

`python -m tests.kafka.expiry`: a minute, which is the least that a broker can be told to keep offsets. Nothing in the
gate waits for it: there, offsets are deleted (test_beginnings.py), which leaves the same behind.
"""

import sys
import tempfile
import time
from pathlib import Path

from processor.workload import GeneratedRecord, generate
from processor.workload.account import Account, letter_of
from tests.kafka.cluster import KafkaCluster
from tests.kafka.conftest import Names
from tests.kafka.consumer_groups import groups, lags
from tests.kafka.programs import environment_of, sandbox, wait_until, worker
from tests.kafka.topics import committed, end_offsets, produce_all, read_all

SEED = 20_261_129
RECORDS = 200
PARTITIONS = 2
GRACE_S = 20.0
KEPT = "offsets.retention.minutes=1\noffsets.retention.check.interval.ms=1000\n"
NAMES = Names("segment", "dlq.segment", "segment-fullstory")


def main() -> None:
    """Deliver, stop until the offsets have expired, see the halt, set the offsets, deliver the rest."""
    account = Account()

    def told(record: GeneratedRecord, partition: int, offset: int) -> None:
        account.produced(partition, offset, record.expectation)

    with (
        tempfile.TemporaryDirectory(prefix="expiry-") as temporary,
        KafkaCluster(Path(temporary), properties=KEPT) as kafka,
        sandbox() as server,
    ):
        folder = Path(temporary)
        environment = environment_of(kafka, NAMES, server.url, KAFKA__START="halt", BATCH__LINGER_S=0.1)
        kafka.create_topic(NAMES.topic, PARTITIONS)
        kafka.create_topic(NAMES.dead_letters, 1)
        for partition in range(PARTITIONS):
            kafka.commit(NAMES.group, NAMES.topic, partition, 0)
        produce_all(kafka, NAMES.topic, generate(SEED, RECORDS), told)
        ends = end_offsets(kafka, NAMES.topic)
        with worker(environment, folder / "before.log") as program:
            wait_until(lambda: committed(kafka, NAMES.group, NAMES.topic) == ends, "all is delivered")
            program.terminate(GRACE_S)
        stopped = time.monotonic()
        print(f"LAG before: {lags(kafka, NAMES.group)}")  # noqa: T201
        produce_all(kafka, NAMES.topic, generate(SEED + 1, RECORDS), told)
        wait_until(lambda: not committed(kafka, NAMES.group, NAMES.topic), "the offsets expire", 300.0, 1.0)
        print(f"the offsets went after {time.monotonic() - stopped:.0f} s")  # noqa: T201
        begun = server.effects()
        with worker(environment, folder / "after.log") as program:
            wait_until(lambda: "offsets_lost" in program.ready().get("halts", {}), "the worker misses them")
            print(f"halts: {program.ready()['halts']}")  # noqa: T201
            program.terminate(GRACE_S)
        sent_meanwhile = server.effects() - begun
        for partition, offset in ends.items():
            place = f"{NAMES.topic}:{partition}"
            groups(kafka, NAMES.group, "--topic", place, "--reset-offsets", "--to-offset", str(offset), "--execute")
        with worker(environment, folder / "again.log") as program:
            now = end_offsets(kafka, NAMES.topic)
            wait_until(lambda: committed(kafka, NAMES.group, NAMES.topic) == now, "the rest is delivered")
            program.terminate(GRACE_S)
        print(f"LAG after: {lags(kafka, NAMES.group)}")  # noqa: T201
        letters = [letter_of(message.headers() or []) for message in read_all(kafka, NAMES.dead_letters)]
        balance = account.balance(server.arrivals(), letters)
    print(f"{balance.records} records: {balance.lost} lost, {balance.repeated} twice; {balance.faults}")  # noqa: T201
    sys.exit(bool(balance.faults or sent_meanwhile))


if __name__ == "__main__":
    main()
