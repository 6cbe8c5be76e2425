"""A running registry for the suite, and names of their own for its tests."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import need
from tests.registry.apicurio import Apicurio, missing


@pytest.fixture(scope="session")
def _has_registry() -> None:
    """Skip where no registry can be had, or fail where everything must be tested."""
    need(missing())


@pytest.fixture(scope="session")
def registry(_has_registry: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apicurio]:
    """Give the registry that the whole suite shares; who stops it starts it again."""
    with Apicurio(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def subject() -> str:
    """Give a test its own subject."""
    return f"segment-{uuid.uuid4().hex[:12]}-value"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Give a folder for schemas on disk; it does not exist yet."""
    return tmp_path / "cache"
