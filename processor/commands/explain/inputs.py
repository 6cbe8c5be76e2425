"""What is to be explained: JSON, an Avro container or a Kafka value, in a file or on standard input, or a topic."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, final

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.reading import TopicReader
from processor.commands.common.explanation import Input
from processor.commands.explain.avro_file import SCHEMA_ID, AvroFile
from processor.events.framing import BYTE_ORDER_MARK
from processor.events.json_text import NoJson, parse_json
from processor.model.records import NO_TIME, Record, TopicPartition
from processor.runtime.ports import Schemas

STDIN = "-"
_AVRO_FIRST_BYTE = b"O"
"""Of a container file's `Obj`; no JSON begins so."""

_FRAMING_FIRST_BYTES = (b"\0", b"\xc3")
"""Of a Kafka value that names its schema; no JSON begins so either."""


class InputError(Exception):
    """The input cannot be read; the text says where and why."""


@final
@dataclass(frozen=True, slots=True)
class Inputs:
    """Records to explain, and the schemas that came with them."""

    inputs: Iterator[Input]
    schemas: Schemas | None = None
    """None: those of the settings."""


def of_file(path: str) -> Inputs:
    """Return the records of a file, `-` for standard input; raises `InputError`, also while they are iterated over."""
    name = "stdin" if path == STDIN else os.fsencode(path).decode(errors="replace")
    try:
        stream = open(0 if path == STDIN else path, "rb")  # noqa: PTH123, SIM115 - closed with the process
        first = stream.peek(1)[:1]
        if first in _FRAMING_FIRST_BYTES:
            return Inputs(iter([Input(name, _record(stream.read(), 0))]))
        if first != _AVRO_FIRST_BYTE:
            return Inputs(_json_inputs(stream, name))
        file = AvroFile(stream.read())
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None
    return Inputs(_avro_inputs(file, name), file)


def of_topic(settings: KafkaSettings, partition: TopicPartition, offset: int, count: int) -> Inputs:
    """Return records of a topic; raises `SourceError`."""
    with TopicReader(settings) as reader:
        records = reader.read(partition, offset, count)
    return Inputs(Input(f"{partition} at {record.offset}", record) for record in records)


def _avro_inputs(file: AvroFile, name: str) -> Iterator[Input]:
    prefix = b"\0" + SCHEMA_ID.to_bytes(4, "big")
    try:
        for number, body in enumerate(file.bodies(), 1):
            record = Record(number - 1, NO_TIME, None, prefix + body, None)
            yield Input(f"{name}, record {number}", record, container=f"Avro container file, codec {file.codec}")
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None


def _json_inputs(stream: BinaryIO, name: str) -> Iterator[Input]:
    """Give each line as a record, or all lines as one where the first does not stand alone."""
    lines = _lines(stream)
    first = next(lines, None)
    if first is None:
        raise InputError(f"{name}: it is empty; expected is a Segment message as JSON, or one a line")
    if isinstance(parse_json(first[1]), NoJson):
        rest = list(lines)
        whole = b"\n" * (first[0] - 1) + b"\n".join([first[1], *(line for _, line in rest)])
        fault = parse_json(whole)
        if not isinstance(fault, NoJson):
            yield Input(name, _record(whole, 0))
            return
        if not any(type(parse_json(line)) is dict for _, line in rest):
            raise InputError(f"{name}, {fault}")
        lines = iter(rest)
    yield _line_input(name, *first)
    for number, line in lines:
        yield _line_input(name, number, line)


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Give the lines that are not blank, with their numbers."""
    for number, line in enumerate(stream, 1):
        text = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        if text.strip():
            yield number, text.rstrip(b"\r\n")


def _line_input(name: str, number: int, line: bytes) -> Input:
    parsed = parse_json(line)
    fault = f"{name}, line {number}: {parsed.fault}" if isinstance(parsed, NoJson) else None
    return Input(f"{name}, line {number}", _record(line, number - 1), fault=fault)


def _record(value: bytes, offset: int) -> Record:
    return Record(offset, NO_TIME, None, value, None)
