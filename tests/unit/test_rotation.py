"""A key that changes while the worker runs: its file, swapped for real."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from processor.adapters.fullstory.key import ApiKey
from processor.cli.rotation import KeyFile
from processor.engine.verdict import Answer, NoAnswer, RetryReason
from processor.runtime.account import Account

OLD, NEW = "na1.old", "na1.new"


def me(org_id: str = "ORG", role: str = "ARCHITECT") -> Answer:
    """Return FullStory's answer to the question for the account."""
    return Answer(200, {"email": "a@example.com", "orgId": org_id, "role": role})


@dataclass
class World:
    """A file with a key, and what FullStory says of the next keys."""

    folder: Path
    answers: list[Answer | NoAnswer]
    org_id: str | None = "ORG"
    used: list[tuple[str, Account]] = field(default_factory=list)
    log: LogCapture = field(default_factory=LogCapture)

    def __post_init__(self) -> None:
        self.path = self.folder / "key"
        self.write(OLD)
        log = structlog.wrap_logger(None, processors=[self.log])
        self.file = KeyFile(self.path, OLD, self._tried, self._use, lambda: self.org_id, log)

    async def _tried(self, key: ApiKey) -> Answer | NoAnswer:
        assert key.authorization == ApiKey(NEW).authorization
        return self.answers.pop(0)

    def _use(self, key: ApiKey, account: Account) -> None:
        self.used.append((key.authorization, account))

    def write(self, key: str) -> None:
        """Swap the file as Kubernetes does: another one in its place, at once."""
        fresh = self.folder / "fresh"
        fresh.write_text(f"{key}\n", encoding="utf-8")
        fresh.replace(self.path)

    def look(self, times: int = 1) -> Sequence[str]:
        """Look at the file; return what was complained of."""
        for _ in range(times):
            asyncio.run(self.file.look())
        return [entry["detail"] for entry in self.log.entries]


def test_a_file_that_did_not_change_is_no_question(tmp_path: Path) -> None:
    """FullStory is not asked for what is known."""
    world = World(tmp_path, [])
    assert world.look(times=3) == []
    assert world.used == []


def test_a_new_key_that_works_is_used_once(tmp_path: Path) -> None:
    """And the file is left alone after it."""
    world = World(tmp_path, [me(role="STANDARD")])
    world.write(NEW)
    assert world.look(times=3) == []
    assert world.used == [(ApiKey(NEW).authorization, Account("ORG", "STANDARD"))]


@pytest.mark.parametrize(
    ("answer", "word"), [(Answer(401, {}), "401"), (me(org_id="ANOTHER"), "ANOTHER")], ids=["refused", "another's"]
)
def test_a_key_that_does_not_fit_is_told_of_once_and_not_used(tmp_path: Path, answer: Answer, word: str) -> None:
    """The old one stays, and the new one is not tried again until it changes."""
    world = World(tmp_path, [answer])
    world.write(NEW)
    complaints = world.look(times=3)
    assert len(complaints) == 1
    assert word in complaints[0]
    assert NEW not in complaints[0]
    assert world.used == []


def test_a_key_that_cannot_be_tried_is_tried_again(tmp_path: Path) -> None:
    """An outage is no reason to forget it."""
    world = World(tmp_path, [NoAnswer(RetryReason.TIMEOUT, "late"), NoAnswer(RetryReason.TIMEOUT, "late"), me()])
    world.write(NEW)
    assert len(world.look(times=3)) == 1
    assert len(world.used) == 1


def test_where_no_organisation_is_known_any_may_come(tmp_path: Path) -> None:
    """The key was refused before anybody said whose it is."""
    world = World(tmp_path, [me(org_id="WHOEVER")], org_id=None)
    world.write(NEW)
    assert world.look() == []
    assert len(world.used) == 1


@pytest.mark.parametrize("content", ["", "two words", "\N{SNOWMAN}"])
def test_a_file_without_a_key_is_told_of_and_the_old_one_stays(tmp_path: Path, content: str) -> None:
    """So is a file that is gone."""
    world = World(tmp_path, [])
    world.write(content)
    assert len(world.look(times=2)) == 1
    world.path.unlink()
    assert len(world.look(times=2)) == 2
    assert world.used == []
