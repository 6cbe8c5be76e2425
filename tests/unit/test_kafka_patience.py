"""Questions whose answer an assignment needs are asked until it comes, and their silence is told."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from processor.adapters.kafka.patience import Patience
from processor.model.errors import SourceError


def test_each_question_without_an_answer_is_told() -> None:
    """Who waits for a broker says so at once, not when the wait is over."""
    told: list[str] = []
    asked: list[int] = []

    def question() -> int | None:
        asked.append(len(told))
        if len(asked) == 1:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return 42 if len(asked) == 3 else None

    assert Patience(lambda _seconds: False, told.append).insist(question) == 42
    assert told == ["Local: Timed out", "no answer"]
    assert asked == [0, 1, 2]


def test_who_stops_waits_for_no_answer() -> None:
    """The source ends at the next pause; nothing was begun yet."""
    told: list[str] = []
    with pytest.raises(SourceError, match="no answer"):
        Patience(lambda _seconds: True, told.append).insist(lambda: None)
    assert told == ["no answer"]
