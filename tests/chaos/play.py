"""The course of a run: traffic, blow after blow, a phase without faults in which all must settle, the verdict."""

import platform
import random
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import confluent_kafka

from processor import __version__
from processor.engine.limits import PLANNED_JOBS
from tests.chaos import toxiproxy
from tests.chaos.evidence import gather
from tests.chaos.faults import Round, clear_up, plan, strike
from tests.chaos.oracle import Judgement
from tests.chaos.scene import Scene, Script, scene, until
from tests.chaos.traffic import traffic
from tests.kafka.cluster import POM, VERSION
from tests.kafka.programs import wait_until
from tests.kafka.topics import committed, end_offsets, paced, produce_all

QUIET_S = 5.0
"""Traffic goes on for so long when all faults have ended."""
SETTLE_S = 180.0
ROLLING = "rolling"
FRESH_S = 15.0
"""No event may take longer in a rolling restart (issue 4)."""

Tell = Callable[[str], None]


@final
@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run; its verdict is good when `faults` is empty."""

    script: Script
    seconds: float
    rounds: list[dict[str, Any]]
    killed: list[int]
    """How many requests were in flight in each worker that was killed."""
    counts: dict[str, int]
    judgement: Judgement
    faults: list[str]

    def as_json(self) -> dict[str, Any]:
        """Return the result file."""
        judgement = self.judgement
        return {
            "verdict": "broken" if self.faults else "kept",
            "faults": self.faults,
            "command": f"python -m tests.chaos {' '.join(sys.argv[1:])}".strip(),
            "script": {name: value for name, value in asdict(self.script).items() if name != "root"},
            "versions": {**versions(), "toxiproxy": toxiproxy.VERSION},
            "seconds": round(self.seconds),
            "kills": len(self.killed),
            "in_flight_at_kills": {"least": min(self.killed, default=0), "sum": sum(self.killed)},
            **judgement.counts(),
            "commits": judgement.commits,
            "merged_wrongly": judgement.merged_wrongly.count,
            "early_commits": judgement.early_commits.count,
            "commits_back": judgement.commits_back.count,
            "dead_letters_repeated": judgement.letters_repeated,
            "freshness_highest_s": round(judgement.freshness_s, 1),
            **self.counts,
            "rounds": self.rounds,
        }


def play(script: Script, folder: Path, tell: Tell) -> Result:
    """Play a script, with the logs of all in the folder."""
    started = time.monotonic()
    stop = threading.Event()
    with scene(script, folder) as players, ThreadPoolExecutor(1) as thread:
        try:
            players.start(*range(script.workers))
            players.wait_until_assigned()
            records = paced(traffic(script.seed), script.rate, stop)
            feed = thread.submit(produce_all, players.kafka, players.names.topic, records, players.oracle.produced)
            until(lambda: players.server.effects() > 0, "the first records take effect")
            rounds = list(_rounds(players, tell))
            clear_up(players)
            stop.wait(QUIET_S)
        finally:
            stop.set()
        produced = feed.result()
        tell(f"{produced:,} records were produced; now all must settle")
        _settle(players)
        stats = players.server.stats()
        players.terminate(*players.workers)
        evidence = gather(players.kafka, players.names, players.server)
        with (folder / "commits.log").open("w", encoding="utf-8") as log:
            log.writelines(f"{each.partition} {each} {each.journal}\n" for each in evidence.commits)
        judgement = players.oracle.judge(evidence)
        counts = {
            "redelivered": players.total("records_redelivered_total"),
            "released": players.total("records_released_total"),
            "consumed": players.total("records_consumed_total"),
            "requests": stats["requests_total"],
            "requests_replayed": stats["replays"],
            "answers_lost": stats["faults"].get("drop_after", 0),
            "throttled": stats["throttled"],
            "jobs_in_progress_at_most": stats["jobs"]["max_in_progress"],
        }
        faults = [*players.faults, *judgement.faults(), *_further_faults(script, counts, judgement)]
        return Result(script, time.monotonic() - started, rounds, players.killed, counts, judgement, faults)


def _rounds(players: Scene, tell: Tell) -> Iterator[dict[str, Any]]:
    """Play round after round, up to the first that does not end; yield what there is to say of each."""
    chance = random.Random(players.script.seed)
    started = time.monotonic()
    for number, each in enumerate(plan(players.script), 1):
        begun = time.monotonic()
        try:
            detail = strike(players, each, chance)
        except TimeoutError as error:
            detail = f"{error}"
            players.faults.append(f"round {number}, {each.blow}: {error}")
        seconds = round(time.monotonic() - begun, 1)
        tell(_line(number, begun - started, each, [detail, f"{seconds} s"], players))
        yield {"at_s": round(begun - started, 1), **each._asdict(), "detail": detail, "seconds": seconds}
        if players.faults:
            return


def _line(number: int, at_s: float, each: Round, details: list[str], players: Scene) -> str:
    return (
        f"{at_s:7.0f} s  {number:>3}  {each.weather}: {', '.join([each.blow, *filter(None, details)])};"
        f" {len(players.killed)} killed, {players.server.effects():,} effects"
    )


def _settle(players: Scene) -> None:
    """Wait until the group has committed every partition to its end."""
    kafka, names = players.kafka, players.names

    def open_partitions() -> dict[int, str]:
        done = committed(kafka, names.group, names.topic)
        ends = end_offsets(kafka, names.topic)
        return {each: f"{done.get(each)} of {end}" for each, end in ends.items() if end != done.get(each, 0)}

    try:
        players.wait_until_assigned()
        wait_until(lambda: not open_partitions(), "everything settles", SETTLE_S)
    except TimeoutError as error:
        players.faults.append(f"when all faults had ended: {error}; committed: {open_partitions()}")


def versions() -> dict[str, str]:
    """Return what a result file says of the programs that took part."""
    [kafka] = re.findall(r"<kafka\.version>([^<]+)", POM.read_text(encoding="utf-8"))
    return {
        "segment-fullstory": __version__,
        "kafka": VERSION or kafka,
        "python": platform.python_version(),
        "confluent-kafka": confluent_kafka.__version__,
        "librdkafka": confluent_kafka.libversion()[0],
    }


def _further_faults(script: Script, counts: dict[str, int], judgement: Judgement) -> Iterator[str]:
    """Name what the oracle has no law for."""
    if counts["redelivered"]:
        yield f"the workers gave up keys for {counts['redelivered']} records, though the sandbox keeps its word"
    if counts["jobs_in_progress_at_most"] > PLANNED_JOBS:
        yield f"{counts['jobs_in_progress_at_most']} jobs were in progress at one time, of at most {PLANNED_JOBS}"
    if script.scenario == ROLLING and judgement.freshness_s > FRESH_S:
        yield f"{judgement.late} took {judgement.freshness_s:.1f} s from production to effect"
