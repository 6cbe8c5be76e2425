"""Kafka's command line, from the jars of the broker: `kafka-topics.sh` and its like."""

from collections.abc import Mapping, Sequence
from pathlib import Path

CLASSES: Mapping[str, str] = {
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-console-producer.sh": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
}
"""The scripts, each with the program that it starts."""

FAST_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""These programs live for a second."""


def write_scripts(folder: Path, java: Sequence[str]) -> None:
    """Write Kafka's scripts into the folder; `java` is the beginning of a command that runs one of its programs."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, program in CLASSES.items():
        words = " ".join(f"'{word}'" for word in [*java, *FAST_START, program])
        write_script(folder / name, f'{words} "$@"')


def write_script(file: Path, command: str) -> None:
    """Write an executable that becomes this command."""
    file.write_text(f"#!/bin/sh\nexec {command}\n", encoding="utf-8")
    file.chmod(0o755)
