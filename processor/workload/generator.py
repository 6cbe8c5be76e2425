"""The stream of records: which kind comes when, of which user, and what is expected of it."""

import itertools
import random
from bisect import bisect
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, final

from processor.model.reasons import FilterReason, Kind
from processor.workload import messages
from processor.workload.encoding import AvroEncoder, Message, encode_json
from processor.workload.expectations import (
    Expectation,
    ExpectDeadLettered,
    ExpectDelivered,
    ExpectFiltered,
    GeneratedRecord,
    Mix,
)
from processor.workload.poison import Poison

GATE_MIX = Mix()
START_MS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000


def generate(
    seed: int, count: int | None = None, mix: Mix = GATE_MIX, start_ms: int = START_MS
) -> Iterator[GeneratedRecord]:
    """Yield `count` records, or records without end, one per millisecond from `start_ms`; `seed` is not negative.

    A topic with a retention deletes records older than it, so such a topic wants a recent `start_ms`.
    """
    traffic = _Traffic(seed, mix, start_ms)
    numbers = itertools.count() if count is None else range(count)
    return map(traffic.record, numbers)


@final
class _Traffic:
    """Makes record after record; all chance comes from one seeded generator, drawn from in a fixed order."""

    def __init__(self, seed: int, mix: Mix, start_ms: int) -> None:
        self._seed = seed
        self._mix = mix
        self._start_ms = start_ms
        self._draw = random.Random(seed).random  # noqa: S311 - repeatable on purpose
        self._avro = AvroEncoder()
        self._spoil = Poison(self._avro, mix.oversize_bytes).spoil
        self._makers = (self._poisoned, self._tombstone, self._other_type, self._excluded, self._forwarded)
        self._bounds = list(itertools.accumulate((mix.poison, mix.tombstone, mix.other_type, mix.excluded)))

    def record(self, number: int) -> GeneratedRecord:
        """Make the record of this number."""
        now_ms = self._start_ms + number
        message = self._envelope(number, now_ms)
        make = self._makers[bisect(self._bounds, self._draw())]
        value, expectation = make(number, message)
        has_order = isinstance(expectation, ExpectDelivered) or self._draw() >= self._mix.null_key
        return GeneratedRecord(
            key=_uid(message).encode() if has_order else None,
            value=value,
            headers=[("source", b"web"), ("empty", b""), ("absent", None)] if number % 8 == 0 else [],
            timestamp_ms=now_ms,
            expectation=expectation,
        )

    def _envelope(self, number: int, now_ms: int) -> Message:
        mix = self._mix
        user = number // mix.events_per_user + int(mix.users * self._draw() ** mix.skew)
        message = messages.envelope(number, user, now_ms)
        message["messageId"] = f"message-{self._seed}-{number}"
        if self._draw() < mix.anonymous:
            message["userId"] = None
        return message

    def _forwarded(self, number: int, message: Message) -> tuple[bytes, Expectation]:
        extra = self._awkward(number)
        if self._draw() < self._mix.identify:
            kind, unique = Kind.USER, f"u{self._seed}_{number}"
            message |= messages.identify(unique, number, extra)
        else:
            kind, unique = Kind.EVENT, f"e-{self._seed}-{number}"
            message |= messages.track(unique, number, extra)
        return self._encode(message), ExpectDelivered(kind, _uid(message), unique)

    def _excluded(self, number: int, message: Message) -> tuple[bytes, Expectation]:
        message["integrations"] = messages.excluding(number)
        value, _ = self._forwarded(number, message)
        return value, ExpectFiltered(FilterReason.INTEGRATIONS)

    def _other_type(self, number: int, message: Message) -> tuple[bytes, Expectation]:
        return self._encode(message | messages.other_type(number)), ExpectFiltered(FilterReason.MESSAGE_TYPE)

    def _tombstone(self, _number: int, _message: Message) -> tuple[None, Expectation]:
        return None, ExpectFiltered(FilterReason.TOMBSTONE)

    def _poisoned(self, number: int, message: Message) -> tuple[bytes, Expectation]:
        value, reason = self._spoil(message | messages.track("poison", number, {}))
        return value, ExpectDeadLettered(reason)

    def _awkward(self, number: int) -> dict[str, Any]:
        return messages.awkward(number) if self._draw() < self._mix.awkward else {}

    def _encode(self, message: Message) -> bytes:
        return encode_json(message) if self._draw() < self._mix.plain_json else self._avro(message)


def _uid(message: Message) -> str:
    uid: str = message["userId"] or message["anonymousId"]
    return uid
