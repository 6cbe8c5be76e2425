"""`segment-fullstory sandbox`: the FullStory emulator as a program."""

import asyncio
import shlex
from typing import Any

import click

from processor.commands.common.options import shortest_first
from processor.commands.common.signals import stop_on_signal
from processor.sandbox import Echo, Faults, Gateway, Role, Sandbox, SandboxOptions
from processor.sandbox.echo import STYLES
from processor.sandbox.gateway import GATEWAYS
from processor.sandbox.options import DEFAULT_KEYS, MIB, Nested

RATIO = click.FloatRange(0, 1)
SECONDS = click.FloatRange(min=0)
COUNT = click.IntRange(min=1)
READERS = Role.ARCHITECT, Role.ADMIN
"""Whose keys may read which items of a job failed: the first one is best to begin with."""
STATUS = click.IntRange(400, 599)
ENDPOINTS = (
    ("GET  /sandbox/stats", "counters"),
    (
        "GET  /sandbox/truth",
        "what took effect, one JSON object per line; ?kind=user|event|deletion&after=N",
    ),
    ("GET  /sandbox/users", "the users as they are now; ?uid=&limit="),
    ("GET  /sandbox/jobs", "import jobs"),
    ("GET  /sandbox/requests", "the last requests"),
    ("GET  /sandbox/weather", "the faults, limits and keys in force, in words"),
    ("POST /sandbox/faults", 'for example {"throttle_ratio": 0.1, "retry_after_s": 2}'),
    ("POST /sandbox/limit", 'for example {"requests_per_s": 60, "burst": 120}; null: no limit'),
    ("POST /sandbox/keys", 'for example {"na1.standard": null} revokes that key'),
    ("POST /sandbox/reset", "forget everything"),
)


def _keys(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Role]:
    """Parse KEY=ROLE pairs; the defaults when there are none."""
    keys = {}
    for value in values:
        key, _, role = value.rpartition("=")
        if not key or role not in list(Role):
            raise click.BadParameter(f"{value!r} is not KEY=ROLE with a role of {', '.join(Role)}")
        keys[key] = Role(role)
    return keys or dict(DEFAULT_KEYS)


def _listed(title: str, meanings: dict[str, str]) -> str:
    """Return a paragraph of help, a line for each value of an option; click leaves it as it is."""
    width = max(map(len, meanings))
    return "\n".join(["\b", title, *(f"  {name:<{width}}  {meaning}" for name, meaning in meanings.items())])


EPILOG = "\n\n".join(
    (
        _listed("--echo echoes failed items", {name.value: style.text for name, style in STYLES.items()}),
        _listed(
            "--gateway puts something in between that", {name.value: gateway.text for name, gateway in GATEWAYS.items()}
        ),
    )
)


@click.command(epilog=EPILOG)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8400, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option(
    "--key", "keys", multiple=True, callback=_keys, metavar="KEY=ROLE", help="An API key to accept; repeatable."
)
@click.option("--org-id", default="SANDBOX-na1", show_default=True, help="Organisation that GET /me returns.")
@click.option("--seed", default=0, show_default=True, help="Seed of everything random.")
@click.option(
    "--job-seconds",
    nargs=2,
    type=SECONDS,
    default=(0.05, 0.5),
    show_default=True,
    callback=shortest_first,
    help="Shortest and longest duration of a job, in seconds.",
)
@click.option("--job-retention", "job_retention_s", type=SECONDS, help="Forget a finished job after this many seconds.")
@click.option("--hard-job-ids", is_flag=True, help="Give jobs ids that a path must escape: with +, / and =.")
@click.option("--page-size", type=COUNT, default=1_000, show_default=True, help="Users, imports or errors per page.")
@click.option(
    "--request-log", type=COUNT, default=10_000, show_default=True, help="Number of requests in /sandbox/requests."
)
@click.option(
    "--nested",
    type=click.Choice([each.value for each in Nested]),
    default=Nested.MERGE.value,
    show_default=True,
    help="What an upsert does to a nested object: merge it path by path, or replace it as a whole.",
)
@click.option(
    "--running-jobs", type=COUNT, default=100, show_default=True, help="Run this many jobs at once, queue the others."
)
@click.option(
    "--max-jobs", type=COUNT, default=200, show_default=True, help="Answer 429 beyond this many jobs in progress."
)
@click.option(
    "--max-operations",
    type=COUNT,
    default=500_000,
    show_default=True,
    help="Answer 429 beyond this many items in progress.",
)
@click.option("--max-body-bytes", type=COUNT, default=8 * MIB, show_default=True, help="Answer 413 to larger requests.")
@click.option(
    "--requests-per-second",
    type=click.FloatRange(min=0, min_open=True),
    help="Answer 429 beyond this rate; default: no limit.",
)
@click.option("--burst", type=COUNT, default=10, show_default=True, help="Requests above that rate in one burst.")
@click.option("--latency", "latency_s", type=SECONDS, default=0.0, help="Delay of each accepted request, in seconds.")
@click.option(
    "--latency-jitter",
    "latency_jitter_s",
    type=SECONDS,
    default=0.0,
    help="Random delay up to this many seconds, added to the latency.",
)
@click.option(
    "--throttle", "throttle_ratio", type=RATIO, default=0.0, help="Share of requests to answer with 429, from 0 to 1."
)
@click.option(
    "--retry-after",
    "retry_after_s",
    type=click.IntRange(min=0),
    default=1,
    help="Retry-After of these answers, in seconds.",
)
@click.option("--retry-after-date", is_flag=True, help="Send Retry-After as an HTTP date.")
@click.option("--retry-after-on-5xx", is_flag=True, help="Send Retry-After with injected 5xx answers, too.")
@click.option(
    "--errors", "error_ratio", type=RATIO, default=0.0, help="Share of requests to answer with --error-status."
)
@click.option("--error-status", type=STATUS, default=503, show_default=True, help="HTTP status of --errors.")
@click.option(
    "--drop-before",
    "drop_before_ratio",
    type=RATIO,
    default=0.0,
    help="Share of requests to drop before they take effect.",
)
@click.option(
    "--drop-after",
    "drop_after_ratio",
    type=RATIO,
    default=0.0,
    help="Share of requests to drop after they took effect.",
)
@click.option("--outage", "outage_status", type=STATUS, help="Answer every request with this status, until changed.")
@click.option(
    "--slow-jobs", "slow_job_ratio", type=RATIO, default=0.0, help="Share of jobs that take --slow-job-seconds longer."
)
@click.option(
    "--slow-job-seconds", "slow_job_s", type=SECONDS, default=30.0, show_default=True, help="How much longer they take."
)
@click.option("--jobs-not-found", is_flag=True, help="Answer 404 to every request about a job.")
@click.option(
    "--failing-jobs", "job_failure_ratio", type=RATIO, default=0.0, help="Share of jobs that fail with every item."
)
@click.option(
    "--failing-items",
    "item_failure_ratio",
    type=RATIO,
    default=0.0,
    help="Share of items to refuse, the same ones each time.",
)
@click.option(
    "--echo",
    type=click.Choice([each.value for each in Echo]),
    default=Echo.EXACT.value,
    show_default=True,
    callback=lambda _context, _parameter, value: Echo(value),
    help="How failed items are echoed, see below.",
)
@click.option(
    "--gateway",
    type=click.Choice([each.value for each in Gateway]),
    callback=lambda _context, _parameter, value: value and Gateway(value),
    help="Let something in between answer in FullStory's place, see below.",
)
@click.option(
    "--gateway-path", default="", metavar="TEXT", help="Let the gateway answer only requests with this in their paths."
)
def sandbox(
    *,
    host: str,
    port: int,
    keys: dict[str, Role],
    org_id: str,
    seed: int,
    job_seconds: tuple[float, float],
    job_retention_s: float | None,
    hard_job_ids: bool,
    page_size: int,
    request_log: int,
    nested: str,
    running_jobs: int,
    max_jobs: int,
    max_operations: int,
    max_body_bytes: int,
    requests_per_second: float | None,
    burst: int,
    retry_after_date: bool,
    **faults: Any,
) -> None:
    """Emulate FullStory's server API on a local port, with faults on demand.

    Everything is kept in memory. Open the printed address in a browser: the page shows users and events as they
    arrive and every fault in force, and has buttons for faults. Runs until SIGINT or SIGTERM. Exit codes: 0 after
    that, 1 when the address is not available.
    """
    options = SandboxOptions(
        host=host,
        port=port,
        keys=keys,
        org_id=org_id,
        seed=seed,
        job_duration_s=job_seconds,
        job_retention_s=job_retention_s,
        hard_job_ids=hard_job_ids,
        page_size=page_size,
        request_log=request_log,
        nested=Nested(nested),
        running_jobs=running_jobs,
        max_jobs=max_jobs,
        max_operations=max_operations,
        max_body_bytes=max_body_bytes,
        requests_per_s=requests_per_second,
        burst=burst,
        retry_after_as_date=retry_after_date,
        faults=Faults(**faults),
    )
    try:
        asyncio.run(_serve(options))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error


async def _serve(options: SandboxOptions) -> None:
    """Run until SIGINT or SIGTERM."""
    stopped = stop_on_signal()
    async with Sandbox(options) as server:
        click.echo(f"FullStory sandbox: {server.url}")
        click.echo("Open this address in a browser. To point a worker here, set in its environment:")
        key = next((key for key, role in options.keys.items() if role in READERS), next(iter(options.keys)))
        click.echo(
            f"  export PROCESSOR_FULLSTORY__BASE_URL={server.url} PROCESSOR_FULLSTORY__API_KEY={shlex.quote(key)}"
        )
        click.echo("Keys:")
        for key, role in options.keys.items():
            click.echo(f"  key {key} ({role})")
        if conditions := server.weather():
            click.echo("On purpose, FullStory:")
        for condition in conditions:
            click.echo(f"  {condition.text}")
        click.echo("Endpoints of its own, without a key:")
        for endpoint, meaning in ENDPOINTS:
            click.echo(f"  {endpoint:<22} {meaning}")
        await stopped.wait()
