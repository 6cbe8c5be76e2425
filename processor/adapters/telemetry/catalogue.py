"""Every metric: its name, its meaning, its labels with all their values. docs/metrics.md is made of this."""

from enum import StrEnum
from typing import get_args

from processor.adapters.telemetry.instruments import Definition, Label, Type
from processor.engine.partition.journal_format import JournalFault, ResumedPart
from processor.engine.verdict import RetryReason
from processor.model.errors import WriteFault
from processor.model.reasons import (
    Bottleneck,
    DeadLetterReason,
    FilterReason,
    HaltReason,
    Kind,
    PropertyRule,
    ReleaseReason,
)


def _values(closed: type[StrEnum]) -> tuple[str, ...]:
    return tuple(each.value for each in closed)


_KIND = Label("kind", _values(Kind))
_PARTITION = (Label("topic"), Label("partition"))
_ENDPOINTS = tuple(f"{kind}s{suffix}" for kind in Kind for suffix in ("", "/batch", "/batch/job", "/batch/errors"))
_OUTCOMES = ("2xx", "3xx", "4xx", "5xx", RetryReason.TIMEOUT.value, RetryReason.CONNECTION.value)

# What became of records

RECORDS_CONSUMED = Definition(
    "records_consumed_total",
    Type.COUNTER,
    "records",
    "Records taken from Kafka. A record that comes again after a rebalance counts again.",
    (Label("topic"),),
)
RECORDS_DELIVERED = Definition(
    "records_delivered_total",
    Type.COUNTER,
    "records",
    "Records that FullStory took, their jobs completed.",
    (_KIND,),
)
RECORDS_FILTERED = Definition(
    "records_filtered_total",
    Type.COUNTER,
    "records",
    "Records that a rule keeps from FullStory.",
    (Label("reason", _values(FilterReason)),),
)
RECORDS_DEAD_LETTERED = Definition(
    "records_dead_lettered_total",
    Type.COUNTER,
    "records",
    "Records that FullStory can never take; the dead-letter topic has acknowledged them.",
    (Label("reason", _values(DeadLetterReason)),),
)
RECORDS_RELEASED = Definition(
    "records_released_total",
    Type.COUNTER,
    "records",
    "Records given up unsettled when their partition went; the next owner reads them again.",
    (Label("reason", _values(ReleaseReason)),),
)
RECORDS_IN_FLIGHT = Definition(
    "records_in_flight", Type.GAUGE, "records", "Records consumed and not yet settled: buffered, or on their way."
)
RECORDS_REDELIVERED = Definition(
    "records_redelivered_total",
    Type.COUNTER,
    "records",
    "Records sent once more under a new key: FullStory may hold them twice.",
)
RECORDS_LOST_TO_RETENTION = Definition(
    "records_lost_to_retention_total",
    Type.COUNTER,
    "records",
    "Offsets that were passed over because the topic had deleted their records before they were read.",
)
PARTITIONS_RECREATED = Definition(
    "partitions_recreated_total",
    Type.COUNTER,
    "partitions",
    "Partitions that were met with a position of a topic that was deleted and created anew since.",
)
PROPERTY_CHANGES = Definition(
    "property_changes_total",
    Type.COUNTER,
    "changes",
    "Properties, names and ids that mapping changed or left out.",
    (Label("rule", _values(PropertyRule)),),
)

# How fast

FRESHNESS = Definition(
    "freshness_seconds",
    Type.HISTOGRAM,
    "seconds",
    "From a record's timestamp in Kafka to its delivery, of every delivered record. Bounds from the linger "
    "to a day: a worker that catches up after an outage is seen to do so.",
    buckets=(1, 2, 5, 10, 30, 60, 120, 300, 900, 3_600, 21_600, 86_400),
)
EVENT_AGE = Definition(
    "event_age_seconds",
    Type.HISTOGRAM,
    "seconds",
    "From an event's own timestamp to its delivery: it holds clocks of devices, and hours that a phone was offline. "
    "Never alert on it.",
    buckets=(1, 5, 30, 120, 600, 3_600, 21_600, 86_400, 604_800, 2_592_000),
)
OLDEST_UNSETTLED = Definition(
    "oldest_unsettled_timestamp_seconds",
    Type.GAUGE,
    "seconds",
    "Kafka's timestamp of the oldest record that is not settled; absent while all that was consumed is. Where Kafka "
    "holds records and gives none, since when.",
    _PARTITION,
)
CONSUMER_LAG = Definition(
    "consumer_lag_records",
    Type.GAUGE,
    "records",
    "From the lowest unsettled offset to the end of the partition, what is behind an open transaction included; "
    "absent until the end is known.",
    _PARTITION,
)

# FullStory

BATCH_RECORDS = Definition(
    "batch_records",
    Type.HISTOGRAM,
    "items",
    "Items in a part of a batch; parts without any are not counted. Bounds up to what FullStory takes a request.",
    (_KIND,),
    (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000),
)
REQUEST_DURATION = Definition(
    "request_duration_seconds",
    Type.HISTOGRAM,
    "seconds",
    "From a request to its answer, by class of status, or to its end without one. Bounds around a healthy answer "
    "and up to the deadline.",
    (Label("endpoint", _ENDPOINTS), Label("outcome", _OUTCOMES)),
    (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
JOB_DURATION = Definition(
    "job_duration_seconds",
    Type.HISTOGRAM,
    "seconds",
    "From the acceptance of a job to its end. Bounds from a second to an hour: FullStory promises no time.",
    (_KIND,),
    (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600),
)
RETRIES = Definition(
    "retries_total",
    Type.COUNTER,
    "requests",
    "Requests that are sent again.",
    (Label("reason", _values(RetryReason)),),
)
THROTTLED = Definition(
    "throttled_seconds_total", Type.COUNTER, "seconds", "Time that FullStory asked to wait (`Retry-After`)."
)
CONCURRENCY_LIMIT = Definition(
    "concurrency_limit", Type.GAUGE, "requests", "Requests that may await an answer at once; adapts to FullStory."
)
REQUEST_RATE_LIMIT = Definition(
    "request_rate_limit",
    Type.GAUGE,
    "requests per second",
    "How fast requests may follow each other, learned from FullStory's refusals; +Inf before the first.",
)
BOTTLENECK = Definition(
    "bottleneck",
    Type.GAUGE,
    "",
    "1 for what held throughput back over the last 15 s, else 0. More workers help against `cpu` alone.",
    (Label("kind", _values(Bottleneck)),),
)
HEAD_OF_LINE = Definition(
    "head_of_line_offset",
    Type.GAUGE,
    "",
    "First offset of a batch that has been on its way for more than 30 s while later ones of its partition settled, "
    "or of records that Kafka holds and has not given for so long; absent without one. The log says what it waits for.",
    _PARTITION,
)
JOBS_IN_FLIGHT = Definition("jobs_in_flight", Type.GAUGE, "jobs", "Requests and jobs that are not finished.")
OPERATIONS_IN_FLIGHT = Definition(
    "operations_in_flight", Type.GAUGE, "items", "Items in requests and jobs that are not finished."
)

# The worker

HALTED = Definition(
    "halted",
    Type.GAUGE,
    "",
    "1 while delivery stands still for this reason, else 0. The data is kept.",
    (Label("reason", _values(HaltReason)),),
)
LOG_LINES_LOST = Definition(
    "log_lines_lost_total",
    Type.COUNTER,
    "lines",
    "Lines of the log that could not be written: nobody reads standard error, or its disk is full.",
)
BYTES_HELD = Definition("bytes_held", Type.GAUGE, "bytes", "What records in flight hold of the memory budget.")
MEMORY_BUDGET = Definition("memory_budget_bytes", Type.GAUGE, "bytes", "`PROCESSOR_MEMORY__BUDGET_BYTES`.")
BUILD_INFO = Definition("build_info", Type.GAUGE, "", "Always 1.", (Label("version"),))
CONFIG_INFO = Definition(
    "config_info",
    Type.GAUGE,
    "",
    "Always 1. The fingerprint changes with whatever changes what is sent.",
    (Label("mapping_fingerprint"),),
)

# Kafka and the schema registry

PARTITIONS_ASSIGNED = Definition("partitions_assigned", Type.GAUGE, "partitions", "Partitions that this process owns.")
PARTITIONS_PAUSED = Definition(
    "partitions_paused", Type.GAUGE, "partitions", "Owned partitions that are not fetched: they hold enough."
)
FETCH_QUEUE_BYTES = Definition(
    "kafka_fetch_queue_bytes", Type.GAUGE, "bytes", "What Kafka's client has fetched and nobody has consumed yet."
)
BROKER_ROUND_TRIP = Definition(
    "kafka_broker_round_trip_seconds",
    Type.GAUGE,
    "seconds",
    "The shortest round trip of the last 10 s to the slowest broker. A fetch that finds nothing waits there for 0.5 s, "
    "so that much says nothing.",
)
BROKER_SILENCE = Definition(
    "kafka_silence_seconds",
    Type.GAUGE,
    "seconds",
    "For how long no broker has sent anything, give or take 10 s. They answer although there are no records, so it "
    "grows only while none can be reached; 0 until partitions were assigned once.",
)
REBALANCES = Definition(
    "rebalances_total",
    Type.COUNTER,
    "rebalances",
    "Times that partitions came or went.",
    (Label("kind", ("assigned", "revoked", "lost")),),
)
COMMITS = Definition(
    "commits_total",
    Type.COUNTER,
    "commits",
    "Commits of offsets; one that failed is made again.",
    (Label("outcome", ("ok", "failed")),),
)
JOURNAL_RESUMED = Definition(
    "journal_resumed_total",
    Type.COUNTER,
    "entries",
    "What the journals of assigned partitions told of: ranges settled already, jobs that are followed, requests that "
    "are sent under the keys they had.",
    (Label("part", get_args(ResumedPart)),),
)
JOURNAL_IGNORED = Definition(
    "journal_ignored_total",
    Type.COUNTER,
    "journals",
    "Journals of assigned partitions that could not be used, so that what was in flight is sent under new keys: "
    "damaged ones, those of another partition or destination, and those of a release that came later.",
    (Label("reason", get_args(JournalFault)),),
)
DEAD_LETTER_WRITES = Definition(
    "dead_letter_writes_total",
    Type.COUNTER,
    "writes",
    "Attempts to write a dead letter, repeats included.",
    (Label("outcome", ("ok", *get_args(WriteFault))),),
)
REGISTRY_REQUESTS = Definition(
    "registry_requests_total",
    Type.COUNTER,
    "requests",
    "Questions to the schema registry.",
    (Label("outcome", ("found", "absent", "unavailable")),),
)

CATALOGUE = (
    RECORDS_CONSUMED,
    RECORDS_DELIVERED,
    RECORDS_FILTERED,
    RECORDS_DEAD_LETTERED,
    RECORDS_RELEASED,
    RECORDS_IN_FLIGHT,
    RECORDS_REDELIVERED,
    RECORDS_LOST_TO_RETENTION,
    PARTITIONS_RECREATED,
    PROPERTY_CHANGES,
    FRESHNESS,
    EVENT_AGE,
    OLDEST_UNSETTLED,
    CONSUMER_LAG,
    BATCH_RECORDS,
    REQUEST_DURATION,
    JOB_DURATION,
    RETRIES,
    THROTTLED,
    CONCURRENCY_LIMIT,
    REQUEST_RATE_LIMIT,
    JOBS_IN_FLIGHT,
    OPERATIONS_IN_FLIGHT,
    BOTTLENECK,
    HEAD_OF_LINE,
    HALTED,
    LOG_LINES_LOST,
    BYTES_HELD,
    MEMORY_BUDGET,
    PARTITIONS_ASSIGNED,
    PARTITIONS_PAUSED,
    FETCH_QUEUE_BYTES,
    BROKER_ROUND_TRIP,
    BROKER_SILENCE,
    REBALANCES,
    COMMITS,
    JOURNAL_RESUMED,
    JOURNAL_IGNORED,
    DEAD_LETTER_WRITES,
    REGISTRY_REQUESTS,
    BUILD_INFO,
    CONFIG_INFO,
)
"""All of them, in the order in which they are shown."""
