"""What follows from an answer of FullStory for the request that it answers: of a POST, and of a job.

What an answer means is judged before (`verdict`); how long to wait, and when to give up, is policy (`retry`).
"""

from collections.abc import Sequence
from typing import assert_never

from processor.engine.attribution import attribute
from processor.engine.notices import Retried
from processor.engine.partition.actions import AskJob
from processor.engine.partition.batch import follow_up
from processor.engine.partition.request import Happening, Opening, Request, Stage
from processor.engine.speaker import error_code
from processor.engine.suspicion import Blame, Suspicion
from processor.engine.verdict import (
    Accepted,
    Completed,
    Delivered,
    Failed,
    Halt,
    JobEnd,
    PostVerdict,
    Retry,
    RetryReason,
    Split,
    Unknown,
    is_passing,
)
from processor.events.payload import Item
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason, HaltReason, Kind

SERVER_ERRORS_PER_KEY = 3
"""FullStory may replay a literal 500 for as long as it remembers the key (docs/fullstory-api.md#idempotency)."""

TOO_LARGE = 413


def answered(  # noqa: C901 - one case for each answer
    request: Request, verdict: PostVerdict | None, now: float
) -> None:
    """A POST was answered; None: it is not known whether it was taken, and it was given up. `now` is monotonic."""
    batch, owner = request.batch, request.batch.owner
    common = owner.common
    if owner.is_going and not isinstance(verdict, Accepted | Delivered):
        verdict = None  # whatever is to be done about it is the next owner's
    if owner.is_going or not isinstance(verdict, Accepted):  # a job that is followed holds its part of the limits
        common.limits.finished(request.cost)
    if isinstance(verdict, Accepted | Delivered):
        common.retries.succeeded(now)
        common.body_size.taken(request.size, now)
    match verdict:
        case None:
            batch.give_up_on(request)
        case Accepted(job_id):
            _accepted(request, job_id)
        case Delivered():
            batch.end_item(request, Happening.DELIVERED)
        case Rejected():
            batch.refuse(request, verdict)
        case Split():
            _halve(request, verdict)
        case Halt():  # the gate lets it through again as a probe
            request.on(Happening.HALT)
            owner.ready(request)
        case Retry():
            _failed(request, verdict, now)
        case _:
            assert_never(verdict)


def _halve(request: Request, verdict: Split) -> None:
    """Send the halves of what was refused as a whole."""
    common = request.batch.owner.common
    if verdict.status == TOO_LARGE:
        common.body_size.refused(request.size)
    if verdict.is_foreign and request.was_sent_before:  # FullStory may have taken it then, and was not asked now
        common.redelivered(request.records)
    request.batch.split(request)


def _accepted(request: Request, job_id: str) -> None:
    """Follow the job.

    It may be the very job that FullStory denied to know, for the key leads there. Under another key the items would
    take effect once more, if it was something in between that had the question end elsewhere (`Jobs.end`).
    """
    batch, owner = request.batch, request.batch.owner
    owner.journal.accept(batch.plan, request.entry, job_id)
    request.on(Happening.ACCEPTED)
    request.taken()
    if owner.is_going:
        batch.give_up_on(request)
        return
    then, request.then = request.then, ()  # it may be accepted once more, when FullStory has forgotten its job
    batch.go_on(then, request)
    batch.note_accepted(request)
    owner.do(AskJob(request))


def _failed(request: Request, verdict: Retry, now: float) -> None:
    """Send the same again: later, under another key, in halves, or never, by how it has failed so far."""
    batch, owner = request.batch, request.batch.owner
    common = owner.common
    request.failures += 1
    request.server_errors += verdict.status == 500 and verdict.reason is RetryReason.SERVER_ERROR
    size, suspects = request.size, common.retries.suspects
    is_large, was_blocked = common.body_size.is_untried(size), common.body_size.is_refused(size)
    blame = suspects.blame(
        request.suspicion, verdict, now, is_alone=not request.is_batch, is_large=is_large, was_blocked=was_blocked
    )
    match blame:
        case Blame.RECORD:
            request.part_of = request.suspicion
            if len(request.items[0].records) > 1:  # a merged one has its chance record by record
                common.redelivered(request.records)
            batch.refuse(request, _hopeless(request.suspicion, verdict))
            return
        case Blame.BODY | Blame.UNCLEAR:  # of several items the culprit is to be found first
            if is_large and blame is Blame.BODY and verdict.speaks_of_body:
                common.body_size.suspected(size, now)
            common.redelivered(request.records)  # whether it took effect is not known
            request.part_of = request.suspicion
            batch.split(request, first=1 if blame is Blame.UNCLEAR else None)
            return
        case Blame.NOBODY:
            if request.suspicion.is_blocked:
                batch.go_on_beside(request)
    request.on(Happening.RETRY)
    if request.server_errors == SERVER_ERRORS_PER_KEY:
        batch.renew_key(request, now)
    _rest(request, verdict, request.failures, now)


def _hopeless(suspicion: Suspicion, verdict: Retry) -> Rejected:
    """Say why a record is given up that never passes while others do."""
    if suspicion.is_blocked or verdict.speaks_of_body:
        detail = f"others pass, and for this record for too long: {verdict.detail}"
        return Rejected(DeadLetterReason.BLOCKED_BY_GATEWAY, detail, verdict.status)
    status = verdict.status or 500
    detail = f"FullStory answered {status} for too long while it took other requests"
    return Rejected(DeadLetterReason.DESTINATION_ERROR, detail, status)


def _rest(request: Request, verdict: Retry, failures: int, now: float) -> None:
    """Have it POSTed again, after a wait that depends on how often it has failed in a row."""
    owner = request.batch.owner
    owner.common.observe(Retried(verdict.reason, verdict.detail, verdict.status))
    retries, is_broken = owner.common.retries, owner.common.limits.is_broken
    is_suspect = retries.suspects.is_suspect(request.suspicion, now)
    delay_s = retries.delay_s(verdict, failures, now, is_broken=is_broken, is_suspect=is_suspect)
    owner.rest(request, now + delay_s)


def job_ended(request: Request, end: JobEnd, now: float) -> None:
    """The job of a request has ended; what is left to do of its items is done. `now` is monotonic.

    That it is unknown is said of a request once: if FullStory names a job again, that is asked for until it is known.
    """
    batch, owner = request.batch, request.batch.owner
    if request.stage is not Stage.IN_JOB:  # its partition went meanwhile
        return
    owner.common.limits.job_ended(request.entry.items)
    match end:
        case Completed():
            owner.journal.finish(batch.plan, request.entry)
            batch.close(request, Happening.JOB_COMPLETED)
        case Unknown() if request.items:
            # Send it again, under the same key: FullStory may answer with another job.
            request.was_denied = True
            if request.turn.waits:  # the journal told of its job, while an earlier identify is to be sent anew
                request.on(Happening.JOB_UNKNOWN_EARLY)
                request.turn.held.append(request)
            else:
                request.on(Happening.JOB_UNKNOWN)
                owner.ready(request)
        case Unknown():  # the records have become something else, or are gone
            batch.close(request, Happening.JOB_COMPLETED)
        case Failed():
            batch.close(request, Happening.JOB_FAILED, _attribute(request, end, now))
        case _:
            assert_never(end)


def _attribute(request: Request, end: Failed, now: float) -> set[str]:
    """Find the items that failed: those by FullStory's own fault are sent again, the others are refused.

    Return of whom something is sent once more.
    """
    batch = request.batch
    kind, items, again = request.kind, request.items, list[Item]()
    goes_on_of: set[str] = set()
    codes, unmatched = attribute(kind, items, end.failures or [])
    for index in sorted(codes):
        if is_passing(codes[index]):
            again.append(items[index])
            continue
        code = error_code({"code": codes[index]}) or "without a code"
        detail = f"FullStory's job answers {code}"
        rejected = Rejected(DeadLetterReason.REJECTED, detail, None, request.entry.job_id)
        if apart := batch.fail(items[index], rejected):
            batch.begin(follow_up(kind, apart, 0, is_singly=True), apart, Opening(request.turn))
            goes_on_of.add(items[index].uid)
    is_told = end.failures is not None and not unmatched and len(codes) >= end.errors
    untold = [] if is_told else [item for index, item in enumerate(items) if index not in codes]
    told = f"is not told: {len(codes)} of its failures are of events that were sent"
    which = "cannot be read" if end.failures is None else told
    if not is_told and not _unattributed(request, untold, f"a job failed in part, and which events failed {which}"):
        return goes_on_of
    if again:
        entry = follow_up(kind, again, request.entry.attempt + 1)
        rounds = request.rounds + 1
        for each in batch.begin(entry, again, Opening(request.turn, rounds=rounds, is_resting=True)):
            _rest(each, Retry(RetryReason.SERVER_ERROR), rounds, now)
    return goes_on_of.union(item.uid for item in (*again, *untold))


def _unattributed(request: Request, items: Sequence[Item], detail: str) -> bool:
    """Some of these items failed and FullStory does not say which; say whether the batch goes on."""
    batch, common = request.batch, request.batch.owner.common
    if request.kind is Kind.USER:
        # Upserts are idempotent, and a single request is answered exactly.
        common.redelivered(sum(len(item.records) for item in items))
        entry = follow_up(request.kind, items, request.entry.attempt + 1, is_singly=True)
        batch.begin(entry, items, Opening(request.turn))
        return True
    match common.settings.unattributed:
        case "halt":
            batch.stand_still(HaltReason.UNATTRIBUTED, f"{batch.owner.id}: {detail}")
            return False
        case "dead_letter":
            rejected = Rejected(DeadLetterReason.UNATTRIBUTED, detail, None, request.entry.job_id)
            for item in items:
                batch.end.failed(item.records, rejected)
        case "accept":
            pass
        case _:
            assert_never(common.settings.unattributed)
    return True
