"""What the checks have found so far, which of them are left, and how much time there is for those."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import final

from processor.commands.check import findings
from processor.commands.check.findings import FINDINGS, Found
from processor.model.errors import ConfigurationError
from processor.settings import Settings

TOPICS, LETTERS, GROUP, CLOCK, RECORDS = "topics", "dead-letter topic", "consumer group", "clock", "latest records"
"""Checks that something else may keep from being made."""


@final
class Checklist:
    """What is found, and what is still to be checked. The thread that asks Kafka adds to it, too."""

    def __init__(self, settings: Settings, until: float) -> None:
        self.settings = settings
        self.until = until
        self._found: list[Found] = []
        self._left = [TOPICS, LETTERS, GROUP, CLOCK, RECORDS]

    def add(self, found: Iterable[Found], *done: str) -> None:
        """Take findings, and the names of the checks that they end."""
        self._found += found
        self._left = [each for each in self._left if each not in done]

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Report settings that only turn out to be wrong when they are used, as what they are."""
        try:
            yield
        except ConfigurationError as error:
            self.add(Found(findings.CONFIGURATION_INVALID, problem) for problem in error.problems)

    def left_s(self) -> float:
        """Return how much time is left."""
        return max(self.until - time.monotonic(), 0.0)

    def end(self) -> Sequence[Found]:
        """Return what was found, the worst first, else in the order of the checks."""
        found, left = [*self._found], self._left
        if all(each.finding is not findings.CONFIGURATION_INVALID for each in found):
            found.append(Found(findings.CONFIGURATION_VALID, ""))
        if left:
            found.append(Found(findings.CHECKS_SKIPPED, f"not checked: {', '.join(left)}"))
        return in_order(found)


def in_order(found: Iterable[Found]) -> Sequence[Found]:
    """Return findings with the worst first, else in the order of the checks."""
    return sorted(found, key=lambda each: (-each.finding.level.exit_code, FINDINGS.index(each.finding)))
