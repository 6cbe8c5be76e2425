"""What took effect, in order: the record against which a run is judged."""

from collections import Counter
from typing import Literal, NamedTuple, final

import orjson

from processor.sandbox.wire import Json

ItemKind = Literal["user", "event"]
EffectKind = Literal[ItemKind, "deletion"]
Via = Literal["single", "batch", "stream"]


class ItemOrigin(NamedTuple):
    """Where an item came from."""

    kind: EffectKind
    via: Via
    request: int  # number of the request that brought it
    idempotency_key: str | None
    job_id: str | None = None


class Effect(NamedTuple):
    """A user upsert, an event or a user's deletion: a tuple with its item as text, because a run makes many."""

    sequence: int
    at: float
    kind: EffectKind
    via: Via
    job_id: str | None
    idempotency_key: str | None
    request: int
    body: bytes  # the item as JSON

    @property
    def item(self) -> Json:
        """The item as far as it took effect; an event of a batch with `shared` filled in; of a deletion, the ids."""
        item: Json = orjson.loads(self.body)
        return item

    def as_json(self) -> Json:
        """Return the fields by name: a line of `GET /sandbox/truth`, for orjson."""
        shape = self._asdict()
        shape["item"] = orjson.Fragment(shape.pop("body"))
        return shape


class TakenItem(NamedTuple):
    """What came of one item: its effect, and FullStory's id of its user; empty if it names a session alone."""

    effect: Effect
    user_id: str


@final
class Truth:
    """Every effect in the order in which it took place; `sequence` counts from 1."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.counts: Counter[str] = Counter()

    def add(self, at: float, origin: ItemOrigin, item: Json) -> Effect:
        """Record and return an effect."""
        kind, via, request, idempotency_key, job_id = origin
        sequence = len(self.effects) + 1
        # Copied: orjson shrinks a large buffer in place, and what is left over is too small for the next one.
        body = bytes(memoryview(orjson.dumps(item)))
        effect = Effect(sequence, at, kind, via, job_id, idempotency_key, request, body)
        self.effects.append(effect)
        self.counts[kind] += 1
        return effect
