"""Writes what is made of definitions: pages of docs/, and the names of settings in the schema of the chart's values.

    python -m docs.generate

A test holds the pages to what this would write.
"""

# ruff: noqa: INP001 - a script, not a package

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from markdown import Markdown

from bench import conditions, phases
from bench.peers import shown as comparison
from processor.adapters.telemetry.catalogue import CATALOGUE
from processor.adapters.telemetry.instruments import Definition, Label
from processor.commands.check.findings import FINDINGS, Finding, Level
from processor.engine.partition import journal, owner
from processor.engine.partition.request import TRANSITIONS, Happening, Stage
from processor.settings.client_properties import KAFKA_RESERVED
from processor.settings.memory import DEFAULT_BUDGET, MAX_QUEUE_BYTES, MIB, MemorySplit
from processor.settings.operation import MemorySection
from processor.settings.variables import Variable, sections, variables

DOCS = Path(__file__).parent
RUNBOOK = DOCS.parent / "processor" / "adapters" / "telemetry" / "runbook.html"
ELSEWHERE = re.compile(r"\[([^\]]*)\]\(([\w-]+\.md)(?:#[\w-]+)?\)")
"""A link to another page, of which the worker serves none."""

TABLES = re.compile(r"(<!-- tables: (.*?) -->\n).*?(<!-- end of tables -->\n)", re.DOTALL)
"""Where a page that is otherwise written by hand takes what is drawn; the name says what."""

STATES = """
### What may happen to a request

Each column is a stage, each row what may happen in it, each cell the stage that follows. A request begins as *held*,
*ready* or *resting*, and as *in job* where the journal tells of its job. *Ended* and *given up* are final.

{request}

### What the verbs of the journal make of an entry

{entry}

### What the owner of a partition does with an event

{owner}

"""

VALUES_SCHEMA = DOCS.parent / "deploy" / "helm" / "segment-fullstory" / "values.schema.json"
SET_BY_THE_CHART = {
    *("FULLSTORY__API_KEY", "FULLSTORY__API_KEY_FILE", "MAPPING__HASH_SALT", "SCHEMA_REGISTRY__CACHE_DIR"),
    *("HTTP__HOST", "HTTP__PORT", "MEMORY__BUDGET_BYTES", "SHUTDOWN__GRACE_S"),
}
"""Or secrets, which have no place among its values."""

TITLES: Mapping[str, str] = {
    "schema_registry": "Schema registry",
    "fullstory": "FullStory",
    "http": "HTTP",
}
"""Of sections whose names do not make a title by themselves."""

SETTINGS_HEAD = "| variable | default | meaning | why this default |\n|---|---|---|---|"

CONFIGURATION = """\
# Configuration

The worker reads settings from environment variables and, if you name one with `--config`, from a TOML file. An
environment variable takes precedence over the file. Each group of settings is a table of the file:
`PROCESSOR_KAFKA__GROUP_ID` is `group_id` in `[kafka]`. An empty value counts as not set. What terms such as
*batch* and *halt* mean: [words](architecture.md#words).

These have no default, so you must set them: brokers, topics, consumer group, dead-letter topic and API key.

```toml
[kafka]
bootstrap_servers = "kafka-1:9092,kafka-2:9092"
topics = ["segment.identify", "segment.track"]
group_id = "segment-fullstory"
dead_letter_topic = "dlq.segment"

[kafka.properties]
"security.protocol" = "SSL"

[schema_registry]
url = "http://schema-registry:8081"

[fullstory]
api_key_file = "/run/secrets/fullstory-api-key"
```

## Write a settings file

```sh
segment-fullstory settings init                      # writes segment-fullstory.toml
segment-fullstory settings init worker.toml          # or another file; - writes to standard output
```

The new file describes every setting, with its default and an example. Only you can read it (mode 0600). Settings
without a default hold the placeholder `REPLACE_ME`, which the worker refuses until you replace it or set the
environment variable. An existing file is never overwritten unless you add `--force`.

## Show the settings in force

```sh
segment-fullstory settings                           # with the worker's own environment
segment-fullstory settings --config worker.toml      # and its file
segment-fullstory settings --format toml             # text, json or toml
segment-fullstory settings --changed                 # only what differs from the defaults
```

```text
kafka
  bootstrap_servers     kafka-1:9092,kafka-2:9092
                        environment PROCESSOR_KAFKA__BOOTSTRAP_SERVERS
  topics                segment.identify, segment.track
                        environment PROCESSOR_KAFKA__TOPICS
  group_id              segment-fullstory  environment PROCESSOR_KAFKA__GROUP_ID
  dead_letter_topic     dlq.segment
                        environment PROCESSOR_KAFKA__DEAD_LETTER_TOPIC
  properties
    security.protocol   SASL_SSL         environment PROCESSOR_KAFKA__PROPERTIES
    sasl.password       ********         environment PROCESSOR_KAFKA__PROPERTIES

fullstory
  api_key               ********        environment PROCESSOR_FULLSTORY__API_KEY
```

Each setting is shown with its value and where that comes from: `default`, `file` with its path, `environment` with the
variable, or `secret file` with the path of the file that a `…_FILE` setting names.

- Secrets are masked: the API key, the salt, and each property of `PROCESSOR_KAFKA__PROPERTIES` and
  `PROCESSOR_SCHEMA_REGISTRY__PROPERTIES` unless its value cannot be one, such as a mechanism, a number of milliseconds
  or the path of an existing file. So is any other value that contains the API key or the salt.
- Variables that other programs follow, too, come last, as `environment`: [proxies](proxies.md), with their logins
  masked, and authorities. In TOML they are comments, because only variables can say this.
- Settings that are missing or not valid are marked, and the errors follow, as `run` reports them. The exit code is
  then 2, otherwise 0.
- `--format toml` can be used as a settings file. Secrets are comments in it, and so are values that other settings
  decide.
- `--format json` is one object: `settings`, each with `setting`, `property`, `variable`, `state` (`shown`, `masked`,
  `invalid` or `missing`), `value` and `source` (`kind` and `name`), and `problems`.

## Errors

All settings are validated before the worker connects to anything, and all errors are reported at once, each with the
variable and a valid example. Errors and logs never contain the value of a secret.

A variable that begins with `PROCESSOR_` and is not described below is an error, because it is most likely a typing
mistake. The variables that Kubernetes sets for a service called `processor` are ignored.
"""

METRICS = """\
# Metrics

The worker serves its metrics at `/metrics`, as Prometheus text or OpenMetrics, whichever the scrape asks for. If values
of a label are listed here, it has no others, and each of its series begins at 0. Series of a partition exist while the
process owns the partition. Memory, CPU time and open files of the process have Prometheus' usual names (`process_…`).
Terms are defined in [words](architecture.md#words).

A scrape shows a single moment. So in each scrape, summed over labels:

```
records_consumed_total = records_delivered_total + records_filtered_total + records_dead_lettered_total
                       + records_released_total + records_in_flight
```
"""


CHECK = """\
# Check

```sh
segment-fullstory check                    # with the worker's own settings, as a step of a deployment
segment-fullstory check --format json      # the same as a JSON object
```

`check` tests whether the worker can run here: settings, brokers, topics, dead-letter topic, consumer group, schema
registry, FullStory's key and clock, and what would happen to the latest records. It prints errors first, then warnings,
then what is fine. The last line names the first error and what to do:

```text
1 error: topic segment.trak does not exist (did you mean segment.track?): create it, correct PROCESSOR_KAFKA__TOPICS, …
```

The exit code is 0 without errors and warnings, 1 with warnings, 2 with errors. As with every command, it is 74 where
the output cannot be written, on a full disk for example.

`check` only reads, unless you ask it to probe. It joins no group, commits no offset, creates no topic and sends nothing
to FullStory. It shows names of topics, numbers and reasons, but no secret and nothing of an event.

**Time.** All checks run in parallel and end within five seconds, even if Kafka, the registry or FullStory does not
answer. Whatever does not answer is one error, with the address and the system's reason. `checks.skipped` lists the
checks that depend on it; all others are made. On a slow network, allow more time: `--timeout 30`.

**Records.** `check` decodes and maps up to 1,000 of the latest records, evenly from all partitions, as
[explain](explain.md) does, and counts them by outcome and reason. If time is short, the sample is smaller.

**Permissions.** `check` asks Kafka what this client may do with topics and group. A cluster without an authoriser
allows everything. To ask, it needs Describe on topics and group, and DescribeConfigs on topics and cluster; without
these permissions, it reports `kafka.reticent`.

**JSON.** `--format json` prints one object: `level` (the worst), `findings` (a list of objects with `id`, `level`,
`seen`, `meaning` and `advice`, in the order above) and `summary` (the last line).

## Probing the group

Some faults show only when a client joins the group: a share group has the same name, or the brokers do not support
`group.protocol=consumer`. Others show only after a commit: some brokers accept the metadata of a commit, where the
worker keeps its [journal](reliability.md), and forget it. To find out before the first worker runs:

```sh
segment-fullstory check --probe-group
```

The probe joins the group and leaves it, unless the group has members, which would have to wait. It commits an offset
with metadata in a group of its own, `GROUP.check-…`, reads it back, and deletes that group. It takes a few seconds
more, and needs Read, Describe and Delete on groups whose names begin with the name of the group.

## Probing idempotency

The worker can promise that [nothing takes effect twice](reliability.md) only if FullStory gives a repeated
`Idempotency-Key` its earlier answer and carries the request out once. For batches this is documented but
[not confirmed](fullstory-api.md#idempotency). To test it in the organisation of your key:

```sh
segment-fullstory check --probe-idempotency --yes
```

This probe writes. It sends a batch of one user and a batch of one event, each twice under the same key; if both
requests lead to one job, the key is honoured. The user is always `segment-fullstory-idempotency-probe`, so another
probe creates no second one, and the probe touches no other user. The event is named
`Idempotency probe of segment-fullstory`; a second one means that the key was not honoured. You may delete both in
FullStory. If the API key is refused or belongs to an organisation other than the configured one, the probe writes
nothing.

## Findings

Ids are stable, so scripts may rely on them. Each finding has one level. Terms are defined in
[words](architecture.md#words).
"""


def configuration() -> str:
    """Return docs/configuration.md."""
    parts = [CONFIGURATION]
    for name, section in sections().items():
        title = TITLES.get(name, name.capitalize())
        rows = "\n".join(_setting(variable) for variable in variables() if variable.section == name)
        parts.append(f"## {title}\n\n{section.__doc__}\n\n{SETTINGS_HEAD}\n{rows}\n")
        if section is MemorySection:
            parts.append(_memory())
    parts.append(_reserved())
    return "\n".join(parts)


def _setting(variable: Variable) -> str:
    about = variable.about
    meaning = [about.meaning]
    if variable.choices:
        meaning.append("One of " + ", ".join(f"`{each}`" for each in variable.choices) + ".")
    meaning.append(f"Example: `{about.example}`")
    return f"| `{variable.name}` | {_default(variable)} | {' '.join(meaning)} | {about.reason} |"


def _default(variable: Variable) -> str:
    if variable.about.default is not None:
        return variable.about.default
    if variable.info.is_required():
        return "required"
    return f"`{_as_variable(variable.default)}`"


def _as_variable(value: Any) -> str:
    """Write a default as the environment would hold it."""
    if isinstance(value, list):
        return ",".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def _memory() -> str:
    split = MemorySplit.of(DEFAULT_BUDGET)
    rows = [
        (
            "librdkafka's queue",
            "`queued.max.messages.kbytes`",
            f"a quarter of the budget, at most {MAX_QUEUE_BYTES // MIB} MiB",
            split.queue_bytes,
        ),
        ("one fetch, as compressed", "`fetch.max.bytes`", "always the same", split.fetch_bytes),
        (
            "a partition's part of a fetch",
            "`max.partition.fetch.bytes`",
            "a quarter of that",
            split.partition_fetch_bytes,
        ),
        ("records buffered and on their way", "", "the budget without the queue", split.held_bytes),
        ("of these, when partitions pause", "", "a half: what is on its way still comes", split.pause_bytes),
    ]
    table = "\n".join(f"| {what} | {name} | {formula} | {_size(size)} |" for what, name, formula, size in rows)
    return f"""\
### How the budget is split

| part | property of librdkafka | formula | with {DEFAULT_BUDGET // MIB} MiB |
|---|---|---|---|
{table}

Records held count with their keys, values, headers and what Python keeps beside them. Owned partitions share that half
evenly: one that holds its share is paused until it holds half of it. A record larger than all of this is still
delivered, alone. What a fetch holds beyond its compressed size while librdkafka unpacks it comes on top, once for each
broker: a batch of a producer is unpacked as a whole.

The part for records must hold four batches of `PROCESSOR_BATCH__MAX_BYTES`: one on its way and one that is collected,
each as records and as request bodies. A smaller budget is refused, and the message names the numbers that fit.
"""


def _size(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size // 1024} KiB"


def _reserved() -> str:
    by_reason: dict[str, list[str]] = {}
    for name, reason in KAFKA_RESERVED.items():
        by_reason.setdefault(reason, []).append(f"`{name}`")
    rows = "\n".join(f"| {', '.join(names)} | {reason} |" for reason, names in by_reason.items())
    return f"""\
## Properties that cannot be set

What the worker promises rests on these properties of librdkafka: `PROCESSOR_KAFKA__PROPERTIES` must not contain them.

| properties | reason |
|---|---|
{rows}
"""


PIPELINES = """
## Ways to Prometheus

The alerts and dashboards give the same results in each of these ways, but for what is said:

| way | what differs |
|---|---|
| Prometheus 2.42 or newer scrapes `/metrics` | nothing |
| Prometheus 3 with `convert_classic_histograms_to_nhcb` | `segment_fullstory_freshness_seconds` and the others are \
one native histogram each, with the bounds above; there are no `_bucket`, `_count` and `_sum`. Write \
`histogram_fraction`, `histogram_quantile` and `histogram_count` of `segment_fullstory_…_seconds` itself |
| the OpenTelemetry Collector (0.165), or another program, writes to Prometheus | a bound is called `60` instead of \
`60.0`: match both, as in `le=~"60\\|60[.]0"`. The collector adds the label `otel_scope_name` to each series. While it \
does not run, there are no series, `up` included, so no alert of the workers fires: watch the collector, too |
| VictoriaMetrics with vmalert | an alert may begin and end one evaluation earlier or later, because windows \
include what lies just before them. If a counter was not seen for longer than the window of `increase` or `changes`, \
these count its first value as growth: if you write queries of your own, have the highest value differ from the lowest |
"""
"""What other people's pipelines make of histograms."""


def metrics() -> str:
    """Return docs/metrics.md."""
    rows = "\n".join(_metric(definition) for definition in CATALOGUE)
    return f"{METRICS}\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n{rows}\n\n{_buckets()}"


def _metric(definition: Definition) -> str:
    labels = "<br>".join(_label(label) for label in definition.labels)
    return f"| `{definition.full_name}` | {definition.type} | {definition.unit} | {labels} | {definition.meaning} |"


def _label(label: Label) -> str:
    if label.values is None:
        return f"`{label.name}`"
    return f"`{label.name}`: " + ", ".join(f"`{value}`" for value in label.values)


def _buckets() -> str:
    rows = "\n".join(
        f"| `{each.full_name}` | {', '.join(f'{bound:,}' for bound in each.buckets)} |"
        for each in CATALOGUE
        if each.buckets
    )
    return f"## Bounds of histograms\n\n| metric | upper bounds |\n|---|---|\n{rows}\n{PIPELINES}"


def check() -> str:
    """Return docs/check.md."""
    rows = "\n".join(_finding(finding) for finding in FINDINGS)
    return f"{CHECK}\n| finding | level | what it means | what to do |\n|---|---|---|---|\n{rows}\n"


def _finding(finding: Finding) -> str:
    level = finding.level if finding.level is Level.OK else f"**{finding.level}**"
    return f"| `{finding.id}` | {level} | {finding.meaning} | {finding.advice} |"


def architecture() -> str:
    """Return docs/architecture.md with the tables of today."""
    tables = STATES.format(request=_transitions(), entry=_table_of(journal.__doc__), owner=_table_of(owner.__doc__))
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    return TABLES.sub(lambda found: found[1] + tables + found[3], page)


def performance() -> str:
    """Return docs/performance.md with the tables of the results that are kept."""
    page = (DOCS / "performance.md").read_text(encoding="utf-8")
    tables = {
        name: f"{of.caption(result(name))}\n\n{of.table(result(name))}"
        for name, of in (("peers", comparison), ("life", phases), ("conditions", conditions))
    }
    return TABLES.sub(lambda found: f"{found[1]}\n{tables[found[2]]}\n\n{found[3]}", page)


def result(name: str) -> dict[str, Any]:
    """Return what a measurement has found."""
    found: dict[str, Any] = json.loads((DOCS / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _transitions() -> str:
    """Draw the table of what may happen to a request: each happening once, its stages beside each other."""
    stages = [stage for stage in Stage if TRANSITIONS[stage]]
    rows = [[happening.value, *(TRANSITIONS[stage].get(happening, "") for stage in stages)] for happening in Happening]
    lines = [["", *(f"*{stage}*" for stage in stages)], ["---"] * (len(stages) + 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _table_of(text: str | None) -> str:
    """Return the table that stands in a module's docstring."""
    return "\n".join(line for line in (text or "").splitlines() if line.startswith("|"))


def values_schema() -> str:
    """Return the schema of the chart's values, with the settings of today."""
    schema: dict[str, Any] = json.loads(VALUES_SCHEMA.read_text(encoding="utf-8"))
    names = [each.name.removeprefix("PROCESSOR_") for each in variables()]
    schema["properties"]["config"]["propertyNames"]["enum"] = [each for each in names if each not in SET_BY_THE_CHART]
    return json.dumps(schema, indent=2) + "\n"


def runbook() -> str:
    """Return the runbook as the worker serves it: docs/runbook.md in HTML, with the anchors that it has on GitHub."""
    text = ELSEWHERE.sub(r"\1 (`docs/\2`)", (DOCS / "runbook.md").read_text(encoding="utf-8"))
    return Markdown(extensions=["tables", "fenced_code", "sane_lists", "toc"]).convert(text) + "\n"


def pages() -> Iterator[tuple[Path, str]]:
    """Iterate over the generated pages and their contents."""
    yield DOCS / "architecture.md", architecture()
    yield DOCS / "check.md", check()
    yield DOCS / "configuration.md", configuration()
    yield DOCS / "metrics.md", metrics()
    yield DOCS / "performance.md", performance()
    yield DOCS / "images" / "life.svg", phases.drawn(result("life"))
    yield DOCS / "images" / "peers.svg", comparison.drawn(result("peers"))
    yield RUNBOOK, runbook()
    yield VALUES_SCHEMA, values_schema()


if __name__ == "__main__":
    for path, content in pages():
        path.write_text(content, encoding="utf-8")
