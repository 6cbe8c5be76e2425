"""From a record to what the worker makes of it, by the worker's own decoder, mapping and payload builder."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, final

import orjson

from processor.commands.common.framing_words import framing_of, name_of
from processor.commands.common.next_steps import BY_FULLSTORY, NEXT_STEPS, NOT_COPIED, REDRIVE
from processor.commands.common.shown_request import ShownRequest, requests_of
from processor.events.avro import Reader, decode, reader_of
from processor.events.framing import SchemaId, kind_of, may_be_registered, schema_ids
from processor.events.letters import Letter, letter_of
from processor.events.mapping import Mapping
from processor.events.payload import Payload, PayloadBuilder, PayloadLimits
from processor.model.outcomes import Event, Filtered, Rejected
from processor.model.records import NO_TIME, Record
from processor.runtime.ports import SchemaIncompleteError, Schemas, SchemaText

_ALONE = PayloadLimits(max_records=1, max_bytes=sys.maxsize)


@final
@dataclass(frozen=True, slots=True)
class Input:
    """A record to explain."""

    place: str
    record: Record
    container: str | None = None
    """How the record was packed, where Kafka would pack it in another way."""
    fault: str | None = None
    """What is wrong with the line that it was read from, if it is no JSON."""


class Remark(NamedTuple):
    """A rule that was applied, to a name of the event, or what is worth knowing besides."""

    rule: str
    path: str
    text: str = ""


Verdict = Literal["delivered", "filtered", "dead-lettered"]


@final
@dataclass(frozen=True, slots=True)
class Explanation:
    """What becomes of one record."""

    place: str
    framing: str
    schema: str | None
    event: Event | None
    """Decoded as a whole, as far as that is possible."""
    outcome: Verdict
    reason: str | None
    requests: Sequence[ShownRequest]
    notes: Sequence[Remark]
    letter: Letter | None

    @property
    def next_step(self) -> str | None:
        """What to do, where the record is not delivered or was not; None where nothing is left to do."""
        if self.letter is not None and self.letter.is_empty:
            return NOT_COPIED
        if self.reason is not None:
            return NEXT_STEPS[self.reason]
        return BY_FULLSTORY.get(self.letter.reason, REDRIVE) if self.letter else None

    def as_json(self) -> dict[str, Any]:
        """Return it for machines; the body stands in it byte for byte."""
        document: dict[str, Any] = {
            "outcome": self.outcome,
            "reason": self.reason,
            "next_step": self.next_step,
            "requests": [
                {
                    "method": each.method,
                    "path": each.path,
                    "headers": each.headers,
                    "body": orjson.Fragment(each.body or b"null"),
                }
                for each in self.requests
            ],
            "notes": [each._asdict() for each in self.notes],
            "record": self.place,
        }
        if self.letter is not None:
            document["dead_letter"] = {
                "reason": self.letter.reason,
                "detail": self.letter.detail,
                "of": self.letter.origin,
            }
        return document


@final
class Explainer:
    """Explains records under one configuration; asks for each schema once.

    The worker gives an absent schema `waits_s` to appear before it is the record's own fault.
    """

    def __init__(self, mapping: Mapping, schemas: Schemas, waits_s: float) -> None:
        self._mapping = mapping
        self._schemas = schemas
        self._waits_s = waits_s
        self._schemas_found: dict[SchemaId, SchemaText | None] = {}
        self._whys: dict[SchemaId, str] = {}
        """Why the registry cannot give what it has."""
        self._readers: dict[SchemaId, Reader] = {}
        self._whole: dict[SchemaId, Reader] = {}

    async def explain(self, given: Input) -> Explanation:
        """Return what becomes of a record; raises `RegistryUnavailableError`."""
        letter = letter_of(given.record)
        record = letter.original if letter else given.record
        named = await self._learn(record)
        notes: list[Remark] = []

        def note(rule: str, place: str) -> None:
            notes.append(Remark(str(rule), place))

        decoded = decode(record, self._readers, note)
        if isinstance(decoded, dict):
            self._mapping.map(decoded, record.timestamp_ms, note)
        payload = PayloadBuilder(record.offset, self._mapping, self._readers, _ALONE).build([record])
        posts = requests_of(payload)
        outcome, reason = _verdict(payload)
        notes += [Remark(rejected.reason.value, "", rejected.detail) for _, rejected in payload.rejected]
        if named is not None and self._schemas_found[named] is None and self._waits_s > 0 and may_be_registered(named):
            why = f"; the registry cannot give it: {self._whys[named]}" if named in self._whys else ""
            detail = f"the worker waits {self._waits_s:.0f} s for the schema to be registered before that{why}"
            notes.append(Remark("waits", "", detail))
        if any(each.is_of_epoch for each in posts) and record.timestamp_ms == NO_TIME:
            notes.append(Remark("no_time", "timestamp", "the event has no time, and a file has none of Kafka's to use"))
        if given.fault:
            notes.append(Remark("input", "", given.fault))
        return Explanation(
            place=given.place,
            framing=given.container or framing_of(record, named),
            schema=None if named is None else f"{kind_of(named)} {named}, {name_of(self._schemas_found[named])}",
            event=self._event(record, decoded),
            outcome=outcome,
            reason=reason,
            requests=posts,
            notes=notes,
            letter=letter,
        )

    async def _learn(self, record: Record) -> SchemaId | None:
        """Fetch the schema that a record names, and return what it is named by."""
        named = next(iter(schema_ids([record])), None)
        if named is not None and named not in self._schemas_found:
            try:
                found = await self._schemas.fetch(named)
            except SchemaIncompleteError as error:
                found, self._whys[named] = None, str(error)
            self._schemas_found[named] = found
            if found is not None:
                language = found.language_for(named)
                self._readers[named] = reader_of(found.text, language=language)
                self._whole[named] = reader_of(found.text, None, language)
        return named

    def _event(self, record: Record, decoded: Event | Filtered | Rejected) -> Event | None:
        """Return the whole event, or what mapping reads of it where the rest cannot be decoded."""
        whole = decode(record, self._whole)
        best = whole if isinstance(whole, dict) else decoded
        return best if isinstance(best, dict) else None


def _verdict(payload: Payload) -> tuple[Verdict, str | None]:
    for _, rejected in payload.rejected:
        return "dead-lettered", rejected.reason.value
    for reason in payload.filtered:
        return "filtered", reason.value
    return "delivered", None
