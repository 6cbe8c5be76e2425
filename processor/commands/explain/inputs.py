"""What is to be explained: JSON, an Avro container or a Kafka value, in a file or on standard input, or a topic."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, final

from processor.adapters.kafka.config import KafkaSettings
from processor.adapters.kafka.reading import TopicReader
from processor.commands.common.explanation import Input
from processor.commands.explain.avro_file import SCHEMA_ID, AvroFile
from processor.events.json_text import INVALID, parse_json
from processor.model.records import NO_TIME, Record, TopicPartition
from processor.runtime.ports import Schemas

STDIN = "-"
_AVRO_FIRST_BYTE = b"O"
"""Of a container file's `Obj`; no JSON begins so."""

_FRAMING_FIRST_BYTES = (b"\0", b"\xc3")
"""Of a Kafka value that names its schema; no JSON begins so either."""

_BOM = b"\xef\xbb\xbf"


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
    if parse_json(first[1]) is INVALID:
        rest = list(lines)
        whole = b"\n" * (first[0] - 1) + b"\n".join([first[1], *(line for _, line in rest)])
        if parse_json(whole) is not INVALID:
            yield Input(name, _record(whole, 0))
            return
        if not any(type(parse_json(line)) is dict for _, line in rest):
            raise InputError(_fault_of(whole, name))
        lines = iter(rest)
    yield _line_input(name, *first)
    for number, line in lines:
        yield _line_input(name, number, line)


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Give the lines that are not blank, with their numbers."""
    for number, line in enumerate(stream, 1):
        text = line.removeprefix(_BOM) if number == 1 else line
        if text.strip():
            yield number, text.rstrip(b"\r\n")


def _line_input(name: str, number: int, line: bytes) -> Input:
    fault = _fault_of(line, name, number) if parse_json(line) is INVALID else None
    return Input(f"{name}, line {number}", _record(line, number - 1), fault=fault)


def _record(value: bytes, offset: int) -> Record:
    return Record(offset, NO_TIME, None, value, None)


def _fault_of(text: bytes, name: str, first_line: int = 1) -> str:
    """Say where text stops being JSON; never with what it holds."""
    line, fault = 1, "no JSON"
    try:
        json.loads(text.decode())
    except json.JSONDecodeError as error:
        line, fault = error.lineno, f"no JSON at column {error.colno}: {error.msg}"
    except UnicodeDecodeError as error:
        line, fault = 1 + text.count(b"\n", 0, error.start), "no text in UTF-8"
    except RecursionError:
        fault = "nested too deeply"
    return f"{name}, line {first_line - 1 + line}: {fault}"
