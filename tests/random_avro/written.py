"""What Avro for Java writes and reads, by `RandomAvro.java`."""

import json
import os
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.kafka.maven import fetched
from tests.kafka.programs import ROOT

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("AVRO_JAVA") or ROOT / ".cache" / "avro-java")
SAMPLE = HERE / "sample.jsonl"


class Value(NamedTuple):
    """Bytes, and what Java reads of them. What JSON has not is an object with one name, which begins with `$`."""

    body: bytes
    read: Any


class Written(NamedTuple):
    """A schema's text, and values by it."""

    schema: str
    values: list[Value]


def written(seed: int, records: int, unions: int, values: int) -> Iterator[str]:
    """Yield a line for each schema; raises `RuntimeError` with what Java says."""
    jars = fetched(HERE / "pom.xml", CACHE, "copy")
    command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{jars}/*", str(HERE / "RandomAvro.java")]
    command += map(str, (seed, records, unions, values))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        yield from process.stdout
        said = process.stderr.read()
    if process.returncode:
        raise RuntimeError(f"Java ended with {process.returncode}: {said[:2_000]}")


def parsed(line: str) -> Written:
    """Return what a line says."""
    said = json.loads(line)
    values = [Value(b64decode(value["bytes"]), value["read"]) for value in said["values"]]
    return Written(said["schema"], values)
