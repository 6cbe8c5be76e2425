"""Every metric: its name, its meaning, its labels with all their values. docs/metrics.md is made of this."""

from enum import StrEnum
from typing import get_args

from processor.adapters.telemetry.instruments import Definition, Label, Type
from processor.engine.notices import WaitsFor
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
_BATCHED = Label("kind", (Kind.USER.value, Kind.EVENT.value))
"""Deletions travel one by one."""
_PARTITION = (Label("topic"), Label("partition"))
_BATCH_ENDPOINTS = ("", "/batch", "/batch/job", "/batch/errors")
_ENDPOINTS = (*(f"{kind}s{suffix}" for kind in (Kind.USER, Kind.EVENT) for suffix in _BATCH_ENDPOINTS), "deletions")
_OUTCOMES = ("2xx", "3xx", "4xx", "5xx", RetryReason.TIMEOUT.value, RetryReason.CONNECTION.value)

# What became of records

RECORDS_CONSUMED = Definition(
    "records_consumed_total",
    Type.COUNTER,
    "records",
    "Records consumed from Kafka. A record that is read again after a rebalance counts again.",
    (Label("topic"),),
)
RECORDS_DELIVERED = Definition(
    "records_delivered_total",
    Type.COUNTER,
    "records",
    "Records that FullStory has accepted and processed.",
    (_KIND,),
)
RECORDS_FILTERED = Definition(
    "records_filtered_total",
    Type.COUNTER,
    "records",
    "Records that a rule of the settings keeps from FullStory.",
    (Label("reason", _values(FilterReason)),),
)
RECORDS_DEAD_LETTERED = Definition(
    "records_dead_lettered_total",
    Type.COUNTER,
    "records",
    "Records that FullStory can never accept and whose dead letters are acknowledged.",
    (Label("reason", _values(DeadLetterReason)),),
)
RECORDS_RELEASED = Definition(
    "records_released_total",
    Type.COUNTER,
    "records",
    "Records given up unsettled when their partition was revoked or lost, or at shutdown. The next owner reads them "
    "again.",
    (Label("reason", _values(ReleaseReason)),),
)
RECORDS_IN_FLIGHT = Definition(
    "records_in_flight", Type.GAUGE, "records", "Records consumed and not yet settled: buffered or being delivered."
)
RECORDS_REDELIVERED = Definition(
    "records_redelivered_total",
    Type.COUNTER,
    "records",
    "Records sent again under a new key: FullStory may hold them twice.",
)
RECORDS_LOST_TO_RETENTION = Definition(
    "records_lost_to_retention_total",
    Type.COUNTER,
    "records",
    "Offsets that were skipped because the topic had deleted their records before they were read.",
)
PARTITIONS_RECREATED = Definition(
    "partitions_recreated_total",
    Type.COUNTER,
    "partitions",
    "Partitions whose topic was deleted and created again, so that the group's offset belongs to the old topic.",
)
PROPERTY_CHANGES = Definition(
    "property_changes_total",
    Type.COUNTER,
    "changes",
    "Properties, names and ids that mapping changed or omitted.",
    (Label("rule", _values(PropertyRule)),),
)

# How fast

FRESHNESS = Definition(
    "freshness_seconds",
    Type.HISTOGRAM,
    "seconds",
    "Time from a record's timestamp in Kafka to its delivery, for every delivered record. The bounds reach from the "
    "linger to a day, so you can see a worker catch up after an outage.",
    buckets=(1, 2, 5, 10, 30, 60, 120, 300, 900, 3_600, 21_600, 86_400),
)
EVENT_AGE = Definition(
    "event_age_seconds",
    Type.HISTOGRAM,
    "seconds",
    "Time from an event's own timestamp to its delivery. It includes errors of device clocks, and hours that a phone "
    "was offline, so do not alert on it.",
    buckets=(1, 5, 30, 120, 600, 3_600, 21_600, 86_400, 604_800, 2_592_000),
)
OLDEST_UNSETTLED = Definition(
    "oldest_unsettled_timestamp_seconds",
    Type.GAUGE,
    "seconds",
    "Kafka's timestamp of the oldest consumed record that is not settled; absent if all are. If Kafka has records and "
    "does not return them: since when.",
    _PARTITION,
)
CONSUMER_LAG = Definition(
    "consumer_lag_records",
    Type.GAUGE,
    "records",
    "Offsets from the lowest unsettled one to the end of the partition, including those after an open transaction; "
    "absent until the end is known.",
    _PARTITION,
)

LAG_UNREADABLE = Definition(
    "consumer_lag_unreadable_records",
    Type.GAUGE,
    "records",
    "The part of the lag that cannot be read yet: offsets from the first open transaction of the partition on; absent "
    "without one.",
    _PARTITION,
)

# FullStory

BATCH_RECORDS = Definition(
    "batch_records",
    Type.HISTOGRAM,
    "items",
    "Items in a part of a batch; empty parts are not counted. The bounds reach up to what FullStory accepts in a "
    "request.",
    (_BATCHED,),
    (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000),
)
REQUEST_DURATION = Definition(
    "request_duration_seconds",
    Type.HISTOGRAM,
    "seconds",
    "Time from a request to its answer, by class of status, or to its end without an answer. The bounds reach from a "
    "healthy answer to the deadline.",
    (Label("endpoint", _ENDPOINTS), Label("outcome", _OUTCOMES)),
    (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
JOB_DURATION = Definition(
    "job_duration_seconds",
    Type.HISTOGRAM,
    "seconds",
    "Time from the acceptance of a job to its end. The bounds reach to an hour, because FullStory promises no time.",
    (_BATCHED,),
    (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600),
)
RETRIES = Definition(
    "retries_total",
    Type.COUNTER,
    "requests",
    "Requests that were sent again.",
    (Label("reason", _values(RetryReason)),),
)
THROTTLED = Definition(
    "throttled_seconds_total",
    Type.COUNTER,
    "seconds",
    "Time in which nothing was sent because FullStory asked to wait (`Retry-After`), counted as it passes.",
)
CONCURRENCY_LIMIT = Definition(
    "concurrency_limit",
    Type.GAUGE,
    "requests",
    "How many requests may await an answer at once. It adapts to FullStory.",
)
REQUEST_RATE_LIMIT = Definition(
    "request_rate_limit",
    Type.GAUGE,
    "requests per second",
    "How many requests per second may be sent, learned from FullStory's refusals; +Inf before the first refusal.",
)
BOTTLENECK = Definition(
    "bottleneck",
    Type.GAUGE,
    "",
    "1 for what held throughput back over the last 15 s, otherwise 0. More workers help only if it is `cpu` "
    "or `memory`.",
    (Label("kind", _values(Bottleneck)),),
)
HEAD_OF_LINE = Definition(
    "head_of_line_offset",
    Type.GAUGE,
    "",
    "First offset of a batch that has not settled for more than 30 s while later ones of its partition have, or of "
    "records that Kafka has not returned for as long (`transaction`, `leader`, `broker`, `records`); otherwise absent. "
    "The log says which job it waits for.",
    (*_PARTITION, Label("waits_for", _values(WaitsFor))),
)
JOBS_IN_FLIGHT = Definition("jobs_in_flight", Type.GAUGE, "jobs", "Requests and jobs in progress.")
OPERATIONS_IN_FLIGHT = Definition(
    "operations_in_flight", Type.GAUGE, "items", "Items in requests and jobs in progress."
)

# The worker

HALTED = Definition(
    "halted",
    Type.GAUGE,
    "",
    "1 while this reason halts delivery, otherwise 0. The data is kept.",
    (Label("reason", _values(HaltReason)),),
)
PARTITION_HALTED = Definition(
    "partition_halted",
    Type.GAUGE,
    "",
    "1 for each reason that halts this partition, alone or with others; otherwise absent.",
    (*_PARTITION, Label("reason", _values(HaltReason))),
)
LOG_LINES_LOST = Definition(
    "log_lines_lost_total",
    Type.COUNTER,
    "lines",
    "Log lines that could not be written because nobody reads standard error or its disk is full.",
)
BYTES_HELD = Definition("bytes_held", Type.GAUGE, "bytes", "How much of the memory budget the records in flight use.")
MEMORY_BUDGET = Definition("memory_budget_bytes", Type.GAUGE, "bytes", "`PROCESSOR_MEMORY__BUDGET_BYTES`.")
MEMORY_LIMIT = Definition(
    "memory_limit_bytes",
    Type.GAUGE,
    "bytes",
    "The memory limit of the container, as its control groups tell; absent without one. Compare it with "
    "`process_resident_memory_bytes`: beyond it the kernel kills the process.",
)
BUILD_INFO = Definition(
    "build_info", Type.GAUGE, "", "Always 1.", (Label("version"), Label("compiled", ("false", "true")))
)
CONFIG_INFO = Definition(
    "config_info",
    Type.GAUGE,
    "",
    "Always 1. The fingerprint changes with each setting that changes what is sent.",
    (Label("mapping_fingerprint"),),
)

# Kafka and the schema registry

PARTITIONS_ASSIGNED = Definition("partitions_assigned", Type.GAUGE, "partitions", "Partitions that this process owns.")
PARTITIONS_PAUSED = Definition(
    "partitions_paused",
    Type.GAUGE,
    "partitions",
    "Owned partitions that are not fetched because enough of their records are held.",
)
FETCH_QUEUE_BYTES = Definition(
    "kafka_fetch_queue_bytes",
    Type.GAUGE,
    "bytes",
    "What Kafka's client has fetched and the worker has not consumed yet.",
)
BROKER_ROUND_TRIP = Definition(
    "kafka_broker_round_trip_seconds",
    Type.GAUGE,
    "seconds",
    "The shortest round trip of the last 10 s to the slowest broker. The broker holds a fetch that finds nothing for "
    "0.5 s, so a value of about 0.5 does not mean that it is slow.",
)
BROKER_SILENCE = Definition(
    "kafka_silence_seconds",
    Type.GAUGE,
    "seconds",
    "For how long no broker has sent anything, to within 10 s. Brokers answer even if there are no records, so it "
    "grows only while none can be reached; 0 until the first partitions are assigned.",
)
ONE_BROKER_SILENCE = Definition(
    "kafka_broker_silence_seconds",
    Type.GAUGE,
    "seconds",
    "For how long each broker has sent nothing that leads partitions of this process, or coordinates its group, to "
    "within 15 s. Each of them is asked every 5 s, so it grows only while the broker does not answer.",
    (Label("broker"),),
)
PARTITIONS_UNREACHED = Definition(
    "partitions_unreached",
    Type.GAUGE,
    "partitions",
    "Owned partitions that have no leader (`leader`), or whose leader does not answer this process (`broker`).",
    (Label("waits_for", (WaitsFor.LEADER.value, WaitsFor.BROKER.value)),),
)
REBALANCES = Definition(
    "rebalances_total",
    Type.COUNTER,
    "rebalances",
    "How often partitions were assigned, revoked or lost.",
    (Label("kind", ("assigned", "revoked", "lost")),),
)
COMMITS = Definition(
    "commits_total",
    Type.COUNTER,
    "commits",
    "Commits of offsets. A commit that failed is retried.",
    (Label("outcome", ("ok", "failed")),),
)
JOURNAL_RESUMED = Definition(
    "journal_resumed_total",
    Type.COUNTER,
    "entries",
    "What the journals of assigned partitions contained: ranges that were already settled, jobs that are followed, "
    "requests that are sent under the keys they had.",
    (Label("part", get_args(ResumedPart)),),
)
JOURNAL_IGNORED = Definition(
    "journal_ignored_total",
    Type.COUNTER,
    "journals",
    "Journals of assigned partitions that could not be used, so that what was in flight is sent under new keys: "
    "damaged journals, those of another cluster, partition or destination, and those of a later release.",
    (Label("reason", get_args(JournalFault)),),
)
DEAD_LETTER_WRITES = Definition(
    "dead_letter_writes_total",
    Type.COUNTER,
    "writes",
    "Attempts to write a dead letter, including repeats.",
    (Label("outcome", ("ok", *get_args(WriteFault))),),
)
REGISTRY_REQUESTS = Definition(
    "registry_requests_total",
    Type.COUNTER,
    "requests",
    "Requests to the schema registry.",
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
    LAG_UNREADABLE,
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
    PARTITION_HALTED,
    LOG_LINES_LOST,
    BYTES_HELD,
    MEMORY_BUDGET,
    MEMORY_LIMIT,
    PARTITIONS_ASSIGNED,
    PARTITIONS_PAUSED,
    FETCH_QUEUE_BYTES,
    BROKER_ROUND_TRIP,
    BROKER_SILENCE,
    ONE_BROKER_SILENCE,
    PARTITIONS_UNREACHED,
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
