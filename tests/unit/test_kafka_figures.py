"""What is read out of librdkafka's statistics."""

import orjson

from processor.adapters.kafka.figures import figures
from processor.runtime.ports import ClientFigures


def test_what_waits_is_summed_and_the_slowest_broker_counts() -> None:
    """Over all partitions, and over all brokers; microseconds become seconds."""
    report = {
        "brokers": {"a": {"rtt": {"min": 300}}, "b": {"rtt": {"min": 2_500}}, "bootstrap": {}},
        "topics": {
            "one": {"partitions": {"0": {"fetchq_size": 100}, "-1": {"fetchq_size": 0}}},
            "two": {"partitions": {"3": {"fetchq_size": 23}}},
        },
    }
    assert figures(orjson.dumps(report).decode()) == ClientFigures(123, 0.0025)


def test_a_report_without_brokers_and_topics_says_nothing() -> None:
    """As the first ones are."""
    assert figures("{}") == ClientFigures(0, 0.0)
