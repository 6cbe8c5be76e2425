"""How long a question to the brokers may take, and one that is asked until it is answered."""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaException

from processor.adapters.kafka.faults import said
from processor.model.errors import SourceError

ASK_S = 5.0
"""For one question to a broker."""

LOOK_S = 1.0
"""For what is only looked at: without an answer it stays unknown."""

ASK_AGAIN_S = 1.0

PATIENCE_S = 45.0
"""How long a rebalance waits for a broker that just handed out partitions; then the process starts anew. Less than
`REJOIN_MS`, after which the group goes on without this member."""

_T = TypeVar("_T")


class Patience:
    """For the consumer's thread alone, also inside of a callback.

    `is_stopping` waits so many seconds at most for the source to stop, and says whether it does. `unanswered` hears
    of each question that had no answer, and why.
    """

    def __init__(self, is_stopping: Callable[[float], bool], unanswered: Callable[[str], None]) -> None:
        self._is_stopping = is_stopping
        self._unanswered = unanswered

    def insist(self, question: Callable[[], _T | None]) -> _T:
        """Ask until there is an answer; raise `SourceError` where none comes in time, or the source stops meanwhile."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = question()
            except KafkaException as error:
                answer, fault = None, said(error)
            else:
                fault = "no answer"
            if answer is not None:
                return answer
            self._unanswered(fault)
            if self._is_stopping(ASK_AGAIN_S) or time.monotonic() > deadline:
                raise SourceError(f"Kafka did not tell where to begin: {fault}")
