"""An observer that remembers everything it was told."""

from typing import TypeVar

from processor.engine.notices import Notice

_N = TypeVar("_N", bound=Notice)


class RecordingObserver:
    """Call it as an `Observer`; `notices` holds all, in their order."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def __call__(self, notice: Notice) -> None:
        """Remember one."""
        self.notices.append(notice)

    def of(self, kind: type[_N]) -> list[_N]:
        """Return the notices of one kind."""
        return [notice for notice in self.notices if isinstance(notice, kind)]
