"""Writes the dashboards: `make dashboards`. Grafana's own builders make the JSON, so what stands here is what is shown.

Every query asks for the workers chosen at the top (`$namespace`, `$job`, `$instance`); `$__rate_interval` fits the time
shown. A histogram is asked for by its buckets, or, where Prometheus has converted it to a native one, as a whole.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueColorMode, GraphDrawStyle, StackingMode
from grafana_foundation_sdk.models.common import LegendDisplayMode as Legend
from grafana_foundation_sdk.models.common import LegendPlacement as Placement
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = DataSourceRef("prometheus", "${datasource}")
HEIGHT = 8
STAT_HEIGHT = 4


class Query(NamedTuple):
    """A query and the name of its lines; `%` stands for the labels that choose the workers."""

    text: str
    legend: str = ""

    @property
    def expression(self) -> str:
        """The query in full."""
        return self.text.replace("%", 'namespace=~"$namespace",job=~"$job",instance=~"$instance"')


class Panel(NamedTuple):
    """One panel: what it shows, in which unit, how wide."""

    title: str
    meaning: str
    unit: str
    queries: Sequence[Query]
    width: int = 12
    stacked: bool = False
    single: bool = False
    """Whether it is one number instead of lines."""
    bad_from: float | None = None
    """From which value on the number is red."""


def rate(metric: str, by: str, more: str = "") -> str:
    """Return the query for how fast a counter grows."""
    return f"sum by ({by}) (rate(segment_fullstory_{metric}{{%{more}}}[$__rate_interval]))"


def quantile(part: float, metric: str, by: str = "") -> str:
    """Return the query for a quantile of a histogram."""
    labels = f"le, {by}" if by else "le"
    classic = f"sum by ({labels}) (rate(segment_fullstory_{metric}_bucket{{%}}[$__rate_interval]))"
    native = f"sum by ({by}) (rate(segment_fullstory_{metric}{{%}}[$__rate_interval]))"
    return f"histogram_quantile({part}, {classic}) or histogram_quantile({part}, {native})"


def number(title: str, meaning: str, unit: str, query: str, bad_from: float | None = None, legend: str = "") -> Panel:
    """Return a panel of one number."""
    return Panel(title, meaning, unit, [Query(query, legend)], 4, single=True, bad_from=bad_from)


OVERVIEW = [
    number(
        "Workers",
        "Processes that answer Prometheus.",
        "none",
        "count(segment_fullstory_build_info{%})",
        legend="workers",
    ),
    number(
        "Halted",
        "Reasons for which delivery stands still; /readyz of the workers has the details.",
        "none",
        "sum(max by (reason) (segment_fullstory_halted{%}))",
        1,
    ),
    number(
        "Late records",
        "The part of the records delivered later than a minute after they were produced, in the last hour.",
        "percentunit",
        '1 - (sum(rate(segment_fullstory_freshness_seconds_bucket{%,le=~"60|60[.]0"}[1h]))'
        " / sum(rate(segment_fullstory_freshness_seconds_count{%}[1h]))"
        " or histogram_fraction(-Inf, 60, sum(rate(segment_fullstory_freshness_seconds{%}[1h]))))",
        0.01,
    ),
    number(
        "Lag",
        "Records in Kafka that are not settled.",
        "short",
        "sum(segment_fullstory_consumer_lag_records{%})",
    ),
    number(
        "Dead letters",
        "Records of the last hour that can never be delivered.",
        "short",
        "sum(increase(segment_fullstory_records_dead_lettered_total{%}[1h]))",
    ),
    number(
        "Unaccounted",
        "Consumed, and neither delivered, filtered, dead-lettered, given back nor in flight: always 0.",
        "none",
        "sum(segment_fullstory_records_consumed_total{%}) - sum(segment_fullstory_records_delivered_total{%})"
        " - sum(segment_fullstory_records_filtered_total{%}) - sum(segment_fullstory_records_dead_lettered_total{%})"
        " - sum(segment_fullstory_records_released_total{%}) - sum(segment_fullstory_records_in_flight{%})",
        1,
    ),
    Panel(
        "Where records go",
        "Records a second, by how they ended.",
        "reqps",
        [
            Query(rate("records_delivered_total", "kind"), "delivered: {{kind}}"),
            Query("sum(rate(segment_fullstory_records_filtered_total{%}[$__rate_interval]))", "filtered"),
            Query("sum(rate(segment_fullstory_records_dead_lettered_total{%}[$__rate_interval]))", "dead-lettered"),
        ],
        stacked=True,
    ),
    Panel(
        "How fresh",
        "From a record's timestamp in Kafka to its delivery.",
        "s",
        [
            Query(quantile(0.5, "freshness_seconds"), "half of them"),
            Query(quantile(0.99, "freshness_seconds"), "99 %"),
            Query("time() - min(segment_fullstory_oldest_unsettled_timestamp_seconds{%} or vector(time()))", "oldest"),
        ],
    ),
    Panel(
        "What holds throughput back",
        "The part of the workers for which it is so. More workers help against `cpu` alone.",
        "percentunit",
        [Query("avg by (kind) (segment_fullstory_bottleneck{%})", "{{kind}}")],
        stacked=True,
    ),
    Panel(
        "Halts",
        "1 while some worker is halted for this reason.",
        "none",
        [Query("max by (reason) (segment_fullstory_halted{%})", "{{reason}}")],
    ),
]

DELIVERY = [
    Panel(
        "Requests",
        "Requests a second, by endpoint and class of answer.",
        "reqps",
        [
            Query(
                rate("request_duration_seconds_count", "endpoint, outcome")
                + f" or histogram_count({rate('request_duration_seconds', 'endpoint, outcome')})",
                "{{endpoint}} {{outcome}}",
            )
        ],
        stacked=True,
    ),
    Panel(
        "Time to an answer",
        "Of 95 % of the requests.",
        "s",
        [Query(quantile(0.95, "request_duration_seconds", "endpoint"), "{{endpoint}}")],
    ),
    Panel(
        "Time to the end of a job",
        "From its acceptance.",
        "s",
        [
            Query(quantile(0.5, "job_duration_seconds", "kind"), "{{kind}}: half of them"),
            Query(quantile(0.95, "job_duration_seconds", "kind"), "{{kind}}: 95 %"),
        ],
    ),
    Panel(
        "Items of a request",
        "How large parts of batches are.",
        "short",
        [
            Query(quantile(0.5, "batch_records", "kind"), "{{kind}}: half of them"),
            Query(quantile(0.95, "batch_records", "kind"), "{{kind}}: 95 %"),
        ],
    ),
    Panel(
        "In progress",
        "Jobs of all workers; FullStory refuses everything from 200 on.",
        "short",
        [
            Query("sum(segment_fullstory_jobs_in_flight{%})", "jobs"),
            Query("sum(segment_fullstory_concurrency_limit{%})", "requests that may await an answer"),
        ],
    ),
    Panel(
        "Operations in progress",
        "Items in requests and jobs of all workers; FullStory refuses everything from 500,000 on.",
        "short",
        [Query("sum(segment_fullstory_operations_in_flight{%})", "operations")],
    ),
    Panel(
        "Rate of requests that was learned",
        "Of each worker; infinite, and not shown, while FullStory has refused none.",
        "reqps",
        [Query("segment_fullstory_request_rate_limit{%}", "{{instance}}")],
    ),
    Panel(
        "Sent again",
        "Requests a second that are tried once more, by reason.",
        "reqps",
        [Query(rate("retries_total", "reason"), "{{reason}}")],
        stacked=True,
    ),
    Panel(
        "Asked to wait",
        "The part of the time in which FullStory wants no requests.",
        "percentunit",
        [Query("avg(rate(segment_fullstory_throttled_seconds_total{%}[$__rate_interval]))", "waiting")],
    ),
    Panel(
        "Perhaps twice",
        "Records sent once more under a new key.",
        "short",
        [Query("sum(increase(segment_fullstory_records_redelivered_total{%}[$__rate_interval]))", "records")],
    ),
]

KAFKA = [
    Panel(
        "Consumed",
        "Records a second, by topic.",
        "reqps",
        [Query(rate("records_consumed_total", "topic"), "{{topic}}")],
        stacked=True,
    ),
    Panel(
        "Lag",
        "Of the ten partitions that are furthest behind.",
        "short",
        [
            Query(
                "topk(10, sum by (topic, partition) (segment_fullstory_consumer_lag_records{%}))",
                "{{topic}}/{{partition}}",
            )
        ],
    ),
    Panel(
        "Partitions",
        "Owned, and of these not fetched because they hold enough.",
        "short",
        [
            Query("sum(segment_fullstory_partitions_assigned{%})", "owned"),
            Query("sum(segment_fullstory_partitions_paused{%})", "paused"),
        ],
    ),
    Panel(
        "Rebalances",
        "Times that partitions came or went.",
        "short",
        [Query("sum by (kind) (increase(segment_fullstory_rebalances_total{%}[$__rate_interval]))", "{{kind}}")],
    ),
    Panel(
        "Commits",
        "A second, by outcome.",
        "reqps",
        [Query(rate("commits_total", "outcome"), "{{outcome}}")],
    ),
    Panel(
        "Carried on",
        "What the journals told after a rebalance or a restart.",
        "short",
        [
            Query("sum by (part) (increase(segment_fullstory_journal_resumed_total{%}[$__rate_interval]))", "{{part}}"),
            Query("sum(increase(segment_fullstory_journal_ignored_total{%}[$__rate_interval]))", "unusable journals"),
        ],
    ),
    Panel(
        "Memory",
        "Of each worker: what the process uses, what records in flight hold, the budget, and the container's limit.",
        "bytes",
        [
            Query(
                "process_resident_memory_bytes{%} and on (namespace, job, instance) segment_fullstory_build_info{%}",
                "{{instance}}: process",
            ),
            Query("segment_fullstory_bytes_held{%}", "{{instance}}: held"),
            Query("max(segment_fullstory_memory_budget_bytes{%})", "budget"),
            Query("min(segment_fullstory_memory_limit_bytes{%})", "limit"),
        ],
    ),
    Panel(
        "CPU",
        "Of each worker, in cores; one process uses one core and a little.",
        "none",
        [
            Query(
                "rate(process_cpu_seconds_total{%}[$__rate_interval])"
                " and on (namespace, job, instance) segment_fullstory_build_info{%}",
                "{{instance}}",
            )
        ],
    ),
    Panel(
        "Fetched and not yet consumed",
        "In the queues of Kafka's client.",
        "bytes",
        [Query("segment_fullstory_kafka_fetch_queue_bytes{%}", "{{instance}}")],
    ),
    Panel(
        "Round trip to the brokers",
        "The shortest of late to the slowest broker; a fetch that finds nothing takes 0.5 s.",
        "s",
        [Query("segment_fullstory_kafka_broker_round_trip_seconds{%}", "{{instance}}")],
    ),
    Panel(
        "Silence of the brokers",
        "For how long none has sent a worker anything; they answer every few seconds, also without records.",
        "s",
        [Query("segment_fullstory_kafka_silence_seconds{%}", "{{instance}}")],
    ),
]

DEAD_LETTERS = [
    Panel(
        "Dead letters",
        "Records a second, by reason.",
        "reqps",
        [Query(rate("records_dead_lettered_total", "reason"), "{{reason}}")],
        stacked=True,
    ),
    Panel(
        "Part of all records",
        "Dead-lettered, of what is consumed.",
        "percentunit",
        [
            Query(
                "sum(rate(segment_fullstory_records_dead_lettered_total{%}[$__rate_interval]))"
                " / sum(rate(segment_fullstory_records_consumed_total{%}[$__rate_interval]))",
                "dead-lettered",
            )
        ],
    ),
    Panel(
        "Writes",
        "To the dead-letter topic, a second, by outcome.",
        "reqps",
        [Query(rate("dead_letter_writes_total", "outcome"), "{{outcome}}")],
    ),
    Panel(
        "Filtered",
        "Records a second that a rule keeps from FullStory.",
        "reqps",
        [Query(rate("records_filtered_total", "reason"), "{{reason}}")],
        stacked=True,
    ),
    Panel(
        "Changed on the way",
        "Names and values a second that mapping changed or left out, by rule.",
        "reqps",
        [Query(rate("property_changes_total", "rule"), "{{rule}}")],
        stacked=True,
    ),
    Panel(
        "Questions to the schema registry",
        "A second, by outcome.",
        "reqps",
        [Query(rate("registry_requests_total", "outcome"), "{{outcome}}")],
    ),
]

DASHBOARDS = {
    "overview": ("segment-fullstory: overview", "Is it healthy, how fresh, what holds it back.", OVERVIEW),
    "delivery": ("segment-fullstory: delivery", "Requests, jobs and limits of FullStory.", DELIVERY),
    "kafka": ("segment-fullstory: Kafka", "Consuming, committing, memory.", KAFKA),
    "dead-letters": (
        "segment-fullstory: dead letters",
        "What could not be delivered, filtered or changed.",
        DEAD_LETTERS,
    ),
}


def _target(query: Query, ref: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(ref).datasource(SOURCE)


def _number(panel: Panel) -> stat.Panel:
    steps = [Threshold(color="green")]
    if panel.bad_from is not None:
        steps.append(Threshold(color="red", value=panel.bad_from))
    return (
        stat.Panel()
        .unit(panel.unit)
        .height(STAT_HEIGHT)
        .color_mode(BigValueColorMode.BACKGROUND if panel.bad_from is not None else BigValueColorMode.NONE)
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    )


def _lines(panel: Panel) -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(Legend.LIST).placement(Placement.BOTTOM).show_legend(True)
    shown = (
        timeseries.Panel()
        .unit(panel.unit)
        .height(HEIGHT)
        .min(0)
        .draw_style(GraphDrawStyle.LINE)
        .fill_opacity(20 if panel.stacked else 0)
        .legend(legend)
    )
    return shown.stacking(common.StackingConfig().mode(StackingMode.NORMAL)) if panel.stacked else shown


def _choice(label: str, title: str, series: str) -> dashboard.QueryVariable:
    """Return the choice of a label's values; all of them means series without the label, too."""
    return (
        dashboard.QueryVariable(label)
        .label(title)
        .query(f"label_values({series}, {label})")
        .datasource(SOURCE)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def text_of(name: str) -> str:
    """Return a dashboard as JSON."""
    title, description, panels = DASHBOARDS[name]
    built = (
        dashboard.Dashboard(title)
        .uid(f"segment-fullstory-{name}")
        .description(description)
        .tags(["segment-fullstory"])
        .time("now-3h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_choice("namespace", "Namespace", "segment_fullstory_build_info"))
        .with_variable(_choice("job", "Deployment", 'segment_fullstory_build_info{namespace=~"$namespace"}'))
        .with_variable(
            _choice("instance", "Worker", 'segment_fullstory_build_info{namespace=~"$namespace",job=~"$job"}')
        )
        .link(
            dashboard.DashboardLink("segment-fullstory")
            .as_dropdown(True)
            .tags(["segment-fullstory"])
            .include_vars(True)
        )
    )
    for panel in panels:
        shown = _number(panel) if panel.single else _lines(panel)
        shown.title(panel.title).description(panel.meaning).span(panel.width).datasource(SOURCE)
        for number_, query in enumerate(panel.queries):
            shown.with_target(_target(query, chr(ord("A") + number_)))
        built.with_panel(shown)
    return JSONEncoder(sort_keys=True, indent=2).encode(built.build()) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in DASHBOARDS:
        (FOLDER / f"{each}.json").write_text(text_of(each), encoding="utf-8")
        sys.stdout.write(f"{FOLDER / each}.json\n")
