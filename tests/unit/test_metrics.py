"""Metrics: closed labels, one moment a scrape, and numbers that add up."""

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from docs import generate
from processor.adapters.telemetry.catalogue import CATALOGUE
from processor.adapters.telemetry.exposition import exposition
from processor.adapters.telemetry.instruments import PREFIX, Definition, Distribution, Type
from processor.adapters.telemetry.metrics import UNCOUNTED, Metrics, new_registry
from processor.engine.halts import ActiveHalt, HaltFault
from processor.engine.notices import (
    WAITS_FOR,
    Answered,
    Begun,
    Built,
    Committed,
    Consumed,
    DeadLetterWrite,
    Gap,
    Halted,
    HeldInOrder,
    HeldUp,
    JobEnded,
    JobIsLate,
    JournalIgnored,
    JournalResumed,
    KeyKnown,
    MemoryIsShort,
    Notice,
    Rebalanced,
    Recreated,
    Redelivered,
    RegistryAsked,
    Released,
    Resumed,
    Retried,
    SchemaCacheTrouble,
    Settled,
    SourceTrouble,
    Throttled,
    WaitsFor,
)
from processor.engine.partition.state import Blocked, PartitionState
from processor.engine.verdict import RetryReason
from processor.engine.worker_state import WorkerState
from processor.model.reasons import (
    Bottleneck,
    DeadLetterReason,
    FilterReason,
    HaltReason,
    Kind,
    PropertyRule,
    ReleaseReason,
)
from processor.model.records import ClientFigures, TopicPartition
from tests.fakes.state import FACTS as SOME
from tests.fakes.state import halts

NOW_S = 1_700_000_000.0
TOPIC = "segment.track"
CONNECTED = ClientFigures(round_trip_s=0.004)
FACTS = replace(
    SOME, version="1.2.3", mapping_fingerprint="abc123", topics=(TOPIC, "segment.identify"), memory_budget_bytes=1_000
)


@dataclass
class World:
    """A worker's state as a test wants it, the registry under test, and a clock that stands still."""

    partitions: Sequence[PartitionState] = ()
    halts: dict[HaltReason, ActiveHalt] = field(default_factory=dict)
    bottleneck: Bottleneck = Bottleneck.NONE
    client: ClientFigures = CONNECTED
    throttled_s: float = 0.0
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.registry, self.state, self, FACTS)

    def state(self) -> WorkerState:
        """Return the state."""
        return WorkerState(
            has_joined=True,
            is_draining=False,
            partitions=self.partitions,
            halts=self.halts,
            bytes_held=77,
            bottleneck=self.bottleneck,
            concurrency_limit=4,
            request_rate=12.5,
            jobs_in_flight=3,
            operations_in_flight=250,
            polled_at=0.0,
            client=self.client,
            throttled_s=self.throttled_s,
        )

    def monotonic(self) -> float:
        """Return a reading that nothing here depends on."""
        return 0.0

    def wall(self) -> float:
        """Return the moment of the tests."""
        return NOW_S

    def scrape(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Return the samples of one scrape by name and label values, which stand in the order of the labels' names."""
        body, _ = exposition(self.registry, "")
        samples: dict[str, dict[tuple[str, ...], float]] = {}
        for family in parse_text(body.decode()):
            for sample in family.samples:
                series = samples.setdefault(sample.name.removeprefix(PREFIX), {})
                labels = tuple(sample.labels.values())
                assert labels not in series, "a series appears once"
                series[labels] = sample.value
        return samples


def partition(number: int, *, buffered: int = 0, in_flight: int = 0, **changes: int | None) -> PartitionState:
    """Return the state of a partition; `position` is 10 and `end` 30 unless told otherwise."""
    values = {"position": 10, "end": 30, "oldest_unsettled_ms": None, **changes}
    position, end, oldest = values["position"], values["end"], values["oldest_unsettled_ms"]
    assert position is not None
    return PartitionState(
        TopicPartition(TOPIC, number), buffered, in_flight, number % 2 == 1, position, end, oldest, None
    )


def settled(
    delivered: dict[Kind, int] | None = None,
    filtered: dict[FilterReason, int] | None = None,
    dead_lettered: dict[DeadLetterReason, int] | None = None,
    timestamps_ms: Sequence[int] = (),
) -> Settled:
    """Return the notice of a settled batch."""
    return Settled(Counter(delivered or {}), Counter(filtered or {}), Counter(dead_lettered or {}), timestamps_ms)


def test_every_series_that_can_be_known_begins_at_zero() -> None:
    """Every series with closed labels starts at zero, so that a rate sees its first increment."""
    world = World()
    world.metrics.note_memory(512)  # absent without a limit
    samples = world.scrape()

    for definition in CATALOGUE:
        suffix = "_count" if definition.type is Type.HISTOGRAM else ""
        expected = set(definition.label_sets())
        found = samples.get(definition.name + suffix, {})
        assert expected <= found.keys()
        if definition.type is not Type.GAUGE:
            assert set(found.values()) == {0.0}
    assert samples["records_consumed_total"] == {(topic,): 0.0 for topic in FACTS.topics}


def test_the_number_of_series_is_bounded() -> None:
    """The number of series of a process is bounded, apart from those of its partitions."""
    series = sum(len(each) for each in World().scrape().values())

    assert series < 900


EVERY_NOTICE: list[tuple[Notice, dict[tuple[str, ...], float]]] = [
    (Consumed(TOPIC, 5), {("records_consumed_total", TOPIC): 5}),
    (
        Built(3, 0, Counter({PropertyRule.RENAMED: 2})),
        {
            ("batch_records_count", "user"): 1,
            ("batch_records_sum", "user"): 3,
            ("batch_records_count", "event"): 0,
            ("property_changes_total", "renamed"): 2,
        },
    ),
    (Answered("users/batch", "2xx", 0.3), {("request_duration_seconds_sum", "users/batch", "2xx"): 0.3}),
    (Retried(RetryReason.TIMEOUT), {("retries_total", "timeout"): 1}),
    (Throttled(2.5), {}),
    (JobEnded(Kind.EVENT, 4.0), {("job_duration_seconds_sum", "event"): 4.0}),
    (
        settled({Kind.USER: 1, Kind.EVENT: 2}, {FilterReason.TOMBSTONE: 3}, {DeadLetterReason.REJECTED: 4}),
        {
            ("records_delivered_total", "user"): 1,
            ("records_delivered_total", "event"): 2,
            ("records_filtered_total", "tombstone"): 3,
            ("records_dead_lettered_total", "rejected"): 4,
        },
    ),
    (Redelivered(6), {("records_redelivered_total",): 6}),
    (JournalResumed(Counter({"job": 2})), {("journal_resumed_total", "job"): 2}),
    (JournalIgnored(TopicPartition(TOPIC, 0), "newer"), {("journal_ignored_total", "newer"): 1}),
    (JobIsLate(Kind.EVENT, "j1", "t[0]", 600.0), {}),
    (HeldUp(TopicPartition(TOPIC, 0), 7, 31.0, "a commit"), {}),
    (HeldInOrder((TopicPartition(TOPIC, 0),)), {}),
    (MemoryIsShort(9, 10), {}),
    (Gap(TopicPartition(TOPIC, 0), 7), {("records_lost_to_retention_total",): 7}),
    (Recreated(TopicPartition(TOPIC, 0), 7), {("partitions_recreated_total",): 1}),
    (Released(ReleaseReason.LOST, 8), {("records_released_total", "lost"): 8}),
    (DeadLetterWrite("too_large"), {("dead_letter_writes_total", "too_large"): 1}),
    (Committed("failed", 3), {("commits_total", "failed"): 1}),
    (Rebalanced("assigned", ()), {("rebalances_total", "assigned"): 1}),
    (Begun(()), {}),
    (RegistryAsked("absent"), {("registry_requests_total", "absent"): 1}),
    (KeyKnown("o-1", "ADMIN", is_batch=True), {}),
    (Halted(HaltReason.GAP, "x", "y"), {("halted", "gap"): 0}),
    (Resumed(HaltReason.GAP, 1.0, is_cured=True), {("halted", "gap"): 0}),
    (SchemaCacheTrouble("x"), {}),
    (SourceTrouble("x"), {}),
]


@pytest.mark.parametrize(
    ("notice", "expected"), EVERY_NOTICE, ids=[type(notice).__name__ for notice, _ in EVERY_NOTICE]
)
def test_a_notice_is_counted_and_changes_nothing_else(notice: Notice, expected: dict[tuple[str, ...], float]) -> None:
    """A notice changes the series it belongs to, and no other."""
    world = World()
    before = world.scrape()

    world.metrics(notice)

    after = world.scrape()
    assert {key: after[key[0]][key[1:]] for key in expected} == expected
    changed = {
        name
        for name, series in after.items()
        if series != before.get(name) and not name.endswith(("_bucket", "_count", "_sum"))
    }
    assert changed <= {name for name, *_ in expected}
    assert all(after[name].keys() == before[name].keys() for name in after)


def test_every_notice_is_counted_or_left_to_the_logs_on_purpose() -> None:
    """Every type of notice is counted or stands in the list of those left to the logs."""
    counted = set(World().metrics._on)

    assert counted | set(UNCOUNTED) == set(get_args(Notice)) == {type(notice) for notice, _ in EVERY_NOTICE}
    assert not counted & set(UNCOUNTED)


@pytest.mark.parametrize("seed", range(3))
def test_consumed_is_what_became_of_it_in_every_scrape(seed: int) -> None:
    """Conservation (law 12) holds within each scrape, whatever happened before."""
    chance = random.Random(seed)
    world, in_flight = World(), 0
    for _ in range(40):
        consumed = chance.randint(0, 50)
        world.metrics(Consumed(TOPIC, consumed))
        in_flight += consumed
        ended = chance.randint(0, in_flight)
        in_flight -= ended
        ends: list[Notice] = [
            settled({chance.choice(list(Kind)): ended}),
            settled(filtered={chance.choice(list(FilterReason)): ended}),
            settled(dead_lettered={chance.choice(list(DeadLetterReason)): ended}),
            Released(chance.choice(list(ReleaseReason)), ended),
        ]
        world.metrics(chance.choice(ends))
        buffered = chance.randint(0, in_flight)
        world.partitions = [partition(0, buffered=buffered), partition(1, in_flight=in_flight - buffered)]
        samples = {name: sum(series.values()) for name, series in world.scrape().items()}

        assert samples["records_consumed_total"] == (
            samples["records_delivered_total"]
            + samples["records_filtered_total"]
            + samples["records_dead_lettered_total"]
            + samples["records_released_total"]
            + samples["records_in_flight"]
        )


def test_the_state_is_read_when_scraped() -> None:
    """Gauges show the state at the moment of the scrape."""
    world = World()
    world.partitions = [partition(0, buffered=2, in_flight=3, oldest_unsettled_ms=1_500), partition(1, position=40)]
    world.halts = halts(HaltReason.FORBIDDEN, "level too low")

    samples = world.scrape()

    assert samples["records_in_flight"] == {(): 5}
    assert samples["partitions_assigned"] == {(): 2}
    assert samples["partitions_paused"] == {(): 1}
    assert samples["consumer_lag_records"] == {("0", TOPIC): 20, ("1", TOPIC): 0}
    assert samples["oldest_unsettled_timestamp_seconds"] == {("0", TOPIC): 1.5}
    assert {reason for reason, value in samples["halted"].items() if value} == {("forbidden",)}
    assert samples["bytes_held"] == {(): 77}
    assert samples["memory_budget_bytes"] == {(): 1_000}
    assert samples["concurrency_limit"] == {(): 4}
    assert samples["jobs_in_flight"] == {(): 3}
    assert samples["operations_in_flight"] == {(): 250}
    assert samples["build_info"] == {("false", "1.2.3"): 1}
    assert samples["config_info"] == {("abc123",): 1}


def test_the_limit_of_the_container_is_told_where_there_is_one() -> None:
    """As long as there is one: the process may be moved, or its limit taken away."""
    world = World()
    seen = []
    for limit in (None, 512, None):
        world.metrics.note_memory(limit)
        seen.append(world.scrape().get("memory_limit_bytes", {}))

    assert seen == [{}, {(): 512}, {}]


def test_series_of_a_partition_go_with_it() -> None:
    """When a partition is revoked its series are removed, so that no last lag remains."""
    world = World([partition(0, oldest_unsettled_ms=1), partition(1)])
    assert world.scrape()["consumer_lag_records"]

    world.partitions = [partition(1)]

    samples = world.scrape()
    assert samples["consumer_lag_records"].keys() == {("1", TOPIC)}
    assert "oldest_unsettled_timestamp_seconds" not in samples


def test_what_is_not_known_of_a_partition_is_absent() -> None:
    """A lag without a known end and a time without a timestamp are absent, not zero."""
    samples = World([partition(0, end=None, oldest_unsettled_ms=-1)]).scrape()

    assert "consumer_lag_records" not in samples
    assert "oldest_unsettled_timestamp_seconds" not in samples


def test_freshness_counts_every_delivered_record() -> None:
    """Each delivered record with a timestamp counts; a bound includes its own value, the future counts as 0."""
    world = World()
    now_ms = int(NOW_S * 1000)

    world.metrics(settled(timestamps_ms=[now_ms - 1_000, now_ms - 1_001, now_ms + 9_000, now_ms - 10**9, -1]))

    samples = world.scrape()
    buckets = {bound: value for (bound,), value in samples["freshness_seconds_bucket"].items()}
    assert (buckets["1.0"], buckets["2.0"], buckets["86400.0"], buckets["+Inf"]) == (2, 3, 3, 4)
    assert samples["freshness_seconds_count"] == {(): 4}
    assert samples["freshness_seconds_sum"][()] == pytest.approx(1.0 + 1.001 + 10**6)


def test_the_age_of_events_is_by_their_own_clocks() -> None:
    """An event's age is taken from its own timestamp, and one of the future has age 0."""
    world = World()

    world.metrics(replace(settled(), event_times_s=[NOW_S - 3.0, NOW_S - 90.0, NOW_S + 60.0]))

    buckets = {bound: value for (bound,), value in world.scrape()["event_age_seconds_bucket"].items()}
    assert (buckets["1.0"], buckets["5.0"], buckets["120.0"]) == (1, 2, 3)


@pytest.mark.parametrize("seed", range(3))
def test_a_distribution_agrees_with_counting_one_by_one(seed: int) -> None:
    """Counting a batch at once gives the same buckets as observing each value."""
    chance = random.Random(seed)
    definition = Definition("x", Type.HISTOGRAM, "", "x", buckets=(1, 2.5, 10))
    together, single = Distribution(definition), Distribution(definition)
    for _ in range(50):
        values = [chance.choice([0, 1, 2.5, 10, 11, chance.uniform(0, 12)]) for _ in range(chance.randint(0, 20))]
        together.observe(values)
        for value in values:
            single.observe([value])

    samples = zip(together.family().samples, single.family().samples, strict=True)
    assert all(one.labels == other.labels and one.value == pytest.approx(other.value) for one, other in samples)


@pytest.mark.parametrize("definition", CATALOGUE, ids=lambda definition: definition.name)
def test_names_follow_prometheus(definition: Definition) -> None:
    """Counters end in `_total` and no other metric does; bounds ascend; each help text is a sentence."""
    assert definition.name.endswith("_total") == (definition.type is Type.COUNTER)
    assert bool(definition.buckets) == (definition.type is Type.HISTOGRAM)
    assert list(definition.buckets) == sorted(set(definition.buckets))
    assert definition.meaning.endswith(".")


def test_names_are_unique() -> None:
    """No two definitions share a name."""
    assert len({definition.name for definition in CATALOGUE}) == len(CATALOGUE)


def test_both_formats_of_a_scrape_can_be_read() -> None:
    """Prometheus' own parsers read a scrape in both formats."""
    world = World([partition(0, oldest_unsettled_ms=1)])
    for notice, _ in EVERY_NOTICE:
        world.metrics(notice)

    body, content_type = exposition(world.registry, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    text, text_type = exposition(world.registry, "")

    assert content_type.startswith("application/openmetrics-text")
    assert text_type.startswith("text/plain")
    families = parse_openmetrics(body.decode())  # type: ignore[no-untyped-call]
    names = {family.name for family in families}
    assert {definition.full_name.removesuffix("_total") for definition in CATALOGUE} == names
    assert "_created" not in body.decode() + text.decode()


def test_a_new_registry_knows_the_process() -> None:
    """A new registry has memory and CPU time, and shares nothing with another one."""
    registry = new_registry()
    World(registry=registry)
    World(registry=new_registry())

    body, _ = exposition(registry, "")

    assert b"process_resident_memory_bytes" in body


def test_the_documentation_is_what_the_definitions_say() -> None:
    """docs/metrics.md is current; `python -m docs.generate` writes it."""
    assert (generate.DOCS / "metrics.md").read_text(encoding="utf-8") == generate.metrics()


def test_a_round_trip_that_is_not_known_is_no_number() -> None:
    """An unknown round trip is absent, because zero would be the best of all."""
    (unknown,) = World(client=ClientFigures()).scrape()["kafka_broker_round_trip_seconds"].values()
    (known,) = World().scrape()["kafka_broker_round_trip_seconds"].values()

    assert math.isnan(unknown)
    assert known == 0.004


def test_each_broker_that_is_needed_has_its_silence() -> None:
    """A broker that is away is seen beside others that answer, and so are the partitions that it leads."""
    away = [replace(partition(each), unreached=what) for each, what in enumerate([None, *WaitsFor])]
    samples = World(away, client=ClientFigures(heard_from={1: NOW_S - 1.5, 20: NOW_S - 90.0})).scrape()

    assert samples["kafka_broker_silence_seconds"] == {("1",): 1.5, ("20",): 90.0}
    assert samples["partitions_unreached"] == {("leader",): 1, ("broker",): 1}


def test_an_open_transaction_is_told_apart_from_the_lag() -> None:
    """The part of the lag that cannot be read is absent where all can be, or has been."""
    open_at = [
        replace(partition(0), readable=25),
        replace(partition(1), readable=5),
        replace(partition(2), readable=30),
    ]
    samples = World(open_at).scrape()

    assert samples["consumer_lag_records"] == {(str(each), TOPIC): 20 for each in range(3)}
    assert samples["consumer_lag_unreadable_records"] == {("0", TOPIC): 5, ("1", TOPIC): 20}


def test_what_holds_a_partition_up_is_a_label_of_a_closed_list() -> None:
    """An alert can say what a partition waits for, and no id of a job makes a series."""
    blocked = replace(partition(0), blocked=Blocked(7, 90.0, WaitsFor.JOB, "j-1"))

    assert World([blocked]).scrape()["head_of_line_offset"] == {("0", TOPIC, "job"): 7}
    assert str(blocked.blocked) == "FullStory's job j-1"
    assert WAITS_FOR.keys() == {*WaitsFor}


def test_a_halt_is_told_of_the_partitions_that_it_stops() -> None:
    """One of a partition stops no other, one of a topic its partitions, and one of everything all of them."""
    owned = [partition(0), replace(partition(1), lacks_schema=True), partition(2)]

    def halted(reason: HaltReason, concerns: str) -> set[str]:
        halt = ActiveHalt(0.0, {"somewhere": HaltFault("cause", 0.0, "action", concerns)})
        found = World(owned, halts={reason: halt}).scrape().get("partition_halted", {})
        assert {labels[1] for labels in found} <= {reason.value}
        return {labels[0] for labels in found}

    assert halted(HaltReason.GAP, f"{TOPIC}[2]") == {"2"}
    assert halted(HaltReason.SOURCE_TOPIC, TOPIC) == {"0", "1", "2"}
    assert halted(HaltReason.SOURCE_TOPIC, "another") == set()
    assert halted(HaltReason.UNAUTHORIZED, "") == {"0", "1", "2"}
    assert halted(HaltReason.SCHEMA_REGISTRY, "") == {"1"}


def test_a_wait_that_fullstory_asks_for_is_counted_as_it_passes() -> None:
    """What has passed by a scrape is counted, whatever is announced."""
    world = World()
    world.metrics(Throttled(3_600.0))
    found: list[float] = []
    for passed_s in (0.0, 15.0, 15.0, 45.0):
        world.throttled_s = passed_s
        found += world.scrape()["throttled_seconds_total"].values()

    assert found == [0.0, 15.0, 15.0, 45.0]
