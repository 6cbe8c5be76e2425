"""Plans: which requests a batch begins with, and what is left of a plan that another process made.

A batch travels in lanes, so that each user waits for nobody but itself:

1. In the first one, each user's only identify, as one request.
2. While many users have several identifies that cannot be merged, the second ones follow in a lane of their own, and so
   on: a wave is sent when the job of the one before it is complete.
3. The last lane is for who would hold others up: users that the partition waits for already (`apart`), few users with
   several identifies, and what the waves leave. Their identifies go one by one, each user's in a row, and are answered
   at once.
4. A user's events travel in the lane of its last identify.
5. Deletions of users go one by one; who is deleted has nothing else in the batch.

Which lanes there are follows from the records and `apart` alone, so the journal tells only these.

A plan made earlier is kept as far as the records still become the same bodies, whatever settings or release make them.
What has a job is followed, unless it may hold by now what stood in another lane, and was not sent. The rest was perhaps
sent, under keys that no longer fit: it is sent anew and counted as redelivered.
"""

from collections import Counter
from collections.abc import Collection, Sequence

from processor.engine.digest import digest
from processor.engine.partition.journal_format import Entry, EntryState, Plan
from processor.events.payload import Item, Payload, request_body
from processor.model.reasons import Kind

KEY_TRUST_S = 23 * 3600.0
"""FullStory forgets a key after 24 hours (docs/fullstory-api.md#idempotency); an hour less, for clocks that differ."""


WAVE = 32
"""Items that are worth a request and a job of their own; fewer are answered sooner one by one."""

WAVES = 3
"""How many batch requests of users a plan begins with at most: each takes room in the journal, for its job's id."""

Lanes = Sequence[Sequence[Item]]
"""The items of one part; the last lane is for those that go apart."""


def lanes(payload: Payload, apart: Collection[int] | None) -> dict[Kind, Lanes]:
    """Part a batch into lanes; `apart` are offsets, the first ones of users that go apart.

    None: the plan has no lanes, and each part is sent as a whole. It is of an earlier release (docs/adr/0017), or the
    brokers take too little metadata for more requests.
    """
    users, events, deletions = payload.users, payload.events, [payload.deletions]
    if apart is None:
        return {Kind.USER: [users, []], Kind.EVENT: [events, []], Kind.DELETION: deletions}
    first = set(apart)
    alone = {item.uid for item in (*users, *events) if item.records[0] in first} if first else set()
    counts = Counter(item.uid for item in users)
    several = {uid for uid, count in counts.items() if count > 1}
    if len(several) < WAVE:
        alone |= several
    if not alone and not several:
        return {Kind.USER: [users, []], Kind.EVENT: [events, []], Kind.DELETION: deletions}
    together = [count for uid, count in counts.items() if uid not in alone]
    last = max(1, sum(sum(count > wave for count in together) >= WAVE for wave in range(WAVES)))
    of_users: list[list[Item]] = [[] for _ in range(last + 1)]
    of_events: list[list[Item]] = [[] for _ in range(last + 1)]
    lane_of: dict[str, int] = {}
    for item in users:
        lane_of[item.uid] = last if item.uid in alone else min(lane_of.get(item.uid, -1) + 1, last)
        of_users[lane_of[item.uid]].append(item)
    for item in events:
        of_events[last if item.uid in alone else lane_of.get(item.uid, 0)].append(item)
    return {Kind.USER: of_users, Kind.EVENT: of_events, Kind.DELETION: deletions}


def new_plan(payload: Payload, nonce: bytes, wall_s: float, apart: Sequence[int] | None, *, is_batch: bool) -> Plan:
    """Plan one request for each lane of each part, or one for each item; `apart` is None for a plan without lanes."""
    parted = lanes(payload, apart)
    entries = [entry for kind in Kind for entry in _new_entries(kind, parted[kind], is_batch=is_batch)]
    return Plan(payload.range.end, nonce, int(wall_s), entries, apart=apart)


def _new_entries(kind: Kind, parted: Lanes, *, is_batch: bool, attempt: int = 0) -> list[Entry]:
    """Plan what is sent of one part; identifies that go apart are sent one by one."""
    last = len(parted) - 1
    return [
        new_entry(kind, items, is_batch=is_batch and (kind is not Kind.USER or lane < last), attempt=attempt, lane=lane)
        for lane, items in enumerate(parted)
        if items
    ]


def new_entry(
    kind: Kind, items: Sequence[Item], *, is_batch: bool, attempt: int = 0, until: int | None = None, lane: int = 0
) -> Entry:
    """Plan a request that was never sent; one of a single item goes to the endpoint for single items."""
    is_singly = not is_batch or len(items) == 1 or kind is Kind.DELETION or (kind is Kind.USER and _names_twice(items))
    state = EntryState.SINGLY if is_singly else EntryState.PLANNED
    return Entry(kind, len(items), _digest(items), state, attempt, until, lane=lane)


def new_half(entry: Entry, items: Sequence[Item], *, until: int | None) -> Entry:
    """Plan a part of an entry that is refused as a whole."""
    return new_entry(entry.kind, items, is_batch=True, attempt=entry.attempt, until=until, lane=entry.lane)


def cut(entries: Sequence[Entry], parted: Lanes) -> list[Sequence[Item]]:
    """Return the items of each of a kind's entries; those of one lane are in the order of offsets."""
    at = [0] * len(parted)
    found: list[Sequence[Item]] = []
    for entry in entries:
        items = parted[entry.lane] if entry.lane < len(parted) else ()
        start = end = at[entry.lane] if items else 0
        while end < len(items) and (entry.until is None or items[end].records[0] < entry.until):
            end += 1
        found.append(items[start:end])
        if items:
            at[entry.lane] = end
    return found


def resume(plan: Plan, payload: Payload, wall_s: float, nonce: bytes, *, is_batch: bool) -> int:
    """Fit a plan to what its records are now; return how many of them are sent anew.

    A body is part of its key, so a body that differs has a new key by itself. A nonce that is too old is replaced, but
    for a plan with a job to follow, whose request may have to be sent again under it: then every other key of the plan
    is renewed, and counted, before its first POST.
    """
    is_young = wall_s - plan.at_s < KEY_TRUST_S
    fitted: list[Entry] = []
    sent_anew = 0
    parted = lanes(payload, plan.apart)
    for kind in Kind:
        entries, of_kind = [entry for entry in plan.entries if entry.kind is kind], parted[kind]
        owners = list(zip(entries, cut(entries, of_kind), strict=True))
        changed = {entry for entry, own in owners if not _is_same(entry, own)}
        have_moved = any(len(own) != entry.items for entry, own in owners)
        left = {entry.lane for entry in changed if have_moved and not entry.is_out}
        keeps = [
            _stays_out(entry, own) and left <= {entry.lane} if entry in changed else is_young or entry.is_out
            for entry, own in owners
        ]
        taken = Counter(entry.lane for entry, own in owners for _ in own)
        untold = [(lane, items[taken[lane] :]) for lane, items in enumerate(of_kind) if taken[lane] < len(items)]
        if not entries or (kind is Kind.USER and (untold or not all(keeps))):
            # Merged otherwise, an item may stand in another entry than before. Users are upserts: all are sent anew.
            attempt = max((entry.attempt for entry in entries), default=0)
            fitted += _new_entries(kind, of_kind, is_batch=is_batch, attempt=attempt)
            sent_anew += sum(map(_records, of_kind)) if entries else 0
            continue
        for (entry, own), is_kept in zip(owners, keeps, strict=True):
            if is_kept:
                fitted.append(entry)
            elif own:
                fitted.append(
                    new_entry(kind, own, is_batch=is_batch, attempt=entry.attempt, until=entry.until, lane=entry.lane)
                )
                sent_anew += _records(own)
        for lane, items in untold:  # the records have become something else, and what these are may have been sent
            fitted.append(new_entry(kind, items, is_batch=is_batch, lane=lane))
            sent_anew += _records(items)
    if fitted != plan.entries:
        plan.entries = fitted
        plan.revise()
        if not is_young:
            if any(entry.is_followed for entry in fitted):
                return 0
            plan.nonce, plan.at_s = nonce, int(wall_s)
    return sent_anew


def _is_same(entry: Entry, items: Sequence[Item]) -> bool:
    return entry.items == len(items) and entry.digest == _digest(items)


def _stays_out(entry: Entry, items: Sequence[Item]) -> bool:
    """Say whether nothing is to be sent of an entry, though its records are not what they were.

    A job ends the turn of each of its users once: where one stands in it twice by now, each item needs its own turn.
    """
    return entry.is_out and not (entry.is_followed and entry.kind is Kind.USER and _names_twice(items))


def _names_twice(items: Sequence[Item]) -> bool:
    return len({item.uid for item in items}) < len(items)


def _digest(items: Sequence[Item]) -> str:
    return digest(request_body(items))


def _records(items: Sequence[Item]) -> int:
    return sum(len(item.records) for item in items)
