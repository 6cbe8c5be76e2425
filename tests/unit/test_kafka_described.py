"""What the brokers describe is asked for through one client."""

from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from processor.adapters.kafka import described as module
from processor.adapters.kafka.config import KafkaSettings, Login
from processor.adapters.kafka.described import Described

GROUP = "g"


class Admin:
    """A client whose coordinator knows no member; as librdkafka's it must be polled for what it has to tell."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.answers = True
        self.polled = 0

    def __len__(self) -> int:
        """Return how much is on its way, as librdkafka's does: nothing."""
        return 0

    def poll(self, timeout: float) -> None:
        """Take what it has to tell."""
        assert timeout == 0
        self.polled += 1

    def describe_consumer_groups(self, groups: list[str], **_: Any) -> dict[str, Future[Any]]:
        """Answer, or not in time."""
        answer: Future[Any] = Future()
        if self.answers:
            nobody = SimpleNamespace(members=[], type=SimpleNamespace(name="CLASSIC"), partition_assignor="")
            answer.set_result(nobody)
        else:
            answer.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        return dict.fromkeys(groups, answer)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Admin]:
    """Return the clients as they are made."""
    clients: list[Admin] = []

    def client(settings: KafkaSettings) -> Admin:
        clients.append(Admin(settings))
        return clients[-1]

    monkeypatch.setattr(module, "client", client)
    return clients


@pytest.fixture
def described() -> Iterator[Described]:
    """Return what is to be tested, with a consumer that has no broker."""
    consumer = Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": GROUP, "log_level": 0})
    settings = KafkaSettings(
        "127.0.0.1:1", ("t",), GROUP, "d", properties={"sasl.username": "a", "sasl.password": "old"}
    )
    yield Described(consumer, settings, lambda _seconds: True, lambda _fault: None)
    consumer.close()


def test_all_questions_go_through_one_client(described: Described, made: list[Admin]) -> None:
    """A client is threads and connections, and a login to each broker: none is made for a question, or in advance."""
    assert not made
    assert [described.is_member() for _ in range(3)] == [False] * 3

    assert [each.polled for each in made] == [3]


def test_a_client_without_an_answer_asks_no_more(described: Described, made: list[Admin]) -> None:
    """Another one connects at once; the one before may wait ten seconds for its next attempt."""
    described.is_member()
    made[0].answers = False
    assert described.is_member() is None
    assert described.is_member() is False

    assert len(made) == 2


def test_a_new_login_is_used_from_the_next_question_on(described: Described, made: list[Admin]) -> None:
    """The brokers refuse the old one some day."""
    described.is_member()
    described.log_in(Login("b", "new"))
    described.is_member()

    assert [each.settings.properties for each in made] == [
        {"sasl.username": "a", "sasl.password": "old"},
        {"sasl.username": "b", "sasl.password": "new"},
    ]
