"""The journal: what was planned beyond a committed offset, as text that is committed together with it.

Kafka keeps some 4,000 bytes of metadata with a committed offset. The journal fills them with every range between that
offset and the last planned one, in offset order, settled ones included, so that whoever takes the partition over forms
the same requests again, sends them under the same keys, and follows the jobs that go on.

    sf1,<place>,<destination>,<base>,<lineage>[,<tally>][;<range>;<range>…]
    tally   <process>.<taken>.<refused>
    range   <length>,<nonce>,<seconds>,<apart>|<entry>|<entry>…      planned
            =<length>                                                settled
            -<length>                                                neither: nothing of it was ever sent
    apart   [<offset>[.<offset>…]]
    entry   <u|e><state><attempt>,<items>,<digest>[,<until>[,<job id>[,<lane>]]]

Numbers are hexadecimal; lengths, `until` and the offsets of `apart` count from the start of the range. Fields that a
later release appends are passed over. The head stands there without ranges, too: it tells of which topic the committed
offset is. A topic that was deleted and created anew has another place, and the same lineage (docs/adr/0020).
A release whose journal this one could not read writes it only after a release that reads both (docs/adr/0011).
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BinasciiError
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

from processor.model.reasons import Kind

METADATA_BYTES = 4_095
"""What Kafka takes with an offset by default (`offset.metadata.max.bytes`), less a zero that the client appends."""

NONCE_BYTES = 16

JOB_ID_BYTES = 128
"""Kept free for each job id that is not known yet; the longest id seen, where that is longer."""

_VERSION = "sf1"
_HEAD_FIELDS = 5
"""Before the tally."""
_SETTLED, _UNPLANNED = "=-"
_HEX = re.compile(r"[0-9a-f]{1,16}\Z")


class EntryState(StrEnum):
    """How far an entry has come."""

    PLANNED = "p"
    """To be sent as one request, which may have arrived."""
    SINGLY = "s"
    """To be sent item by item; each item's key follows from the plan."""
    ACCEPTED = "a"
    """In a job."""
    DONE = "d"
    """Every item took effect."""


@dataclass(slots=True, eq=False)
class Entry:
    """One request of a planned range: the items of one kind and lane whose first record lies before `until`."""

    kind: Kind
    items: int
    digest: str
    """Of the request's body."""
    state: EntryState = EntryState.PLANNED
    attempt: int = 0
    """Counts the keys that were used up."""
    until: int | None = None
    """An offset; None for the last entry of its kind and lane, which reaches the end of the range."""
    job_id: str | None = None
    """None for an accepted entry whose id did not fit: the same key gets it back."""
    lane: int = 0
    """Which of the lanes of `planning` its items travel in."""

    @property
    def is_followed(self) -> bool:
        """Whether its job is known."""
        return self.state is EntryState.ACCEPTED and self.job_id is not None

    @property
    def is_out(self) -> bool:
        """Whether nothing of it is to be sent, as far as is known."""
        return self.state is EntryState.DONE or self.is_followed


@dataclass(slots=True, eq=False)
class Plan:
    """A range of which something is sent, from the end of the range before it."""

    end: int
    nonce: bytes
    at_s: int
    """Wall-clock seconds: no key of it was used before."""
    entries: list[Entry]
    revision: int = 1
    """Grows whenever a key comes into use that the journal did not know."""
    acknowledged: int = 0
    """The revision that Kafka is known to hold; 0 for none."""
    apart: Sequence[int] | None = ()
    """The first offset of each user that would have held up the others, and therefore goes apart; None for a plan
    without lanes."""

    def revise(self) -> None:
        """A new key comes into use."""
        self.revision += 1


class SettledRange(NamedTuple):
    """A range that needs nothing more."""

    end: int


class UnplannedRange(NamedTuple):
    """A range of which nothing was ever sent."""

    end: int


ResumedPart = Literal["settled", "job", "request"]
"""What a journal told of: a range that is not sent again, a job that is followed, a request that keeps its key."""

Range = Plan | SettledRange | UnplannedRange


def parts_of(ranges: Sequence[Range]) -> Counter[ResumedPart]:
    """Count what a journal tells of: settled ranges, jobs to follow, and requests that may have to be sent."""
    parts: Counter[ResumedPart] = Counter()
    for each in ranges:
        if isinstance(each, SettledRange):
            parts["settled"] += 1
        elif isinstance(each, Plan):
            parts["job"] += sum(entry.is_followed for entry in each.entries)
            parts["request"] += sum(not entry.is_out for entry in each.entries)
    return parts


class JournalPlace(NamedTuple):
    """Where a partition and a group's commits of it are, as digests."""

    exact: str
    """Of the ids of cluster and topic, the partition and the group."""
    lineage: str
    """Likewise, with the topic's name for its id: what a topic has in common with one of its name that was deleted."""


class JournalId(NamedTuple):
    """Whose journal it is; one of another owner says nothing about this partition or this destination."""

    place: JournalPlace
    destination: str
    """A digest of the organisation at FullStory; its address does not count, for a proxy is no other destination."""


class RequestTally(NamedTuple):
    """What a process has asked of FullStory since it began, for who delivers beside it; no part of the journal."""

    process: str
    """A name that no other process of the group has, in letters and digits."""
    taken: int
    """Requests that FullStory did not refuse for their rate."""
    refused: int
    """Those that it did."""


class Written(NamedTuple):
    """A journal's text, and the plans that are in it."""

    text: str
    plans: Sequence[Plan]


JournalFault = Literal["corrupt", "foreign", "newer"]
"""Why metadata is not read: damaged, of another tool, partition or destination, or of a release that came later."""


def encode(
    owner: JournalId, base: int, ranges: Iterable[Range], limit: int, reserve: int = JOB_ID_BYTES
) -> Written | None:
    """Write down as many ranges as fit into `limit` bytes, oldest first; None when those that must be there do not.

    Without any, the head alone is written, where it fits.

    Room is kept for the job ids to come. Plans that Kafka holds already and ranges that are settled are always written;
    the newest job ids are left out where that takes it.
    """
    head = _head(owner, base)
    merged = list(_merged(ranges))
    owed = _owed(merged)
    plans: list[Plan] = []
    lines: list[_Line] = []
    start, size = base, len(head)
    for number, each in enumerate(merged):
        line = _line(each, start)
        size += line.size(reserve)
        if size > limit and number >= owed:
            break
        if isinstance(each, Plan):
            plans.append(each)
        lines.append(line)
        start = each.end
    while lines and lines[-1].text.startswith(_UNPLANNED):
        lines.pop()
    if not lines:
        return Written(head if len(head) <= limit else "", ())
    texts = [line.text for line in lines]
    size = len(head) + sum(1 + len(text) for text in texts)
    for number in reversed(range(len(lines))):
        if size <= limit:
            break
        size -= len(texts[number]) - len(lines[number].without_ids)
        texts[number] = lines[number].without_ids
    return Written(";".join((head, *texts)), plans) if size <= limit else None


def has_room_for(
    entries: Iterable[Entry],
    owner: JournalId,
    base: int,
    ranges: Iterable[Range],
    limit: int,
    reserve: int = JOB_ID_BYTES,
) -> bool:
    """Say whether entries could be added to those that Kafka holds, with their job ids to come."""
    merged = list(_merged(ranges))
    size, start = len(_head(owner, base)), base
    for each in merged[: _owed(merged)]:
        size += _line(each, start).size(reserve)
        start = each.end
    return size + sum(1 + len(_entry_text(entry, base, None)) + reserve for entry in entries) <= limit


def decode(text: str, owner: JournalId, base: int) -> list[Range] | JournalFault:
    """Read what was committed at `base`; nothing was planned where the text is empty, or a head of this place alone."""
    if not text:
        return []
    head, *lines = text.split(";")
    version, *names = head.split(",")
    if version != _VERSION:
        return "newer" if re.match(r"sf\d+\Z", version) else "foreign"
    try:
        exact, destination, number, *_ = names
        if exact != owner.place.exact:
            return "foreign"
        if not lines:
            return []
        if destination != owner.destination or _number(number) != base:
            return "foreign"
        ranges: list[Range] = []
        start = base
        for line in lines:
            ranges.append(_range(line, start))
            start = ranges[-1].end
    except (ValueError, LookupError, BinasciiError):
        return "corrupt"
    return ranges


def owner_of(text: str) -> JournalId | None:
    """Return whose an offset is by what was committed with it; None where that does not say so."""
    version, *names = text.partition(";")[0].split(",")
    if version != _VERSION or len(names) < 4:
        return None
    exact, destination, _, lineage, *_ = names
    return JournalId(JournalPlace(exact, lineage), destination)


def signed(text: str, tally: RequestTally, limit: int) -> str:
    """Return a journal's text with a tally, if that fits into `limit` bytes."""
    head, separator, ranges = text.partition(";")
    told = f"{head},{tally.process}.{_hex(tally.taken)}.{_hex(tally.refused)}{separator}{ranges}"
    return told if text and len(told) <= limit else text


def unsigned(text: str) -> str:
    """Return a journal's text without its tally."""
    head, separator, ranges = text.partition(";")
    return ",".join(head.split(",")[:_HEAD_FIELDS]) + separator + ranges


def tally_of(text: str) -> RequestTally | None:
    """Return the tally that was committed with an offset; None without one that can be read."""
    version, *names = text.partition(";")[0].split(",")
    try:
        process, taken, refused, *_ = names[_HEAD_FIELDS - 1].split(".")
        return RequestTally(process, _number(taken), _number(refused)) if version == _VERSION else None
    except (ValueError, LookupError):
        return None


def is_copied(text: str, place: JournalPlace) -> bool:
    """Say whether an offset was copied from another cluster, by what was committed with it."""
    said = owner_of(text)
    return said is not None and said.place.lineage != place.lineage


class _Line(NamedTuple):
    """A range as text."""

    text: str
    without_ids: str
    ids_to_come: int

    def size(self, reserve: int) -> int:
        """Return its bytes, with those of the ids to come."""
        return 1 + len(self.text) + reserve * self.ids_to_come


def _head(owner: JournalId, base: int) -> str:
    return ",".join((_VERSION, owner.place.exact, owner.destination, _hex(base), owner.place.lineage))


def _owed(ranges: Sequence[Range]) -> int:
    """Count the ranges up to the last one of which something may have been sent."""
    sent = [number for number, each in enumerate(ranges, 1) if isinstance(each, SettledRange) or _is_held(each)]
    return sent[-1] if sent else 0


def _is_held(each: Range) -> bool:
    """Say whether Kafka holds the plan of a range, so that it may have been sent."""
    return isinstance(each, Plan) and each.acknowledged > 0


def _merged(ranges: Iterable[Range]) -> Iterable[Range]:
    """Give ranges that need no plan as one where they touch."""
    last: Range | None = None
    for each in ranges:
        if last is not None and not (type(last) is type(each) and not isinstance(each, Plan)):
            yield last
        last = each
    if last is not None:
        yield last


def _line(each: Range, start: int) -> _Line:
    length = _hex(each.end - start)
    if not isinstance(each, Plan):
        text = (_SETTLED if isinstance(each, SettledRange) else _UNPLANNED) + length
        return _Line(text, text, 0)
    head = f"{length},{urlsafe_b64encode(each.nonce).rstrip(b'=').decode()},{_hex(each.at_s)}"
    if each.apart is not None:
        head += "," + ".".join(_hex(offset - start) for offset in each.apart)
    return _Line(
        "|".join((head, *(_entry_text(entry, start, entry.job_id) for entry in each.entries))),
        "|".join((head, *(_entry_text(entry, start, None) for entry in each.entries))),
        sum(entry.state is EntryState.PLANNED for entry in each.entries),
    )


def _entry_text(entry: Entry, start: int, job_id: str | None) -> str:
    fields = [f"{entry.kind[0]}{entry.state}{_hex(entry.attempt)}", _hex(entry.items), entry.digest]
    fields.append("" if entry.until is None else _hex(entry.until - start))
    fields.append(quote(job_id, safe="+/=", errors="surrogatepass") if job_id and entry.is_followed else "")
    fields.append(_hex(entry.lane) if entry.lane else "")
    return ",".join(fields).rstrip(",")


def _range(line: str, start: int) -> Range:
    if line[0] in (_SETTLED, _UNPLANNED):
        end = start + _length(line[1:])
        return SettledRange(end) if line[0] == _SETTLED else UnplannedRange(end)
    head, *entries = line.split("|")
    length, nonce, at_s, *later = head.split(",")
    key = urlsafe_b64decode(nonce + "==")
    if len(key) != NONCE_BYTES:
        raise ValueError
    apart = tuple(start + _number(offset) for offset in later[0].split(".") if later[0]) if later else None
    return Plan(start + _length(length), key, _number(at_s), [_entry(each, start) for each in entries], apart=apart)


def _entry(text: str, start: int) -> Entry:
    head, items, digest, *rest = text.split(",")
    until, job_id, lane, *_ = [*rest, "", "", ""]
    return Entry(
        kind=_KINDS[head[0]],
        items=_number(items),
        digest=digest,
        state=EntryState(head[1]),
        attempt=_number(head[2:]),
        until=start + _length(until) if until else None,
        job_id=unquote(job_id, errors="surrogatepass") or None,
        lane=_number(lane) if lane else 0,
    )


_KINDS = {kind[0]: kind for kind in Kind}


def _hex(number: int) -> str:
    return format(number, "x")


def _number(text: str) -> int:
    if not _HEX.match(text):
        raise ValueError(text)
    return int(text, 16)


def _length(text: str) -> int:
    length = _number(text)
    if length == 0:
        raise ValueError(text)
    return length
