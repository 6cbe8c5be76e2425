"""The checks, one after the other; each is made as far as those before it allow."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping

from processor.adapters.clock import SystemClock
from processor.adapters.fullstory import ApiKey, FullStory, Timeouts
from processor.adapters.kafka import facts
from processor.adapters.kafka.reading import Reader, latest
from processor.cli.check import catalogue
from processor.cli.check.catalogue import Found, Level
from processor.cli.check.fullstory import of_account, of_clock
from processor.cli.check.kafka import of_cluster, of_group
from processor.cli.check.probe import probe
from processor.cli.check.records import Survey
from processor.cli.composition import kafka_settings, mapping_rules, registry_of, schemas_of
from processor.cli.explain.explanation import Explainer
from processor.cli.explain.inputs import Input
from processor.cli.settings import Settings
from processor.events.mapping import Mapping as EventMapping
from processor.model.errors import RegistryUnavailableError, SourceError
from processor.model.records import OffsetRange, Record, TopicPartition

SAMPLE_RECORDS = 1_000
SAMPLE_BYTES = 64 * 1024 * 1024
"""Where records are large, fewer are sampled."""

ANY_SCHEMA_ID = 1
"""Whether there is a schema of this id or none: the registry has answered."""

TIMEOUTS = Timeouts(connect_s=10.0, read_s=15.0, total_s=30.0)

Tell = Callable[[Iterable[Found]], None]
Sample = Mapping[TopicPartition, list[Record]]


async def check_all(settings: Settings, tell: Tell, *, probes: bool) -> None:
    """Check all that the worker needs, and tell what is found; `probes` allows to write to FullStory.

    Raises `ConfigurationError` for what only shows when it is used.
    """
    tell([Found(catalogue.CONFIGURATION_VALID, "")])
    sample = await asyncio.to_thread(_check_kafka, settings, tell)
    await _check_fullstory(settings, tell, probes=probes)
    await _check_records(settings, sample, tell)


def _check_kafka(settings: Settings, tell: Tell) -> Sample | None:
    """Check the cluster, the topics and the group; return the latest records, None where they cannot be read."""
    kafka = kafka_settings(settings)
    try:
        cluster = facts.ask(kafka)
    except SourceError as error:
        tell([Found(catalogue.KAFKA_UNREACHABLE, f"{kafka.bootstrap_servers}: {error}")])
        return None
    tell(of_cluster(settings.kafka, cluster))
    readable = [name for name in kafka.topics if (topic := cluster.topics.get(name)) and topic.may_read is not False]
    with Reader(kafka) as reader:
        try:
            held = _held(reader, readable)
        except SourceError as error:
            tell([Found(catalogue.RECORDS_UNREAD, str(error))])
            return None
        try:
            tell(of_group(settings.kafka, cluster, reader.committed(held), held))
        except SourceError as error:
            tell([Found(catalogue.GROUP_UNKNOWN, str(error))])
        try:
            return reader.read_ranges(latest(held, SAMPLE_RECORDS), SAMPLE_RECORDS, SAMPLE_BYTES)
        except SourceError as error:
            tell([Found(catalogue.RECORDS_UNREAD, str(error))])
            return None


def _held(reader: Reader, topics: Collection[str]) -> dict[TopicPartition, OffsetRange]:
    return {each: reader.available(each) for topic in topics for each in reader.partitions(topic)}


async def _check_fullstory(settings: Settings, tell: Tell, *, probes: bool) -> None:
    key = ApiKey(settings.fullstory.api_key.get_secret_value())
    clock = SystemClock()
    own = settings.fullstory
    async with FullStory(
        key, clock, base_url=own.base_url, allow_private=own.allow_private, timeouts=TIMEOUTS
    ) as destination:
        answer = await destination.me()
        account = list(of_account(settings, answer))
        tell(account)
        if any(each.finding.level is Level.ERROR for each in account):
            return
        tell([of_clock(destination.clock_skew_s)])
        if probes:
            tell([found async for found in probe(destination, clock)])


async def _check_records(settings: Settings, sample: Sample | None, tell: Tell) -> None:
    """Check the registry, and what becomes of the sample with its schemas."""
    survey = Survey()
    registry = settings.schema_registry.model_copy(update={"cache_dir": None})  # what is asked is the registry itself
    async with registry_of(registry) as client:
        schemas = schemas_of(registry, client)
        explainer = Explainer(EventMapping(mapping_rules(settings)), schemas, settings.schema_registry.waits_s)
        try:
            await schemas.fetch(ANY_SCHEMA_ID)
            for partition, records in (sample or {}).items():
                for record in records:
                    survey.add(partition, await explainer.explain(Input(str(partition), record)))
        except RegistryUnavailableError as error:
            tell([Found(catalogue.REGISTRY_UNREACHABLE, str(error))])
            return
    url = registry.url
    tell([Found(catalogue.REGISTRY_NONE, "") if url is None else Found(catalogue.REGISTRY_REACHED, url)])
    if sample is not None:
        tell(survey.findings(is_anonymous_a_user=settings.mapping.anonymous == "uid"))
