"""The ids of topics, by which a topic differs from one of its name that was deleted."""

from collections.abc import Collection

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from processor.adapters.kafka.config import LIBRDKAFKA_LOG, KafkaSettings, admin_config


def topic_ids(settings: KafkaSettings, topics: Collection[str], timeout_s: float) -> dict[str, str]:
    """Ask for the ids, all in one question; raise `KafkaException` where there is no answer.

    A consumer is not told them (confluent-kafka 2.16), so a client is made for the question, and gone after it.
    """
    admin = AdminClient(admin_config(settings), logger=LIBRDKAFKA_LOG)
    answers = admin.describe_topics(TopicCollection([*topics]), request_timeout=timeout_s)
    return {topic: str(answer.result().topic_id) for topic, answer in answers.items()}
