"""Why brokers do not answer, from what librdkafka reports."""

import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.facts import ask
from processor.adapters.kafka.unreached import unreached
from processor.model.errors import SourceError

SERVERS = "check PROCESSOR_KAFKA__BOOTSTRAP_SERVERS"
PROPERTIES = "check PROCESSOR_KAFKA__PROPERTIES"
LISTENER = f"{SERVERS}, and security.protocol in PROCESSOR_KAFKA__PROPERTIES"


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (
            "k:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
            f"connection refused): {SERVERS}",
        ),
        (
            "k:9092/bootstrap: Failed to resolve 'k:9092': Name or service not known (after 1ms in state CONNECT)",
            f"name or service not known): {SERVERS}",
        ),
        (
            (
                "k:9092/bootstrap: Failed to resolve 'k:9092': Temporary failure in name resolution "
                "(after 66ms in state CONNECT) (_RESOLVE)"
            ),
            f"temporary failure in name resolution): {SERVERS}",
        ),
        (
            (
                "ssl://k:9092/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: "
                "broker certificate could not be verified (after 1ms in state SSL_HANDSHAKE)"
            ),
            (
                "TLS: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate "
                f"could not be verified): {PROPERTIES}"
            ),
        ),
        (
            (
                "sasl_ssl://k:9092/1: SASL authentication error: Authentication failed: Invalid username or password "
                "(after 300ms in state AUTH_REQ, 2 identical error(s) suppressed)"
            ),
            f"SASL authentication error: Authentication failed: Invalid username or password): {PROPERTIES}",
        ),
        (
            (
                "k:9092/bootstrap: Receive failed: Invalid response size 1213486160 (0..100000000): increase "
                "receive.message.max.bytes (after 0ms in state APIVERSION_QUERY)"
            ),
            f"an HTTP server answers): {LISTENER}",
        ),
        (
            "k:9092/bootstrap: Receive failed: Invalid response size 352518912 (0..100000000): increase",
            f"a TLS listener answers): {LISTENER}",
        ),
        (
            "k:9092/bootstrap: Receive failed: Invalid response size -1 (0..100000000)",
            f"no broker answers): {LISTENER}",
        ),
        (
            (
                "FAIL [rdkafka#producer-2] [thrd:k:9092/bootstrap]: k:9092/bootstrap: Disconnected: connection closed "
                "by peer: receive 0 after POLLIN (after 0ms in state APIVERSION_QUERY)"
            ),
            f"connection closed by the server): {LISTENER}",
        ),
        (
            'Failed to acquire SASL OAUTHBEARER token: {"error": "invalid_client"}',
            f'Failed to acquire SASL OAUTHBEARER token: {{"error": "invalid_client"}}): {PROPERTIES}',
        ),
        ("1/1 brokers are down", f"timed out): {SERVERS}"),
    ],
)
def test_a_report_is_told_in_a_few_words_with_the_setting(report: str, expected: str) -> None:
    """A report is reduced to the system's reason, with the setting to look at."""
    assert unreached("k:9092", [report]) == f"Kafka does not answer at k:9092 ({expected}"


def test_of_each_server_the_latest_report_counts() -> None:
    """The latest report of each server counts, in the setting's order; silence is a timeout."""
    reports = [
        "[::1]:9092/bootstrap: Connect to ipv6#[::1]:9092 failed: No route to host (after 0ms in state CONNECT)",
        "b:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
        "[::1]:9092/bootstrap: Connect to ipv6#[::1]:9092 failed: Connection refused (after 0ms in state CONNECT)",
    ]

    assert unreached("PLAINTEXT://[::1],c,b:1", reports) == (
        f"Kafka does not answer at PLAINTEXT://[::1] (connection refused), c (timed out), b:1 (connection refused): "
        f"{SERVERS}"
    )


@pytest.fixture
def closing() -> Iterator[str]:
    """Give the address of a server that takes what it is sent and closes the connection, as a TLS listener does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1_000)

        thread = Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_server_that_closes_the_connection_is_told_from_a_silent_one(closing: str) -> None:
    """A server that closes the connection is told from a silent one by librdkafka's log."""
    with pytest.raises(SourceError) as caught:
        ask(KafkaSettings(closing, ("segment",), "group", "letters"), 1.0)

    assert str(caught.value) == f"Kafka does not answer at {closing} (connection closed by the server): {LISTENER}"
