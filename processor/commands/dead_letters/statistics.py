"""How many dead letters there are, of what, and when: tables whose size does not grow with the topic."""

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, final

from processor.events.letters import Letter
from processor.events.timestamps import iso_of_ms

MAX_ROWS = 1_000
"""Of a table; a billion events have some hundred names."""

MAX_CHARACTERS = 250
"""Of a value that has a row, as FullStory has of an event's name."""

MAX_BUCKETS = 48
"""As many as fit on a screen."""

WIDTHS_S = (60, 600, 3_600, 21_600, 86_400, 604_800)
"""Of buckets of time, the narrowest first; those beyond are twice as wide each time."""


@final
class LetterRow:
    """How many letters have one value, and when the first and the last of them were written."""

    __slots__ = ("first_ms", "last_ms", "letters")

    def __init__(self) -> None:
        self.letters = 0
        self.first_ms = sys.maxsize
        self.last_ms = -1

    def add(self, written_ms: int) -> None:
        """Count a letter."""
        self.letters += 1  # `min` and `max` would take as long as all the rest
        if written_ms < self.first_ms:  # noqa: PLR1730
            self.first_ms = written_ms
        if written_ms > self.last_ms:  # noqa: PLR1730
            self.last_ms = written_ms

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {"letters": self.letters, "first": iso_of_ms(self.first_ms), "last": iso_of_ms(self.last_ms)}


@final
class LetterTable:
    """Letters by a value. Every row is exact; values that came when there was no room left are one row together."""

    def __init__(self) -> None:
        self._rows: dict[str, LetterRow] = {}
        self.others = LetterRow()

    def add(self, value: str, written_ms: int) -> None:
        """Count a letter."""
        row = self._rows.get(value)
        (self._row_of(value[:MAX_CHARACTERS]) if row is None else row).add(written_ms)

    def _row_of(self, value: str) -> LetterRow:
        if value not in self._rows:
            if len(self._rows) >= MAX_ROWS:
                return self.others
            self._rows[value] = LetterRow()
        return self._rows[value]

    @property
    def total(self) -> int:
        """How many letters there are in all."""
        return self.others.letters + sum(row.letters for row in self._rows.values())

    def by_frequency(self) -> Sequence[tuple[str, LetterRow]]:
        """Return the rows, the most frequent first."""
        return sorted(self._rows.items(), key=lambda item: (-item[1].letters, item[0]))

    def as_json(self, name: str) -> list[dict[str, Any]]:
        """Return the rows for machines; the value is null for all others together."""
        rows: list[dict[str, Any]] = [{name: value, **row.as_json()} for value, row in self.by_frequency()]
        return [*rows, {name: None, **self.others.as_json()}] if self.others.letters else rows


@final
class Buckets:
    """Letters by the time of writing, in buckets that become wider when there are too many."""

    def __init__(self) -> None:
        self.width_s = WIDTHS_S[0]
        self._letters: Counter[int] = Counter()

    def add(self, written_ms: int) -> None:
        """Count a letter; Kafka gives a negative time where it has none."""
        if written_ms >= 0:
            self._letters[written_ms // (self.width_s * 1_000)] += 1
            while len(self._letters) > MAX_BUCKETS:
                self._widen()

    def _widen(self) -> None:
        width_s = next((each for each in WIDTHS_S if each > self.width_s), 2 * self.width_s)
        letters: Counter[int] = Counter()
        for number, count in self._letters.items():
            letters[number * self.width_s // width_s] += count
        self.width_s, self._letters = width_s, letters

    def in_order(self) -> Sequence[tuple[int, int]]:
        """Return the second with which each bucket begins, and its letters; none that is empty."""
        return [(number * self.width_s, count) for number, count in sorted(self._letters.items())]


@final
class Statistics:
    """Everything that `stats` tells."""

    def __init__(self) -> None:
        self.others = 0
        """Records of the topic that are no dead letters."""
        self.reasons, self.topics, self.events = LetterTable(), LetterTable(), LetterTable()
        self.times = Buckets()

    @property
    def letters(self) -> int:
        """How many there are."""
        return self.reasons.total

    def add(self, letter: Letter, event: str) -> None:
        """Count a letter, which holds an event of this name."""
        written_ms = letter.record.timestamp_ms
        self.reasons.add(letter.reason, written_ms)
        self.topics.add(letter.topic, written_ms)
        self.events.add(event, written_ms)
        self.times.add(written_ms)

    def as_json(self, topic: str) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "topic": topic,
            "letters": self.letters,
            "other_records": self.others,
            "reasons": self.reasons.as_json("reason"),
            "times": {
                "width_s": self.times.width_s,
                "buckets": [
                    {"from": iso_of_ms(second * 1_000), "letters": count} for second, count in self.times.in_order()
                ],
            },
            "source_topics": self.topics.as_json("topic"),
            "events": self.events.as_json("event"),
        }
