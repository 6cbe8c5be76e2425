"""What becomes of a partition's requests when answers and time come in an order that is rare."""

from collections.abc import Sequence

import orjson

from processor.engine.commits import Commits
from processor.engine.notices import Notice, Redelivered
from processor.engine.partition import answers
from processor.engine.partition.actions import Action, AskJob, Post
from processor.engine.partition.common import Common, PartitionSettings
from processor.engine.partition.journal_format import Entry, EntryState, JournalId, JournalPlace, Plan, encode
from processor.engine.partition.owner import Assignment, Partition
from processor.engine.partition.range_queue import BatchLimits
from processor.engine.partition.request import Request, Stage
from processor.engine.suspicion import POISON_AFTER_S
from processor.engine.verdict import Accepted, Completed, Delivered, Retry, RetryReason, Split, Unknown
from processor.model.reasons import Kind
from processor.model.records import Record, TopicPartition, held_bytes
from tests.fakes.partitions import DESTINATION, a_common, form, identify, track
from tests.fakes.partitions import a_partition as a_bare_partition


def a_partition(events: int) -> Partition:
    """Return a partition that has made a batch of so many events at 0 s."""
    common = a_common(PartitionSettings(BatchLimits(max_records=events)))
    partition = a_bare_partition(common, is_new=True)
    form(partition, [track(offset) for offset in range(events)], 0.0)
    return partition


def look(partition: Partition, commits: Commits, now: float) -> Sequence[Action]:
    """Commit what is to be told, which takes effect, and look; what is to be POSTed is."""
    if due := commits.due([partition], now):
        commits.answered(due, {}, now)
    actions = partition.look(now)
    for action in actions:
        if isinstance(action, Post):
            assert partition.may_post(action.request, now, 0.0)
    return actions


def posted(actions: Sequence[Action]) -> list[Request]:
    """Return the requests among these."""
    return [action.request for action in actions if isinstance(action, Post)]


def test_the_second_half_is_sent_once_though_the_first_is_accepted_again() -> None:
    """FullStory may forget a job, and take the half into another one; what follows it is on its way already."""
    partition = a_partition(4)
    commits = Commits(partition.common.room, partition.common.limits)
    (whole,) = posted(look(partition, commits, 0.0))
    answers.answered(whole, Split(413), 0.0)
    (first,) = posted(look(partition, commits, 1.0))
    answers.answered(first, Accepted("one"), 1.0)
    (second,) = posted(look(partition, commits, 2.0))
    answers.job_ended(first, Unknown(), 3.0)
    assert posted(look(partition, commits, 3.0)) == [first]
    answers.answered(first, Accepted("another"), 3.0)
    assert look(partition, commits, 4.0) == [AskJob(first)]
    answers.answered(second, Accepted("two"), 4.0)
    for request in (first, second):
        answers.job_ended(request, Completed(), 5.0)
    assert partition.queue.first_unsettled == 4


def test_a_body_is_let_go_when_it_is_taken_and_the_same_bytes_are_sent_again() -> None:
    """A request mostly waits for its job; that FullStory forgets it is rare."""
    partition = a_partition(4)
    commits = Commits(partition.common.room, partition.common.limits)
    (request,) = posted(look(partition, commits, 0.0))
    body, key = request.body, request.idempotency_key
    assert request.body is body, "a repeat before that costs nothing"
    answers.answered(request, Accepted("one"), 0.0)
    answers.job_ended(request, Unknown(), 1.0)
    assert posted(look(partition, commits, 1.0)) == [request]
    assert request.body is not body
    assert (request.body, request.idempotency_key, request.size) == (body, key, len(body))


def test_a_key_that_grew_too_old_while_its_request_waited_for_room_is_not_used() -> None:
    """A halt may last for a day in which commits go on; FullStory forgets a key after that time."""
    partition = a_partition(4)
    commits = Commits(partition.common.room, partition.common.limits)
    commits.answered(commits.due([partition], 0.0), {}, 0.0)
    (post,) = partition.look(0.0)
    assert isinstance(post, Post)
    old, now = post.request.idempotency_key, 24 * 3_600.0
    partition.journal.is_behind = True
    commits.answered(commits.due([partition], now), {}, now)
    assert not partition.may_post(post.request, now, now)
    assert partition.look(now) == []
    commits.answered(commits.due([partition], now + 1), {}, now + 1)
    assert partition.look(now + 1) == [post]
    assert partition.may_post(post.request, now + 1, now + 1)
    assert post.request.idempotency_key != old


def adopted(plans: Sequence[Plan], records: Sequence[Record], now: float, wall_s: float, common: Common) -> Partition:
    """Return a partition whose journal told of these plans, which are carried out now."""
    place = JournalPlace("place-0", "lineage-0")
    written = encode(JournalId(place, DESTINATION), 0, plans, 4_095)
    assert written is not None
    partition = Partition(
        Assignment(TopicPartition("t", 0), 1, 0, is_new=False, metadata=written.text, place=place), common
    )
    partition.recover(DESTINATION)
    partition.fetched(list(records), held_bytes(records), now)
    partition.at_end(plans[-1].end)
    assert all(partition.form_planned(now, wall_s) for _ in plans)
    return partition


def test_one_item_that_is_left_of_a_lost_job_is_sent_singly_before_it_is_given_up() -> None:
    """Compaction took the other one: a batch endpoint that always fails says nothing of the record alone."""
    common, now = a_common(), 1_000.0
    commits = Commits(common.room, common.limits)
    plan = Plan(2, b"n" * 16, 0, [Entry(Kind.EVENT, 2, "x", EntryState.ACCEPTED, 0, None, "job")])
    partition = adopted([plan], [track(0)], now, 10.0, common)
    (ask,) = partition.look(now)
    assert isinstance(ask, AskJob)
    answers.job_ended(ask.request, Unknown(), now)
    request, end = ask.request, now + 2 * POISON_AFTER_S
    while request.stage is not Stage.ENDED:
        assert now < end
        for each in posted(look(partition, commits, now)):
            common.retries.succeeded(now)
            answers.answered(each, Retry(RetryReason.SERVER_ERROR, 503), now)
        now += 15.0
    (alone,) = next(iter(partition.batches)).requests
    assert (alone.is_batch, alone.items) == (False, request.items)


def test_failures_before_an_acceptance_say_nothing_of_a_lost_job() -> None:
    """A request that was taken after an outage and is sent again has its whole patience before it."""
    partition, now = a_partition(2), 0.0
    commits = Commits(partition.common.room, partition.common.limits)
    (request,) = posted(look(partition, commits, now))
    for _ in range(30):
        answers.answered(request, Retry(RetryReason.SERVER_ERROR, 503), now)
        now += 200.0
        while request not in posted(look(partition, commits, now)):
            now += 1.0
    answers.answered(request, Accepted("job"), now)
    answers.job_ended(request, Unknown(), now)
    assert posted(look(partition, commits, now + 1.0)) == [request]
    partition.common.retries.succeeded(now)
    answers.answered(request, Retry(RetryReason.SERVER_ERROR, 503), now + 1.0)
    assert request.stage is Stage.RESTING


def test_each_item_of_an_old_plan_gets_a_new_key() -> None:
    """What FullStory may have forgotten is counted item by item; a renewed key says nothing of the next item's."""
    seen: list[Notice] = []
    common, now, day_s = a_common(observe=seen.append), 1_000.0, 24 * 3_600.0
    commits = Commits(common.room, common.limits)
    users = Entry(Kind.USER, 2, "x", EntryState.SINGLY)
    plan = Plan(3, b"n" * 16, 0, [users, Entry(Kind.EVENT, 1, "y", EntryState.ACCEPTED, 0, None, "job")])
    values = [{"type": "identify", "userId": "u", "traits": {"a": {f"x{number}": 1}}} for number in range(2)]
    records = [Record(offset, 1, None, orjson.dumps(value), None) for offset, value in enumerate(values)]
    partition = adopted([plan], [*records, track(2)], now, day_s, common)
    for number in range(2):
        requests: list[Request] = []
        while not requests:
            requests = posted(look(partition, commits, now))
            now += 0.5
        assert [each.entry.attempt for each in requests] == [1]
        assert sum(each.records for each in seen if isinstance(each, Redelivered)) == number + 1
        answers.answered(requests[0], Delivered(), now)


def test_a_lost_job_is_sent_again_when_the_identifies_before_it_are_complete() -> None:
    """Its process had sent it in its turn; what comes before is sent anew, for its records became something else."""
    common = a_common()
    commits = Commits(common.room, common.limits)
    sent_anew = Plan(2, b"n" * 16, 0, [Entry(Kind.USER, 2, "x")])
    followed = Plan(6, b"m" * 16, 0, [Entry(Kind.USER, 4, "x", EntryState.ACCEPTED, job_id="job")])
    uids = ["a", "b", "a", "c", "d", "e"]
    partition = adopted([sent_anew, followed], [identify(at, uid) for at, uid in enumerate(uids)], 0.0, 10.0, common)
    (ask,) = [each for each in partition.look(0.0) if isinstance(each, AskJob)]
    answers.job_ended(ask.request, Unknown(), 0.0)
    (before,) = posted(look(partition, commits, 0.0))
    assert (before.items[0].uid, ask.request.stage) == ("a", Stage.HELD)
    answers.answered(before, Accepted("another"), 1.0)
    answers.job_ended(before, Completed(), 1.0)
    assert posted(look(partition, commits, 2.0)) == [ask.request]
    common.body_size.refused(80)  # so that the halves of what is refused are halved before they are sent
    answers.answered(ask.request, Split(400), 2.0)
    (first,) = posted(look(partition, commits, 4.0))
    assert [item.uid for item in first.items] == ["a"]


def test_a_broker_that_takes_little_metadata_gets_fewer_requests_at_a_time() -> None:
    """Each lane takes room for the id of its job; a plan that never fits would stand still for ever."""
    common = a_common(PartitionSettings(BatchLimits(max_records=200)))
    common.room.metadata_bytes = 600
    partition = a_bare_partition(common, is_new=True)
    users = [f"u{number}" for number in range(50)]
    events: list[dict[str, object]] = [
        {"type": "identify", "userId": uid, "traits": {"a": {f"x{turn}": 1}}} for turn in range(3) for uid in users
    ]
    events += [{"type": "track", "event": "e", "userId": uid} for uid in users]
    records = [Record(offset, 1, None, orjson.dumps(each), None) for offset, each in enumerate(events)]
    form(partition, records, 0.0)
    assert [each.items for each in next(iter(partition.batches)).plan.entries] == [150, 50]
    assert len(posted(look(partition, Commits(common.room, common.limits), 0.0))) == len(users), (
        "one of each user in a row"
    )
