"""Plans: which requests a batch begins with, and what is left of a plan that another process made.

A plan made earlier is kept as far as the records still become the same bodies, whatever settings or release make them.
What has a job is followed in any case. The rest was perhaps sent, under keys that no longer fit: it is sent anew and
counted as redelivered.
"""

from collections.abc import Sequence
from itertools import pairwise

from processor.engine.digest import digest
from processor.engine.partition.journal_format import Entry, EntryState, Plan
from processor.events.payload import Item, Payload, request_body
from processor.model.reasons import Kind

KEY_TRUST_S = 23 * 3600.0
"""FullStory forgets a key after 24 hours (docs/fullstory-api.md#idempotency); an hour less, for clocks that differ."""


def new_plan(payload: Payload, nonce: bytes, wall_s: float, *, is_batch: bool) -> Plan:
    """Plan one request for each part, or one for each item."""
    entries = [new_entry(kind, items, is_batch=is_batch) for kind in Kind if (items := payload.items(kind))]
    return Plan(payload.range.end, nonce, int(wall_s), entries)


def new_entry(
    kind: Kind, items: Sequence[Item], *, is_batch: bool, attempt: int = 0, until: int | None = None
) -> Entry:
    """Plan a request that was never sent; one of a single item goes to the endpoint for single items."""
    uids = {item.uid for item in items}
    is_singly = not is_batch or len(items) == 1 or (kind is Kind.USER and len(uids) < len(items))
    return Entry(
        kind, len(items), _digest(items), EntryState.SINGLY if is_singly else EntryState.PLANNED, attempt, until
    )


def cut(entries: Sequence[Entry], items: Sequence[Item]) -> list[Sequence[Item]]:
    """Return the items of each of a kind's entries; both are in the order of offsets."""
    cuts, at = [0], 0
    for entry in entries:
        while at < len(items) and (entry.until is None or items[at].records[0] < entry.until):
            at += 1
        cuts.append(at)
    return [items[start:end] for start, end in pairwise(cuts)]


def resume(plan: Plan, payload: Payload, wall_s: float, nonce: bytes, *, is_batch: bool) -> int:
    """Fit a plan to what its records are now; return how many of them are sent anew.

    A body is part of its key, so a body that differs has a new key by itself. A nonce that is too old is replaced, but
    for a plan with a job to follow, whose request may have to be sent again under it: then every other key of the plan
    is renewed, and counted, before its first POST.
    """
    is_young = wall_s - plan.at_s < KEY_TRUST_S
    fitted: list[Entry] = []
    sent_anew = 0
    for kind in Kind:
        entries, items = [entry for entry in plan.entries if entry.kind is kind], payload.items(kind)
        owners = list(zip(entries, cut(entries, items), strict=True))
        keeps = [entry.is_out or (is_young and _is_same(entry, own)) for entry, own in owners]
        if not entries or (kind is Kind.USER and len(entries) > 1 and not all(keeps)):
            # Merged otherwise, an item may stand in another entry than before. Users are upserts: all are sent anew.
            attempt = max((entry.attempt for entry in entries), default=0)
            fitted += [new_entry(kind, items, is_batch=is_batch, attempt=attempt)] if items else []
            sent_anew += _records(items) if entries else 0
            continue
        for (entry, own), is_kept in zip(owners, keeps, strict=True):
            if is_kept:
                fitted.append(entry)
            elif own:
                fitted.append(new_entry(kind, own, is_batch=is_batch, attempt=entry.attempt, until=entry.until))
                sent_anew += _records(own)
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


def _digest(items: Sequence[Item]) -> str:
    return digest(request_body(items))


def _records(items: Sequence[Item]) -> int:
    return sum(len(item.records) for item in items)
