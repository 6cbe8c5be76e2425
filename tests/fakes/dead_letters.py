"""The `DeadLetters` port in memory, with refusals on demand."""

import asyncio
from collections import deque
from collections.abc import Callable

from processor.model.errors import DeadLetterError, WriteFault
from processor.model.records import LetterPlace
from processor.runtime.ports import DeadLetter

Refuses = Callable[[DeadLetter], WriteFault | None]


class FakeDeadLetters:
    """A dead-letter topic: `script` holds what the next writes meet, None for success; then `refuses` decides.

    `delay_s` says how long the next acknowledgement takes. A letter is on the topic before it is acknowledged, and
    stays there when its writer has gone meanwhile.
    """

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.acknowledged: list[DeadLetter] = []
        """Those of which their writer knows that they are on the topic."""
        self.script: deque[WriteFault | None] = deque()
        self.refuses: Refuses = lambda _letter: None
        self.delay_s: Callable[[], float] = lambda: 0.0
        self.tries = 0
        self.moment: Callable[[str], None] = lambda _name: None
        """Told of moments at which the process may end: before a letter is on the topic, and after."""

    async def write(self, letter: DeadLetter) -> LetterPlace | None:
        """Return when the letter is acknowledged, with its place; raise `DeadLetterError` otherwise."""
        self.tries += 1
        self.moment("letter")
        await asyncio.sleep(0)
        fault = self.script.popleft() if self.script else self.refuses(letter)
        place = LetterPlace(0, len(self.letters))
        if fault is None:
            self.letters.append(letter)
        self.moment("lettered")
        await asyncio.sleep(self.delay_s())
        if fault is not None:
            raise DeadLetterError(f"the fake topic says {fault}", fault)
        self.acknowledged.append(letter)
        return place


def header(letter: DeadLetter, name: str) -> str | None:
    """Return a header's text: of several the last."""
    found = [value for each, value in letter.headers or [] if each == name]
    return found[-1].decode() if found and found[-1] is not None else None


def coordinates(letter: DeadLetter) -> tuple[str, int, int]:
    """Return the topic, partition and offset that a letter says it comes from."""
    topic, partition, offset = (header(letter, f"__dlq.errors.{name}") for name in ("topic", "partition", "offset"))
    return str(topic), int(partition or -1), int(offset or -1)
