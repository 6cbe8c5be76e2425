"""AWS Glue on a loopback port, as far as its schema registry is asked: its JSON protocol, version 1.1."""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any, final

from tests.fakes.loopback import Loopback, send

Answer = tuple[int, dict[str, Any]]

VERSION = "b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63"
"""Of whatever is registered."""


@final
class FakeGlue(Loopback):
    """Answers what version a definition has (always `VERSION`), and which definition a version of `versions` has.

    `fault`, where set, is answered instead: a status and the name of AWS's error. `asked` holds what was asked.
    """

    def __init__(self) -> None:
        self.versions: dict[str, dict[str, Any]] = {}
        self.fault: tuple[int, str] | None = None
        self.asked: list[tuple[str, Any]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                call = self.headers["X-Amz-Target"].partition(".")[2]
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = fake._answer(call, asked)
                send(self, status, json.dumps(answer).encode(), "application/x-amz-json-1.1")

            def log_message(self, *_values: object) -> None:
                """Say nothing."""

        super().__init__(Handler)

    def _answer(self, call: str, asked: Any) -> Answer:
        self.asked.append((call, asked))
        if self.fault is not None:
            status, name = self.fault
            return status, {"__type": name, "Message": "as the test wants it"}
        if call == "GetSchemaByDefinition":
            return 200, {"SchemaVersionId": VERSION, "Status": "AVAILABLE", "DataFormat": "AVRO"}
        found = self.versions.get(asked.get("SchemaVersionId"))
        if call != "GetSchemaVersion" or found is None:
            return 400, {"__type": "EntityNotFoundException", "Message": "not found"}
        return 200, {"SchemaVersionId": asked["SchemaVersionId"], "Status": "AVAILABLE", **found}
