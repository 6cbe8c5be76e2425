"""Order among the requests of one partition (law 11).

FullStory promises no order between jobs, so a users request waits while an earlier one of its partition that is not
complete holds one of its uids; an events request waits while an earlier or its own users request that is not yet
accepted holds one of its users. Everything else overlaps freely.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class UsersTurn:
    """The place of one batch's users request in its partition's order."""

    start: int
    uids: frozenset[str]
    waits: bool = False
    """Whether it stands ready and only waits for those before it."""
    accepted: bool = False


class UserOrder:
    """The users requests of one partition that are not complete, in offset order."""

    def __init__(self) -> None:
        self._open: list[UsersTurn] = []

    def enter(self, start: int, uids: frozenset[str]) -> UsersTurn:
        """Take a place; called in offset order, when the batch is formed."""
        turn = UsersTurn(start, uids)
        self._open.append(turn)
        return turn

    def leave(self, turn: UsersTurn) -> None:
        """The request is complete: its items took effect or never will."""
        self._open.remove(turn)

    @property
    def is_held_up(self) -> bool:
        """Whether a request waits for its turn: what comes after it had better grow meanwhile."""
        return any(turn.waits for turn in self._open)

    def holds(self, uids: AbstractSet[str]) -> bool:
        """Say whether a users request of these uids would have to wait for one before it."""
        return any(not turn.uids.isdisjoint(uids) for turn in self._open)

    def may_post_users(self, turn: UsersTurn) -> bool:
        """Say whether no earlier request holds one of this one's uids."""
        return all(turn.uids.isdisjoint(earlier.uids) for earlier in self._open if earlier.start < turn.start)

    def may_post_events(self, start: int, uids: frozenset[str]) -> bool:
        """Say whether the identifies before these events, of the same users, are accepted."""
        return all(turn.accepted or uids.isdisjoint(turn.uids) for turn in self._open if turn.start <= start)
