"""Quix Streams from Kafka to FullStory, as its documentation advises: a dataframe that ends in a batching sink.

Runs in a virtual environment of its own, with what its requirements name; its settings are environment variables.
"""

import io
import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import httpx
import orjson
from quixstreams import Application
from quixstreams.sinks import BatchingSink, SinkBatch

BATCH = int(os.environ["BATCH"])
CONCURRENCY = int(os.environ["CONCURRENCY"])
SINK = os.environ["SINK_URL"]
ATTEMPTS = 8
ILLEGAL = re.compile(r"[^A-Za-z0-9_]")

# Without logical types: numbers take less time to write than what the library makes of them.
SCHEMA = fastavro.parse_schema(
    orjson.loads(Path(os.environ["SCHEMA"]).read_text("utf-8").replace(',"logicalType":"timestamp-millis"', ""))
)
names: dict[str, str] = {}
"""Cleaned, by what they were."""


def decode(value: bytes) -> dict[str, Any]:
    """Return the kind of the item, and the item."""
    event: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), SCHEMA, None)
    uid = event["userId"] or event["anonymousId"]
    if event["type"] == "identify":
        traits = event["traits"] or {}
        item: dict[str, Any] = {"uid": uid}
        if (name := traits.pop("displayName", None)) is not None:
            item["display_name"] = name
        if (email := traits.pop("email", None)) is not None:
            item["email"] = email
        add_properties(item, traits)
        if event["userId"] and event["anonymousId"]:
            item["properties"]["segmentAnonymousId"] = event["anonymousId"]
        return {"kind": "users", "item": item}
    time = event["timestamp"]
    if time is None:
        time = event["originalTimestamp"] + event["receivedAt"] - event["sentAt"]
    text = datetime.fromtimestamp(time / 1_000, UTC).isoformat(timespec="milliseconds")
    context = event["context"]
    item = {
        "name": event["event"],
        "timestamp": text[:-6] + "Z",
        "user": {"uid": uid},
        "context": {
            "browser": {"url": context["page"]["url"], "user_agent": context["userAgent"]},
            "location": {"ip_address": context["ip"]},
        },
    }
    add_properties(item, event["properties"] or {})
    return {"kind": "events", "item": item}


def add_properties(item: dict[str, Any], found: dict[str, Any]) -> None:
    """Add the properties under clean names, and say which of them are whole numbers."""
    properties, whole = {}, {}
    for name, value in found.items():
        clean = names.get(name)
        if clean is None:
            clean = ILLEGAL.sub("", name)
            if len(names) < 10_000:
                names[name] = clean
        if value is not None:
            properties[clean] = value
            if type(value) is int:
                whole[clean] = "int"
    item["properties"] = properties
    if whole:
        item["schema"] = {"properties": whole}


class FullStorySink(BatchingSink):  # type: ignore[misc]  # its types are not installed here
    """Whatever came until a checkpoint, in requests of `BATCH` items, so many at once as are allowed."""

    def setup(self) -> None:
        """Open the connections."""
        self._http = httpx.Client(
            headers={"Authorization": "Basic bench", "Content-Type": "application/json"},
            limits=httpx.Limits(max_connections=CONCURRENCY),
            timeout=30,
        )
        self._pool = ThreadPoolExecutor(CONCURRENCY)

    def write(self, batch: SinkBatch) -> None:
        """Deliver all of it, or raise."""
        items: dict[str, list[Any]] = {"users": [], "events": []}
        for each in batch:
            items[each.value["kind"]].append(each.value["item"])
        sent = [
            self._pool.submit(self._post, kind, found[at : at + BATCH])
            for kind, found in items.items()
            for at in range(0, len(found), BATCH)
        ]
        for each in sent:
            each.result()

    def _post(self, kind: str, found: list[Any]) -> None:
        body = orjson.dumps({"requests": found})
        for _ in range(ATTEMPTS):
            if self._http.post(f"{SINK}/v2/{kind}/batch", content=body).is_success:
                return
        raise RuntimeError("not delivered")


def main() -> None:
    """Run until SIGTERM."""
    application = Application(
        broker_address=os.environ["BOOTSTRAP"],
        consumer_group=os.environ["GROUP"],
        auto_offset_reset="earliest",
        loglevel="WARNING",
        commit_every=10_000,
        commit_interval=5,
    )
    topic = application.topic(os.environ["TOPIC"], value_deserializer="bytes", key_deserializer="bytes")
    application.dataframe(topic).apply(decode).sink(FullStorySink())
    application.run()


if __name__ == "__main__":
    main()
