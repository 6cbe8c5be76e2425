"""What librdkafka says of itself, in the form of its statistics (librdkafka's STATISTICS.md)."""

from typing import Any

import orjson

from processor.runtime.ports import ClientFigures

_MICROSECONDS = 1e6

_REACHABLE = frozenset({"configured", "learned"})
"""Sources of brokers that have an address; the others are librdkafka's own notions."""


def figures(statistics: str, before: ClientFigures) -> ClientFigures:
    """Read what matters to us out of one report; a broker that is gone no longer tells when it last said something."""
    report: dict[str, Any] = orjson.loads(statistics)
    partitions = [each for topic in report.get("topics", {}).values() for each in topic.get("partitions", {}).values()]
    brokers = report.get("brokers", {}).values()
    trips = [trip for broker in brokers if (trip := broker.get("rtt", {}).get("min", 0)) > 0]
    group = report.get("cgrp", {})
    is_reaching = any(broker.get("source") in _REACHABLE for broker in brokers)
    silences = [broker["rxidle"] for broker in brokers if broker.get("rxidle", -1) >= 0]
    return ClientFigures(
        fetch_queue_bytes=sum(max(each.get("fetchq_size", 0), 0) for each in partitions),
        round_trip_s=max(trips) / _MICROSECONDS if trips else None,
        answered_at=report["time"] - min(silences) / _MICROSECONDS if silences else before.answered_at,
        throttled_until=before.throttled_until,
        brokerless=0 if is_reaching else before.brokerless + ("brokers" in report),
        joining=None if group.get("join_state", "steady") == "steady" else group["rebalance_cnt"],
    )
