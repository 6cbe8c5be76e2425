"""The commands of the pages for those who begin do what the pages say, on a real Kafka."""

import os
import re
import sys
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.kafka.cluster import ANSWER_DEADLINE_S, Cluster, free_port, java
from tests.kafka.reader import NOT_RUN, Reader, blocks, shows
from tests.kafka.tools import write_script, write_scripts

ROOT = Path(__file__).parents[2]
PAGES = ["docs/getting-started.md", "docs/deploy.md", "docs/migrating.md"]
FIRST_CELL = re.compile(r"(?m)^\| ([^|]+) \|")
TOPICS = ["segment.identify", "segment.track", "segment.dead-letters"]


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


@pytest.mark.parametrize("name", PAGES)
def test_a_page_works_word_by_word(name: str, own_kafka: Cluster, commands: Path, tmp_path: Path) -> None:
    """Whoever follows the page from its top to its end comes to where it says."""
    page = (ROOT / name).read_text(encoding="utf-8")
    try:
        with Reader(tmp_path, {"PATH": f"{commands}:{os.environ['PATH']}"}) as reader:
            reader.follow(put_own(page, own_kafka))
    finally:
        admin = AdminClient({"bootstrap.servers": own_kafka.bootstrap_servers})
        if made := [each for each in TOPICS if each in admin.list_topics().topics]:
            for deleted in admin.delete_topics(made).values():
                deleted.result(ANSWER_DEADLINE_S)


@pytest.mark.parametrize("name", PAGES)
def test_what_is_not_run_says_why(name: str) -> None:
    """Most of a page is run, and a block that is not has a reason."""
    page = (ROOT / name).read_text(encoding="utf-8")
    found = list(blocks(page))
    reasons = [each.commands.partition("\n")[0].removeprefix(NOT_RUN) for each in found if not each.is_run]

    assert len(found) == len(re.findall(r"(?m)^ *(?:```|~~~) *(?:sh|bash|console|shell)\b", page))
    assert len(reasons) < len(found) / 2
    assert all(reasons)


def test_a_command_that_fails_fails_its_page(tmp_path: Path) -> None:
    """The first command that fails ends the page, in whatever place of its block it stands."""
    with Reader(tmp_path, {}) as reader, pytest.raises(AssertionError, match="ended with 1"):
        reader.follow("```sh\nfalse\ntrue\n```\n")


def test_output_that_differs_fails_its_page(tmp_path: Path) -> None:
    """What a page shows below its commands is what they say."""
    with Reader(tmp_path, {}) as reader:
        reader.follow("```sh\nexport A=1\n```\n\n```sh\necho one $A; echo two\n```\n\n```text\none…\ntwo\n```\n")
        with pytest.raises(AssertionError, match="echo one"):
            reader.follow("```sh\necho one\n```\n\n```text\ntwo\n```\n")


def test_what_ends_badly_in_another_terminal_fails_its_page(tmp_path: Path) -> None:
    """Ctrl-C has to end a program well. This one ends badly, also where whoever started the tests ignores Ctrl-C."""
    program = (
        "import signal, time; signal.signal(signal.SIGINT, lambda *_: exit(3)); open('ready', 'w'); time.sleep(300)"
    )
    with Reader(tmp_path, {}) as reader:
        reader.follow(f'```sh\n# Second terminal\nexec python3 -c "{program}"\n```\n')
        reader.follow("```sh\nuntil test -e ready; do sleep 0.05; done\n```\n")
        with pytest.raises(AssertionError, match="Ctrl-C"):
            reader.follow("```sh\n# Second terminal: press Ctrl-C\n```\n")


def test_lines_are_expected_in_their_order() -> None:
    """Other lines may stand between those that a page shows, and none may be missing."""
    assert shows("a 1\nb\nc 2\n", "a …\nc 2\n")
    assert not shows("a 1\nb\n", "b\na…\n")
    assert not shows("aa\n", "a\n")
