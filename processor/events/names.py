"""Property names that FullStory takes: letters, digits, underscore, a letter first.

Source: docs/fullstory-api.md#properties. Illegal characters are deleted, as Segment's cloud destination does, or become
underscores; what is left gets a letter in front when it does not start with one. The result of a name does not depend
on the order of its siblings, and depends on their presence only when two names would become one.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from zlib import crc32

_LEGAL = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_LEGAL_CHARACTER = re.compile(r"[A-Za-z0-9_]")
_ILLEGAL_CHARACTER = re.compile(r"[^A-Za-z0-9_]")
_CACHED_NAMES = 8_192
MAX_CACHED_CHARACTERS = 128

LEADING_LETTER = "p"
"""Put before a name that starts with a digit or an underscore, as in property."""


class NameCache(dict[str, str]):
    """Cleaned names by original name, bounded; a miss cleans.

    Names repeat from event to event, so a hit is one dictionary look-up. A full cache starts anew and a long name is
    not kept: an attacker who sends ever new names costs time, not memory.
    """

    __slots__ = ("_replacement", "unchanged")

    def __init__(self, replacement: str = "") -> None:
        super().__init__()
        self._replacement = replacement
        self.unchanged: set[str] = set()
        """The names in the cache that are legal as they are."""

    def __missing__(self, name: str) -> str:
        cleaned = clean(name, self._replacement)
        if len(name) <= MAX_CACHED_CHARACTERS:
            if len(self) >= _CACHED_NAMES:
                self.clear()
                self.unchanged.clear()
            self[name] = cleaned
            if cleaned == name:
                self.unchanged.add(name)
        return cleaned

    def of_siblings(self, originals: Collection[str]) -> list[str]:
        """Return the final name of each sibling, in their order; no two are the same."""
        names = [self[original] for original in originals]
        return names if len(set(names)) == len(names) else _resolve(originals, names)


def clean(name: str, replacement: str = "") -> str:
    """Return the legal form of one name, without regard to its siblings; `replacement` stands for illegal characters.

    A name without any legal character (all of another script, say) is known by its checksum alone, so that two of
    them never meet.
    """
    if _LEGAL.match(name):
        return name
    if not _LEGAL_CHARACTER.search(name):
        return with_checksum(LEADING_LETTER, name)
    cleaned = _ILLEGAL_CHARACTER.sub(replacement, name)
    return cleaned if cleaned[0].isalpha() else LEADING_LETTER + cleaned


def with_checksum(cleaned: str, original: str) -> str:
    """Return the cleaned name made distinct by the CRC-32 of its original."""
    return f"{cleaned}_{crc32(original.encode('utf-8', 'surrogatepass')):08x}"


def _resolve(originals: Iterable[str], cleaned: Iterable[str]) -> list[str]:
    """Return the final names of siblings of which some would collide.

    A name that is legal already keeps its form; every other one in a collision gets a checksum.
    """
    by_original = dict(zip(originals, cleaned, strict=True))
    counts = Counter(by_original.values())
    final = {name: form for name, form in by_original.items() if counts[form] == 1 or form == name}
    taken = set(final.values())
    for name in sorted(by_original.keys() - final.keys()):
        candidate = with_checksum(by_original[name], name)
        while candidate in taken:  # a sibling was given this very name: 1 in 2**32, or a malicious sender
            candidate = with_checksum(candidate, name)
        final[name] = candidate
        taken.add(candidate)
    return [final[name] for name in by_original]
