"""`python -m bench.watched FILE run`: a real worker that notes when each of its batches goes on, and how far.

Everything that happens to a request passes through one table (`Request.on`), and everything that happens to a batch
through the owner of its partition. This puts a note around those few methods, in this process alone: the worker that
people run has nothing of it. The file gets a line for each batch whose offset is committed: the seconds in each phase.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, wraps
from pathlib import Path
from typing import IO, Any

import orjson

from bench.phases import Phase
from processor.commands.main import main
from processor.engine.partition.actions import Action, WriteLetters
from processor.engine.partition.batch import Batch
from processor.engine.partition.journal import Journal
from processor.engine.partition.owner import Partition
from processor.engine.partition.request import Happening, Request, Stage
from processor.model.records import Record

PHASES = {
    Stage.POSTED: Phase.ANSWER,
    Stage.QUEUED: Phase.ADMISSION,
    Stage.READY: Phase.PLAN,
    Stage.RESTING: Phase.REST,
    Stage.IN_JOB: Phase.JOB,
    Stage.HELD: Phase.TURN,
}
"""Of requests in several stages, a batch waits for the first of these: its turn counts where nothing else is under way,
for events are held behind the identifies of their own batch, too."""


@dataclass(slots=True)
class Life:
    """What is known of a batch by now."""

    end: int
    at: float
    """Since when it is in its phase."""
    phase: Phase = Phase.PLAN
    spent: defaultdict[Phase, float] = field(default_factory=lambda: defaultdict(float))

    def go_on(self, phase: Phase, now: float) -> None:
        """Its phase may be another one from now on."""
        self.spent[self.phase] += now - self.at
        self.at, self.phase = now, phase


lives: dict[Batch, Life] = {}
"""Of batches on their way."""
settled: defaultdict[Journal, list[Life]] = defaultdict(list)
"""Of batches that settled, and whose offsets are not committed."""
full_since: dict[Partition, float] = {}
"""Since when what a partition has buffered fills a batch."""


def around(owner: type[Any], name: str, note: Callable[..., Any]) -> None:
    """Have a method called by way of `note`, which is given the method itself, too."""
    method = getattr(owner, name)

    @wraps(method)
    def noted(*arguments: Any, **options: Any) -> Any:
        return note(method, *arguments, **options)

    setattr(owner, name, noted)


def fetched(method: Callable[..., Any], partition: Partition, records: list[Record], size: int, now: float) -> int:
    """Note when what is buffered fills a batch."""
    taken: int = method(partition, records, size, now)
    if partition.queue.is_full(partition.common.settings.limits):
        full_since.setdefault(partition, now)
    return taken


def form(method: Callable[..., Any], partition: Partition, now: float, wall_s: float) -> int | None:
    """Note how long a batch has gathered, how long it has waited for a slot, and how long its forming takes."""
    queue, limits = partition.queue, partition.common.settings.limits
    since, begun, before = queue.waiting_since, time.monotonic(), len(partition.batches)
    due = max(since, min(full_since.get(partition, float("inf")), since + limits.linger_s))
    requests: int | None = method(partition, now, wall_s)
    if requests is not None:
        full_since.pop(partition, None)
        if queue.is_full(limits):
            full_since[partition] = float("-inf")
    if len(partition.batches) > before and (life := lives.get(next(reversed(partition.batches)))) is not None:
        life.spent[Phase.GATHERING] = due - since
        life.spent[Phase.SLOT] = max(begun - due, 0.0)
        life.spent[Phase.FORMING] = life.at - begun
    return requests


def set_out(method: Callable[..., Any], batch: Batch, now: float, wall_s: float) -> None:
    """Note that a batch is on its way."""
    method(batch, now, wall_s)
    lives[batch] = Life(batch.opened.range.end, time.monotonic())
    if batch.is_closing:
        lives[batch].phase = Phase.LETTERS
    look(batch)


def on(method: Callable[..., Any], request: Request, happening: Happening) -> None:
    """Note that something happened to a request."""
    method(request, happening)
    look(request.batch)


def do(method: Callable[..., Any], partition: Partition, action: Action) -> None:
    """Note that nothing but dead letters is left of a batch."""
    method(partition, action)
    if isinstance(action, WriteLetters) and action.batch in lives:
        lives[action.batch].go_on(Phase.LETTERS, time.monotonic())


def settle(method: Callable[..., Any], partition: Partition, batch: Batch) -> None:
    """Note that a batch waits for earlier ones of its partition, and which do so no longer."""
    now = time.monotonic()
    if (life := lives.pop(batch, None)) is not None:
        life.go_on(Phase.EARLIER, now)
        settled[partition.journal].append(life)
    method(partition, batch)
    for each in settled[partition.journal]:
        if each.phase is Phase.EARLIER and each.end <= partition.queue.first_unsettled:
            each.go_on(Phase.COMMIT, now)


def acknowledge(file: IO[bytes], method: Callable[..., Any], journal: Journal) -> bool:
    """Write down which batches are behind the offset that Kafka has now."""
    told: bool = method(journal)
    now, offset = time.monotonic(), journal.acknowledged[0] if journal.acknowledged else 0
    for life in [each for each in settled[journal] if each.end <= offset]:
        settled[journal].remove(life)
        life.go_on(Phase.COMMIT, now)
        file.write(orjson.dumps(life.spent, option=orjson.OPT_NON_STR_KEYS) + b"\n")
    return told


def look(batch: Batch) -> None:
    """Note what a batch waits for now, where its requests tell that."""
    life = lives.get(batch)
    if life is None or life.phase is Phase.LETTERS:
        return
    stages = {request.stage for request in batch.requests}
    phase = next((phase for stage, phase in PHASES.items() if stage in stages), life.phase)
    life.go_on(phase, time.monotonic())


def watch(file: Path) -> None:
    """Note all of it from now on, and write down what is over."""
    around(Partition, "fetched", fetched)
    around(Partition, "form", form)
    around(Partition, "do", do)
    around(Partition, "settle", settle)
    around(Batch, "set_out", set_out)
    around(Request, "on", on)
    around(Journal, "acknowledge", partial(acknowledge, file.open("ab", buffering=0)))


if __name__ == "__main__":
    watch(Path(sys.argv.pop(1)))
    main(prog_name="segment-fullstory")
