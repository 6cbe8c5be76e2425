"""Beside Segment's own FullStory destination: the same requests, but for the differences that docs/mapping.md lists.

Segment's requests were recorded from its published package (`recorded.jsonl`, by `python -m tests.differential`). Each
listed difference is a change to such a request; those that a message calls for make it ours, to the last value. What
FullStory takes is written anew here: nothing of the worker is used but what is compared.
"""

import json
import re
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from processor.events.avro import decode
from processor.events.mapping import Mapping, MappingRules
from processor.model.outcomes import Mapped
from tests.differential.inputs import ODD_NAMES, ODD_TIMES, messages
from tests.properties.segment import KAFKA_TIMESTAMP, KAFKA_TIMESTAMP_MS, as_json, record

Json = dict[str, Any]

PAGE = Path(__file__).parents[2] / "docs/mapping.md"
RECORDED: list[Json] = [
    json.loads(line) for line in Path(__file__).with_name("recorded.jsonl").read_text(encoding="utf-8").splitlines()
]
MESSAGES = {message["messageId"]: message for message in messages()}
"""As they were given: JavaScript writes 42.0 as 42."""
ROWS = re.findall(
    r"(?m)^\| `(\w+)` \| (.+) \| (.+) \| (.+) \|$",
    PAGE.read_text(encoding="utf-8")
    .partition("\n## Differences from Segment's cloud destination\n")[2]
    .partition("\n## ")[0],
)
LISTED = {name for name, *_ in ROWS}
SESSION = {"id": "1234:5678"}
MAPPING = Mapping(MappingRules())
RENAMED_LEVELS = 5
"""Segment's renames properties so many levels deep."""
DROPPED = object()


TIMES = {json.dumps(given): sent for given, sent in ODD_TIMES}
ODD_OBJECTS_TAKEN: tuple[Any, ...] = ([], '{"plan": "free"}')
NAMES = {json.dumps(given): sent for given, sent in ODD_NAMES}
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:[0-5]\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
ZONE = re.compile(r"\d([Zz]|[+-]\d\d:?\d\d)$| (GMT|UTC|EST|[+-]\d{4})\b|GMT[+-]\d{4}")


def ours(message: Json) -> Json | None:
    """Return the request that the worker makes of a message, under the settings it comes with."""
    event = decode(record(as_json(message)), {})
    if not isinstance(event, dict):
        return None
    outcome = MAPPING.map(event, KAFKA_TIMESTAMP_MS, lambda _rule, _path: None)
    return outcome.body if isinstance(outcome, Mapped) else None


def theirs(record: Json) -> Json | None:
    """Return the request that Segment's destination made."""
    assert len(record["requests"]) <= 1
    for request in record["requests"]:
        path = {"identify": "users", "track": "events"}[record["message"]["type"]]
        assert (request["method"], request["url"]) == ("POST", f"https://api.fullstory.com/v2/{path}")
        body: Json = request["body"]
        return body
    return None


class Changes:
    """Makes ours of a request of Segment's, and notes which of the differences that took."""

    def __init__(self, message: Json) -> None:
        self.message = message
        self.used: set[str] = set()

    def apply(self, request: Json | None) -> Any:
        """Return the request that ours must be."""
        routed = self.message.get("integrations") or {}
        if routed.get("All") is False:
            return self._use("integrations", None)
        if request is None:
            request = self._refused()
        if request is None:
            return None
        who, visitor = (self._id(field) for field in ("userId", "anonymousId"))
        if who is None and visitor is None:
            return self._use("nobody", None)
        want = deepcopy(request)
        given = self._given()
        if self.message["type"] == "identify":
            given = self._user(want, given, who, visitor)
        elif not request["name"].strip():
            return self._use("blank", None)
        elif NAMES.get(json.dumps(self.message["event"]), "") is None:
            return self._use("odd_names", None)
        else:
            self._event(want, who, visitor)
        want["properties"] = self._object(given, want["properties"], 1)
        return want

    @property
    def _free_form(self) -> Any:
        return self.message.get("properties" if self.message["type"] == "track" else "traits")

    def _given(self) -> Json:
        found = self._free_form or {}
        return dict(json.loads(found) if isinstance(found, str) else found)

    def _refused(self) -> Any:
        """Return what Segment's would send of a message that it refuses, without what it refuses it for."""
        given, name = self.message.get("timestamp"), self.message.get("event")
        if self.message["type"] == "track" and not isinstance(name, str):
            return None
        if json.dumps(self.message.get("userId")) in NAMES:
            return self._use(
                "odd_names",
                {"name": name, "timestamp": given, "properties": {}} if name else {"properties": {"plan": None}},
            )
        if given == "yesterday" or json.dumps(given) in TIMES:
            difference = "strict_times" if TIMES.get(json.dumps(given)) else "unreadable_times"
            properties = None if given == "yesterday" else {"when": None}
            return self._use(difference, {"name": name, "properties": properties} if name else None)
        if self._free_form in ODD_OBJECTS_TAKEN:
            of_event = {"name": name, "timestamp": given} if name else {}
            return self._use("odd_objects", {**of_event, "properties": self._given()})
        return None

    def _id(self, field: str) -> Any:
        """Text that is not blank or a whole number, which Segment's makes text too."""
        given = self.message.get(field)
        if given in ("undefined", "[object Object]"):
            return self._use("junk_ids", None)
        if (odd := json.dumps(given)) in NAMES:
            return NAMES[odd] or self._use("odd_names", None)
        if isinstance(given, str) and not given.strip():
            return self._use("blank", None) if given else None
        return None if given is None else str(given)

    def _user(self, want: Json, given: Json, who: str | None, visitor: str | None) -> Json:
        traits = (self.message.get("context") or {}).get("traits")
        if not given and traits:
            given = self._use("traits_from_context", dict(traits))
            want["properties"] |= given
        self._name_user(want, given)
        email = given.get("email")
        if isinstance(email, str) and email:
            del want["properties"]["email"]
            given = self._use("once", {name: value for name, value in given.items() if name != "email"})
            if len(email) > 128:
                del want["email"]
                self.used.add("limits")
        elif "email" in want:
            del want["email"]
            self.used.add("empty_fields")
        want["uid"] = who or self._use("anonymous", visitor)
        if visitor is not None and who is None:
            want["properties"].pop("segmentAnonymousId", None)
        return {**given, **({"segmentAnonymousId": visitor} if visitor is not None and who is not None else {})}

    def _name_user(self, want: Json, given: Json) -> None:
        """Segment's takes the trait `name`; here there are more sources, and `displayName` is not sent twice."""
        from_name = want.pop("display_name", None)
        name = self._named_by(given, want)
        if name != from_name:
            self.used.add("display_name" if name else "empty_fields")
        if name and len(name) > 256:
            self.used.add("limits")
        if name:
            want["display_name"] = name[:256]

    def _named_by(self, given: Json, want: Json) -> str | None:
        for spelling in ("displayName", "display_name"):
            display_name = given.get(spelling)
            if isinstance(display_name, str) and display_name:
                given.pop(spelling)
                want["properties"].pop(spelling)
                return display_name
            if display_name not in (None, ""):
                return None
        if isinstance(given.get("name"), str) and given["name"]:
            return str(given["name"])
        parts = []
        for pair in (("firstName", "first_name"), ("lastName", "last_name")):
            parts += [given[key] for key in pair if isinstance(given.get(key), str) and given[key]][:1]
        return " ".join(parts) or None

    def _event(self, want: Json, who: str | None, visitor: str | None) -> None:
        if len(want["name"]) > 250:
            want["name"] = self._use("limits", want["name"][:250])
        if (odd := json.dumps(self.message.get("timestamp"))) in TIMES:
            self._time(want, TIMES[odd])
        elif "timestamp" not in want:
            want["timestamp"] = self._use("timestamps", self.message.get("originalTimestamp", KAFKA_TIMESTAMP))
        if "FullStory" in (self.message.get("integrations") or {}):
            want["session"] = self._use("sessions", SESSION)
            want.pop("user", None)
        else:
            want["user"] = {"uid": who or self._use("anonymous", visitor)}
        if "page" in (self.message.get("context") or {}):
            want["context"] = self._use(
                "context",
                {"browser": {"url": "https://shop.example/"}, "location": {"ip_address": "192.0.2.7"}},
            )

    def _time(self, want: Json, sent: str | None) -> None:
        """Segment's reads a number in milliseconds and a text as JavaScript's parser or a pattern of its own does."""
        theirs, want["timestamp"] = want.get("timestamp"), sent or KAFKA_TIMESTAMP
        if self.used & {"strict_times", "unreadable_times"} or theirs == sent:
            return
        given = self.message["timestamp"]
        is_number = not isinstance(given, str) or re.fullmatch(r"[\d.]{9,}", given)
        self.used.add("units" if is_number and given != "20220202030405" else "loose_times")

    def _object(self, given: Json, sent: Json | None, depth: int) -> Json:
        """Change what Segment's sent of an object; None where that is lost, as two names became one."""
        deleted = {name: _delete(name) if depth <= RENAMED_LEVELS else name for name in given}
        legal = {name: _legal(name) for name in given}
        meet, became_one = Counter(legal.values()), Counter(deleted.values())
        assert sent is None or sent.keys() == became_one.keys()
        want: Json = {}
        for name, value in given.items():
            final = legal[name]
            if meet[final] > 1 and final != name:
                final = self._use("collisions", f"{final}_{crc32(name.encode()):08x}")
            elif final != deleted[name]:
                self.used.add("deep_names" if depth > RENAMED_LEVELS else "first_letter")
            is_lost = became_one[deleted[name]] > 1
            changed = self._value(value, None if sent is None or is_lost else sent[deleted[name]], depth)
            if changed is not DROPPED:
                want[final] = changed
        return want

    def _value(self, given: Any, sent: Any, depth: int) -> Any:
        if given is None:
            return self._use("nulls", DROPPED)
        if isinstance(given, dict):
            inner = self._object(given, sent, depth + 1)
            return inner or self._use("empty_objects", DROPPED)
        if json.dumps(given) in TIMES and isinstance(given, str):
            sent_time = TIMES[json.dumps(given)]
            if sent_time and ZONE.search(given) and not RFC_3339.fullmatch(given):
                fraction = re.search(r"\d[.,](\d+)", given)
                return self._use("property_times", sent_time[:19] + (f".{fraction[1]}Z" if fraction else "Z"))
            return given
        if isinstance(given, str) and len(given.encode()) > 8_192:
            return self._use("limits", DROPPED)
        kinds = {type(each) for each in given} if isinstance(given, list) else set()
        if kinds in ({dict}, {list}):
            return self._use("arrays_of_objects", _json_text(given))
        if len(kinds) > 1 and kinds != {int, float}:
            without_nulls = [each for each in given if each is not None]
            is_mixed = len(kinds - {type(None)}) > 1
            return self._use("mixed_arrays", _json_text(given) if is_mixed else without_nulls)
        if kinds == {type(None)}:
            return self._use("mixed_arrays", [])
        return given if sent is None else sent

    def _use(self, name: str, result: Any) -> Any:
        self.used.add(name)
        return result


def _delete(name: str) -> str:
    return re.sub("[^A-Za-z0-9_]", "", name)


def _legal(name: str) -> str:
    legal = _delete(name)
    if not legal:
        return f"p_{crc32(name.encode()):08x}"
    return legal if legal[0].isalpha() else f"p{legal}"


def _json_text(values: list[Any]) -> str:
    return json.dumps(values, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def compared(record: Json) -> tuple[Json | None, Json | None, set[str]]:
    """Return our request without what only declares types, what it must be, and the differences that took."""
    message = MESSAGES[record["message"]["messageId"]]
    changes = Changes(message)
    want = changes.apply(theirs(record))
    got = ours(message)
    if got is not None and got.pop("schema", None) is not None:
        changes.used.add("types")
    return got, want, changes.used


def test_the_recording_is_of_these_messages() -> None:
    """It is made anew when the messages change: `python -m tests.differential FOLDER`."""
    assert [record["message"] for record in RECORDED] == messages()


@pytest.mark.parametrize("record", RECORDED, ids=lambda record: record["message"]["messageId"])
def test_requests_equal_segments_but_for_what_is_listed(record: Json) -> None:
    """Every value and every name; a difference that is not listed fails."""
    got, want, used = compared(record)

    assert got == want
    assert used <= LISTED


def test_every_listed_difference_exists() -> None:
    """Each entry is met by a message, and cites the rule that it follows from."""
    met = set().union(*(used for _, _, used in map(compared, RECORDED)))

    assert met == LISTED
    assert [name for name, *_, rule in ROWS if not re.search(r"\]\([\w-]*(?:\.md)?#[\w-]+\)", rule)] == []
    assert len(ROWS) == len(LISTED)


def test_many_requests_are_the_very_same() -> None:
    """The comparison is not one of exceptions."""
    same = [record for record in RECORDED if theirs(record) is not None and not compared(record)[2]]

    assert len(same) >= 20
