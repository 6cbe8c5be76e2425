"""Kafka: the source of records and the dead-letter topic."""
