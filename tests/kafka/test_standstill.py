"""A part of the process that stands still costs the group none of its partitions, and the process its end."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import final

from processor.workload import generate
from tests.kafka.cluster import Cluster, KafkaCluster
from tests.kafka.conftest import Names
from tests.kafka.members import Protocol, member, members_of, on_a_loop, protocols, until
from tests.kafka.programs import sandbox, wait_until, worker
from tests.kafka.test_end_to_end import GRACE_S, SMALL, environment, produce

SESSION = {"session.timeout.ms": 6_000}
DEADLINE_S = 60.0


@final
class Alarm:
    """Ends no process, but lets the loop go on when its end is asked for."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.where: list[Sequence[str]] = []
        self.ended = threading.Event()

    def silent(self, seconds: float, where: Sequence[str]) -> None:
        """Keep it."""
        del seconds
        self.told.append("silent")
        self.where.append(where)

    def answers_again(self, seconds: float) -> None:
        """Keep it."""
        del seconds
        self.told.append("answers again")

    def end(self, seconds: float, where: Sequence[str]) -> None:
        """Keep it."""
        del seconds
        self.told.append("end")
        self.where.append(where)
        self.ended.set()


@protocols
@on_a_loop
async def test_a_loop_that_stands_still_gives_its_partitions_away(
    kafka: Cluster, names: Names, protocol: Protocol
) -> None:
    """Its member leaves the group by itself, says where the loop stood, and commits nothing."""
    kafka.create_topic(names.topic, 2)
    alarm = Alarm()
    properties = {} if protocol == "broker" else SESSION  # a broker's own session takes 45 s
    async with member(kafka, names, protocol, properties, alarm=alarm) as first:
        await until(lambda: len(first.owned) == 2, "it has all partitions")
        assert members_of(kafka, names.group) == 1
        _stand_still(alarm)
        await until(lambda: members_of(kafka, names.group) == 0, "the group has no member any more")

    assert alarm.told == ["silent", "end"]
    assert any("_stand_still" in place for place in alarm.where[0])


def _stand_still(alarm: Alarm) -> None:
    """Be the loop's thread in a call that does not return."""
    assert alarm.ended.wait(DEADLINE_S)


def test_a_broker_that_stands_still_does_not_hold_an_exit(names: Names, tmp_path: Path) -> None:
    """A worker ends within its grace time, in good order, though the broker accepts everything and answers nothing."""
    with KafkaCluster(tmp_path) as kafka, sandbox() as server:
        traffic = produce(kafka, names, generate(1, 2_000, SMALL))
        with worker(environment(traffic, server), tmp_path / "log") as program:
            wait_until(lambda: server.effects() > 0, "it delivers")
            kafka.suspend()
            try:
                exit_code = program.terminate(GRACE_S + 1)  # for starting to listen to the signal, and for the machine
            finally:
                kafka.go_on()
            said = program.said()

    assert exit_code == 0
    assert '"event": "stopped' in said.splitlines()[-1]
