"""The thread that serves the dead letters' producer, without a broker."""

import asyncio

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.dead_letters import KafkaDeadLetters

NOBODY = KafkaSettings("127.0.0.1:1", ("segment",), "group", "letters")
DEADLINE_S = 10.0
LOOK_S = 0.01


class Fenced:
    """A producer that cannot go on, which confluent-kafka (2.16) tells by raising out of `poll`."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault
        self.was_purged = False

    def poll(self, _timeout_s: float) -> int:
        """Tell."""
        raise self._fault

    def purge(self) -> None:
        """Report what it holds as a fault."""
        self.was_purged = True

    def flush(self, _timeout_s: float) -> int:
        """Serve reports."""
        return 0


@pytest.mark.parametrize(
    "fault", [KafkaException(KafkaError(KafkaError._FATAL)), SystemError("returned a result with an exception set")]
)
def test_a_producer_that_raises_out_of_its_thread_is_replaced(fault: Exception) -> None:
    """The thread lives on, and what the broken one held is reported, to be written again."""

    async def serve() -> None:
        letters = KafkaDeadLetters(NOBODY)
        letters._producer = fenced  # type: ignore[assignment]
        async with letters, asyncio.timeout(DEADLINE_S):
            while not fenced.was_purged:  # noqa: ASYNC110 - what happens, happens on a thread
                await asyncio.sleep(LOOK_S)
            assert isinstance(letters._producer, Producer)
            assert letters._thread.is_alive()

    fenced = Fenced(fault)
    asyncio.run(serve())
