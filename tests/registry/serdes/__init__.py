"""Other people's serializers, real ones, from Maven: what they write."""

import json
import os
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any, NamedTuple

from processor.model.records import NO_TIME, Record
from tests.kafka.maven import fetched
from tests.kafka.programs import ROOT

HERE = Path(__file__).parent
CACHE = ROOT / ".cache" / "serdes"


class Serde(NamedTuple):
    """A serializer for Avro, and the artefact that holds it."""

    group: str
    artifact: str
    version: str
    kind: str

    @property
    def classpath(self) -> Path:
        """The folder of its jars; raises `RuntimeError` where Maven cannot fetch them."""
        names = {"group": self.group, "artifact": self.artifact, "version": self.version}
        return fetched(HERE / "pom.xml", CACHE, "copy", *(f"serde.{name}={value}" for name, value in names.items()))

    def write(self, schema: Any, event: Any, *properties: str) -> Record:
        """Return what it writes of an event in Avro's JSON encoding; raises `RuntimeError` with what it says."""
        command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{self.classpath}/*"]
        command += [str(HERE / "Write.java"), self.kind, json.dumps(schema), json.dumps(event), *properties]
        credentials = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | credentials)
        if done.returncode:
            raise RuntimeError(f"{self.kind} ended with {done.returncode}: {done.stderr[-2_000:]}")
        value, *lines = done.stdout.split("\n")[:-1]
        headers = [(name, b64decode(text)) for name, _, text in (line.partition(" ") for line in lines)]
        return Record(0, NO_TIME, None, b64decode(value), list(headers) or None)


_AVRO = "io.apicurio.registry.serde.avro.AvroKafkaSerializer"

APICURIO_2 = Serde("io.apicurio", "apicurio-registry-serdes-avro-serde", "2.6.13.Final", _AVRO)
APICURIO_3 = Serde("io.apicurio", "apicurio-registry-avro-serde-kafka", "3.1.7", _AVRO)
GLUE = Serde(
    *("software.amazon.glue", "schema-registry-serde", "1.1.27"),
    "com.amazonaws.services.schemaregistry.serializers.GlueSchemaRegistryKafkaSerializer",
)
