"""What `kafka-consumer-groups.sh` says and does about a group."""

from tests.kafka.cluster import Cluster, java
from tests.kafka.maven import run
from tests.kafka.tools import CLASSES, FAST_START


def groups(cluster: Cluster, group: str, *arguments: str) -> str:
    """Run `kafka-consumer-groups.sh` for a group; return what it prints, raise `RuntimeError` where it fails."""
    program = [*java(), *FAST_START, CLASSES["kafka-consumer-groups.sh"]]
    return run([*program, "--bootstrap-server", cluster.bootstrap_servers, "--group", group, *arguments])


def lags(cluster: Cluster, group: str) -> dict[int, str]:
    """Return what Kafka's own tool says in the column `LAG` of each partition of a group with one topic."""
    rows = [
        line.split() for line in groups(cluster, group, "--describe").splitlines() if line.startswith((group, "GROUP"))
    ]
    partition, lag = rows[0].index("PARTITION"), rows[0].index("LAG")
    return {int(row[partition]): row[lag] for row in rows[1:]}
