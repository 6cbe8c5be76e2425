"""The suite of Kafka: every test of this folder needs one."""

from dataclasses import dataclass
from typing import final

import pytest


@final
@dataclass(frozen=True, slots=True)
class Names:
    """Names that no other test uses, on a cluster that all share."""

    topic: str
    dead_letters: str
    group: str


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test of this folder."""
    item.add_marker(pytest.mark.kafka)
