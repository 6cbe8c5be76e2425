"""What becomes of recorded messages, by the worker's own decoder and mapping, as tables of docs/senders.md."""

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, final

from processor.commands.common.explanation import Explainer, Explanation, Input
from processor.events.context import library_of
from processor.events.framing import schema_ids
from processor.events.mapping import Mapping, MappingRules
from tests.fakes.schemas import FakeSchemas
from tests.properties.segment import record
from tests.senders.senders import SENDERS, SERIALIZERS, Message, Sender, Serialized, recorded, serialized

PAGE = Path(__file__).parents[2] / "docs/senders.md"
TABLES = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- end of table -->\n)", re.DOTALL)

Json = dict[str, Any]
Cells = Callable[["Sent"], Sequence[str]]

ABSENT = "-"
COLUMNS = ("decimal", "single", "day", "clock", "moment", "local", "bytes")
VALUES = ("whole", "real", "huge", "beyond", "decimal", "nan", "nothing", "moment", "day")


class Digits(str):
    """A number as it was written."""

    __slots__ = ()


@final
class One(NamedTuple):
    """A message, and what becomes of it."""

    written: Json
    around: dict[str, object]
    explained: Explanation

    @property
    def body(self) -> Json:
        """What FullStory is sent; empty where that is nothing."""
        return _read(self.explained.requests[0].body.decode()) if self.explained.requests else {}

    @property
    def outcome(self) -> str:
        """What becomes of it, and by which rule."""
        return f"{self.explained.outcome}, `{self.explained.reason}`" if self.explained.reason else "delivered"


@final
class Sent:
    """What a library has sent."""

    def __init__(self, sender: Sender, messages: Sequence[One]) -> None:
        self.sender = sender
        self.messages = messages

    def event(self, name: str) -> One | None:
        """Return the track of this name, if there is one."""
        return next((each for each in self.messages if each.written.get("event") == name), None)

    def of_type(self, kind: str) -> One | None:
        """Return the first message of a type, if there is one."""
        return next((each for each in self.messages if each.written.get("type") == kind), None)


def with_tables(page: str) -> str:
    """Return the page with its tables made anew."""
    sent = all_sent()

    def table(found: re.Match[str]) -> str:
        if found[2] in OF_SERIALIZERS:
            return found[1] + _lines(OF_SERIALIZERS[found[2]]()) + found[3]
        columns, cells = KINDS[found[2]]
        rows = [["library", *columns], ["---"] * (len(columns) + 1)]
        rows += [[each.sender.name, *cells(each)] for each in sent]
        return found[1] + _lines(rows) + found[3]

    return TABLES.sub(table, page)


def all_sent() -> Sequence[Sent]:
    """Return what each library has sent, and what becomes of that."""
    explainer, messages = Explainer(Mapping(MappingRules()), FakeSchemas({}), 0), recorded()

    def one(message: Message) -> One:
        explained = asyncio.run(explainer.explain(Input(message.sender, record(message.text.encode()))))
        return One(_read(message.text), message.around, explained)

    return [Sent(each, [one(message) for message in messages if message.sender == each.name]) for each in SENDERS]


def _serializers() -> Iterator[Sequence[str]]:
    yield "serializer", "package", "version", "the value begins with", "writes", "becomes", "sent", "counted"
    yield ["---"] * 8
    found = serialized()
    for name, package, version in SERIALIZERS:
        one = One({}, {}, _explained(found[name]))
        value = found[name].value
        is_json = value[:1] == b"{"
        written = _read(value.decode()) if is_json else {}
        begins = f"`{value[:12].decode()}`" if is_json else f"`{value[:6].hex(' ')}`"
        writes = f"`{_shown(written['userId'])}`, `{_shown(written['timestamp'])}`" if "userId" in written else ABSENT
        sent = f"`{one.body['user']['uid']}`, `{one.body['timestamp']}`" if one.body else ABSENT
        counted = _counted(one) if one.body else ABSENT
        yield name, f"`{package}`", version, begins, writes, one.outcome, sent, counted


def _columns() -> Iterator[Sequence[str]]:
    yield "serializer", "decimal 12.30", "float 12.34", "a day", "a time of day", "a moment", "a local time", "bytes"
    yield ["---"] * (1 + len(COLUMNS))
    found = serialized()
    for name, _, _ in SERIALIZERS:
        body = One({}, {}, _explained(found[name])).body
        if COLUMNS[0] in body.get("properties", {}):
            yield name, *(_sent(body, column) for column in COLUMNS)


def _sent(body: Json, name: str) -> str:
    """Return a property as it is sent, with the type that is declared."""
    if name not in body["properties"]:
        return ABSENT
    kind = body["schema"]["properties"].get(name)
    return f"`{_shown(body['properties'][name])}`" + (f" ({kind})" if kind else "")


OF_SERIALIZERS = {"serializers": _serializers, "columns": _columns}


def _explained(given: Serialized) -> Explanation:
    """Return what becomes of a record, where a registry has the schema that was registered for it, and no other."""
    schemas = FakeSchemas(dict.fromkeys(schema_ids([given.record]), given.schema) if given.schema else {})
    explainer = Explainer(Mapping(MappingRules()), schemas, 0)
    return asyncio.run(explainer.explain(Input(given.name, given.record)))


def _lines(rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _libraries(sent: Sent) -> Iterator[str]:
    yield f"`{sent.sender.package}`"
    yield sent.sender.version
    plain = sent.event("Plain")
    assert plain is not None
    around = library_of(plain.around)
    yield f"`{name}`" if (name := library_of(plain.written)) else f"none; `{around}` around it" if around else "none"


def _times(sent: Sent) -> Iterator[str]:
    dated = sent.event("Dated")
    assert dated is not None
    field = "timestamp" if "timestamp" in dated.written else "originalTimestamp"
    yield f"`{field}`"
    yield _became(dated.written[field], dated.body["timestamp"])
    yield _counted(dated)


def _ids(sent: Sent) -> Iterator[str]:
    number, visitor = sent.event("Number Id"), sent.event("Visitor")
    yield "takes texts only" if number is None else _became(number.written["userId"], number.body["user"]["uid"])
    assert visitor is not None
    yield _shown(visitor.written["userId"]) if "userId" in visitor.written else "absent"
    yield "its `anonymousId`" if visitor.body["user"]["uid"] == visitor.written["anonymousId"] else "another"


def _values(sent: Sent) -> Iterator[str]:
    one = sent.event("Values")
    assert one is not None
    written, got, kinds = one.written["properties"], one.body["properties"], one.body["schema"]["properties"]
    for name in VALUES:
        if name not in written:
            yield ABSENT
        elif name not in got:
            yield f"`{_shown(written[name])}` → not sent"
        else:
            yield _became(written[name], got[name]) + (f" ({kinds[name]})" if name in kinds else "")


def _opted_out(sent: Sent) -> Iterator[str]:
    one = sent.event("Opted Out")
    assert one is not None
    yield f"`{_shown(one.written['integrations'])}`" if "integrations" in one.written else "nothing"
    yield one.outcome


def _identified(sent: Sent) -> Iterator[str]:
    one = sent.of_type("identify")
    assert one is not None
    yield "`traits`" if one.written.get("traits") else "`context.traits`"
    got = one.body
    yield ", ".join(f"`{name}`" for name in got if name not in ("uid", "properties", "schema"))
    yield ", ".join(f"`{name}`" for name in got["properties"])


def _contexts(sent: Sent) -> Iterator[str]:
    one = sent.event("Plain")
    assert one is not None
    yield ", ".join(f"`{each}`" for each in one.written.get("context", {})) or "none"
    taken = one.body.get("context", {})
    yield ", ".join(f"`{group}.{field}`" for group in taken for field in taken[group]) or "none"


KINDS: dict[str, tuple[Sequence[str], Cells]] = {
    "libraries": (("package", "version", "`context.library.name`"), lambda sent: list(_libraries(sent))),
    "times": (("written as", "written → sent", "counted"), lambda sent: list(_times(sent))),
    "ids": (("`42` as user id → sent", "a visitor's `userId`", "a visitor's uid"), lambda sent: list(_ids(sent))),
    "values": (
        ("42", "42.0", "2⁵³ + 1", "88888888888888888888888", "decimal 12.30", "NaN", "null", "a moment", "a day"),
        lambda sent: list(_values(sent)),
    ),
    "opt-outs": (("`integrations`", "becomes"), lambda sent: list(_opted_out(sent))),
    "identifies": (("traits stand in", "fields of the user", "properties"), lambda sent: list(_identified(sent))),
    "contexts": (("`context` of an event has", "FullStory is sent"), lambda sent: list(_contexts(sent))),
}


def _counted(one: One) -> str:
    return ", ".join(sorted({f"`{note.rule}`" for note in one.explained.notes})) or ABSENT


def _read(text: str) -> Json:
    found: Json = json.loads(text, parse_float=Digits, parse_int=Digits, parse_constant=Digits)
    return found


def _became(written: Any, sent: Any) -> str:
    before, after = f"`{_shown(written)}`", f"`{_shown(sent)}`"
    return before if before == after else f"{before} → {after}"


def _shown(value: Any) -> str:
    """Return JSON, with numbers as they were written."""
    if isinstance(value, Digits):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{name}": {_shown(each)}' for name, each in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
