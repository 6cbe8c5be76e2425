"""When the partitions of a process are committed, and what follows from the answer."""

from collections.abc import Mapping

import pytest

from processor.engine.commits import COMMIT_EVERY_S, FORGOTTEN, CommitFault, Commits, why
from processor.engine.limits import Load
from processor.engine.partition import answers
from processor.engine.partition.journal_format import RequestTally, tally_of
from processor.engine.partition.owner import Partition
from processor.engine.verdict import Accepted
from processor.model.records import Commit, TopicPartition
from tests.fakes.partitions import a_common, a_partition, form, posts, track

PROBE_S = 15.0
TIMED_OUT = CommitFault("the request timed out", is_too_large=False)
TOO_LARGE = CommitFault("the metadata is too large", is_too_large=True)


class Scene:
    """The partitions of one process, and their commits."""

    def __init__(self, count: int = 1) -> None:
        self.common = a_common()
        self.commits = Commits(self.common.room, self.common.limits)
        self.partitions = [a_partition(self.common, number) for number in range(count)]
        self._offset = 0

    @property
    def first(self) -> Partition:
        """The one that is spoken of."""
        return self.partitions[0]

    def form(self, partition: Partition, now: float, records: int = 2) -> None:
        """Form a batch of one request."""
        form(partition, [track(self._offset + number) for number in range(records)], now)
        self._offset += records

    def due(self, now: float) -> Mapping[TopicPartition, Commit]:
        """Return what is to be committed by now."""
        return self.commits.due(self.partitions, now)

    def next_at(self, now: float) -> float | None:
        """Return when time alone brings a commit."""
        return self.commits.next_at(self.partitions, now)

    def commit(self, now: float, fault: CommitFault | None = None) -> Mapping[TopicPartition, Commit]:
        """Commit what is due, and have it answered at once."""
        commits = self.due(now)
        self.commits.answered(commits, {} if fault is None else dict.fromkeys(commits, fault), now)
        return commits

    def accept(self, partition: Partition, now: float) -> None:
        """POST what may be POSTed, and have FullStory take it into jobs: news, but nothing that is waited for."""
        requests = posts(partition, now)
        assert requests
        for request in requests:
            assert partition.may_post(request, now, now)
            self.common.limits.sent(now, request.cost)
            answers.answered(request, Accepted(f"job-{request.items[0].records[0]}"), now)


def test_nothing_is_committed_while_nothing_has_changed() -> None:
    """However long that lasts."""
    scene = Scene()
    assert (scene.due(1e6), scene.next_at(1e6)) == ({}, None)


def test_a_partition_that_the_group_never_committed_is_committed_at_once() -> None:
    """Its start was chosen by the settings, and has to outlast them; also before its journal could be read."""
    scene = Scene()
    scene.partitions = [a_partition(scene.common, is_new=True, is_recovered=False)]
    assert scene.commit(100.0) == {scene.first.id: Commit(1, 0, "sf1,place-0,,0,lineage-0")}
    assert scene.due(200.0) == {}


def test_a_partition_is_not_committed_before_its_journal_is_read() -> None:
    """The commit would overwrite what it tells."""
    scene = Scene()
    scene.partitions = [a_partition(scene.common, is_recovered=False)]
    scene.first.journal.is_behind = True
    assert scene.due(100.0) == {}


def test_a_process_with_a_name_tells_how_many_requests_it_has_made() -> None:
    """With each commit, and by its name: who delivers beside it wants to know."""
    scene = Scene()
    limits = scene.common.limits
    scene.commits = Commits(scene.common.room, limits, "5f0c8a1d")
    for load in (Load.FINE, Load.FINE, Load.THROTTLED, Load.FAILING):
        limits.told(99.0, 98.0, load)
    scene.form(scene.first, 100.0)
    (commit,) = scene.due(100.0).values()
    assert tally_of(commit.metadata) == RequestTally("5f0c8a1d", taken=2, refused=1)


def test_a_request_that_waits_to_be_posted_has_a_commit_at_once() -> None:
    """And may be POSTed with its answer, not before."""
    scene = Scene()
    scene.form(scene.first, 100.0)
    scene.commit(100.0)
    scene.accept(scene.first, 100.0)
    scene.form(scene.first, 100.0)
    assert scene.first.awaiting_commit == 1
    commits = scene.due(100.1)
    assert list(commits) == [scene.first.id]
    assert posts(scene.first, 100.1) == []
    scene.commits.answered(commits, {}, 100.2)
    assert len(posts(scene.first, 100.2)) == 1
    assert scene.first.awaiting_commit == 0


def test_what_nobody_waits_for_is_committed_once_a_second() -> None:
    """Offsets and job ids; time alone brings that commit."""
    scene = Scene()
    scene.form(scene.first, 100.0)
    scene.commit(100.0)
    scene.accept(scene.first, 100.1)
    assert (scene.due(100.9), scene.next_at(100.9)) == ({}, 100.0 + COMMIT_EVERY_S)
    (commit,) = scene.commit(101.0).values()
    assert "job-0" in commit.metadata
    assert scene.next_at(101.0) is None


def test_one_commit_is_under_way_at_a_time() -> None:
    """Meanwhile the next one gathers."""
    scene = Scene(2)
    one, other = scene.partitions
    scene.form(one, 100.0)
    commits = scene.due(100.0)
    scene.form(one, 100.0)
    scene.form(other, 100.0)
    assert (scene.due(200.0), scene.next_at(200.0)) == ({}, None), "its answer brings the next one"
    scene.commits.answered(commits, {}, 200.0)
    assert list(scene.due(200.0)) == [one.id, other.id]


def test_a_commit_that_a_post_waits_for_carries_the_others_only_when_they_are_due() -> None:
    """Else a busy partition would have all of them committed many times a second."""
    scene = Scene(2)
    one, other = scene.partitions
    for each in scene.partitions:
        scene.form(each, 100.0)
    scene.commit(100.0)
    scene.accept(other, 100.0)
    scene.form(one, 100.5)
    assert list(scene.commit(100.5)) == [one.id]
    scene.form(one, 101.5)
    assert list(scene.commit(101.5)) == [one.id, other.id]


def test_a_partition_that_goes_is_left_to_its_last_commit() -> None:
    """Nor does any request of it wait any more."""
    scene = Scene()
    scene.form(scene.first, 100.0)
    scene.first.revoking()
    assert scene.first.awaiting_commit == 0
    assert (scene.due(200.0), scene.next_at(200.0)) == ({}, None)


def test_an_answer_for_a_partition_that_went_meanwhile_hurts_nobody() -> None:
    """The partition, or the process, has ended while the broker thought."""
    scene = Scene(2)
    for each in scene.partitions:
        scene.form(each, 100.0)
    commits = scene.due(100.0)
    gone = scene.partitions.pop()
    gone.drop()
    scene.commits.answered(commits, {}, 100.1)
    assert len(posts(scene.first, 100.1)) == 1
    assert posts(gone, 100.1) == []


@pytest.mark.parametrize("is_left_out", [True, False])
def test_a_commit_of_unknown_outcome_lets_nothing_be_posted_and_is_made_again(*, is_left_out: bool) -> None:
    """Whether the brokers told of a fault, or the source left the partition out."""
    scene = Scene()
    scene.form(scene.first, 100.0)
    commits = scene.due(100.0)
    if is_left_out:
        scene.commits.answered({}, {}, 100.0)
    else:
        scene.commits.answered(commits, dict.fromkeys(commits, TIMED_OUT), 100.0)
    assert posts(scene.first, 100.0) == []
    assert scene.due(103.0) == commits


def test_what_nobody_waits_for_is_told_anew_too() -> None:
    """Else a job would be asked for in vain by whoever takes the partition over."""
    scene = Scene()
    scene.form(scene.first, 100.0)
    scene.commit(100.0)
    scene.accept(scene.first, 100.1)
    commits = scene.commit(101.0, TIMED_OUT)
    assert scene.due(102.0) == commits


def test_after_failures_in_a_row_the_next_commit_waits_longer() -> None:
    """Up to two seconds; one that succeeds begins anew."""
    scene = Scene()
    scene.form(scene.first, 100.0)
    now = 100.0
    waits = []
    for fault in [TIMED_OUT] * 5 + [None, TIMED_OUT]:
        assert scene.commit(now, fault)
        if fault is None:
            scene.form(scene.first, now)
            continue
        assert scene.due(now) == {}
        chance = scene.next_at(now)
        assert chance is not None
        waits.append(chance - now)
        now = chance
    assert waits == [0.25, 0.5, 1.0, 2.0, 2.0, 0.25]


def test_a_lease_is_half_the_session_that_the_brokers_choose() -> None:
    """A session that the brokers choose ends the right to POST, however long the configured one is."""
    scene = Scene()
    scene.partitions = [a_partition(scene.common, session_s=6.0)]
    scene.form(scene.first, 100.0)
    scene.commit(100.0)

    assert [len(posts(scene.first, at)) for at in (103.0, 102.9)] == [0, 1]


# Where the brokers take little metadata


def test_a_commit_that_is_too_large_is_made_again_at_once_in_half_the_room() -> None:
    """Nothing passes by waiting; all partitions learn of it."""
    scene = Scene()
    for _ in range(16):
        scene.form(scene.first, 100.0)
    (first,) = scene.commit(100.0, TOO_LARGE).values()
    assert scene.common.room.metadata_bytes == len(first.metadata) // 2
    (second,) = scene.commit(100.0).values()
    assert second.metadata, "some of the plans fit"
    assert len(second.metadata) <= len(first.metadata) // 2
    assert not scene.commits.is_refused


def test_brokers_that_take_too_little_are_tried_at_once_and_then_from_time_to_time() -> None:
    """Somebody may mend them; until then nothing may be sent, and nobody looks in vain meanwhile."""
    scene = Scene()
    scene.form(scene.first, 100.0)
    scene.common.room.metadata_bytes = 10
    assert scene.due(100.0) == {}
    assert (scene.commits.is_refused, scene.next_at(100.0)) == (True, 100.0)
    while scene.commit(100.0, TOO_LARGE):
        assert scene.commits.is_refused
    assert posts(scene.first, 100.0) == []
    assert (scene.due(114.9), scene.next_at(114.9)) == ({}, 115.0)
    assert scene.commit(115.0)
    assert not scene.commits.is_refused
    assert len(posts(scene.first, 115.0)) == 1


def test_brokers_that_forget_metadata_are_sent_nothing_for_until_they_keep_it() -> None:
    """Nothing is POSTed whose plan the next owner could not read, and the halt's cause is not that of a limit."""
    scene = Scene()
    scene.form(scene.first, 100.0)
    assert scene.commit(100.0, CommitFault(FORGOTTEN, is_too_large=False, is_forgotten=True))
    assert (scene.commits.is_refused, scene.commits.refusal) == (True, FORGOTTEN)
    assert posts(scene.first, 100.0) == []
    again = scene.next_at(100.0)
    assert again is not None
    assert again > 100.0
    assert scene.commit(again)
    assert not scene.commits.is_refused
    assert len(posts(scene.first, again)) == 1


def test_brokers_that_keep_metadata_again_are_believed_while_nothing_is_to_be_sent() -> None:
    """What tells of no plan is read back, too: the halt does not wait for the next record."""
    scene = Scene()
    scene.first.journal.is_behind = True
    assert scene.commit(100.0, CommitFault(FORGOTTEN, is_too_large=False, is_forgotten=True))
    assert scene.commits.is_refused
    again = scene.next_at(100.0)
    assert again is not None
    assert scene.commit(again)
    assert not scene.commits.is_refused


def test_a_commit_that_tells_of_no_plan_does_not_show_that_brokers_take_enough() -> None:
    """An offset alone needs no metadata."""
    scene = Scene(2)
    scene.form(scene.first, 100.0)
    scene.common.room.metadata_bytes = 10
    assert scene.due(100.0) == {}
    scene.first.drop()
    scene.partitions[1].journal.is_behind = True
    assert scene.commit(100.0)
    assert scene.commits.is_refused


def test_no_time_is_waited_for_while_a_commit_is_under_way_or_nobody_is_left_to_commit() -> None:
    """A probe that is overdue would have the worker look again and again."""
    scene = Scene()
    scene.form(scene.first, 100.0)
    scene.common.room.metadata_bytes = 10
    assert scene.due(100.0) == {}
    assert scene.due(100.0)
    assert scene.next_at(200.0) is None
    scene.commits.answered({}, {scene.first.id: TIMED_OUT}, 200.0)
    assert scene.next_at(200.0) == 200.25
    scene.first.revoking()
    assert scene.next_at(200.0) is None


def test_a_partition_whose_commits_fail_holds_no_other_back() -> None:
    """Its topic may have been deleted, or be denied: the others commit at once, and it is tried again and again."""
    scene = Scene(2)
    denied, other = scene.partitions
    for each in scene.partitions:
        scene.form(each, 0.0)
    commits = scene.due(0.0)
    scene.commits.answered(commits, {denied.id: TIMED_OUT}, 0.0)
    assert set(commits) == {denied.id, other.id}
    scene.accept(other, 0.0)

    scene.form(other, 0.1)
    assert set(scene.commit(0.1)) == {other.id}
    scene.accept(other, 0.1)
    assert scene.next_at(0.1) == 0.25
    assert set(scene.commit(0.25, TIMED_OUT)) == {denied.id}
    assert scene.next_at(0.3) == 0.75
    assert set(scene.commit(0.75)) == {denied.id}


def test_why_commits_failed_is_said_once_for_each_cause() -> None:
    """A thousand partitions that one broker refuses are one cause."""
    assert why([TIMED_OUT] * 1_000) == TIMED_OUT.detail
    assert why([TIMED_OUT, TOO_LARGE, TIMED_OUT]) == "2 times the request timed out; once the metadata is too large"
