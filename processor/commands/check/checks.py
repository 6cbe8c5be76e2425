"""The checks, side by side and within one time: what does not answer holds up nothing but what rests on it."""

import asyncio
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import final

from processor.adapters.clock import SystemClock
from processor.adapters.fullstory import ApiKey, FullStory, Timeouts
from processor.adapters.kafka import facts
from processor.adapters.kafka.reading import Reader, latest
from processor.app.parts import kafka_settings, registry_of, schemas_of
from processor.commands.check import catalogue
from processor.commands.check.catalogue import FINDINGS, Found, Level
from processor.commands.check.fullstory import of_account, of_clock
from processor.commands.check.kafka import of_cluster, of_group
from processor.commands.check.probe import probe
from processor.commands.check.records import Survey
from processor.commands.common.explanation import Explainer, Input
from processor.events.mapping import Mapping as EventMapping
from processor.model.errors import ConfigurationError, RegistryUnavailableError, SourceError
from processor.model.records import OffsetRange, Record, TopicPartition
from processor.runtime.ports import Schemas
from processor.settings import Settings

WITHIN_S = 3.5
"""With the start of the program and its end: five."""

EXPLAIN_S = 0.7
"""Of it, for what becomes of the records: by then they have to be there."""

SAMPLE_RECORDS = 1_000
SAMPLE_BYTES = 64 * 1024 * 1024
"""Where records are large, fewer are sampled."""

ANY_SCHEMA_ID = 1
"""Whether there is a schema of this id or none: the registry has answered."""

TOPICS, LETTERS, GROUP, CLOCK, RECORDS = "topics", "dead-letter topic", "consumer group", "clock", "latest records"
"""Checks that something else may keep from being made."""

Sample = Mapping[TopicPartition, list[Record]]


async def check_all(settings: Settings, *, probes: bool, within_s: float = WITHIN_S) -> Sequence[Found]:
    """Check all that the worker needs, and return what is found, the worst first.

    `probes` allows to write to FullStory, which takes time of its own. Everything else ends within `within_s`, but
    threads of the loop's executor may go on waiting: for Kafka, or for a name server.
    """
    run = _Run(settings, time.monotonic() + within_s)
    registry = settings.schema_registry.model_copy(update={"cache_dir": None})  # what is asked is the registry itself
    with run.told():
        async with registry_of(registry) as client:
            schemas = schemas_of(registry, client)
            sample, has_schemas, _ = await asyncio.gather(
                _check_kafka(run), _check_registry(run, schemas), _check_fullstory(run, probes=probes)
            )
            if sample is not None and has_schemas:
                await _check_records(run, sample, schemas)
    return run.end()


@final
class _Run:
    """What is found, and what is still to be checked; also told by the thread that asks Kafka."""

    def __init__(self, settings: Settings, until: float) -> None:
        self.settings = settings
        self.until = until
        self._found: list[Found] = []
        self._left = [TOPICS, LETTERS, GROUP, CLOCK, RECORDS]

    def tell(self, findings: Iterable[Found], *done: str) -> None:
        """Take findings, and the names of the checks that they end."""
        self._found += findings
        self._left = [each for each in self._left if each not in done]

    @contextmanager
    def told(self) -> Iterator[None]:
        """Take settings that only turn out to be wrong when they are used for what they are."""
        try:
            yield
        except ConfigurationError as error:
            self.tell(Found(catalogue.CONFIGURATION_INVALID, problem) for problem in error.problems)

    def left_s(self) -> float:
        """Return how much time is left."""
        return max(self.until - time.monotonic(), 0.0)

    def end(self) -> Sequence[Found]:
        """Return what was found, the worst first, else in the order of the catalogue."""
        found, left = [*self._found], self._left
        if all(each.finding is not catalogue.CONFIGURATION_INVALID for each in found):
            found.append(Found(catalogue.CONFIGURATION_VALID, ""))
        if left:
            found.append(Found(catalogue.CHECKS_SKIPPED, f"not checked: {', '.join(left)}"))
        return in_order(found)


def in_order(found: Iterable[Found]) -> Sequence[Found]:
    """Return findings with the worst first, else in the order of the catalogue."""
    return sorted(found, key=lambda each: (-each.finding.level.exit_code, FINDINGS.index(each.finding)))


async def _check_kafka(run: _Run) -> Sample | None:
    """Check the cluster, the topics and the group; return the latest records, None where they cannot be read."""
    with run.told(), suppress(TimeoutError):
        async with asyncio.timeout(run.left_s()):
            return await asyncio.to_thread(_ask_kafka, run)
    return None


def _ask_kafka(run: _Run) -> Sample | None:
    settings = run.settings
    kafka = kafka_settings(settings)
    try:
        cluster = facts.ask(kafka, run.left_s() - EXPLAIN_S)
    except SourceError as error:
        run.tell([Found(catalogue.KAFKA_UNREACHABLE, str(error))])
        return None
    run.tell(of_cluster(settings.kafka, cluster), TOPICS, LETTERS)
    readable = [name for name in kafka.topics if (topic := cluster.topics.get(name)) and topic.may_read is not False]
    with Reader(kafka, run.left_s() - EXPLAIN_S) as reader:
        try:
            held = _held(reader, readable)
        except SourceError as error:
            run.tell([Found(catalogue.RECORDS_UNREAD, str(error))], RECORDS)
            return None
        try:
            run.tell(of_group(settings.kafka, cluster, reader.committed(held), held), GROUP)
        except SourceError as error:
            run.tell([Found(catalogue.GROUP_UNKNOWN, str(error))], GROUP)
        try:
            return reader.read_ranges(latest(held, SAMPLE_RECORDS), SAMPLE_RECORDS, SAMPLE_BYTES)
        except SourceError as error:
            run.tell([Found(catalogue.RECORDS_UNREAD, str(error))], RECORDS)
            return None


def _held(reader: Reader, topics: Collection[str]) -> dict[TopicPartition, OffsetRange]:
    return reader.available([each for topic in topics for each in reader.partitions(topic)])


async def _check_registry(run: _Run, schemas: Schemas) -> bool:
    """Check that schemas can be had; return whether they can."""
    url = run.settings.schema_registry.url
    within_s = run.left_s()
    try:
        async with asyncio.timeout(within_s):
            await schemas.fetch(ANY_SCHEMA_ID)
    except RegistryUnavailableError as error:
        run.tell([Found(catalogue.REGISTRY_UNREACHABLE, str(error))])
        return False
    except TimeoutError:
        seen = f"the schema registry at {url} did not answer within {within_s:.1f} s"
        run.tell([Found(catalogue.REGISTRY_UNREACHABLE, seen)])
        return False
    run.tell([Found(catalogue.REGISTRY_NONE, "") if url is None else Found(catalogue.REGISTRY_REACHED, url)])
    return True


async def _check_fullstory(run: _Run, *, probes: bool) -> None:
    own, clock = run.settings.fullstory, SystemClock()
    key, within_s = ApiKey(own.api_key.get_secret_value()), run.left_s()
    timeouts = Timeouts(connect_s=within_s, read_s=within_s, total_s=within_s)
    with run.told():
        async with FullStory(
            key, clock, base_url=own.base_url, allow_private=own.allow_private, timeouts=timeouts
        ) as destination:
            account = list(of_account(run.settings, await destination.me()))
            run.tell(account)
            is_well = all(each.finding.level is not Level.ERROR for each in account)
            if is_well or destination.clock_skew_s is not None:
                run.tell([of_clock(destination.clock_skew_s)], CLOCK)
            if probes and is_well:
                run.tell([found async for found in probe(destination, clock)])


async def _check_records(run: _Run, sample: Sample, schemas: Schemas) -> None:
    """Check what becomes of the sample, or of as much of it as there is time for."""
    settings, survey = run.settings, Survey()
    explainer = Explainer(EventMapping(settings.mapping.rules()), schemas, settings.schema_registry.waits_s)
    try:
        async with asyncio.timeout(run.left_s()):
            for partition, records in sample.items():
                for record in records:
                    survey.add(partition, await explainer.explain(Input(str(partition), record)))
                    await asyncio.sleep(0)
    except RegistryUnavailableError as error:
        run.tell([Found(catalogue.REGISTRY_UNREACHABLE, str(error))])
        return
    except TimeoutError:
        if not survey.records:
            return
    run.tell(survey.findings(is_anonymous_a_user=settings.mapping.anonymous == "uid"), RECORDS)
