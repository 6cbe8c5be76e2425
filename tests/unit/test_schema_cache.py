"""Schemas on disk."""

import asyncio
import json
from pathlib import Path
from threading import Barrier, Thread

import pytest

from processor.adapters.schemas.cache import CachedSchemas
from processor.events.framing import Guid, SchemaId
from processor.model.errors import RegistryUnavailableError
from tests.fakes.schemas import FakeSchemas, text_of

URL = "http://registry:8081"
TEXT = '{"type": "record", "name": "Größe", "fields": []}'
GUID = Guid(bytes(range(16)))


class Cache:
    """A cache over a fake registry, with what it tells."""

    def __init__(self, folder: Path, texts: dict[SchemaId, str] | None = None, url: str = URL) -> None:
        self.registry = FakeSchemas({7: TEXT, GUID: TEXT} if texts is None else texts)
        self.told: list[str] = []
        self._schemas = CachedSchemas(self.registry, folder, url, self.told.append)

    def fetch(self, schema_id: SchemaId = 7) -> str | None:
        """Ask for a schema."""
        return asyncio.run(text_of(self._schemas, schema_id))


def only_file(folder: Path) -> Path:
    """Return the one file in the folder."""
    [file] = [each for each in folder.rglob("*") if each.is_file()]
    return file


@pytest.mark.parametrize("schema_id", [7, GUID])
def test_a_schema_that_is_on_disk_needs_no_registry(tmp_path: Path, schema_id: SchemaId) -> None:
    """A schema that any process has fetched is read from disk without the registry."""
    assert Cache(tmp_path / "deep" / "cache").fetch(schema_id) == TEXT

    later = Cache(tmp_path / "deep" / "cache")
    later.registry.is_out = True

    assert later.fetch(schema_id) == TEXT
    assert (later.registry.asked, later.told) == (0, [])


def test_an_outage_is_told_for_what_is_not_on_disk(tmp_path: Path) -> None:
    """For a schema that is not on disk, the registry's fault is reported."""
    cache = Cache(tmp_path)
    cache.registry.is_out = True

    with pytest.raises(RegistryUnavailableError):
        cache.fetch()


def test_absence_is_not_kept(tmp_path: Path) -> None:
    """An absent schema is asked for each time, because it may be registered meanwhile."""
    cache = Cache(tmp_path, {})
    assert cache.fetch() is None
    cache.registry.texts[7] = TEXT

    assert cache.fetch() == TEXT


def test_another_registry_has_other_ids(tmp_path: Path) -> None:
    """Schemas of two registries with the same id are kept apart."""
    assert Cache(tmp_path, {7: "one"}).fetch() == "one"
    assert Cache(tmp_path, {7: "two"}, "http://other:8081").fetch() == "two"
    assert Cache(tmp_path, {}).fetch() == "one"


def damage(text: str) -> list[str]:
    """Return what may have become of a file."""
    held = json.loads(text)
    return [
        "",
        "{",
        "[]",
        "5",
        "[" * 100_000,
        "\0" * 100,
        text[:-5],
        text.replace("record", "rec0rd"),
        json.dumps({**held, "registry": "http://other"}),
        json.dumps({**held, "sha256": 5}),
        json.dumps({**held, "schema": None}),
        json.dumps({**held, "schema": "\ud800"}),
    ]


@pytest.mark.parametrize("number", range(12))
def test_a_damaged_file_is_told_and_fetched_anew(tmp_path: Path, number: int) -> None:
    """A damaged file is reported, fetched anew and replaced."""
    Cache(tmp_path).fetch()
    file = only_file(tmp_path)
    file.write_text(damage(file.read_text(encoding="utf-8"))[number], encoding="utf-8")
    cache = Cache(tmp_path)

    assert cache.fetch() == TEXT
    assert len(cache.told) == 1
    assert str(file) in cache.told[0]
    assert Cache(tmp_path, {}).fetch() == TEXT


def test_a_folder_that_cannot_be_used_is_told_and_does_no_harm(tmp_path: Path) -> None:
    """If the folder cannot be used, that is reported and the registry's answer is used."""
    (tmp_path / "cache").write_text("no folder")
    cache = Cache(tmp_path / "cache")

    assert cache.fetch() == TEXT
    assert cache.told
    assert all(str(tmp_path / "cache") in each for each in cache.told)


def test_a_file_that_cannot_be_put_in_its_place_leaves_nothing_behind(tmp_path: Path) -> None:
    """If a file cannot be put in its place, no partial file remains."""
    Cache(tmp_path).fetch()
    file = only_file(tmp_path)
    file.unlink()
    (file / "occupied").mkdir(parents=True)
    cache = Cache(tmp_path)

    assert cache.fetch() == TEXT
    assert len(cache.told) == 2
    assert list(file.parent.iterdir()) == [file]


def test_many_may_share_a_folder(tmp_path: Path) -> None:
    """Several writers at the same moment leave a whole file."""
    caches = [Cache(tmp_path) for _ in range(8)]
    barrier = Barrier(len(caches))
    found: list[str | None] = []

    def run(cache: Cache) -> None:
        barrier.wait()
        found.append(cache.fetch())

    threads = [Thread(target=run, args=(cache,)) for cache in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [TEXT] * len(caches)
    assert [cache.told for cache in caches] == [[]] * len(caches)
    assert Cache(tmp_path, {}).fetch() == TEXT
    only_file(tmp_path)
