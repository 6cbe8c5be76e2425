"""What took effect, in order: the record against which a run is judged."""

from collections import Counter
from typing import Literal, NamedTuple, final

from processor.sandbox.wire import Json

Kind = Literal["user", "event"]
Via = Literal["single", "batch", "stream"]


class Origin(NamedTuple):
    """Where an item came from."""

    kind: Kind
    via: Via
    request: int  # number of the request that brought it
    idempotency_key: str | None
    job_id: str | None = None


class Effect(NamedTuple):
    """One user upsert or one event that took effect. A tuple, because a run makes hundreds of thousands."""

    sequence: int
    at: float
    kind: Kind
    via: Via
    job_id: str | None
    idempotency_key: str | None
    request: int
    item: Json  # as received; an event of a batch with the batch's `shared` filled in

    def as_json(self) -> Json:
        """Return the fields by name: a line of `GET /sandbox/truth`."""
        return self._asdict()


@final
class Truth:
    """Every effect in the order in which it took place; `sequence` counts from 1."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.counts: Counter[str] = Counter()

    def add(self, at: float, origin: Origin, item: Json) -> None:
        """Record an effect."""
        kind, via, request, idempotency_key, job_id = origin
        self.effects.append(Effect(len(self.effects) + 1, at, kind, via, job_id, idempotency_key, request, item))
        self.counts[kind] += 1
