"""A staged outage: a real worker between a real Kafka and the sandbox, watched by a real Prometheus."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from bench.stages import CLEAN
from processor.settings.container import memory_limit
from processor.workload import generate
from tests.kafka.cluster import Cluster, KafkaCluster
from tests.kafka.conftest import Names
from tests.kafka.programs import ask, environment_of, sandbox, wait_until, worker
from tests.kafka.topics import paced, produce_all
from tests.operation.prometheus import Prometheus
from tests.operation.test_rules import DASHBOARDS

RATE = 100
EXPECTED = {
    "SegmentFullstoryNotDelivering",
    "SegmentFullstoryLate",
    "SegmentFullstoryLateForLong",
    "SegmentFullstoryHalted",
}


def queries() -> Iterator[tuple[str, str]]:
    """Yield the name and the query of every line of every panel, with what Grafana would put in."""
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            for target in panel["targets"]:
                query = target["expr"].replace("$namespace", ".*").replace("$job", "worker").replace("$instance", ".*")
                yield f"{file.stem}: {panel['title']}", query.replace("$__rate_interval", "10s")


@pytest.mark.kafka
def test_an_outage_raises_the_right_alerts_and_only_these(
    kafka: Cluster, names: Names, prometheus: Prometheus, tmp_path: Path
) -> None:
    """Each stage, from health over slow jobs and an outage to a revoked key, raises the expected alerts and no others.

    What the outage left behind is late, but that is not told.
    In the end every query of every dashboard gives data, but for the container's memory limit where there is none.
    """
    kafka.create_topic(names.topic, 4)
    kafka.create_topic(names.dead_letters)
    stop = threading.Event()
    with sandbox("--job-seconds", "0.1", "0.3") as server, ThreadPoolExecutor(1) as thread:
        environment = environment_of(kafka, names, server.url, BATCH__LINGER_S=0.2)
        with worker(environment, tmp_path / "log") as program:
            program.wait_until_joined()
            traffic = thread.submit(
                produce_all, kafka, names.topic, paced(generate(1, None, CLEAN), RATE, stop), lambda *_: None
            )
            try:
                prometheus.start(program.address)
                fires = partial(partial, prometheus.is_firing)
                wait_until(lambda: _delivered(prometheus) > 10 * RATE, "all has been well for ten seconds")
                assert prometheus.ever_fired() == set()

                server.set_faults(job_duration_s=[5, 5.5])
                wait_until(fires("SegmentFullstoryLate"), "what comes late is told")
                wait_until(fires("SegmentFullstoryLateForLong"), "the allowance of days is going, too")
                late = prometheus.firing()
                server.set_faults(job_duration_s=None)
                wait_until(lambda: not prometheus.is_firing("SegmentFullstoryLate"), "nothing is late any more")

                server.set_faults(outage_status=503)
                wait_until(fires("SegmentFullstoryNotDelivering"), "the outage is told")
                server.set_faults(outage_status=None)
                wait_until(lambda: not prometheus.is_firing("SegmentFullstoryNotDelivering"), "the outage is over")
                again = prometheus.is_firing("SegmentFullstoryLate")
                burning = prometheus.query("segment_fullstory:late:ratio_page")

                server.set_keys(na1_architect=None)
                wait_until(fires("SegmentFullstoryHalted"), "the halt is told")
                page = ask(f"http://{program.address}/").decode()
                halted = next(each for each in prometheus.firing() if "reason" in each["labels"])
                server.set_keys(na1_architect="ARCHITECT")
                wait_until(lambda: not prometheus.is_firing("SegmentFullstoryHalted"), "the halt is over")

                empty = [name for name, query in queries() if not prometheus.query(query)]
                said = [text for each in [halted, *late] for text in each["annotations"].values()]
                fired = prometheus.ever_fired()
            finally:
                stop.set()
                traffic.result()

    assert burning
    assert not again
    assert halted["labels"]["reason"] == "unauthorized"
    assert "unauthorized" in halted["annotations"]["description"]
    assert "<h2>Halted</h2>" in page
    assert not [text for text in said if "{{" in text or "error" in text]
    assert fired == EXPECTED
    assert empty == ([] if memory_limit() else ["kafka: Memory"])


@pytest.mark.kafka
def test_brokers_that_are_gone_are_told_although_the_lag_says_nothing(
    prometheus: Prometheus, tmp_path: Path, names: Names
) -> None:
    """Brokers that are gone raise their alert alone, and the worker goes on when they are back."""
    folder = tmp_path / "kafka"
    folder.mkdir()
    with KafkaCluster(folder) as kafka, sandbox() as server:
        kafka.create_topic(names.topic, 2)
        kafka.create_topic(names.dead_letters)
        with worker(environment_of(kafka, names, server.url), tmp_path / "log") as program:
            program.wait_until_joined()
            produce_all(kafka, names.topic, generate(1, RATE, CLEAN), lambda *_: None)
            prometheus.start(program.address)
            wait_until(lambda: _delivered(prometheus) == RATE, "all has been well")
            kafka.stop()
            wait_until(lambda: prometheus.is_firing("SegmentFullstoryKafkaUnreachable"), "that is told")
            lag = prometheus.query("sum(segment_fullstory_consumer_lag_records)")
            kafka.start()
            wait_until(lambda: not prometheus.is_firing("SegmentFullstoryKafkaUnreachable"), "it is over")
            produce_all(kafka, names.topic, generate(2, RATE, CLEAN), lambda *_: None)
            wait_until(lambda: _delivered(prometheus) == 2 * RATE, "the worker has gone on")

    assert [float(each["value"][1]) for each in lag] in ([], [0.0])
    assert prometheus.ever_fired() == {"SegmentFullstoryKafkaUnreachable"}


def _delivered(prometheus: Prometheus) -> float:
    found = prometheus.query("sum(segment_fullstory_records_delivered_total)")
    return float(found[0]["value"][1]) if found else 0.0
