"""What librdkafka says of itself, in the form of its statistics (librdkafka's STATISTICS.md)."""

from typing import Any

import orjson

from processor.runtime.ports import ClientFigures

_MICROSECONDS = 1e6


def figures(statistics: str) -> ClientFigures:
    """Read what matters to us out of one report."""
    report: dict[str, Any] = orjson.loads(statistics)
    partitions = [each for topic in report.get("topics", {}).values() for each in topic.get("partitions", {}).values()]
    trips = [broker.get("rtt", {}).get("min", 0) for broker in report.get("brokers", {}).values()]
    return ClientFigures(
        fetch_queue_bytes=sum(max(each.get("fetchq_size", 0), 0) for each in partitions),
        round_trip_s=max(trips, default=0) / _MICROSECONDS,
    )
