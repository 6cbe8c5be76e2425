"""Pages of results: `{results, total_records, next_page_token?}`."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from processor.sandbox.wire import Call, Json, SandboxAnswer, invalid, ok
from processor.sandbox.world import World

T = TypeVar("T")


def page(world: World, call: Call, records: Sequence[T], as_json: Callable[[T], Any]) -> SandboxAnswer:
    """Return the page that `page_token` asks for. `total_records` is a string, as FullStory writes it."""
    start = _offset(call.query.get("page_token", ""))
    end = start + world.options.page_size
    body: Json = {
        "results": [as_json(record) for record in records[start:end]],
        "total_records": str(len(records)),
    }
    if end < len(records):
        body["next_page_token"] = base64.urlsafe_b64encode(b"%d" % end).decode()
    return ok(body)


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        offset = base64.urlsafe_b64decode(token)
    except (ValueError, binascii.Error):
        offset = b""
    if not offset.isdigit():
        raise invalid("page_token is not valid")
    return int(offset)
