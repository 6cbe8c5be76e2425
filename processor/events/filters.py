"""Which names are forwarded: globs that allow and globs that deny."""

import re
from collections.abc import Callable, Sequence
from fnmatch import translate

Forwards = Callable[[str], bool]


def forwards(allow: Sequence[str], deny: Sequence[str]) -> Forwards | None:
    """Return what says whether a name is forwarded, or None when every name is.

    A name is forwarded when no glob denies it and, where some allow, one does. Case matters.
    """
    if not allow and not deny:
        return None
    allows, denies = _any_of(allow or ["*"]), _any_of(deny)
    return lambda name: allows(name) is not None and denies(name) is None


def _any_of(globs: Sequence[str]) -> Callable[[str], re.Match[str] | None]:
    return re.compile("|".join(map(translate, globs)) if globs else r"(?!)").match
