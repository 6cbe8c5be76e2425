"""`segment-fullstory generate` as a user runs it."""

from processor.adapters.kafka.mock import MockCluster
from tests.commands.program import run


def test_a_count_of_records_is_written() -> None:
    """With a count, the program ends by itself and says how many records it wrote."""
    with MockCluster("segment") as kafka:
        done = run("generate", "--bootstrap-servers", kafka.bootstrap_servers, "--count", "50", "--rate", "1000")
        ends = kafka.ends("segment")

    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "50 records are in segment"
    assert sum(ends.values()) == 50


def test_a_wrong_address_is_named() -> None:
    """An unreachable broker is reported with the system's reason and the setting."""
    done = run("generate", "--bootstrap-servers", "127.0.0.1:1", "--count", "1")

    assert done.code == 1
    assert done.err == (
        "Error: Kafka does not answer at 127.0.0.1:1 (connection refused): check PROCESSOR_KAFKA__BOOTSTRAP_SERVERS\n"
    )
