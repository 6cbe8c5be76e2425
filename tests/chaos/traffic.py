"""What is produced: the generator's traffic, and among it a busy user whose nested trait changes with each identify."""

from collections.abc import Iterator
from typing import Any

import orjson

from processor.model.reasons import Kind
from processor.workload import START_MS, ExpectDelivered, GeneratedRecord, Mix, generate

BODY_BYTES = 200_000
"""The sandbox refuses larger requests; a good record is far smaller, and an oversized one larger."""
MIX = Mix(identify=0.3, users=300, oversize_bytes=BODY_BYTES + 20_000)

BUSY_EVERY = 12
"""One of so many records is of the busy user."""
BUSY_RECORDS = 500
"""Then another user is the busy one, so that none collects ever more properties."""
TRACK_EVERY = 4
"""Of the busy user's records; all others are identifies."""
NESTED = "company"
"""The trait that changes."""
BUSY = "busy"


def traffic(seed: int) -> Iterator[GeneratedRecord]:
    """Yield records without end; the same for the same seed."""
    for number, record in enumerate(generate(seed, None, MIX)):
        if number % BUSY_EVERY == 0:
            yield of_busy_user(number // BUSY_EVERY)
        yield record


def of_busy_user(number: int) -> GeneratedRecord:
    """Return the busy user's record of this number."""
    uid, unique = f"{BUSY}-{number // BUSY_RECORDS}", f"0_{number}"
    message: dict[str, Any] = {"userId": uid}
    if number % TRACK_EVERY == 0:
        expected = ExpectDelivered(Kind.EVENT, uid, unique)
        message |= {"type": "track", "event": "Busy", "properties": {"unique": unique}}
    else:
        expected = ExpectDelivered(Kind.USER, uid, f"u{unique}")
        message |= {"type": "identify", "traits": {expected.unique: True, NESTED: _nested(number)}}
    return GeneratedRecord(uid.encode(), orjson.dumps(message), [], START_MS + number, expected)


def nested_of(uid: str, unique: str) -> dict[str, Any] | None:
    """Return the nested trait of an identify of the busy user; None for what others sent."""
    return _nested(int(unique.rpartition("_")[2])) if uid.startswith(BUSY) else None


def _nested(number: int) -> dict[str, Any]:
    """Return an object that keeps its shape, grows, or shrinks from one number to the next."""
    extent = {f"n{each}": number for each in range(number // 2 % 6)}
    return {"seats": number, "plan": {"name": f"plan {number}", **extent}}
