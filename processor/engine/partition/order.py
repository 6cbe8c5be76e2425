"""Order among the requests of one partition (law 11): each user waits for nobody but itself.

FullStory promises no order between jobs, so an identify waits until every earlier one of its user is complete; an event
waits until every identify of its user before it is accepted. The deletion of a user waits until every batch with
something of the user before it has settled, and what comes after waits until Kafka knows that it is over: a deletion
has no key, and sent once more it would take what came after (docs/adr/0023). Everything else overlaps freely.

A request takes its turn when it is formed, in the order of offsets: for each of its users it stands behind those that
came before. What is sent as one body waits for the slowest of its users, so who would hold others up travels apart
(`planning.lanes`).
"""

from collections import deque
from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from processor.engine.partition.request import Request


@dataclass(slots=True, eq=False)
class Turn:
    """The place of one request, or of one user's line of requests."""

    is_apart: bool
    """Whether nobody but the users themselves is held up while it waits."""
    users: int = 0
    """How many users' identifies of it are not complete."""
    waits: int = 0
    """How many have to come before: users for identifies, other turns for events, batches for deletions."""
    unaccepted: int = 0
    """Requests that FullStory has not taken yet, into a job at least."""
    is_accepted: bool = False
    held: list["Request"] = field(default_factory=list)
    """What is to be sent when nothing is waited for any more."""
    followers: list["Turn"] = field(default_factory=list)
    """Events that wait until it is accepted."""


@dataclass(slots=True, eq=False)
class Stay:
    """What a batch holds, until it settles."""

    uids: Collection[str] = ()
    """Whose users and events."""
    deletions: list[Turn] = field(default_factory=list)
    """What waits for its end."""


class UserOrder:
    """The identifies and deletions of one partition that are not complete, for each user in offset order."""

    def __init__(self, *, deletes_users: bool = False) -> None:
        self._deletes_users = deletes_users
        self._stays: dict[str, dict[Stay, None]] = {}
        """Batches on their way, by user, where users may be deleted."""
        self._queues: dict[str, deque[Turn]] = {}
        self._together: dict[Turn, None] = {}
        """The turns, not complete, of which several users share one request."""

    def enter_users(self, uids: Collection[str], *, is_apart: bool) -> Turn:
        """Take a place for identifies; no uid stands twice in one request."""
        turn = Turn(is_apart, users=len(uids))
        for uid in uids:
            queue = self._queues.setdefault(uid, deque())
            turn.waits += bool(queue)
            queue.append(turn)
        if uids and not is_apart:
            self._together[turn] = None
        return turn

    def enter_events(self, uids: AbstractSet[str]) -> Turn:
        """Take a place for events, behind all identifies that have one; only those not accepted count."""
        turn = Turn(is_apart=True)
        before = {each: None for uid in uids for each in self._queues.get(uid, ()) if not each.is_accepted}
        for each in before:
            each.followers.append(turn)
        turn.waits = len(before)
        return turn

    def enter_batch(self, uids: Iterable[str]) -> Stay:
        """Note whose users and events a batch holds: deletions that come after it wait until it settles.

        Until then another epoch may send some of it once more, after a deletion that is over.
        """
        stay = Stay(set(uids) if self._deletes_users else ())
        for uid in stay.uids:
            self._stays.setdefault(uid, {})[stay] = None
        return stay

    def enter_deletion(self, uid: str) -> Turn:
        """Take a place for the deletion of a user, behind all that is of the user."""
        turn = Turn(is_apart=True, users=1)
        queue, stays = self._queues.setdefault(uid, deque()), self._stays.get(uid, {})
        turn.waits = bool(queue) + len(stays)
        queue.append(turn)
        for each in stays:
            each.deletions.append(turn)
        return turn

    def settle(self, stay: Stay) -> list[Turn]:
        """The batch has settled; return the deletions that wait for nothing more."""
        for uid in stay.uids:
            del self._stays[uid][stay]
            if not self._stays[uid]:
                del self._stays[uid]
        for each in stay.deletions:
            each.waits -= 1
        return [each for each in stay.deletions if not each.waits]

    def accept(self, turn: Turn) -> list[Turn]:
        """FullStory has taken all of it; return the events that wait for nothing more."""
        turn.is_accepted = True
        followers, turn.followers = turn.followers, []
        for each in followers:
            each.waits -= 1
        return [each for each in followers if not each.waits]

    def leave(self, turn: Turn, uids: Iterable[str]) -> list[Turn]:
        """The identifies of these users took effect or never will; return the turns that wait for nothing more."""
        free: list[Turn] = []
        next_one: Turn | None
        for uid in uids:
            queue, next_one = self._queues[uid], turn  # who waits for one user less
            if queue[0] is turn:
                queue.popleft()
                next_one = queue[0] if queue else None
            else:  # its job went on in another epoch, while an identify before it has yet to be sent
                queue.remove(turn)
            turn.users -= 1
            if next_one is not None:
                next_one.waits -= 1
                free += [next_one] if next_one.users and not next_one.waits else []
            if not queue:
                del self._queues[uid]
        if not turn.users:
            self._together.pop(turn, None)
        return free

    @property
    def is_held_up(self) -> bool:
        """Whether several users' identifies wait for their turn: what comes after them had better grow meanwhile."""
        return any(turn.waits and turn.held for turn in self._together)

    def held(self, uids: AbstractSet[str]) -> AbstractSet[str]:
        """Return whose identifies would have to wait by now."""
        return self._queues.keys() & uids

    def unaccepted(self, uids: AbstractSet[str]) -> set[str]:
        """Return whose events would have to wait by now."""
        return {uid for uid in self.held(uids) if not all(turn.is_accepted for turn in self._queues[uid])}

    def is_slow(self, uid: str) -> bool:
        """Say whether a user's identifies go apart by now: one after the other, not with those of others."""
        return any(turn.is_apart for turn in self._queues[uid])
