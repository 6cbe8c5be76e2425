"""What goes wrong again and again, by its causes: how often each, and no more of them than people read."""

from dataclasses import dataclass, field

KINDS = 5
"""So many causes are told apart, the latest ones; the others are counted together."""

MAX_CHARACTERS = 300
"""Of a cause. The worker's own are shorter; this bounds what names of hosts and librdkafka's texts hold."""


@dataclass(slots=True)
class Causes:
    """Counts by cause; `str` tells them, the latest first."""

    _counts: dict[str, int] = field(default_factory=dict)
    """The latest last."""
    _others: int = 0

    def add(self, cause: str) -> None:
        """Count one."""
        cause = cause[:MAX_CHARACTERS]
        self._counts[cause] = self._counts.pop(cause, 0) + 1
        if len(self._counts) > KINDS:
            self._others += self._counts.pop(next(iter(self._counts)))

    @property
    def times(self) -> int:
        """How many there were."""
        return sum(self._counts.values()) + self._others

    @property
    def by_cause(self) -> dict[str, int]:
        """How many there were of each cause, the latest first."""
        others = {"other causes": self._others} if self._others else {}
        return dict(reversed(self._counts.items())) | others

    def __str__(self) -> str:
        by_cause = self.by_cause
        if len(by_cause) == 1:
            return next(iter(by_cause))
        return "; ".join(f"{'once' if times == 1 else f'{times:,} times'} {cause}" for cause, times in by_cause.items())
