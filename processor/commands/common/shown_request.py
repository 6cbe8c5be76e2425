"""A request as it would be sent, but for the secrets in it."""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from processor.adapters.fullstory import HEADERS, deletion_path, post_headers, post_path
from processor.events.payload import Payload
from processor.model.reasons import Kind

MASKED_KEY = "Basic ***"
KEY_TO_COME = "(made of the request and a random number when it is planned)"
"""In place of an Idempotency-Key."""

_EPOCH = "1970-01-01T00:00:00.000Z"


class ShownRequest(NamedTuple):
    """One request, of one item."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def is_of_epoch(self) -> bool:
        """Whether the item is of the first moment of 1970, as one is that was given no time."""
        return bool(self.body and orjson.loads(self.body).get("timestamp") == _EPOCH)


def requests_of(payload: Payload) -> Sequence[ShownRequest]:
    """Return a request for each item. An item alone uses the endpoint of one item, in every mode."""
    headers = {**HEADERS, **post_headers(KEY_TO_COME), "Authorization": MASKED_KEY}
    posts = [
        ShownRequest("POST", post_path(kind, batch=False), headers, item.body)
        for kind in (Kind.USER, Kind.EVENT)
        for item in payload.items(kind)
    ]
    own = {**HEADERS, "Authorization": MASKED_KEY}
    return [*posts, *(ShownRequest("DELETE", deletion_path(item.uid), own, b"") for item in payload.deletions)]
