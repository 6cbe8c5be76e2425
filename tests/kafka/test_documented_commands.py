"""The commands of the pages do what the pages say, on a real Kafka."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import fastavro
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from processor import __version__, shipped_folder
from processor.commands.main import main
from processor.events.dead_letters import Attempts, Stamp, dead_letter_headers
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason
from processor.model.records import Record, TopicPartition
from tests.kafka.cluster import ANSWER_DEADLINE_S, Cluster, free_port, java
from tests.kafka.programs import sandbox
from tests.kafka.reader import NOT_RUN, Reader, blocks, shows
from tests.kafka.tools import write_script, write_scripts
from tests.needs import need

ROOT = Path(__file__).parents[2]
WAYS = [
    ["docs/getting-started.md", "docs/deploy.md"],
    ["docs/migrating.md"],
    ["docs/input.md"],
    ["docs/fullstory-api.md"],
]
"""Pages that need nothing but what they say themselves, or what a page before them on the same way has left."""
PAGES = [page for way in WAYS for page in way]
STAGED = ["docs/audit.md", "docs/backfill.md", "docs/check.md", "docs/dead-letters.md", "docs/explain.md"]
"""Those that need a deployment."""
ELSEWHERE = {
    "README.md": "the tests are started by its commands, and its deployment is that of docs/deploy.md",
    "docs/configuration.md": "they need no Kafka: tests/commands/test_settings.py",
    "docs/container.md": "Docker carries them out, or in its place tests/operation/test_container.py",
    "docs/failover.md": "they need two clusters: tests/kafka/failover.py sets offsets by time",
    "docs/kubernetes.md": "a cluster carries them out; tests/operation/test_chart.py renders with its values",
    "docs/proxies.md": "a proxy carries them out: tests/operation/test_proxies.py starts one with the same variables",
    "docs/runbook.md": "they are for one incident: tests/kafka/test_recreated.py sets the offset of such a topic",
    "docs/sizing.md": "they need no Kafka: tests/commands/test_simulate.py",
    "docs/reliability.md": "they take minutes to hours; each has a short form among the tests",
    "schemas/README.md": "they need a registry: tests/registry/test_commands.py",
}
"""Pages of which the commands are not run here, each with the reason."""
SHELL = re.compile(r"(?m)^ *(?:```|~~~) *(?:sh|bash|console|shell)\b")
FIRST_CELL = re.compile(r"(?m)^\| ([^|]+) \|")


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with Kafka's scripts and the program, as they would be installed."""
    write_scripts(folder := tmp_path_factory.mktemp("bin"), java())
    write_script(folder / "segment-fullstory", f"env PYTHONPATH='{ROOT}' '{sys.executable}' -m processor \"$@\"")
    return folder


def put_own(page: str, kafka: Cluster) -> str:
    """Put what the page's table asks for, and nothing else: one broker, and ports that are free."""
    own = {
        "kafka-1:9092": kafka.bootstrap_servers,
        "--partitions 12": "--partitions 2",
        "--replication-factor 3": "--replication-factor 1",
        "min.insync.replicas=2": "min.insync.replicas=1",
        "8400": str(free_port()),
        "8080": str(free_port()),
        "8081": str(free_port()),
    }
    for cell in FIRST_CELL.findall(page.partition("| here | put |\n")[2].partition("\n\n")[0]):
        for here in re.findall("`([^`]+)`", cell):
            page = page.replace(here, own[here])
    return page


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_pages_work_word_by_word(way: list[str], own_kafka: Cluster, commands: Path, tmp_path: Path) -> None:
    """The commands of each page work when they are followed from top to end on one Kafka."""
    admin = AdminClient({"bootstrap.servers": own_kafka.bootstrap_servers})
    before = admin.list_topics().topics.keys()
    try:
        with Reader(tmp_path, {"PATH": f"{commands}:{os.environ['PATH']}"}) as reader:
            for name in way:
                reader.follow(put_own((ROOT / name).read_text(encoding="utf-8"), own_kafka))
    finally:
        if made := [each for each in admin.list_topics().topics.keys() - before if not each.startswith("__")]:
            for deleted in admin.delete_topics(made).values():
                deleted.result(ANSWER_DEADLINE_S)


@pytest.fixture
def deployment(own_kafka: Cluster, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Give the environment of a worker, with records, dead letters and files as somebody has them who reads on."""
    topics = ["segment", "segment.track", "dlq.segment"]
    redrive = "segment.redrive"
    for topic in (*topics, redrive):
        own_kafka.create_topic(topic, 4)
    producer = Producer({"bootstrap.servers": own_kafka.bootstrap_servers})
    message: dict[str, Any] = {"type": "track", "userId": "ada", "messageId": "m", "event": "Signed Up"}
    value = json.dumps(message).encode()
    rejected = Rejected(DeadLetterReason.REJECTED, "FullStory answers 400 invalid_argument", 400)
    stamp, attempts = Stamp("segment-fullstory", __version__, "f1"), Attempts(1, 1.0, 1.0)
    of = Record(17, 1_424_730_535_111, b"ada", value, None)
    letter = dead_letter_headers(stamp, TopicPartition("segment.track", 3), of, rejected, attempts)
    for topic, headers in zip(topics, (None, None, letter), strict=True):
        for number in range(4 * 20):
            producer.produce(topic, value, b"ada", number % 4, headers=headers)  # type: ignore[arg-type]
    assert producer.flush(ANSWER_DEADLINE_S) == 0

    (tmp_path / "event.json").write_bytes(value)
    (tmp_path / "sample.jsonl").write_bytes(value + b"\n" + value + b"\n")
    (tmp_path / "other.toml").write_text("[mapping]\n", encoding="utf-8")
    with (tmp_path / "export.avro").open("wb") as file:
        schema = json.loads((shipped_folder() / "track.avsc").read_text(encoding="utf-8"))
        fastavro.writer(file, schema, [message])
    with sandbox() as server:
        yield {
            "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": own_kafka.bootstrap_servers,
            "PROCESSOR_KAFKA__TOPICS": "segment.track",
            "PROCESSOR_KAFKA__GROUP_ID": "segment-fullstory",
            "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "dlq.segment",
            "PROCESSOR_KAFKA__REDRIVE_TOPIC": redrive,
            "PROCESSOR_FULLSTORY__API_KEY": "na1.architect",
            "PROCESSOR_FULLSTORY__BASE_URL": server.url,
            "PROCESSOR_HTTP__PORT": "0",
        }
    admin = AdminClient({"bootstrap.servers": own_kafka.bootstrap_servers})
    made = admin.list_topics().topics.keys() & {*topics, redrive, "dlq.segment.parked"}
    for deleted in admin.delete_topics([*made]).values():
        deleted.result(ANSWER_DEADLINE_S)


@pytest.mark.parametrize("name", STAGED)
def test_commands_for_a_deployment_work(
    name: str, own_kafka: Cluster, deployment: dict[str, str], commands: Path, tmp_path: Path
) -> None:
    """The commands for a deployment work; with one broker, `check` has warnings and ends with 1."""
    need(None if shutil.which("kcat") else "kcat not found: on Debian a package has it")
    page = (ROOT / name).read_text(encoding="utf-8").replace("kafka-1:9092", own_kafka.bootstrap_servers)
    page = re.sub(r"(?m)^segment-fullstory check[^#\n]*", r"\g<0> || [ $? = 1 ] ", page)
    with Reader(tmp_path, {**deployment, "PATH": f"{commands}:{os.environ['PATH']}"}) as reader:
        reader.follow(page)


def test_no_page_has_commands_that_nobody_runs() -> None:
    """Every page with commands is run here, or has a reason why it is not."""
    pages = ["README.md", "schemas/README.md", *(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))]
    with_commands = [each for each in pages if SHELL.search((ROOT / each).read_text(encoding="utf-8"))]

    assert sorted(with_commands) == sorted([*PAGES, *STAGED, *ELSEWHERE])


@pytest.mark.parametrize("name", ELSEWHERE)
def test_commands_that_are_not_run_are_ones(name: str) -> None:
    """Commands that are not run have valid syntax, and name commands and make targets that exist."""
    commands = "\n".join(each.commands for each in blocks((ROOT / name).read_text(encoding="utf-8")))
    assert subprocess.run(["bash", "-n"], input=commands, text=True, check=False).returncode == 0
    for line in commands.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["segment-fullstory"]:
            arguments = words[1:]
            command: click.Command | None = main
            while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
                command = command.get_command(click.Context(command), arguments.pop(0))
            assert command is not None, line
            command.make_parser(click.Context(command)).parse_args(arguments)
        elif words[:1] == ["make"]:
            done = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, check=False)
            assert done.returncode == 0, line


@pytest.mark.parametrize("name", PAGES)
def test_what_is_not_run_says_why(name: str) -> None:
    """Most blocks of a page are run, and each that is not has a reason."""
    page = (ROOT / name).read_text(encoding="utf-8")
    found = list(blocks(page))
    reasons = [each.commands.partition("\n")[0].removeprefix(NOT_RUN) for each in found if not each.is_run]

    assert len(found) == len(SHELL.findall(page))
    assert len(reasons) < len(found) / 2
    assert all(reasons)


def test_a_command_that_fails_fails_its_page(tmp_path: Path) -> None:
    """The first command that fails ends the page, in whatever place of its block it stands."""
    with Reader(tmp_path, {}) as reader, pytest.raises(AssertionError, match="ended with 1"):
        reader.follow("```sh\nfalse\ntrue\n```\n")


def test_output_that_differs_fails_its_page(tmp_path: Path) -> None:
    """A page fails if a command's output differs from what the page shows."""
    with Reader(tmp_path, {}) as reader:
        reader.follow("```sh\nexport A=1\n```\n\n```sh\necho one $A; echo two\n```\n\n```text\none…\ntwo\n```\n")
        with pytest.raises(AssertionError, match="echo one"):
            reader.follow("```sh\necho one\n```\n\n```text\ntwo\n```\n")


def test_what_ends_badly_in_another_terminal_fails_its_page(tmp_path: Path) -> None:
    """A page fails if Ctrl-C does not end its program well."""
    program = (
        "import signal, time; signal.signal(signal.SIGINT, lambda *_: exit(3)); open('ready', 'w'); time.sleep(300)"
    )
    with Reader(tmp_path, {}) as reader:
        reader.follow(f'```sh\n# Second terminal\nexec python3 -c "{program}"\n```\n')
        reader.follow("```sh\nuntil test -e ready; do sleep 0.05; done\n```\n")
        with pytest.raises(AssertionError, match="Ctrl-C"):
            reader.follow("```sh\n# Second terminal: press Ctrl-C\n```\n")


def test_lines_are_expected_in_their_order() -> None:
    """Lines that a page shows must come in their order, with any others between them."""
    assert shows("a 1\nb\nc 2\n", "a …\nc 2\n")
    assert not shows("a 1\nb\n", "b\na…\n")
    assert not shows("aa\n", "a\n")
