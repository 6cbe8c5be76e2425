"""What librdkafka says of itself, in the form of its statistics (librdkafka's STATISTICS.md)."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import orjson

from processor.engine.partition.owner import SILENT_S
from processor.model.records import ClientFigures, TopicPartition

_MICROSECONDS = 1e6

_REACHABLE = frozenset({"configured", "learned"})
"""Sources of brokers that have an address; the others are librdkafka's own notions."""


def figures(statistics: str, before: ClientFigures, owned: Collection[TopicPartition] = ()) -> ClientFigures:
    """Read what matters to us out of one report; a broker that is gone no longer tells when it last said something.

    Partitions that are `owned` should be led by brokers that say something.
    """
    report: dict[str, Any] = orjson.loads(statistics)
    partitions = [each for topic in report.get("topics", {}).values() for each in topic.get("partitions", {}).values()]
    brokers = report.get("brokers", {}).values()
    trips = [trip for broker in brokers if (trip := broker.get("rtt", {}).get("min", 0)) > 0]
    group = report.get("cgrp", {})
    is_reaching = any(broker.get("source") in _REACHABLE for broker in brokers)
    silences = [broker["rxidle"] for broker in brokers if broker.get("rxidle", -1) >= 0]
    leaders = dict(_leaders(report, owned))
    heard_from = _heard_from(report, before, {*leaders.values()})
    return ClientFigures(
        fetch_queue_bytes=sum(max(each.get("fetchq_size", 0), 0) for each in partitions),
        round_trip_s=max(trips) / _MICROSECONDS if trips else None,
        answered_at=report["time"] - min(silences) / _MICROSECONDS if silences else before.answered_at,
        throttled_until=before.throttled_until,
        brokerless=0 if is_reaching else before.brokerless + ("brokers" in report),
        joining=None if group.get("join_state", "steady") == "steady" else group["rebalance_cnt"],
        heard_from=heard_from,
        silent=frozenset(each for each, node in leaders.items() if report["time"] - heard_from[node] > SILENT_S),
    )


def _leaders(report: Mapping[str, Any], owned: Collection[TopicPartition]) -> Iterator[tuple[TopicPartition, int]]:
    """Yield the id of the broker that leads each of these partitions, if one does."""
    topics = report.get("topics", {})
    for each in owned:
        leader = topics.get(each.topic, {}).get("partitions", {}).get(str(each.partition), {}).get("leader", -1)
        if leader >= 0:
            yield each, leader


def _heard_from(report: Mapping[str, Any], before: ClientFigures, leaders: Collection[int]) -> dict[int, float]:
    """Return when each leader, and the coordinator, last sent anything: by any connection, also one that is gone.

    What it sent before it was needed does not count, for then it had no reason to.
    """
    brokers = report.get("brokers", {}).values()
    coordinators = {each.get("nodeid", -1) for each in brokers if each.get("source") == "logical"} - {-1}
    latest = {node: before.heard_from.get(node, report["time"]) for node in {*leaders} | coordinators}
    for broker in brokers:
        node, idle = broker.get("nodeid", -1), broker.get("rxidle", -1)
        if node in latest and idle >= 0:
            latest[node] = max(latest[node], report["time"] - idle / _MICROSECONDS)
    return latest
