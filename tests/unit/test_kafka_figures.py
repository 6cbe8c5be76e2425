"""What is read out of librdkafka's statistics."""

from collections.abc import Mapping

import orjson

from processor.adapters.kafka.figures import figures
from processor.engine.partition.owner import SILENT_S
from processor.model.records import ClientFigures, TopicPartition

NONE = ClientFigures()


def test_what_waits_is_summed_and_the_slowest_broker_counts() -> None:
    """Waiting bytes are summed over partitions, and the round trip is that of the slowest broker, in seconds."""
    report = {
        "brokers": {
            "a": {"source": "learned", "rtt": {"min": 300}},
            "b": {"source": "learned", "rtt": {"min": 2_500}},
            "bootstrap": {"source": "configured"},
        },
        "topics": {
            "one": {"partitions": {"0": {"fetchq_size": 100}, "-1": {"fetchq_size": 0}}},
            "two": {"partitions": {"3": {"fetchq_size": 23}}},
        },
    }
    assert figures(orjson.dumps(report).decode(), NONE) == ClientFigures(123, 0.0025)


def test_the_last_word_of_any_broker_counts() -> None:
    """Silence counts from the last answer of any broker; those that never answered are left out."""

    def read(before: ClientFigures, **idle_us: int) -> ClientFigures:
        brokers = {name: {"rxidle": each} for name, each in idle_us.items()}
        return figures(orjson.dumps({"time": 1_000, "brokers": {"bootstrap": {}, **brokers}}).decode(), before)

    assert read(NONE, a=-1).answered_at is None
    known = read(NONE, a=90_000_000, b=500_000, c=-1)
    assert known.answered_at == 999.5
    assert read(known, a=-1, b=-1).answered_at == 999.5


def test_a_client_waits_for_its_group_in_every_state_but_one() -> None:
    """Which of its joins waits is told by the count of rebalances; a steady member waits in none."""

    def joining(**group: object) -> int | None:
        return figures(orjson.dumps({"cgrp": group} if group else {}).decode(), NONE).joining

    assert joining(join_state="wait-join", rebalance_cnt=3) == 3
    assert joining(join_state="init", rebalance_cnt=0) == 0
    assert joining(join_state="steady", rebalance_cnt=3) is None
    assert joining() is None


def test_a_report_does_not_end_a_quota() -> None:
    """How long a quota keeps a broker from answering is told apart from the reports, and outlives them."""
    assert figures("{}", ClientFigures(throttled_until=1_234.0)).throttled_until == 1_234.0


def test_a_report_without_brokers_and_topics_says_nothing() -> None:
    """A report without brokers and topics, as the first ones are, gives no figures."""
    assert figures("{}", NONE) == ClientFigures(0, None)


def test_a_client_without_brokers_in_two_reports_is_stranded() -> None:
    """One report without any may be of the moment between two lists of them; librdkafka's own notions are none."""

    def read(before: ClientFigures, *sources: str) -> ClientFigures:
        brokers = {str(at): {"source": source} for at, source in enumerate(sources)}
        return figures(orjson.dumps({"brokers": brokers}).decode(), before)

    once = read(NONE, "internal", "logical")
    assert not once.is_stranded
    assert not read(once, "logical", "configured").is_stranded
    twice = read(once, "internal", "logical")
    assert twice.is_stranded
    assert not read(twice, "learned").is_stranded


def led(number: int, **brokers: Mapping[str, object]) -> str:
    """Return a report of so many partitions of topic `t`, of which broker 1 and broker 2 lead every other one."""
    partitions = {str(each): {"leader": each % 2 + 1} for each in range(number)}
    return orjson.dumps({"time": 1_000, "brokers": brokers, "topics": {"t": {"partitions": partitions}}}).decode()


def test_a_leader_is_silent_whoever_else_answers() -> None:
    """Partitions are silent whose leader says nothing by any of its connections, be it from the beginning on."""
    owned = [TopicPartition("t", each) for each in range(4)]
    talks = {"nodeid": 1, "rxidle": 500_000}

    first = figures(led(4, a=talks, b={"nodeid": 2, "rxidle": -1}), NONE, owned)
    assert first.heard_from == {1: 1_000, 2: 1_000}
    assert not first.silent

    before = ClientFigures(heard_from={1: 990.0, 2: 999.0 - SILENT_S})
    again = figures(led(4, a=talks, b={"nodeid": 2, "rxidle": -1}), before, owned)
    assert again.heard_from == {1: 999.5, 2: 999.0 - SILENT_S}
    assert again.silent == {owned[1], owned[3]}

    by_another = figures(led(4, a=talks, b={"nodeid": 2, "rxidle": -1}, c={"nodeid": 2, "rxidle": 0}), before, owned)
    assert not by_another.silent


def test_only_brokers_that_are_needed_are_expected_to_say_anything() -> None:
    """They lead what is owned, or coordinate the group; the others may be silent for ever."""
    brokers: dict[str, Mapping[str, object]] = {
        "a": {"nodeid": 1, "rxidle": 1_000_000},
        "idle": {"nodeid": 2, "rxidle": 900_000_000},
        "coordinator": {"nodeid": 3, "source": "logical", "rxidle": 2_000_000},
        "other": {"nodeid": -1, "source": "logical", "rxidle": -1},
    }
    read = figures(led(4, **brokers), NONE, [TopicPartition("t", 0), TopicPartition("gone", 0)])

    assert read.heard_from == {1: 1_000, 3: 1_000}  # as they were not needed before
    assert read.silent == frozenset()
