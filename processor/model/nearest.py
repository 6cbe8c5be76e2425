"""Which known name was probably meant by one that nothing has."""

from collections.abc import Iterable
from difflib import SequenceMatcher

LIKENESS = 0.8
"""How much of two names must agree. Below that, names of one family (`segment.track`, `segment.identify`) are alike."""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that is most like `name`, whatever the case; None where none is much like it."""
    likeness = {each: SequenceMatcher(None, name.casefold(), each.casefold()).ratio() for each in names}
    best = max(likeness, key=lambda each: (likeness[each], each), default=None)
    return best if best is not None and likeness[best] >= LIKENESS else None
