"""The laws of the worker, checked while it runs and when it has ended, and all of them from outside.

What is seen: records handed over, POSTs and FullStory's answers, commits and when each was asked for, dead letters and
their acknowledgements, time, the settings, and what the worker says in public (`state()` and its notices). So a wrong
condition of the worker's cannot be wrong here, too.

At every commit: nothing before the offset is without its end (laws 1 and 2). At every POST: Kafka knows of it and has
lately called the partition the worker's, it keeps the limits, and the identifies before it had their turn (laws 4, 6
and 11). When a user is deleted: all that came before of the user has ended, nothing that comes after was sent, and the
worker has not heard yet that it is over (law 11). Whenever the loop is idle: no record waits without need, every record
consumed is accounted for, what is held and in progress is bounded and counted (laws 5, 6, 7 and 12). In the end: what
took effect did so in order and no more often than it may, nothing else was dead-lettered (laws 9, 10 and 11).

Law 7 is one-sided: it lists what may be a reason to wait, as an outsider can know it, and rather too much than too
little. A record for which there was no such reason at any moment since it was due has to be on its way.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from processor.engine.notices import Consumed, Notice, Redelivered, Released, Settled
from processor.engine.partition.range_queue import BatchLimits
from processor.engine.worker_state import WorkerState
from processor.model.reasons import HaltReason, Kind
from processor.model.records import TopicPartition
from processor.runtime.ports import DeadLetter, Fetched
from tests.fakes.dead_letters import coordinates
from tests.fakes.fullstory import Effect
from tests.fakes.source import AHEAD_CHUNKS
from tests.simulation.course import Course
from tests.simulation.records import TOPICS_APART, Sent, marks_of
from tests.simulation.wire import Post

if TYPE_CHECKING:
    from tests.simulation.world import Member, World

Courses = Mapping[TopicPartition, Course]
"""Of the partitions that a worker owns and goes on with."""


@dataclass(slots=True)
class Ledger:
    """An observer that adds up what became of records."""

    consumed: int = 0
    ended: int = 0
    released: int = 0
    redelivered: int = 0

    def __call__(self, notice: Notice) -> None:
        """Add one notice."""
        match notice:
            case Consumed():
                self.consumed += notice.records
            case Settled():
                self.ended += sum(each.total() for each in (notice.delivered, notice.filtered, notice.dead_lettered))
            case Released():
                self.released += notice.records
            case Redelivered():
                self.redelivered += notice.records
            case _:
                pass


ROUNDED_S = 0.02
"""A timer waits a millisecond at least, and is a little late."""

COPIES = 3
"""A record on its way is held as itself, as its item's body, and as that body's copy within a request."""

Turn = tuple[int, int]
"""How many rewinds came before a request, and how often its partition had begun anew."""

OF_ONE_PARTITION = frozenset(
    {
        HaltReason.GAP,
        HaltReason.RECREATED,
        HaltReason.STUCK_JOB,
        HaltReason.DENIED_JOB,
        HaltReason.UNATTRIBUTED,
        HaltReason.DEAD_LETTER_TOO_LARGE,
    }
)
"""Halts that hold up what they are about, which takes up its place among the batches that overlap, and nothing else."""

OF_SCHEMAS = frozenset({HaltReason.SCHEMA_REGISTRY, HaltReason.UNKNOWN_SCHEMA})
"""Halts that hold up the records that need a schema."""

COMMIT_AGAIN_AFTER_S = 2.0
"""How long a commit that failed is waited out at most."""

FOLLOWS_WITHIN_S = 2.5
"""After so long the next request may follow, however often FullStory refused some: one a second may, and what was tried
while FullStory failed is made up for."""

LEAST_FAILURES = 5
"""Of the last twenty answers, how many have to be failures before FullStory is thought to fail as a whole."""

TRIED_FIRST_S, TRIED_EVERY_S = 1.0, 10.0
"""While it does, at least so often a request is tried: soon at first, then less often with each failure."""

JOBS, OPERATIONS = 100, 250_000
"""What all workers together may have in progress: half of what FullStory stops at (docs/fullstory-api.md#limits)."""


class Laws:
    """Watches one world; `broken` holds what was found wrong."""

    def __init__(self, world: "World") -> None:
        self.broken: list[str] = []
        self.repeats_allowed = 0
        """Effects beyond the first of a record that the test provokes on purpose."""
        self._world = world
        self._accepted: set[str] = set()
        self._rewinds: Counter[TopicPartition] = Counter()
        self._begins_anew: set[TopicPartition] = set()
        self._noticed: Counter[TopicPartition] = Counter()
        """How often a worker found that the topic was another one, and began with its first record."""
        self._mistaken_from: dict[tuple[int, int], int] = {}
        """By number and member: from which offset on it takes records of that topic for those of the one before."""
        self._turn_of: dict[str, Turn] = {}
        """By key: the request's."""
        self._of_user: dict[tuple[int, str], list[Sent]] = defaultdict(list)
        """By number and uid: all that is to be sent of a user."""
        self._deletions: dict[str, list[Sent]] = defaultdict(list)
        """By uid, in order; with some record of the user between any two, and all of one partition."""
        self._deleting: dict[str, tuple[Sent, Turn]] = {}
        """By uid: for which record the user was last sent to be deleted."""
        self._last_sent: dict[tuple[str, Turn], int] = {}
        self._last_effective: dict[tuple[str, Turn], int] = {}
        self._last_deleted: dict[tuple[str, Turn], int] = {}
        """Offsets, of users that are deleted."""
        self._effective: set[str] = set()
        """What took effect at FullStory."""
        self._buried: set[str] = set()
        """Whose dead letters were acknowledged."""
        self._seen = 0
        self._letters_seen = 0
        self._checked: Counter[TopicPartition] = Counter()
        self._sent: dict[int, Sent] = {}
        """By the record's identity: offsets of a topic that is created anew stand for others."""
        self._origins: dict[tuple[str, int, int], list[Sent]] = defaultdict(list)
        """By what a dead letter tells: topic, partition and offset."""
        self._courses: dict[tuple[int, TopicPartition], Course] = {}
        self._course_of: dict[Post, Course] = {}
        self._could_be_sent_since: dict[tuple[int, TopicPartition, int, bool], float] = {}

    def sent(self, sent: Sent) -> None:
        """A record was put into the topic."""
        self._sent[id(sent.record)] = sent
        self._origins[(*sent.partition, sent.record.offset)].append(sent)
        if sent.uid is not None:
            self._of_user[sent.number, sent.uid].append(sent)

    def to_delete(self, sent: Sent, uid: str) -> None:
        """A record was put into the topic that deletes this user."""
        self._deletions[uid].append(sent)

    def rewound(self, partition: TopicPartition) -> None:
        """The group's offset was set back from outside: what follows it is to meet its end once more."""
        self._note_ends()
        offset = self._world.broker.committed[partition]
        again = {sent.mark for sent in self._world.records[partition] if sent.record.offset >= offset}
        self._rewinds[partition] += 1
        self._accepted -= again
        self._effective -= again
        self._buried -= again
        self._checked[partition] = sum(sent.record.offset < offset for sent in self._world.records[partition])

    def recreated(self, partition: TopicPartition) -> None:
        """The topic was deleted and created anew: its offsets stand for other records."""
        self._begins_anew.add(partition)
        self._checked[partition] = 0
        number = partition.partition + TOPICS_APART * self._world.broker.topic_ids[partition]
        for member in self._world.members:
            if (holding := member.source.holdings.get(partition)) is not None:
                self._mistaken_from[number, member.number] = holding.position

    def noticed(self, partition: TopicPartition) -> None:
        """A worker begins with the topic's first record, and perhaps took later ones for the old topic's."""
        self._noticed[partition] += 1

    def at_commit(self, partition: TopicPartition, offset: int) -> None:
        """Laws 1 and 2: everything before a committed offset has met its end."""
        self._note_ends()
        before = self._world.broker.committed.get(partition, 0)
        if offset < before and partition not in self._begins_anew:
            self._break(f"{partition} goes back from {before} to {offset}")
        self._begins_anew.discard(partition)
        records = self._world.records[partition]
        while self._checked[partition] < len(records):
            sent = records[self._checked[partition]]
            if sent.record.offset >= offset:
                return
            self._checked[partition] += 1
            if sent.fate in ("delivered", "dead_lettered") and not self._has_ended(sent):
                self._break(f"{partition} is committed to {offset}, but {sent.record.offset} was never {sent.fate}")

    def at_handover(self, member: "Member", fetched: Fetched) -> None:
        """A worker is handed records."""
        course = self._course(member, fetched.id)
        if course is not None:
            course.hand_over(_now(), fetched.records, self._sent)
            partition = member.settings.partition
            course.note_crowd(partition.limits.max_records, partition.depth)

    def at_acknowledgement(self, member: "Member", partition: TopicPartition, epoch: int, asked_at: float) -> None:
        """A worker learns that a commit succeeded."""
        course = self._course(member, partition)
        if course is not None and course.epoch == epoch:
            course.vouched_at = asked_at

    def at_post(self, member: "Member", post: Post) -> None:
        """Laws 4, 6 and 11, as far as a POST can break them."""
        if post.kind is Kind.DELETION and not self._is_attributed(member, post):
            return
        numbers = {number % TOPICS_APART for number, _ in post.marks}
        if len(numbers) != 1:
            self._break(f"a request carries records of the partitions {numbers}")
        partition = self._world.partitions[numbers.pop()]
        self._turn_of.setdefault(post.key, self._turn(partition))
        course = self._course(member, partition)
        if course is None:
            self._break(f"{post.marks} are sent of a partition that is not owned")
            return
        if not self._world.broker.keeps_metadata:
            self._break(f"a POST of {post.marks}, and no journal is kept")
        self._check_lease(member, course, post)
        self._check_repeat(member, course, post)
        self._check_limits(member, post)
        match post.kind:
            case Kind.EVENT:
                self._check_identifies_before(member, post)
            case Kind.USER:
                self._check_no_overtaking(course, post)
            case Kind.DELETION if not course.deleted.isdisjoint(post.offsets):
                self._break(f"{post.items} is deleted once more in one epoch")
            case _:
                pass
        self._check_deletions_before(member, post)
        self._course_of[post] = course
        for offset in post.offsets:
            course.post(post, offset)

    def at_answer(self, post: Post) -> None:
        """Note what is accepted, or refused for good."""
        is_refused = len(post.marks) == 1 and not post.is_batch and post.status in (400, 413, 422)
        if post.is_fullstorys and (post.status == 200 or is_refused):
            self._accepted |= {_mark(found) for found in post.marks}
        if post in self._course_of:
            self._course_of[post].answered(post)

    def at_job_end(self, post: Post) -> None:
        """A worker learns that a job has ended: some of its items took effect."""
        self._note_ends()
        complete = {found[1] for found in post.marks if _mark(found) in self._effective}
        self._course_of[post].complete |= complete

    def at_idle(self) -> None:
        """Laws 5, 6, 7 and 12, when all that can happen at this moment has happened."""
        member = self._world.member
        if not member.is_running:
            return
        state = member.worker.state()
        self._check_conservation(member, state)
        courses = self._courses_of(member, state)
        self._check_bounds(member, state, courses)
        self._check_in_progress(member, state, courses)
        self._check_linger(member, state, courses)

    def at_end(self) -> None:
        """Everything that can be told only from the whole; raises when any law was broken."""
        self._note_ends()
        self._check_effects()
        self._check_letters()
        for member in self._world.members:
            self.broken += member.source.violations
            if not member.was_killed:  # what it counted is gone with it
                state = member.worker.state()
                in_progress = (state.jobs_in_flight, state.operations_in_flight)
                if in_progress != (0, 0):
                    self._break(f"{in_progress} jobs and operations are still counted")
        assert not self.broken, "\n".join(self.broken[:20])

    def _break(self, what: str) -> None:
        self.broken.append(f"{_now():.3f}: {what}")

    def _course(self, member: "Member", partition: TopicPartition) -> Course | None:
        """Return what is seen of a partition that the member owns, for all it can know."""
        holding = member.source.holdings.get(partition)
        if holding is None:
            return None
        course = self._courses.get((member.number, partition))
        if course is None or course.epoch != holding.epoch:
            course = Course(holding.epoch, holding.start, holding.known_to)
            self._courses[member.number, partition] = course
        return course

    def _courses_of(self, member: "Member", state: WorkerState) -> dict[TopicPartition, Course]:
        """Return what is seen of each partition that goes on, as far as it has been settled by now."""
        courses: dict[TopicPartition, Course] = {}
        for each in state.partitions:
            holding = member.source.holdings.get(each.id)
            course = self._course(member, each.id)
            if holding is not None and course is not None and not holding.is_going:
                courses[each.id] = course
                course.settle(each.position)
        return courses

    def _note_ends(self) -> None:
        effects = self._world.fullstory.effects
        for effect in effects[self._seen :]:
            self._effective |= {_mark(found) for found in marks_of(effect.item)}
            if (uid := _uid_of(effect.item)) in self._deletions:
                self._note_life(uid, effect)
        self._seen = len(effects)
        letters = self._world.letters.acknowledged
        for letter in letters[self._letters_seen :]:
            topic, partition, offset = coordinates(letter)
            self._buried |= {sent.mark for sent in self._origins[topic, partition, offset] if _is_of(letter, sent)}
        self._letters_seen = len(letters)

    def _check_lease(self, member: "Member", course: Course, post: Post) -> None:
        """Law 4: a POST is made of what Kafka knows of, and shortly after Kafka called the partition the worker's."""
        if post.at > course.vouched_at + member.settings.partition.lease_s:
            self._break("a POST without a fresh lease")
        newest = max(course.handed_at.get(offset, course.vouched_at) for offset in post.offsets)
        if course.vouched_at < newest:
            self._break(f"a POST of {post.marks} that no journal in Kafka can tell of")

    def _check_repeat(self, member: "Member", course: Course, post: Post) -> None:
        """Law 10: what FullStory has taken in this epoch is not sent again, unless FullStory denies the job."""
        for job_id, taken in member.wire.jobs.items():
            is_known = self._course_of[taken] is course and job_id not in member.wire.doubted
            if taken.key == post.key and is_known:
                self._break(f"{post.marks} are sent again while their job {job_id} goes on")

    def _check_limits(self, member: "Member", post: Post) -> None:
        """Law 6: what FullStory's contract and its answers allow."""
        limits, wire = self._limits, member.wire
        if len(post.items) > limits.max_records or (post.is_batch and post.size > limits.max_bytes):
            self._break(f"a request has {len(post.items)} items and {post.size} bytes")
        if len(wire.awaiting) + 1 > member.plan.limits.max_concurrency:
            self._break(f"{len(wire.awaiting)} requests await an answer, and one more is sent")
        if wire.quiet_since + ROUNDED_S < post.at < wire.quiet_until - ROUNDED_S:
            self._break(f"a POST while FullStory has asked for silence until {wire.quiet_until}")

    @property
    def _limits(self) -> BatchLimits:
        """The largest limits of all workers: what one of them planned, the next one sends."""
        each = [member.settings.partition.limits for member in self._world.members]
        return BatchLimits(max(one.max_records for one in each), max(one.max_bytes for one in each))

    def _check_identifies_before(self, member: "Member", post: Post) -> None:
        """Law 11: an event is POSTed after the identifies before it were accepted, or refused for good."""
        for item in post.items:
            number, offset = marks_of(item)[0]
            for before in self._before(member, number, item["user"]["uid"], offset):
                if before.is_identify and before.mark not in self._accepted:
                    self._break(f"the event {offset} is sent before the identify {before.record.offset} is accepted")

    def _before(self, member: "Member", number: int, uid: str, offset: int) -> Iterator[Sent]:
        """Give what is to be sent of a user before this offset, as far as the worker was handed it."""
        start = self._start(member, number)
        between = (each for each in self._of_user[number, uid] if start <= each.record.offset < offset)
        return (each for each in between if each.fate != "filtered")

    def _start(self, member: "Member", number: int) -> int:
        """Return from which offset on the worker has its records."""
        topic_id, at = divmod(number, TOPICS_APART)
        holding = member.source.holdings[self._world.partitions[at]]
        return holding.start if topic_id == holding.topic_id else self._mistaken_from[number, member.number]

    def _turn(self, partition: TopicPartition) -> Turn:
        return self._rewinds[partition], self._noticed[partition]

    def _is_attributed(self, member: "Member", post: Post) -> bool:
        """Find of which record a deletion is: the first one behind all that was sent of the user.

        Law 11: everything of the user before that has ended.
        """
        self._note_ends()
        uid = post.items[0]["uid"]
        partition, number = self._deletions[uid][0].partition, self._deletions[uid][0].number
        if partition not in member.source.holdings:
            self._break(f"{uid} is deleted for a partition that is not owned")
            return False
        turn = self._turn(partition)
        behind = max(self._start(member, number), self._last_sent.get((uid, turn), -1))
        sent = next((each for each in self._deletions[uid] if each.record.offset >= behind), None)
        if sent is None:
            self._break(f"{uid} is deleted after {behind} was sent")
            return False
        post.items[0]["properties"] = {sent.mark: True}
        self._deleting[uid] = sent, turn
        for before in self._before(member, number, uid, sent.record.offset):
            if not self._has_ended(before):
                self._break(f"{uid} is deleted for {sent.mark} before {before.mark} has ended")
        return True

    def _check_deletions_before(self, member: "Member", post: Post) -> None:
        """Law 11: what comes after a deletion is sent when that is over."""
        for item in post.items:
            uid = _uid_of(item)
            if post.kind is Kind.DELETION or uid not in self._deletions:
                continue
            number, offset = marks_of(item)[-1]
            partition = self._world.partitions[number % TOPICS_APART]
            self._last_sent[uid, self._turn(partition)] = offset
            self._note_ends()
            start = self._start(member, number)
            for before in self._deletions[uid]:
                if start <= before.record.offset < offset and not self._has_ended(before):
                    self._break(f"{offset} of {uid} is sent before the deletion {before.mark} is over")

    def _note_life(self, uid: str, effect: Effect) -> None:
        """Law 11: what a deletion takes is what came before it, and that for good."""
        if effect.kind is Kind.DELETION:
            sent, turn = self._deleting[uid]
            self._effective.add(sent.mark)
            self._last_deleted[uid, turn] = sent.record.offset
            if self._last_effective.get((uid, turn), -1) > sent.record.offset:
                self._break(f"the deletion {sent.mark} of {uid} takes {self._last_effective[uid, turn]}, too")
            return
        turn, (_, offset) = self._turn_of[effect.key], marks_of(effect.item)[-1]
        self._last_effective[uid, turn] = max(offset, self._last_effective.get((uid, turn), -1))
        if offset < self._last_deleted.get((uid, turn), -1):
            self._break(f"{offset} of {uid} takes effect after the deletion {self._last_deleted[uid, turn]}")

    def _has_ended(self, sent: Sent) -> bool:
        return sent.mark in self._effective or sent.mark in self._buried

    def _check_no_overtaking(self, course: Course, post: Post) -> None:
        """Law 11: FullStory promises no order among jobs, so no two of them hold one user at a time."""
        for item in post.items:
            for number, offset in marks_of(item):
                if overtaken := course.overtaken(post, item.get("uid", ""), offset):
                    self._break(f"the identify {offset} of {number} is sent while {overtaken} are under way")

    def _check_conservation(self, member: "Member", state: WorkerState) -> None:
        """Law 12: consumed is delivered, filtered, dead-lettered, released or in flight."""
        ledger = member.ledger
        held = sum(each.buffered_records + each.in_flight_records for each in state.partitions)
        if ledger.consumed != ledger.ended + ledger.released + held:
            self._break(f"{ledger} and {held} held do not balance")

    def _check_bounds(self, member: "Member", state: WorkerState, courses: Courses) -> None:
        """Law 5: what is held is bounded, and all of it counts."""
        chunks = 2 * AHEAD_CHUNKS * max(len(member.source.holdings), 1)  # on their way, and before a pause takes hold
        ahead = chunks * member.source.largest_chunk_bytes * COPIES
        if state.bytes_held > member.settings.worker.held_budget_bytes + ahead:
            self._break(f"{state.bytes_held} bytes are held")
        if state.bytes_held < sum(course.unsent_bytes for course in courses.values()):
            self._break(f"only {state.bytes_held} bytes are said to be held")

    def _check_in_progress(self, member: "Member", state: WorkerState, courses: Courses) -> None:
        """Law 6: what is in progress at FullStory counts until FullStory says that it has ended."""
        wire, going_on = member.wire, list(courses.values())
        under_way = (*wire.awaiting, *(post for job_id, post in wire.jobs.items() if job_id not in wire.doubted))
        posts = [post for post in under_way if self._course_of.get(post) in going_on]
        jobs, operations = sum(post.is_batch for post in posts), sum(len(post.items) for post in posts)
        if state.jobs_in_flight < jobs or state.operations_in_flight < operations:
            self._break(f"{jobs} jobs and {operations} operations are in progress: {state}")

    def _check_linger(self, member: "Member", state: WorkerState, courses: Courses) -> None:
        """Law 7: a record that could be sent is sent before it has waited for longer than the linger."""
        since, self._could_be_sent_since = self._could_be_sent_since, {}
        now, limits = _now(), member.settings.partition.limits
        due: list[tuple[TopicPartition, Course, Sent, bool]] = []
        for each, course in courses.items():
            course.note_crowd(limits.max_records, member.settings.partition.depth)
            if (first := course.first_due(now - limits.linger_s)) is not None:
                due.append((each, course, first, False))
            if (first := course.first_free_due(now - limits.linger_s)) is not None:
                due.append((each, course, first, True))
        if not due or self._what_holds_all_up(member, state, courses):
            return
        for each, course, first, is_free in due:
            if self._what_holds_up(member, state, course, first, is_free=is_free):
                continue
            key = (member.number, each, course.epoch, is_free)
            self._could_be_sent_since[key] = since.get(key, now)
            if now > self._could_be_sent_since[key] + ROUNDED_S:
                self._break(f"{first.mark} could be sent since {self._could_be_sent_since[key]:.3f}")

    def _what_holds_all_up(self, member: "Member", state: WorkerState, courses: Courses) -> str | None:
        """Say why no request of any partition may be sent now, as far as that can be a reason at all."""
        wire, source, now = member.wire, member.source, _now()
        share = member.plan.limits.org_share * len(source.holdings) / len(self._world.partitions)
        awaiting, operations = len(wire.awaiting), state.operations_in_flight
        fails = sum(wire.failed) >= LEAST_FAILURES
        tried_at = wire.heard_at + (TRIED_EVERY_S if fails and wire.failed[-1] else TRIED_FIRST_S)
        reasons = {
            "it ends": state.is_draining,
            "it is not known what the key may do": not member.gate.is_open,
            "a halt": {
                reason
                for reason in state.halts.keys() - OF_ONE_PARTITION - OF_SCHEMAS
                if reason is not HaltReason.GATEWAY or "" in state.halts[reason].faults
            },
            "FullStory wants silence": now < wire.returns_by + FOLLOWS_WITHIN_S,
            "it refuses at this rate": wire.was_refused and now < wire.called_at + FOLLOWS_WITHIN_S,
            "it fails as a whole": fails and (awaiting or now <= tried_at),
            "requests await answers": awaiting >= state.concurrency_limit,
            "jobs are in progress": state.jobs_in_flight >= max(int(JOBS * share), 1),
            "so are operations": operations
            and operations + member.settings.partition.limits.max_records > max(OPERATIONS * share, 1),
            "a commit is under way": source.is_committing,
            "one has failed": now < source.commit_failed_at + COMMIT_AGAIN_AFTER_S,
            "journals are full": source.has_met_too_large and any(course.sent_in for course in courses.values()),
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def _what_holds_up(
        self, member: "Member", state: WorkerState, course: Course, first: Sent, *, is_free: bool
    ) -> str | None:
        """Say why a due record of this partition may not be sent now, as far as that can be a reason at all.

        `is_free`: its user has no identify under way, and nothing was ever among several users that have.
        """
        batch = list(course.next_unsent(member.settings.partition.limits.max_records))
        schemas_are_awaited = self._world.schemas.awaiting or state.halts.keys() & OF_SCHEMAS
        reasons = {
            "too many batches overlap": course.ranges_before(first.record.offset) >= member.settings.partition.depth,
            "its users have identifies under way": not is_free
            and not course.busy_users.isdisjoint({sent.uid for sent in batch}),
            "an identify waits for its turn": course.is_held_up,
            "its user is to be deleted before": any(
                each.deletes == first.uid
                for each in self._world.records[first.partition]
                if each.deletes is not None and course.position <= each.record.offset < first.record.offset
            ),
            "a schema is on its way": schemas_are_awaited and course.needs_schema(batch),
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def _check_effects(self) -> None:
        """Law 11: one user's identifies take effect in order. Law 10: nothing takes effect twice, whatever happened."""
        last: dict[tuple[int, str, tuple[int, int]], list[tuple[int, int]]] = {}
        times: Counter[tuple[tuple[int, int], int]] = Counter()
        for effect in self._world.fullstory.effects:
            if effect.kind is Kind.DELETION:  # `_note_life` has looked at it
                continue
            found, turn = marks_of(effect.item), self._turn_of[effect.key]
            times.update((each, turn[0]) for each in found)
            if effect.kind is Kind.USER:
                at = (found[0][0], effect.item["uid"], turn)
                before = last.get(at)
                if before is not None and found != before and found[0] <= before[-1]:
                    self._break(f"the identifies {found} of {at[1]} take effect after {before}")
                last[at] = found
        redelivered = sum(member.ledger.redelivered for member in self._world.members)
        repeated = sum(count - 1 for count in times.values())
        if repeated > redelivered + self.repeats_allowed:
            twice = [f"{each}" for (each, _), count in times.items() if count > 1]
            self._break(f"{repeated} effects are repeated, {redelivered} records were redelivered: {twice[:5]}")

    def _check_letters(self) -> None:
        """Law 9: only what deserves it is dead-lettered, with its own bytes."""
        for letter in self._world.letters.letters:
            origins = self._origins[coordinates(letter)]
            if not (its_own := [each for each in origins if _is_of(letter, each)]):
                self._break(f"a letter differs from each of {[each.mark for each in origins]}")
            if all(each.fate != "dead_lettered" for each in its_own):
                self._break(f"{its_own} is dead-lettered: {letter.headers}")


def _is_of(letter: DeadLetter, sent: Sent) -> bool:
    return (letter.key, letter.value) == (sent.record.key, sent.record.value)


def _uid_of(item: dict[str, Any]) -> str:
    uid: str = (item.get("user") or item)["uid"]
    return uid


def _mark(found: tuple[int, int]) -> str:
    return f"r{found[0]}x{found[1]}"


def _now() -> float:
    return asyncio.get_running_loop().time()
