"""What repeats is written once, then now and then while it goes on."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar, final

QUIET_S = 30.0
"""How long a line that was written keeps the next one of its kind back: two lines a minute tell that it goes on."""

T = TypeVar("T")


@dataclass(slots=True)
class _Held(Generic[T]):
    """Lines of one kind after one was written."""

    quiet_until: float
    last: T | None = None
    lines: int = 0


@final
class Repeats(Generic[T]):
    """Holds lines back. `monotonic` is the clock, `join` makes one line of one that is held back and the next.

    Of a group so many kinds are told apart (`most`); the others of it are one kind.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        most: int,
        quiet_s: float = QUIET_S,
        join: Callable[[T, T], T] = lambda _held, line: line,
    ) -> None:
        self._monotonic = monotonic
        self._most = most
        self._quiet_s = quiet_s
        self._join = join
        self._kinds: dict[tuple[Hashable, Hashable], _Held[T]] = {}

    def __len__(self) -> int:
        """Return of how many kinds a line would be held back."""
        return len(self._kinds)

    def is_first(self, group: Hashable, kind: Hashable, line: T) -> bool:
        """Say whether to write the line now; it is held back if one of its kind was written lately."""
        key = (group, kind)
        if key not in self._kinds and sum(each == group for each, _ in self._kinds) >= self._most:
            key = (group, None)
        held = self._kinds.get(key)
        if held is None:
            self._kinds[key] = _Held(self._monotonic() + self._quiet_s)
            return True
        held.last = line if held.last is None else self._join(held.last, line)
        held.lines += 1
        return False

    def due(self, *, everything: bool = False) -> Iterator[tuple[T, int]]:
        """Yield what was held back for long enough: a line of each kind, and for how many more it stands."""
        now = self._monotonic()
        for kind, held in [each for each in self._kinds.items() if everything or each[1].quiet_until <= now]:
            if held.last is None:
                del self._kinds[kind]
                continue
            self._kinds[kind] = _Held(now + self._quiet_s)
            yield held.last, held.lines - 1
