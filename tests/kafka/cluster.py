"""A real Apache Kafka for tests: one KRaft node on loopback, from Maven's jars, on Java 17.

`python -m tests.kafka.cluster [PORT]` runs one in the foreground. With `KAFKA_BOOTSTRAP_SERVERS` set, tests use that
cluster instead; `KAFKA_VERSION` names another version than the pom's, `KAFKA_JARS` another folder for the jars.
"""

import atexit
import base64
import contextlib
import itertools
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from tests.kafka.maven import fetched, missing_java, run
from tests.kafka.tools import write_scripts

POM = Path(__file__).with_name("pom.xml")
JARS = Path(os.environ.get("KAFKA_JARS") or POM.parents[2] / ".cache" / "kafka")
VERSION = os.environ.get("KAFKA_VERSION", "")
"""Of the brokers that tests start; empty for the pom's."""
NEWEST = "4.4.0"
"""Of Kafka's releases, on which a short form of the suite runs."""
DEFAULT_PORT = 19_092
START_DEADLINE_S = 90.0
STOP_DEADLINE_S = 30.0
ANSWER_DEADLINE_S = 30.0
POLL_S = 0.1
SERVER_PORTS = range(20_000, 32_000)
LOGGING = ("defaultLogLevel=warn", "showDateTime=true", "dateTimeFormat=HH:mm:ss.SSS")

SERVER_PROPERTIES = """\
process.roles={roles}
node.id={node}
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners={listeners}
advertised.listeners={advertised}
listener.security.protocol.map={protocols}
log.dirs={data}
# A killed broker may register again only when its old session has ended.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# One node holds everything, and a test needs few partitions of it.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# Groups form at once, and tests may choose sessions short enough to wait for their end.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=100
group.consumer.heartbeat.interval.ms=500
# Nothing disappears by age, and a misspelt topic is an error.
log.retention.ms=-1
auto.create.topics.enable=false
"""

_ports = itertools.count(secrets.randbelow(len(SERVER_PORTS)))


class Cluster(ABC):
    """What tests do with a cluster, whoever runs it."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    def create_topic(self, name: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
        """Create a topic and return when it exists; raises when it cannot or already does."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        topic = NewTopic(name, num_partitions=partitions, config=config or {})
        admin.create_topics([topic])[name].result(ANSWER_DEADLINE_S)

    def add_partitions(self, topic: str, partitions: int) -> None:
        """Add partitions to a topic, so that it has this many."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(ANSWER_DEADLINE_S)

    def delete_topic(self, name: str) -> None:
        """Delete a topic."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        admin.delete_topics([name])[name].result(ANSWER_DEADLINE_S)

    def commit(self, group: str, topic: str, partition: int, offset: int, metadata: str = "") -> None:
        """Commit an offset for a group that has no members, as Kafka's tools do; `metadata` as a worker does."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        offsets = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition, offset, metadata)])
        deadline = time.monotonic() + START_DEADLINE_S
        while fault := _fault_of(admin.alter_consumer_group_offsets([offsets])[group].result(ANSWER_DEADLINE_S)):
            if time.monotonic() > deadline:
                raise KafkaException(fault)

    def delete_group(self, group: str) -> None:
        """Delete a group that has no members, with its offsets, as their expiry does."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        admin.delete_consumer_groups([group])[group].result(ANSWER_DEADLINE_S)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Delete the records of a partition before an offset, as retention does."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        wanted = TopicPartition(topic, partition, before)
        admin.delete_records([wanted])[wanted].result(ANSWER_DEADLINE_S)

    @abstractmethod
    def kill(self) -> None:
        """End the broker with SIGKILL."""

    @abstractmethod
    def restart(self) -> None:
        """Stop the broker if it runs, and start it on the same port with the same data."""


@final
class ExternalCluster(Cluster):
    """A cluster that somebody else runs: it is used, and never stopped."""

    def kill(self) -> None:
        """Refuse: the broker is not ours."""
        raise RuntimeError(f"the cluster at {self.bootstrap_servers} is external: tests cannot kill it")

    def restart(self) -> None:
        """Refuse: the broker is not ours."""
        raise RuntimeError(f"the cluster at {self.bootstrap_servers} is external: tests cannot restart it")


@final
class KafkaCluster(Cluster):
    """One broker of our own; as a context manager it runs inside the block and deletes its data at the end.

    Everything is below `directory`; the broker's log, `kafka.log`, stays for whoever looks for the cause of a failure.
    For each port of `proxies`, where a proxy listens, it serves one more port, `behind[proxy]`: clients that come that
    way are told to come back by the same proxy. `secure` names more listeners: their ports and their protocols.
    `properties` are added to the server's, `options` to those of its Java; `version` is Kafka's. `beside` makes it the
    second broker of another one's cluster.
    """

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        proxies: Sequence[int] = (),
        secure: Mapping[str, tuple[int, str]] | None = None,
        properties: str = "",
        options: Sequence[str] = (),
        version: str = VERSION,
        beside: "KafkaCluster | None" = None,
    ) -> None:
        port = port or free_port()
        self._controller_port: int = beside._controller_port if beside else free_port()
        self._id: str = beside._id if beside else base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        super().__init__(f"127.0.0.1:{port}")
        self.behind = {proxy: free_port() for proxy in proxies}
        self.log = directory / "kafka.log"
        self._data = directory / "data"
        self._properties = directory / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        self._java = [*java(version), *options]
        protocols = {name: protocol for name, (_, protocol) in (secure or {}).items()}
        advertised = {"PLAINTEXT": port} | {f"PROXIED{proxy}": proxy for proxy in proxies}
        advertised |= {name: own for name, (own, _) in (secure or {}).items()}
        listeners = {name: self.behind.get(each, each) for name, each in advertised.items()}
        if beside is None:
            listeners["CONTROLLER"] = self._controller_port
        text = SERVER_PROPERTIES.format(
            roles="broker" if beside else "broker,controller",
            node=2 if beside else 1,
            controller_port=self._controller_port,
            listeners=_addresses(listeners),
            advertised=_addresses(advertised),
            protocols=",".join(f"{name}:{protocols.get(name, 'PLAINTEXT')}" for name in {**listeners, "CONTROLLER": 0}),
            data=self._data,
        )
        self._properties.write_text(text + properties, encoding="utf-8")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._data, ignore_errors=True)

    def start(self) -> None:
        """Start the broker, with its storage formatted before, and return when it answers."""
        if not self._data.exists():
            self._format()
        with self.log.open("ab") as log:
            command = [*self._java, "-Xmx768m", "kafka.Kafka", str(self._properties)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        atexit.register(self.kill)
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End the broker in good order, or with SIGKILL when it takes too long."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_DEADLINE_S)
        self.kill()

    def kill(self) -> None:
        """End the broker with SIGKILL; without a broker there is nothing to do."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        atexit.unregister(self.kill)

    def suspend(self) -> None:
        """Stop the broker where it is: it accepts connections and requests, and answers nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a suspended broker go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def fill_disk(self) -> None:
        """Let no file of the broker's grow any more until it is started anew.

        A file that is too large does to Kafka what a full disk does, and takes neither root nor a disk.
        """
        if self._process is not None:
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (0, 0))

    def restart(self) -> None:
        """Stop the broker if it runs, and start it on the same port with the same data."""
        self.stop()
        self.start()

    def _format(self) -> None:
        command = [*self._java, "kafka.tools.StorageTool", "format"]
        command += [f"--cluster-id={self._id}", "--config", str(self._properties)]
        run(command)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while not self._answers():
            if process.poll() is not None:
                raise RuntimeError(f"the broker ended with {process.returncode}:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"the broker did not answer in {START_DEADLINE_S} s:\n{self._log_tail()}")
            time.sleep(POLL_S)

    def _answers(self) -> bool:
        """Tell whether the broker is registered; the socket comes first, for a client backs off after a refusal."""
        host, port = self.bootstrap_servers.split(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
            return bool(admin.list_topics(timeout=5).brokers)
        except (OSError, KafkaException):
            return False

    def _log_tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2_000:]


def _fault_of(committed: ConsumerGroupTopicPartitions) -> KafkaError | None:
    """Return what kept an offset from being committed: a coordinator that is not known yet, say."""
    faults: list[KafkaError] = [each.error for each in committed.topic_partitions if each.error]
    return faults[0] if faults else None


def _addresses(ports: Mapping[str, int]) -> str:
    """Return listeners as Kafka writes them, from their names and ports."""
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())


def available() -> str | None:
    """Return why no real Kafka can be had, or None; that the jars can be had is made sure by fetching them."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        return None
    if (reason := missing_java()) is not None:
        return reason
    try:
        _jars(VERSION)
    except (OSError, RuntimeError) as fault:
        return f"Maven could not fetch Kafka: {fault}"
    return None


def java(version: str = VERSION) -> list[str]:
    """Return the beginning of a command that runs one of Kafka's programs."""
    return ["java", "-cp", f"{_jars(version)}/*", *(f"-Dorg.slf4j.simpleLogger.{setting}" for setting in LOGGING)]


def _jars(version: str) -> Path:
    """Return the folder with the jars of a version."""
    return fetched(POM, JARS, "copy", *([f"kafka.version={version}"] if version else []))


def free_port() -> int:
    """Return a port of loopback that nobody listens on, and that this process has not been given before.

    It lies below those that the system gives to the near ends of connections: one of them could take it before its
    server starts, or while its server is away.
    """
    while True:
        port = SERVER_PORTS[next(_ports) % len(SERVER_PORTS)]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def main() -> None:
    """Run a broker in the foreground until Ctrl-C or SIGTERM."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PORT
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="kafka-") as directory:
        try:
            with KafkaCluster(Path(directory), port) as cluster:
                write_scripts(tools := Path(directory) / "bin", java())
                sys.stdout.write(_instructions(cluster, tools))
                sys.stdout.flush()
                signal.pause()
        except KeyboardInterrupt:
            sys.stdout.write("stopped\n")


def _instructions(cluster: KafkaCluster, tools: Path) -> str:
    return f"""\
Kafka is at {cluster.bootstrap_servers} (log: {cluster.log}); Ctrl-C stops it and deletes its data.

  export PATH="{tools}:$PATH"    # kafka-topics.sh and the like
  export PROCESSOR_KAFKA__BOOTSTRAP_SERVERS={cluster.bootstrap_servers}
  KAFKA_BOOTSTRAP_SERVERS={cluster.bootstrap_servers} pytest tests/kafka
  kcat -b {cluster.bootstrap_servers} -L
"""


if __name__ == "__main__":
    main()
