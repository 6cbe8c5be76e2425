"""What the owner of a partition asks for; whoever performs it reports back by the event named here."""

from typing import TYPE_CHECKING, NamedTuple

from processor.engine.partition.request import Request
from processor.events.dead_letters import Attempts
from processor.model.outcomes import Rejected
from processor.model.reasons import HaltReason
from processor.model.records import Record

if TYPE_CHECKING:
    from processor.engine.partition.batch import Batch


class Post(NamedTuple):
    """POST this as soon as there is room, if `may_post` still says so; then `answered`."""

    request: Request


class AskJob(NamedTuple):
    """Ask for the request's job until it has ended; then `job_ended`."""

    request: Request


class WriteLetters(NamedTuple):
    """Write these dead letters; when all of them are acknowledged, `letters_acknowledged`."""

    batch: "Batch"
    letters: list[tuple[Record, Rejected]]
    attempts: Attempts | None


class StandStill(NamedTuple):
    """Show a halt until the epoch ends: nothing in this process ends it."""

    reason: HaltReason
    cause: str
    action: str = ""
    """What an operator does about it, where more is known than what is always said for this reason."""


class Seek(NamedTuple):
    """Go on from this offset, where a gap had stopped the partition."""

    offset: int


Action = Post | AskJob | WriteLetters | StandStill | Seek
