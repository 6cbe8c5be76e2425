"""Whether Kafka answers: what librdkafka reports and how questions end, made into one fault."""

from itertools import product

import pytest
from confluent_kafka import KafkaError

from processor.adapters.kafka.connection import FIRST_LOOKS, SERVERS_TOLD, SILENT_LOOKS, Connection
from processor.adapters.kafka.faults import GROUP_ACTIONS, fatal
from processor.runtime.ports import SourceFault

REFUSED = KafkaError(
    KafkaError._TRANSPORT,
    "k:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
)
ALL_DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN)
GROUP = KafkaError.GROUP_AUTHORIZATION_FAILED


def cause(connection: Connection) -> str:
    """Return what is wrong, in words; empty when nothing is."""
    return "" if connection.fault is None else connection.fault.cause


def test_brokers_that_are_down_are_a_fault_once_a_question_had_no_answer() -> None:
    """Brokers that librdkafka calls down are a fault only once a question had no answer."""
    connection = Connection("k:9092")
    connection.answered()
    connection.report(REFUSED)
    connection.report(ALL_DOWN)
    assert connection.is_in_doubt
    assert cause(connection) == ""
    connection.did_not_answer()
    assert cause(connection) == "Kafka does not answer at k:9092 (connection refused)"
    connection.answered()
    assert cause(connection) == ""
    assert not connection.is_in_doubt


def test_silence_is_a_fault_after_some_looks() -> None:
    """Unanswered questions become a fault after some in a row, sooner if none was ever answered."""
    first, later = Connection("k:9092"), Connection("k:9092")
    later.answered()
    for connection, looks in ((first, FIRST_LOOKS), (later, SILENT_LOOKS)):
        for _ in range(looks - 1):
            connection.did_not_answer()
            assert cause(connection) == ""
        connection.did_not_answer()
        assert cause(connection) == "Kafka does not answer at k:9092"


def test_a_group_that_cannot_be_joined_yet_is_a_fault_until_it_can() -> None:
    """What was asked before joining is told as the group's refusal, until the next answer."""
    connection = Connection("k:9092")
    connection.answered()
    connection.hold(SourceFault("the members assign by range", "Stop them."))
    connection.answered()
    assert cause(connection) == "the members assign by range"
    assert connection.is_in_doubt
    connection.hold(None)
    assert cause(connection) == ""


def test_a_refusal_of_the_group_lasts_until_the_group_answers_or_is_joined() -> None:
    """Brokers that answer do not end the group's refusal; the group's own answer, or joining, does."""
    for code, ends in product(GROUP_ACTIONS, (Connection.group_answered, Connection.joined)):
        connection = Connection("k:9092")
        connection.answered()
        connection.report(KafkaError(code, f"JoinGroup failed: {KafkaError(code).str()}"))
        connection.answered()
        assert "does not let the worker join its group" in cause(connection)
        assert connection.fault is not None
        assert connection.fault.action == GROUP_ACTIONS[code]
        ends(connection)
        assert cause(connection) == ""


@pytest.mark.parametrize("code", GROUP_ACTIONS)
def test_a_refusal_that_ends_the_client_says_what_to_do(code: int) -> None:
    """What to do stands in a fatal error, whose code is always the same: only its text tells the broker's error."""
    said = KafkaError(code).str()
    text = f"Fatal error: {said}: ConsumerGroupHeartbeat fatal error: {said}"

    assert str(fatal(KafkaError(KafkaError._FATAL, text))).endswith(GROUP_ACTIONS[code])


def test_a_group_that_does_not_know_its_member_is_a_fault() -> None:
    """A group that has not had the member for too long is a fault, and the refusal that came first is kept."""
    silent, told = Connection("k:9092"), Connection("k:9092")
    told.report(KafkaError(GROUP))
    for connection in (silent, told):
        connection.left_out()
    assert "does not know the worker" in cause(silent)
    assert "does not let the worker join" in cause(told)


def test_a_login_that_is_refused_names_the_properties() -> None:
    """For a refused login, the advice names the properties and not the address."""
    connection = Connection("k:9092")
    connection.report(KafkaError(KafkaError._AUTHENTICATION, "sasl_plaintext://k:9092: SASL authentication error: no"))
    connection.report(ALL_DOWN)
    connection.did_not_answer()
    assert cause(connection) == "Kafka at k:9092 refuses the login (SASL authentication error: no)"
    assert connection.fault is not None
    assert "PROCESSOR_KAFKA__PROPERTIES" in connection.fault.action


def test_servers_that_fail_for_different_reasons_are_told_each_with_its_last_one() -> None:
    """No reason hides another server's, and a long list of servers is cut."""
    connection = Connection("a:9092,b:9092")
    for number in range(SERVERS_TOLD + 2):
        text = f"b{number}:9092/{number}: Connect to ipv4#10.0.0.{number}:9092 failed: No route to host (after 3ms in …"
        connection.report(KafkaError(KafkaError._TRANSPORT, text))
    connection.report(KafkaError(KafkaError._TRANSPORT, "GroupCoordinator: b1:9092: Disconnected (after 5ms in …"))
    connection.report(KafkaError(KafkaError._TRANSPORT, "GroupCoordinator: b2:9092: Disconnected (after 6ms in …"))
    connection.report(ALL_DOWN)
    connection.did_not_answer()
    told = "; ".join(
        [
            *(f"b{each}:9092: disconnected" for each in (2, 1)),
            *(f"b{each}:9092: no route to host" for each in (6, 5, 4)),
        ]
    )

    assert cause(connection) == f"Kafka does not answer at a:9092,b:9092 ({told}; and 2 more)"
