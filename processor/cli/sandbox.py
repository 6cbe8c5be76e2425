"""`segment-fullstory sandbox`: the FullStory emulator as a program."""

import asyncio
from typing import Any

import click

from processor.cli.signals import stop_on_signal
from processor.sandbox import EchoStyle, Faults, Role, Sandbox, SandboxOptions
from processor.sandbox.options import DEFAULT_KEYS, MIB

RATIO = click.FloatRange(0, 1)
SECONDS = click.FloatRange(min=0)
COUNT = click.IntRange(min=1)
STATUS = click.IntRange(400, 599)
ENDPOINTS = (
    ("GET  /sandbox/stats", "counters"),
    ("GET  /sandbox/truth", "every effect, a JSON object a line; ?kind=user|event&after=N"),
    ("GET  /sandbox/users", "the users as they are now; ?uid=&limit="),
    ("GET  /sandbox/jobs", "import jobs"),
    ("GET  /sandbox/requests", "the last requests"),
    ("POST /sandbox/faults", 'for example {"throttle_ratio": 0.1, "retry_after_s": 2}'),
    ("POST /sandbox/limit", 'for example {"requests_per_s": 60, "burst": 120}; null is none'),
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


def _range(_context: click.Context, _parameter: click.Parameter, value: tuple[float, float]) -> tuple[float, float]:
    """Refuse a shortest duration above the longest."""
    if value[0] > value[1]:
        raise click.BadParameter(f"the shortest, {value[0]:g}, exceeds the longest, {value[1]:g}")
    return value


@click.command
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8400, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option("--key", "keys", multiple=True, callback=_keys, metavar="KEY=ROLE", help="An API key; repeatable.")
@click.option("--org-id", default="SANDBOX-na1", show_default=True, help="What GET /me says.")
@click.option("--seed", default=0, show_default=True, help="Of everything left to chance.")
@click.option(
    "--job-seconds",
    nargs=2,
    type=SECONDS,
    default=(0.05, 0.5),
    show_default=True,
    callback=_range,
    help="Jobs take this long: shortest, longest.",
)
@click.option(
    "--job-retention", "job_retention_s", type=SECONDS, help="Finished jobs are forgotten after these seconds."
)
@click.option("--page-size", type=COUNT, default=1_000, show_default=True, help="Of users, imports and errors.")
@click.option(
    "--request-log", type=COUNT, default=10_000, show_default=True, help="Requests that /sandbox/requests remembers."
)
@click.option("--reorder-echo", is_flag=True, help="Echo failed items with other key order and number format.")
@click.option("--running-jobs", type=COUNT, default=100, show_default=True, help="Jobs beyond that are queued.")
@click.option("--max-jobs", type=COUNT, default=200, show_default=True, help="Jobs in progress before 429.")
@click.option("--max-operations", type=COUNT, default=500_000, show_default=True, help="Items in progress before 429.")
@click.option("--max-body-bytes", type=COUNT, default=8 * MIB, show_default=True, help="Larger requests get 413.")
@click.option("--requests-per-second", type=click.FloatRange(min=0, min_open=True), help="Default: unlimited.")
@click.option("--burst", type=COUNT, default=10, show_default=True, help="Requests above that rate at once.")
@click.option("--latency", "latency_s", type=SECONDS, default=0.0, help="Seconds before a request takes effect.")
@click.option("--latency-jitter", "latency_jitter_s", type=SECONDS, default=0.0, help="Added at random.")
@click.option("--throttle", "throttle_ratio", type=RATIO, default=0.0, help="Share of requests answered 429.")
@click.option("--retry-after", "retry_after_s", type=click.IntRange(min=0), default=1, help="Announced by such 429s.")
@click.option("--retry-after-date", is_flag=True, help="Announce Retry-After as an HTTP date.")
@click.option("--retry-after-on-5xx", is_flag=True, help="Announce it by injected 5xx answers too.")
@click.option("--errors", "error_ratio", type=RATIO, default=0.0, help="Share answered with the error status.")
@click.option("--error-status", type=STATUS, default=503, show_default=True)
@click.option("--drop-before", "drop_before_ratio", type=RATIO, default=0.0, help="Share dropped without effect.")
@click.option("--drop-after", "drop_after_ratio", type=RATIO, default=0.0, help="Share dropped after taking effect.")
@click.option("--outage", "outage_status", type=STATUS, help="Answer everything so, until cleared.")
@click.option("--slow-jobs", "slow_job_ratio", type=RATIO, default=0.0, help="Share of jobs that take longer, by:")
@click.option("--slow-job-seconds", "slow_job_s", type=SECONDS, default=30.0, show_default=True)
@click.option("--jobs-not-found", is_flag=True, help="Answer 404 to every question for a job.")
@click.option("--failing-jobs", "job_failure_ratio", type=RATIO, default=0.0, help="Share of jobs that fail whole.")
@click.option("--failing-items", "item_failure_ratio", type=RATIO, default=0.0, help="Share of items always refused.")
def sandbox(
    *,
    host: str,
    port: int,
    keys: dict[str, Role],
    org_id: str,
    seed: int,
    job_seconds: tuple[float, float],
    job_retention_s: float | None,
    page_size: int,
    request_log: int,
    reorder_echo: bool,
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

    Everything is kept in memory. Open the printed address in a browser to watch users and events arrive.
    """
    options = SandboxOptions(
        host=host,
        port=port,
        keys=keys,
        org_id=org_id,
        seed=seed,
        job_duration_s=job_seconds,
        job_retention_s=job_retention_s,
        page_size=page_size,
        request_log=request_log,
        echo_style=EchoStyle.REORDERED if reorder_echo else EchoStyle.VERBATIM,
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
        for key, role in options.keys.items():
            click.echo(f"  key {key} ({role})")
        for endpoint, meaning in ENDPOINTS:
            click.echo(f"  {endpoint:<22} {meaning}")
        await stopped.wait()
