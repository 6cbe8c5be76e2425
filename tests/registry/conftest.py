"""A running registry for the suite, and names of their own for its tests."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import need
from tests.registry.apicurio import THREE, TWO, Apicurio, Release, missing


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apicurio]:
    """Give the registry that the whole suite shares; who stops it starts it again."""
    yield from _running(TWO, tmp_path_factory)


@pytest.fixture(scope="session")
def registry_3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apicurio]:
    """Give the newer registry, shared too."""
    yield from _running(THREE, tmp_path_factory)


def _running(release: Release, folders: pytest.TempPathFactory) -> Iterator[Apicurio]:
    """Skip where no registry can be had, or fail where everything must be tested."""
    need(missing(release))
    with Apicurio(folders.mktemp("registry"), release) as registry:
        yield registry


@pytest.fixture
def subject() -> str:
    """Give a test its own subject."""
    return f"segment-{uuid.uuid4().hex[:12]}-value"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Give a folder for schemas on disk; it does not exist yet."""
    return tmp_path / "cache"
