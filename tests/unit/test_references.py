"""Schemas of a registry that refer to others."""

import json
from typing import Any

from processor.adapters.schemas.references import standing_alone, stands_alone
from processor.events.avro import reader_of
from tests.fakes.varint import varint


def a_record(name: str, **kinds: Any) -> dict[str, Any]:
    """Return a record with a default that fits no field."""
    fields = [{"name": each, "type": kind, "default": {"no": "default"}} for each, kind in kinds.items()]
    return {"type": "record", "name": name, "fields": fields}


MESSAGE = json.dumps(a_record("com.acme.Track", type="string", userId="string", context="Context"))
CONTEXT = json.dumps(a_record("com.acme.Context", ip="string", place="com.x.Place"))
PLACE = json.dumps(a_record("com.x.Place", city="string"))


def text(value: str) -> bytes:
    """Return a text as Avro writes it."""
    return varint(len(value)) + value.encode()


def test_what_is_referred_to_is_found_by_what_it_defines() -> None:
    """A reference's name is only a label of the registry's, and a default that does not fit is nobody's concern."""
    whole = standing_alone(MESSAGE, {"place.avsc": PLACE, "context.avsc": CONTEXT})

    assert stands_alone(whole)
    assert reader_of(whole, None)(b"\0\0\0\0\1" + text("track") + text("u1") + text("10.0.0.1") + text("Ulm")) == {
        "type": "track",
        "userId": "u1",
        "context": {"ip": "10.0.0.1", "place": {"city": "Ulm"}},
    }


def test_a_text_that_cannot_be_completed_is_left_to_its_reader() -> None:
    """Without what it refers to, or with something that is no schema, the text stays as it is."""
    for referenced in ({}, {"context.avsc": CONTEXT}, {"context.avsc": CONTEXT, "place.avsc": "no JSON"}):
        assert standing_alone(MESSAGE, referenced) == MESSAGE
    assert not stands_alone(MESSAGE)
    assert not stands_alone("no JSON")
