"""`segment-fullstory generate`: traffic into a topic, to try a deployment with."""

import itertools
import json
import signal
import time
from typing import Any

import click

from processor.adapters.kafka.producing import TopicWriter
from processor.model.errors import ConfigurationError, SourceError
from processor.workload import Mix, generate

CLEAN = Mix(poison=0.0, tombstone=0.0, other_type=0.0, excluded=0.0, oversize_bytes=200_000)
MIXED = Mix(oversize_bytes=200_000)
"""With records that must be filtered or dead-lettered, so that these can be seen, too."""


def _properties(_context: click.Context, _parameter: click.Parameter, value: str) -> dict[str, Any]:
    try:
        properties = json.loads(value)
    except ValueError:
        properties = None
    if not isinstance(properties, dict):
        raise click.BadParameter('is no JSON object; for example {"security.protocol": "SSL"}')
    return properties


@click.command("generate")
@click.option(
    "--bootstrap-servers",
    required=True,
    envvar="PROCESSOR_KAFKA__BOOTSTRAP_SERVERS",
    show_envvar=True,
    help="Kafka brokers to connect to, separated by commas.",
)
@click.option(
    "--properties",
    default="{}",
    callback=_properties,
    envvar="PROCESSOR_KAFKA__PROPERTIES",
    show_envvar=True,
    help="Properties of librdkafka as a JSON object, for SASL and TLS.",
)
@click.option("--topic", default="segment", show_default=True, help="Topic to write to; it must exist.")
@click.option(
    "--rate", default=50.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Records per second."
)
@click.option("--count", type=click.IntRange(1), help="Number of records to write; without it, write until Ctrl-C.")
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0),
    help="Seed of the generator; the same seed gives the same records.",
)
@click.option(
    "--clean",
    is_flag=True,
    help="Write only records that can be delivered; otherwise some are filtered or dead-lettered.",
)
def generate_(
    *,
    bootstrap_servers: str,
    properties: dict[str, Any],
    topic: str,
    rate: float,
    count: int | None,
    seed: int,
    clean: bool,
) -> None:
    """Write test traffic to a topic: identify and track messages, in Avro (the shipped schemas, ids 1 and 2) and JSON.

    Each record of a user has the user's id as its key, so that Kafka keeps the records of one user in order.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the first process of a container has no other
    records = generate(seed, count, CLEAN if clean else MIXED, int(time.time() * 1_000))
    started, reported_s = time.monotonic(), 0
    try:
        with TopicWriter(bootstrap_servers, topic, properties) as producer:
            click.echo(f"writing {rate:g} records per second to {topic}; press Ctrl-C to stop")
            for number in itertools.count():
                if (record := next(records, None)) is None:
                    break
                while (early := started + number / rate - time.monotonic()) > 0:
                    producer.serve(early)
                producer.produce(record.key, record.value, record.headers)
                if (seconds := int(time.monotonic() - started)) >= reported_s + 10:
                    reported_s = seconds
                    click.echo(f"{producer.acknowledged:,} records after {seconds} s")
    except KeyboardInterrupt:
        pass
    except (ConfigurationError, SourceError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{producer.acknowledged:,} records are in {topic}")
