"""Names of the members of maps, by their bytes: they repeat from event to event."""

from typing import Final

_MAX_CACHED: Final = 8_192
_MAX_CACHED_BYTES: Final = 128


class MemberNames(dict[bytes, str]):
    """A cache within bounds: a full one starts anew. To ask for what is no UTF-8 raises `UnicodeDecodeError`."""

    def __missing__(self, taken: bytes) -> str:
        name = taken.decode()
        if len(taken) <= _MAX_CACHED_BYTES:
            if len(self) >= _MAX_CACHED:
                self.clear()
            self[taken] = name
        return name


NAMES = MemberNames()
