"""A worker that others have replaced without its knowledge does no harm, on a real Kafka."""

from pathlib import Path

from processor.workload import generate
from tests.kafka.cluster import Cluster
from tests.kafka.conftest import Names
from tests.kafka.programs import sandbox, wait_until, worker
from tests.kafka.test_end_to_end import SANDBOX_BODY_BYTES, SHORT_SESSION, SMALL, environment, produce
from tests.kafka.topics import committed

SEED = 20_261_125
SESSION_S = 6
"""As in SHORT_SESSION: what waits for half of it is due when the others have noticed."""


def test_a_suspended_worker_posts_nothing_when_it_wakes_up(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """A worker that wakes up after its lease POSTs nothing, commits nothing that it lost, and rejoins.

    Each worker has a FullStory of its own, so that it can be told who sent what; with one partition the first gets none
    back.
    """
    traffic = produce(kafka, names, generate(SEED, 2_000, SMALL), partitions=1)
    options = ("--max-body-bytes", str(SANDBOX_BODY_BYTES))
    settings = {"KAFKA__PROPERTIES": SHORT_SESSION}

    with (
        sandbox(*options) as its_server,
        sandbox(*options) as server,
        worker(environment(traffic, its_server, **settings), tmp_path / "log-1") as suspended,
    ):
        suspended.wait_until_joined()
        its_server.set_faults(outage_status=429, retry_after_s=SESSION_S // 2)
        wait_until(lambda: suspended.metrics()["throttled_seconds_total"] > 0, "it waits with all that it has")
        suspended.suspend()
        before = its_server.stats()["requests_total"]
        with worker(environment(traffic, server, **settings), tmp_path / "log-2") as other:
            wait_until(traffic.is_committed, "the other one has taken over and delivered all")
            ends = committed(kafka, names.group, names.topic)
            suspended.go_on()
            wait_until(lambda: suspended.metrics()["rebalances_total{kind=lost}"] > 0, "it learns of its loss")
            wait_until(lambda: suspended.ready()["status"] == "ready", "it is a member again")
            metrics = suspended.metrics()
            assert other.metrics()["partitions_assigned"] == 1
        after = its_server.stats()["requests_total"]

    assert after == before
    assert committed(kafka, names.group, names.topic) == ends
    assert metrics["records_delivered_total"] == 0
    assert metrics["records_released_total{reason=lost}"] > 0
