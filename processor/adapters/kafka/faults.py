"""What librdkafka's faults mean."""

from confluent_kafka import KafkaError, KafkaException


def said(error: KafkaException) -> str:
    """Return what librdkafka says of a fault, for people."""
    fault = error.args[0]
    return fault.str() if isinstance(fault, KafkaError) else str(fault)


def is_fatal(fault: KafkaError) -> bool:
    """Return whether the client that reports it can never go on; a consumer says so by the code alone."""
    return fault.fatal() or fault.code() == KafkaError._FATAL
