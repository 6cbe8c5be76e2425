"""Parts that commands use without a worker, too: Kafka's settings and the schemas."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from processor import shipped_folder
from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.proxies import Proxies
from processor.adapters.schemas.cache import CachedSchemas
from processor.adapters.schemas.glue import GlueSchemas
from processor.adapters.schemas.local import LocalSchemas
from processor.adapters.schemas.places import SchemaPlaces
from processor.adapters.tls import Tls
from processor.engine.notices import Observer, SchemaCacheTrouble
from processor.runtime.ports import Schemas
from processor.settings import Settings
from processor.settings.connections import SchemaRegistrySection

if TYPE_CHECKING:
    from processor.adapters.schemas.registry import RegistrySchemas


def kafka_settings(settings: Settings) -> KafkaSettings:
    """Return what the Kafka adapters need."""
    split = settings.memory.split()
    return KafkaSettings(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        topics=settings.kafka.consumed_topics,
        group_id=settings.kafka.group_id,
        dead_letter_topic=settings.kafka.dead_letter_topic,
        start=settings.kafka.start,
        queue_bytes=split.queue_bytes,
        fetch_bytes=split.fetch_bytes,
        partition_fetch_bytes=split.partition_fetch_bytes,
        properties=settings.kafka.client_properties(),
    )


def tls_of(settings: Settings) -> Tls:
    """Return what connections to FullStory trust and show; raises `ConfigurationError` as `Tls` does."""
    return Tls(settings.fullstory.client_certificate_file, settings.fullstory.client_key_file)


@asynccontextmanager
async def registry_of(settings: SchemaRegistrySection, proxies: Proxies) -> AsyncIterator["RegistrySchemas | None"]:
    """Give the registry, where there is one; open until the end of the `async with`."""
    if settings.url is None:
        yield None
        return
    # Here, for Confluent's client brings two HTTP clients and JOSE: 0.3 s and 14 MiB (2.16, 2026-11).
    from processor.adapters.schemas.registry import RegistrySchemas  # noqa: PLC0415

    async with RegistrySchemas(
        settings.url, settings.client_properties(), proxies=proxies, long_ids=settings.long_ids
    ) as registry:
        yield registry


def schemas_of(
    settings: SchemaRegistrySection, registry: "RegistrySchemas | None", observe: Observer | None = None
) -> Schemas:
    """Return the registry and Glue with their cache, where there are such, and the folder; in a running loop.

    Raises `ConfigurationError`, as Glue and the folder do. Trouble with the cache is reported to `observe`. It is none
    to a command: the registry is asked all the same.
    """
    folder = LocalSchemas(settings.folder or shipped_folder())
    glue = None if settings.glue_region is None else GlueSchemas(settings.glue_region)
    loop = asyncio.get_running_loop()

    def report(detail: str) -> None:  # on another thread: files are slower than the loop may be
        if observe is not None:
            loop.call_soon_threadsafe(observe, SchemaCacheTrouble(detail))

    def cached(place: "RegistrySchemas | GlueSchemas | None") -> Schemas | None:
        if place is None or settings.cache_dir is None:
            return place
        return CachedSchemas(place, settings.cache_dir, place.address, report)

    return SchemaPlaces(folder, cached(registry), cached(glue))
