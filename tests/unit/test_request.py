"""A request: how far it may come, and the key that it is sent under."""

import pytest

from processor.engine.partition import answers
from processor.engine.partition.owner import Partition
from processor.engine.partition.request import TRANSITIONS, Happening, Request, Stage
from processor.engine.verdict import Accepted, Retry, RetryReason, Unknown
from tests.fakes.partitions import a_common, a_partition, form, posts, track

FINAL = {Stage.ENDED, Stage.GIVEN_UP}


def test_every_stage_has_its_row() -> None:
    """Also those that nothing follows."""
    assert TRANSITIONS.keys() == set(Stage)


def test_every_stage_is_reached_from_a_request_that_waits_for_its_turn() -> None:
    """By something that may happen."""
    reached, new = set[Stage](), {Stage.HELD}
    while new:
        reached |= new
        new = {after for stage in new for after in TRANSITIONS[stage].values()} - reached
    assert reached == set(Stage)


def test_every_happening_leads_somewhere() -> None:
    """None is left that the code has no use for."""
    assert {happening for row in TRANSITIONS.values() for happening in row} == set(Happening)


def test_a_request_can_end_from_every_stage() -> None:
    """None is a trap, from which only the end of the epoch would lead."""
    can_end = {Stage.ENDED}
    for _ in Stage:
        can_end |= {stage for stage, row in TRANSITIONS.items() if not can_end.isdisjoint(row.values())}
    assert can_end == set(Stage) - {Stage.GIVEN_UP}


def test_nothing_happens_to_a_request_that_is_over() -> None:
    """Neither to one that has ended nor to one that was given up; any other is given up when the partition goes."""
    for stage, row in TRANSITIONS.items():
        assert row.get(Happening.EPOCH_ENDED) is (None if stage in FINAL else Stage.GIVEN_UP)
        assert bool(row) is (stage not in FINAL)


def a_request(stage: Stage) -> Request:
    """Return one at this stage."""
    partition = a_partition(a_common())
    form(partition, [track(0), track(1)], 0.0)
    (request,) = (request for batch in partition.batches for request in batch.requests)
    request.stage = stage
    return request


@pytest.mark.parametrize("stage", Stage)
def test_what_the_table_names_happens_and_nothing_else(stage: Stage) -> None:
    """Anything else is a defect of the program, and said so; the request stays what it was."""
    for happening in Happening:
        request = a_request(stage)
        if happening in TRANSITIONS[stage]:
            request.on(happening)
            assert request.stage is TRANSITIONS[stage][happening]
        else:
            with pytest.raises(KeyError):
                request.on(happening)
            assert request.stage is stage


# Keys


def covered(partition: Partition, now: float) -> list[Request]:
    """Have everything committed; return what may be POSTed then."""
    base, ranges = partition.told
    written = partition.journal.write(base, ranges)
    assert written is not None
    partition.journal.asked(base, written, now)
    partition.journal.acknowledge()
    return posts(partition, now)


def keys(records: list[int], *, start: int = 0, uid: str = "u") -> list[str]:
    """Return the keys of a partition's requests, two records each."""
    partition = a_partition(a_common())
    for offset in records:
        form(partition, [track(offset + start, uid), track(offset + start + 1, uid)], 0.0)
    return [request.idempotency_key for request in covered(partition, 0.0)]


def test_the_same_request_of_the_same_plan_has_the_same_key() -> None:
    """Whichever process sends it, and however often."""
    assert keys([0, 2, 4]) == keys([0, 2, 4])


def test_no_two_requests_have_the_same_key() -> None:
    """Not even those that say the same: each plan has a nonce, and each request its offsets."""
    (first, second, third), (elsewhere, *_) = keys([0, 2, 4]), keys([0], start=10)
    assert len({first, second, third, elsewhere}) == 4


def test_what_becomes_another_body_has_another_key() -> None:
    """A key stands for one body: with another one FullStory would answer 409 for ever."""
    assert keys([0]) != keys([0], uid="v")


def test_a_key_lasts_for_as_long_as_fullstory_names_the_job_that_it_denies() -> None:
    """Another key would have the items take effect once more, if it is something in between that denies the job."""
    partition = a_partition(common := a_common())
    form(partition, [track(0), track(1)], 0.0)
    seen = []
    (request,) = covered(partition, 0)
    for now in range(3):
        seen.append(request.idempotency_key)
        assert partition.may_post(request, now, now)
        common.limits.sent(now, request.cost)
        answers.answered(request, Accepted("job"), now)
        assert request.stage is Stage.IN_JOB
        assert request.was_denied == (now > 0)
        answers.job_ended(request, Unknown(), now)
        (request,) = posts(partition, now)
    assert len(set(seen)) == 1


def test_a_key_that_was_given_up_is_never_used_again() -> None:
    """FullStory replays a 500 for as long as it remembers the key: each third one ends it."""
    partition = a_partition(common := a_common())
    form(partition, [track(0), track(1)], 0.0)
    (request,) = covered(partition, 0)
    seen = []
    for now in range(0, 900, 100):
        seen.append(request.idempotency_key)
        assert partition.may_post(request, now, now)
        common.limits.sent(now, request.cost)
        answers.answered(request, Retry(RetryReason.SERVER_ERROR, 500), now)
        posts(partition, now + 100)
        (request,) = covered(partition, now + 100)
    assert seen == [key for key in dict.fromkeys(seen) for _ in range(3)]
    assert len(set(seen)) == 3
