"""Everything around one partition, as a model: Kafka's commits, FullStory, the dead-letter topic, time and epochs.

`World` drives the owner of a partition, one epoch after the other, with events in any order, and checks the laws of
docs/architecture.md from outside: by the records handed over, POSTs and their answers, commits, dead letters and time.
There is no loop and no wait in it, so a million events take less than a minute; `python -m
tests.properties.partition_machine` prints how many a second.

- Kafka keeps the last commit that took effect; its answer may say so, or not.
- FullStory keeps the first answer under each key for 24 hours. A job's items take effect when it has run. A deletion
  has no key: sent twice, it takes effect twice.
- An epoch ends by a revoke, by a loss, or by a suspension: then the process goes on for a while without knowing that
  another one owns the partition. What was in flight arrives or does not, and answers come to epochs that have ended.
"""

import random
import sys
import time
from base64 import urlsafe_b64decode
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Mapping as ReadMapping
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, NoReturn, TypeVar

import orjson

from processor import is_compiled
from processor.engine.commits import CommitFault, Commits
from processor.engine.dead_letter_ratio import DeadLetterRatio
from processor.engine.limits import Limits, LimitSettings
from processor.engine.notices import Notice, Redelivered, Settled
from processor.engine.partition import answers
from processor.engine.partition.actions import Action, AskJob, Post, StandStill, WriteLetters
from processor.engine.partition.common import Common, PartitionSettings, Unattributed
from processor.engine.partition.forming import Forming
from processor.engine.partition.journal_format import JournalPlace
from processor.engine.partition.owner import Assignment, Partition
from processor.engine.partition.range_queue import BatchLimits
from processor.engine.partition.request import Request
from processor.engine.retry import Retries
from processor.engine.verdict import (
    Answer,
    Completed,
    Delivered,
    Failed,
    JobEnd,
    NoAnswer,
    Retry,
    RetryReason,
    Unknown,
    of_post,
)
from processor.events.mapping import Mapping, MappingRules
from processor.model.outcomes import Event, Filtered, Mapped, Note, Outcome, Rejected
from processor.model.reasons import DeadLetterReason, FilterReason, Kind
from processor.model.records import Commit, Record, TopicPartition, held_bytes

SOURCE = TopicPartition("t", 3)
KEY_LIFE_S = 24 * 3600.0
COMMIT_AGAIN_WITHIN_S = 2.0
"""How long a commit that failed is waited out at most."""
KEY_TRUST_S = 23 * 3600.0
RENEWED_AFTER = 3
"""500s, after which a request goes on under another key; of one item of several the journal does not tell that."""
SUSPECT_AFTER = 20
"""A request that was answered with 5xx so often, and with nothing else, may be given up."""
SETTLES_WITHIN_ROUNDS = 400


class LawBrokenError(AssertionError):
    """A law of docs/architecture.md does not hold."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What stays the same in one world."""

    depth: int = 4
    max_records: int = 5
    linger_s: float = 1.0
    lease_s: float = 20.0
    unattributed: Unattributed = "dead_letter"
    is_batch: bool = True
    metadata_bytes: int = 4_095
    users: int = 4
    nested: float = 0.0
    """The part of the identifies that cannot be merged with most others of their user."""
    maps_for_real: bool = False
    deletes: bool = False
    """Whether users are deleted."""
    poison_after_s: float = 3_600.0
    max_body_bytes: int = 8_000_000


class Weather(NamedTuple):
    """What POSTs, jobs and commits meet; each is drawn from its words, evenly."""

    answers: Sequence[str]
    jobs: Sequence[str]
    commits: Sequence[str]


WEATHERS: ReadMapping[str, Weather] = {
    "fair": Weather(("take",), ("complete",), ("ok",)),
    "changeable": Weather(
        (*["take"] * 10, "lost before", "lost after", "between", "429", "409", "400", "401"),
        (*["complete"] * 6, "passing", "unreadable", "forgotten"),
        (*["ok"] * 6, "failed before", "failed after"),
    ),
    "splitting": Weather(
        ("take", "400", "400", "lost after"), ("complete", "passing", "forgotten"), ("ok", "ok", "failed after")
    ),
    "in between": Weather(("take", *["between"] * 3, "lost after"), ("complete", "passing"), ("ok",)),
    "failing": Weather(("take", "500", "500", "503", "lost before", "lost after"), ("complete", "passing"), ("ok",)),
    "forgetting": Weather(("take", "take", "lost after"), ("complete", "forgotten", "unreadable"), ("ok",)),
    "cut off": Weather(("take", "take", "lost after"), ("complete",), ("ok", "failed before", "failed after")),
}

BETWEEN: Sequence[Answer | NoAnswer] = (
    *(Answer(status) for status in (200, 204, 400, 403, 404, 502, 503)),
    Answer(200, {"status": "maintenance"}),
    NoAnswer(RetryReason.CONNECTION, was_connected=True),
    NoAnswer(RetryReason.TIMEOUT, was_connected=True),
)
"""What is not said by FullStory, to a request that did not arrive there."""

T = TypeVar("T")
Fate = Literal["good", "bad", "filtered", "malformed"]


class Known(NamedTuple):
    """A record of the topic, as the model knows it."""

    record: Record
    size: int
    kind: Kind | None
    uid: str
    fate: Fate


class Sent(NamedTuple):
    """One item of a POST: `offsets` are those that its body names."""

    body: dict[str, Any]
    offsets: tuple[int, ...]
    uid: str


@dataclass(slots=True, eq=False)
class Flight:
    """A POST that awaits its answer; the answer is there already where its process was suspended."""

    request: Request
    items: Sequence[Sent]
    answer: Answer | NoAnswer | None = None


@dataclass(slots=True, eq=False)
class Job:
    """FullStory's."""

    kind: Kind
    items: Sequence[Sent]
    at: float
    has_run: bool = False
    is_forgotten: bool = False
    failures: list[dict[str, Any]] = field(default_factory=list)


class PlainMapping(Mapping):
    """Maps the records of this file and no others, for speed."""

    deletes_users = False

    def __init__(self, *, deletes_users: bool) -> None:
        self.deletes_users = deletes_users

    def map(self, event: Event, record_timestamp_ms: int, note: Note) -> Outcome:
        """Return what becomes of the event."""
        del record_timestamp_ms, note
        match event["type"]:
            case "identify":
                return Mapped(Kind.USER, event["userId"], {"uid": event["userId"], "properties": event["traits"]})
            case "track":
                body = {"user": {"uid": event["userId"]}, "name": "e", "timestamp": "2026-01-01T00:00:00.000Z"}
                return Mapped(Kind.EVENT, event["userId"], {**body, "properties": event["properties"]})
            case "delete":
                return Mapped(Kind.DELETION, event["userId"], {"uid": event["userId"]})
            case "group":
                return Filtered(FilterReason.MESSAGE_TYPE)
            case _:
                return Rejected(DeadLetterReason.UNKNOWN_TYPE, "no type")


REAL_MAPPINGS = {
    False: Mapping(MappingRules(schema="infer")),
    True: Mapping(MappingRules(schema="infer", message_types=("identify", "track", "delete"))),
}
# A compiled class has no interpreted subclasses.
PLAIN_MAPPINGS: ReadMapping[bool, Mapping] = (
    REAL_MAPPINGS if is_compiled() else {deletes: PlainMapping(deletes_users=deletes) for deletes in (False, True)}
)


class Told(NamedTuple):
    """One range of a journal's text."""

    length: int
    nonce: bytes
    is_settled: bool
    at_s: int
    """When it was planned, by the wall's clock."""
    attempts: ReadMapping[str, frozenset[int]]
    """By the first letter of the kind: how many keys each entry has used up."""


def _hex(text: str) -> int:
    return int(text, 16)


@lru_cache(maxsize=1_000)
def _told(line: str) -> Told:
    if line[0] in "=-":
        return Told(int(line[1:], 16), b"", line[0] == "=", 0, {})
    head, *entries = line.split("|")
    length, nonce, at_s, *_ = head.split(",")
    attempts: defaultdict[str, set[int]] = defaultdict(set)
    for entry in entries:
        name = entry.partition(",")[0]
        attempts[name[0]].add(_hex(name[2:]))
    frozen = {kind: frozenset(each) for kind, each in attempts.items()}
    return Told(int(length, 16), urlsafe_b64decode(nonce + "=="), is_settled=False, at_s=int(at_s, 16), attempts=frozen)


def told_in(text: str) -> list[tuple[int, Told]]:
    """Read a journal as docs/architecture.md describes it: each range with its start."""
    if not text:
        return []
    head, *lines = text.split(";")
    start = int(head.split(",")[3], 16)
    found = []
    for line in lines:
        told = _told(line)
        found.append((start, told))
        start += told.length
    return found


class Epoch:
    """One owner of the partition, with all that is under way for it."""

    def __init__(self, world: "World", number: int, *, is_batch: bool) -> None:
        setting, self.world = world.setting, world
        limits = BatchLimits(setting.max_records, 100_000, setting.linger_s)
        settings = PartitionSettings(limits, setting.depth, setting.lease_s, unattributed=setting.unattributed)
        mapping = (REAL_MAPPINGS if setting.maps_for_real else PLAIN_MAPPINGS)[setting.deletes]
        forming = Forming(
            mapping,
            {},
            lambda _ids, _partition: True,
            lambda _ids, _partition: None,
            lambda: world.chance.randbytes(16),
        )
        retries = Retries(world.chance.random, setting.poison_after_s)
        self.limits = Limits(LimitSettings(), world.chance.random)
        common = Common(settings, forming, self.limits, retries, DeadLetterRatio(1.0), self.observe)
        common.is_batch, common.room.metadata_bytes = is_batch, setting.metadata_bytes
        start, text = world.committed or (0, "")
        assignment = Assignment(SOURCE, number, start, world.committed is None, text, JournalPlace("place", "lineage"))
        self.partition = Partition(assignment, common)
        self.commits = Commits(common.room, common.limits)
        self.posts: list[Request] = []
        self.flights: list[Flight] = []
        self.jobs: list[Request] = []
        self.letters: list[WriteLetters] = []
        self.commit: dict[TopicPartition, Commit] | None = None
        self.asked_at = self.lease_ends_at = self.failed_at = float("-inf")
        self.known: list[tuple[int, Told]] = []
        """What the last commit tells that was acknowledged in this epoch."""
        self.is_going = self.is_gone = self.stands_still = False
        self.committed_to = self.position = start
        self.journal = told_in(text)
        self.journal_ends_at = sum(told.length for _, told in self.journal) + start
        self.arrived = start
        """Everything before this offset was handed over, or will never come."""
        self.buffer: deque[tuple[int, float]] = deque()
        """What was handed over and is in no batch, with the time."""
        self.batches: deque[list[int]] = deque()
        """The offsets of those formed, until they are behind the lowest unsettled one."""
        self.taken = self.settled = 0
        self.lettered: set[int] = set()
        self.deleted: set[int] = set()
        """Deletions that FullStory said it has carried out."""
        self.about: Sequence[Sent] | None = None
        """The items of which an answer is being told."""

    def observe(self, notice: Notice) -> None:
        """Count what the owner says."""
        if type(notice) is Settled:
            if self.is_gone:
                raise LawBrokenError("law 4: something settles after the epoch has ended")
            for counts in (notice.delivered, notice.filtered, notice.dead_lettered):
                self.settled += counts.total()
            if self.settled > self.taken:
                raise LawBrokenError(f"law 3: {self.settled} records settled, {self.taken} were handed over")
        elif type(notice) is Redelivered:
            self.world.allow_repeats(self.about, notice.records)


class World:
    """One partition of one topic for as long as an example lasts. `events` counts what its owners were told."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting = setting
        self.chance = random.Random(seed)
        self.events: Counter[str] = Counter()
        self.now, self.wall = 1_000.0, 1_790_000_000.0
        self.weather = WEATHERS["fair"]
        # Kafka
        self.known: list[Known] = []
        self.offsets: list[int] = []
        self.end = 0
        self.committed: tuple[int, str] | None = None
        # What became of records, by offset
        self.by_offset: dict[int, Known] = {}
        self.ended: list[bool] = []
        self.ended_to = 0
        self.effects: list[int] = []
        self.repeats_of: Counter[int] = Counter()
        self.repeats = 0
        self.fails_again: set[int] = set()
        """Offsets that FullStory refused or failed once: keys of theirs follow from that, and not from the journal."""
        self.failed_500: Counter[int] = Counter()
        self.unaccepted: defaultdict[str, list[int]] = defaultdict(list)
        """Identifies of each user that FullStory has not taken yet."""
        self.last_effect: dict[str, int] = {}
        """The last identify of each user."""
        self.open_of: defaultdict[str, deque[int]] = defaultdict(deque)
        """Records of each user, in order; those at the front that have ended are taken out when somebody looks."""
        self.open_deletions: defaultdict[str, deque[int]] = defaultdict(deque)
        """Likewise, deletions alone."""
        self.lived_to: dict[str, int] = {}
        """The last record of each user that took effect, but for deletions."""
        self.deleted_to: dict[str, int] = {}
        """The last deletion of each user that took effect."""
        # FullStory
        self.first_answers: dict[str, tuple[float, bytes, Answer]] = {}
        self.fullstory_jobs: dict[str, Job] = {}
        self.refused: set[bytes] = set()
        # Epochs
        self.epochs = 0
        self.ended_epochs: deque[Epoch] = deque(maxlen=3)
        self.suspended: Epoch | None = None
        self.owner = self.begin_epoch()
        steps = ((4, self.fetch), (7, self.look), (7, self.post), (7, self.answer), (6, self.end_job))
        more = ((2, self.write_letters), (7, self.answer_commit), (4, self.wait), (1, self.tell_end), (1, self.stray))
        self.menu = [step for weight, step in (*steps, *more) for _ in range(weight)]

    def broken(self, what: str) -> NoReturn:
        """Say which law is broken, and where."""
        raise LawBrokenError(f"{what} (epoch {self.epochs}, at {self.now - 1_000:.2f} s)")

    def run(self, steps: int, weather: str) -> None:
        """Let so many things happen, of all that may."""
        self.weather = WEATHERS[weather]
        for step in self.chance.choices(self.menu, k=steps):
            step(self.owner)

    def any_of(self, waiting: list[T]) -> T:
        """Take out any of these."""
        at = int(self.chance.random() * len(waiting))
        waiting[at], waiting[-1] = waiting[-1], waiting[at]
        return waiting.pop()

    # Kafka

    def write_record(self) -> None:
        """Append a record to the topic."""
        draw, offset = self.chance.random(), self.end
        if draw < 0.06:
            offset += self.chance.randrange(1, 3)  # the marker of a transaction, say
            self.ended += [True] * (offset - self.end)
            self.effects += [0] * (offset - self.end)
        uid, kind, fate = f"u{self.chance.randrange(self.setting.users)}", None, "good"
        draw = self.chance.random()
        value: bytes | None
        if draw < 0.3:
            kind = Kind.USER
            nested = b',"n":{"k%d":1}' % (offset % 3) if self.chance.random() < self.setting.nested else b""
            value = b'{"type":"identify","userId":"%b","traits":{"r%d":"x"%b}}' % (uid.encode(), offset, nested)
        elif self.setting.deletes and draw < 0.38:
            kind, value = Kind.DELETION, b'{"type":"delete","userId":"%b"}' % uid.encode()
        elif draw < 0.9:
            value = b'{"type":"track","userId":"%b","event":"e","properties":{"r%d":"x"}}' % (uid.encode(), offset)
            kind = Kind.EVENT
        elif draw < 0.95:
            value, fate = (None if draw < 0.92 else b'{"type":"group"}'), "filtered"
        else:
            value, fate = b"\x01", "malformed"
        if kind is not None and self.chance.random() < 0.04:
            fate = "bad"
        record = Record(offset, 1_790_000_000_000 + offset, b"k", value, None)
        known = Known(record, held_bytes([record]), kind, uid, fate)  # type: ignore[arg-type] # one of `Fate`
        self.known.append(known)
        self.offsets.append(offset)
        self.by_offset[offset] = known
        self.ended.append(fate == "filtered")
        self.effects.append(0)
        if kind is Kind.USER:
            self.unaccepted[uid].append(offset)
        if kind is not None:
            self.open_of[uid].append(offset)
        if kind is Kind.DELETION:
            self.open_deletions[uid].append(offset)
        self.end = offset + 1

    def fetch(self, epoch: Epoch, *, is_new: bool = True) -> None:
        """Records come, in order, those first that are there already."""
        if not epoch.partition.is_recovered:
            epoch.partition.recover("destination")
            self.events["recover"] += 1
            return
        if len(epoch.buffer) > 4 * self.setting.max_records:
            return
        count = self.chance.randrange(1, 2 * self.setting.max_records)
        at = bisect_left(self.offsets, epoch.position)
        while is_new and len(self.known) < at + count:
            self.write_record()
        found = self.known[at : at + count]
        if not found:
            return
        records = [each.record for each in found]
        taken = epoch.partition.fetched(records, sum(each.size for each in found), self.now)
        self.events["fetched"] += 1
        epoch.position = epoch.arrived = records[-1].offset + 1
        offsets = [record.offset for record in records]
        if taken < len(offsets):
            passed = [(start, start + told.length) for start, told in epoch.journal if told.is_settled]
            offsets = [each for each in offsets if not any(start <= each < end for start, end in passed)]
            if len(offsets) != taken:
                self.broken(f"law 2: {taken} of {len(records)} records are taken, {len(offsets)} are not settled")
        epoch.taken += taken
        epoch.buffer.extend((offset, self.now) for offset in offsets)

    def tell_end(self, epoch: Epoch) -> None:
        """There are no more records for the moment."""
        is_news = epoch.arrived < max(epoch.journal_ends_at, self.end) or self.chance.random() < 0.1
        if epoch.position == self.end and epoch.partition.is_recovered and is_news:
            epoch.partition.at_end(self.end)
            self.events["at_end"] += 1
            epoch.arrived = max(epoch.arrived, epoch.journal_ends_at, self.end)

    def ask_commit(self, epoch: Epoch) -> None:
        """Ask for the commit that is due, if one is."""
        if epoch.commit is None and (commits := epoch.commits.due([epoch.partition], self.now)):
            self.events["commit asked"] += 1
            epoch.commit, epoch.asked_at = commits, self.now
            self.check_commit(epoch, commits[SOURCE])

    def check_commit(self, epoch: Epoch, commit: Commit) -> None:
        """Laws 1 and 2: everything before the offset has ended. Law 4: nothing is committed after the epoch."""
        if epoch.is_gone:
            self.broken("law 4: a commit after the epoch has ended")
        if commit.offset < epoch.committed_to:
            self.broken(f"law 1: a commit of {commit.offset} after one of {epoch.committed_to}")
        if epoch is self.owner:
            while self.ended_to < commit.offset and self.ended[self.ended_to]:
                self.ended_to += 1
            if self.ended_to < commit.offset:
                self.broken(f"laws 1 and 2: a commit of {commit.offset}, and {self.ended_to} has not ended")
        epoch.committed_to = commit.offset

    def answer_commit(self, epoch: Epoch) -> None:
        """Answer the commit that is under way; one of a process that lost the partition fails."""
        commits, epoch.commit = epoch.commit, None
        if commits is None:
            return
        (commit,) = commits.values()
        word = self.chance.choice(self.weather.commits) if epoch is self.owner else "failed before"
        if word != "failed before":
            self.committed = commit.offset, commit.metadata
        if word == "ok":
            epoch.lease_ends_at = epoch.asked_at + self.setting.lease_s
            epoch.known = told_in(commit.metadata)
            epoch.commits.answered(commits, {}, self.now)
        else:
            epoch.failed_at = self.now
            fault = CommitFault("it timed out", is_too_large=False)
            epoch.commits.answered(commits, {SOURCE: fault}, self.now)
        self.events["commit answered"] += 1

    # Time

    def wait(self, _epoch: Epoch) -> None:
        """Time passes, rarely very much."""
        draw = self.chance.random()
        if draw < 0.002 and not any(each.flights for each in (self.owner, self.suspended) if each):
            self.pass_time(self.chance.choice((3_600.0, 23 * 3_600.0, 25 * 3_600.0)))
        elif draw < 0.05:
            self.pass_time(self.setting.lease_s * 0.6)
        else:
            self.pass_time(self.chance.choice((0.01, 0.1, self.setting.linger_s / 2, self.setting.linger_s)))

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.wall += seconds

    # The look

    def look(self, epoch: Epoch) -> None:
        """Look as the worker does; sometimes there is room for few requests only, or a commit waits."""
        draw = self.chance.random()
        self.look_with_room(epoch, 1_000 if draw < 0.7 else int(draw * 10) - 7)
        if draw < 0.9:
            self.ask_commit(epoch)
            if draw < 0.7:
                self.check_linger(epoch)

    def look_with_room(self, epoch: Epoch, room: int) -> None:
        """Have done what the partition asks for, and form the batches that are due."""
        partition = epoch.partition
        self.perform(epoch, partition.look(self.now))
        formed = False
        while partition.form_planned(self.now, self.wall):
            self.events["form_planned"] += 1
            formed = True
            self.note_formed(epoch)
        while room > 0 and partition.next.is_free and partition.is_due(self.now):
            parts = partition.form(self.now, self.wall)
            self.events["form"] += 1
            if parts is None:
                break
            room -= parts
            formed = True
            self.note_formed(epoch)
        if formed:
            self.perform(epoch, partition.look(self.now))

    def note_formed(self, epoch: Epoch) -> None:
        """Remember which records are in the batch."""
        count = len(epoch.buffer) - epoch.partition.queue.buffered_records
        if count:
            epoch.batches.append([epoch.buffer.popleft()[0] for _ in range(count)])

    def perform(self, epoch: Epoch, actions: Sequence[Action]) -> None:
        """Begin what is asked for."""
        self.events["look"] += 1
        if actions and epoch.is_going:
            self.broken(f"law 4: {actions[0]} is asked for after the epoch's end")
        for action in actions:
            match action:
                case Post(request):
                    epoch.posts.append(request)
                case AskJob(request):
                    epoch.jobs.append(request)
                case WriteLetters():
                    self.check_letters(epoch, action)
                    epoch.letters.append(action)
                case StandStill():
                    epoch.stands_still = True
                case _:
                    self.broken(f"{action} is asked for without a gap")

    def check_linger(self, epoch: Epoch) -> None:
        """Law 7: after a look with room no record waits without need, and no plan waits for its commit.

        What may be a need is more than the worker takes for one, as far as an outsider can know it.
        """
        partition, setting = epoch.partition, self.setting
        if epoch.commits.is_refused or not partition.is_recovered:
            return
        has_failed = self.now < epoch.failed_at + COMMIT_AGAIN_WITHIN_S
        fits = setting.metadata_bytes > 2_000
        if partition.awaiting_commit and epoch.commit is None and not has_failed and fits:
            self.broken("law 7: requests wait for a commit, and none is under way")
        if not epoch.buffer:
            return
        first, since = epoch.buffer[0]
        if first < epoch.journal_ends_at:
            told, end = next(
                (told, start + told.length) for start, told in epoch.journal if first < start + told.length
            )
            if epoch.arrived < end:
                return
            if told.nonce:
                self.broken(f"law 7: {first} is planned and all of it is here")
        elif since + setting.linger_s > self.now and len(epoch.buffer) < setting.max_records:
            return
        if not self.is_held_up(epoch):
            self.broken(f"law 7: {first} has waited since {since - 1_000:.2f} s without need")

    def is_held_up(self, epoch: Epoch) -> bool:
        """Say whether as many batches overlap as may, or an identify may have to wait for an earlier one."""
        base = epoch.partition.queue.first_unsettled
        while epoch.batches and epoch.batches[0][-1] < base:
            epoch.batches.popleft()
        settled = sum(told.is_settled and start + told.length > base for start, told in epoch.journal)
        if len(epoch.batches) + settled >= self.setting.depth:
            return True
        users = Counter(
            uid for batch in epoch.batches for uid in {self.by_offset[each].uid for each in batch if self.is_turn(each)}
        )
        if any(count > 1 for count in users.values()):
            return True
        if not epoch.partition.common.is_batch:
            return False
        others = {self.by_offset[each].uid for each, _ in epoch.buffer if self.by_offset[each].kind is not None}
        busy = others.intersection(users)
        return len(busy) > 1 or busy == others  # one alone goes apart, for the others' sake

    def is_turn(self, offset: int) -> bool:
        """Say whether others of its user may have to wait for the record at this offset."""
        return self.by_offset[offset].kind in (Kind.USER, Kind.DELETION)

    # FullStory

    def post(self, epoch: Epoch) -> None:
        """There is room for one of the requests that were asked for."""
        if not epoch.posts:
            return
        request = self.any_of(epoch.posts)
        self.events["may_post"] += 1
        if not epoch.partition.may_post(request, self.now, self.wall):
            return
        epoch.limits.adopt(request.cost)
        items = self.items_of(request)
        self.check_post(epoch, request, items)
        epoch.flights.append(Flight(request, items))

    def items_of(self, request: Request) -> list[Sent]:
        """Read a body; law 11: a request never holds two items of one user's identifies."""
        if request.deletes is not None:
            return [Sent({}, tuple(request.items[0].records), request.deletes)]
        body = orjson.loads(request.body)
        items = []
        for item in body["requests"] if request.is_batch else [body]:
            offsets = tuple(int(name[1:]) for name in item["properties"] if name != "n")
            items.append(Sent(item, offsets, self.by_offset[offsets[0]].uid))
        if request.kind is Kind.USER and len({item.uid for item in items}) < len(items):
            self.broken(f"law 11: a request holds a user twice: {items}")
        return items

    def check_post(self, epoch: Epoch, request: Request, items: Sequence[Sent]) -> None:
        """Laws 4 and 10: Kafka knows the key, and has lately called the partition its own. Law 11: after identifies."""
        first, last = items[0].offsets[0], items[-1].offsets[-1]
        if epoch is not self.owner or epoch.is_going:
            self.broken(f"law 4: {first} is POSTed by a process that does not own the partition")
        if self.now >= epoch.lease_ends_at:
            self.broken(f"law 4: {first} is POSTed after the lease")
        letter = request.kind.value[0]
        told = next((told for start, told in epoch.known if start <= first < start + told.length), None)
        attempts: Sequence[int] | frozenset[int] = told.attempts.get(letter, ()) if told else ()
        offsets = [offset for item in items for offset in item.offsets]
        is_old = told is not None and self.wall - told.at_s >= KEY_TRUST_S
        is_renewed = not request.is_batch and (
            is_old or any(self.failed_500[each] >= RENEWED_AFTER for each in offsets)
        )
        if is_renewed or not self.fails_again.isdisjoint(offsets):
            attempts = range(max(attempts, default=0) + 40)
        key, body_hash = request.idempotency_key, blake2b(request.body, digest_size=16).digest()
        nonce = told.nonce if told else b""
        if all(_key(nonce, request.kind, (first, last, each), body_hash) != key for each in attempts):
            self.broken(f"law 10: {first} is POSTed under a key that Kafka does not know: {request.entry}, {told}")
        for item in items:
            self.check_turn(epoch, request.kind, item)

    def check_turn(self, epoch: Epoch, kind: Kind, item: Sent) -> None:
        """Law 11: a deletion follows all that came before of the user, an event the identifies, each the deletions."""
        offset = item.offsets[0]
        deletion = self.first_open(self.open_deletions[item.uid]) if self.setting.deletes else None
        if deletion is not None and deletion < offset:
            self.broken(f"law 11: {offset} is POSTed before the deletion {deletion} is over")
        if kind is Kind.EVENT:
            waiting = self.unaccepted.get(item.uid)
            if waiting and waiting[0] < offset and self.failed_500[waiting[0]] < SUSPECT_AFTER:
                self.broken(f"law 11: the event {offset} is POSTed before the identify {waiting[0]}")
        if kind is Kind.DELETION:
            before = self.first_open(self.open_of[item.uid])
            if before is not None and before < offset:
                self.broken(f"law 11: {item.uid} is deleted for {offset} before {before} has ended")
            if offset in epoch.deleted:
                self.broken(f"law 10: {item.uid} is deleted once more for {offset}")

    def first_open(self, offsets: deque[int]) -> int | None:
        """Return the first of these that has not ended."""
        while offsets and self.ended[offsets[0]]:
            offsets.popleft()
        return offsets[0] if offsets else None

    def answer(self, epoch: Epoch) -> None:
        """A POST is answered, in any order."""
        if not epoch.flights:
            return
        flight = self.any_of(epoch.flights)
        request = flight.request
        answer = flight.answer or self.carry_out(flight, self.chance.choice(self.weather.answers))
        verdict = of_post(answer, request.kind, batch=request.is_batch)
        offsets = [offset for item in flight.items for offset in item.offsets]
        if isinstance(verdict, Rejected):
            self.fails_again.update(offsets)
        elif isinstance(verdict, Retry) and (verdict.speaks_of_body or verdict.reason is RetryReason.SERVER_ERROR):
            self.failed_500.update(offsets)
        elif request.deletes is not None and isinstance(verdict, Delivered):
            epoch.deleted.update(offsets)
        epoch.about = flight.items
        answers.answered(request, verdict, self.now)
        epoch.about = None
        self.events["answered"] += 1

    def carry_out(self, flight: Flight, word: str) -> Answer | NoAnswer:
        """Answer a POST as FullStory would: what it said first under a key is what it always says."""
        request = flight.request
        key = request.idempotency_key
        at, body, first = self.first_answers.get(key, (float("-inf"), b"", Answer(500)))
        if word == "lost before":
            return NoAnswer(RetryReason.CONNECTION)
        if word == "between":
            return self.chance.choice(BETWEEN)
        if request.deletes is None and self.now - at < KEY_LIFE_S:
            if body != request.body:
                self.broken(f"law 10: a key stands for two bodies, {body!r} and {request.body!r}")
            return first
        if request.is_batch and len(request.body) > self.setting.max_body_bytes:
            return self.chance.choice((Answer(413), Answer(413, {"code": "request_too_large"})))
        if request.is_batch and (word == "400" or request.body in self.refused):
            self.refused.add(request.body)  # what is refused for its content is always refused
            return Answer(400, {"code": "invalid"})
        if word in ("429", "409", "401", "500", "503"):
            return Answer(int(word), {"code": "told"}, 0.5 if word == "429" else None)
        answer = self.take(request, flight.items)
        self.first_answers[key] = self.now, request.body, answer
        return NoAnswer(RetryReason.TIMEOUT) if word == "lost after" else answer

    def take(self, request: Request, items: Sequence[Sent]) -> Answer:
        """Make a job of a batch; carry out, or refuse, a single item."""
        if request.is_batch:
            self.accept(request.kind, items)
            job_id = f"job{len(self.fullstory_jobs)}"
            self.fullstory_jobs[job_id] = Job(request.kind, items, self.now)
            return Answer(202, {"job": {"id": job_id, "status": "PROCESSING"}})
        (item,) = items
        is_bad = any(self.by_offset[offset].fate == "bad" for offset in item.offsets)
        if not is_bad or len(item.offsets) == 1:
            self.accept(request.kind, items)
        if is_bad:
            return Answer(400, {"code": "invalid"})
        if request.deletes is not None:
            return self.delete(request.deletes, item.offsets[0])
        self.take_effect(request.kind, item)
        return Answer(200, {} if request.kind is Kind.EVENT else {"id": item.uid})

    def delete(self, uid: str, offset: int) -> Answer:
        """Law 11: what a deletion takes is what came before it, however often it is sent."""
        self.ended[offset] = True
        self.deleted_to[uid] = offset
        if self.lived_to.get(uid, -1) > offset:
            self.broken(f"law 11: the deletion {offset} of {uid} takes {self.lived_to[uid]}, too")
        return Answer(200, {}) if self.chance.random() < 0.8 else Answer(404, {"code": "user_not_found"})

    def accept(self, kind: Kind, items: Sequence[Sent]) -> None:
        """Remember that FullStory took these, or said that it never will."""
        if kind is Kind.USER:
            for item in items:
                waiting = self.unaccepted[item.uid]
                for offset in item.offsets:
                    if offset in waiting:
                        waiting.remove(offset)

    def take_effect(self, kind: Kind, item: Sent) -> None:
        """Law 10: nothing takes effect twice, but what was counted. Law 11: identifies take effect in order."""
        is_first = False
        for offset in item.offsets:
            self.effects[offset] += 1
            self.ended[offset] = True
            is_first = is_first or self.effects[offset] == 1
            if self.effects[offset] > 1:
                if self.repeats_of[offset]:
                    self.repeats_of[offset] -= 1
                elif self.repeats:
                    self.repeats -= 1
                else:
                    self.broken(f"law 10: {offset} takes effect {self.effects[offset]} times")
        self.lived_to[item.uid] = max(item.offsets[-1], self.lived_to.get(item.uid, -1))
        if not is_first:  # what is sent once more, and counted, may come late
            return
        if item.offsets[0] < self.deleted_to.get(item.uid, -1):
            self.come_back(item)
        if kind is Kind.USER:
            last = self.last_effect.get(item.uid, -1)
            if item.offsets[0] < last:
                self.broken(f"law 11: the identify {item.offsets} takes effect after {last}")
            self.last_effect[item.uid] = item.offsets[-1]

    def come_back(self, item: Sent) -> None:
        """Law 11: a user comes back only while Kafka does not know that the deletion is over: it is sent again."""
        deletion = self.deleted_to[item.uid]
        committed, text = self.committed or (0, "")
        is_told = any(told.is_settled and at <= deletion < at + told.length for at, told in told_in(text))
        if deletion in self.owner.deleted or deletion < committed or is_told:
            self.broken(f"law 11: {item.offsets} takes effect after the deletion {deletion}")
        self.ended[deletion] = False
        if deletion not in self.open_deletions[item.uid]:
            self.open_deletions[item.uid].appendleft(deletion)

    def allow_repeats(self, items: Sequence[Sent] | None, records: int) -> None:
        """So many records are sent once more, and counted; `items` are those concerned, where that is known."""
        if items is None:
            self.repeats += records
        else:
            self.repeats_of.update(offset for item in items for offset in item.offsets)

    def run_job(self, job: Job, word: str) -> None:
        """Let the items of a job take effect, but for those that fail."""
        job.has_run = True
        items = list(job.items)
        self.chance.shuffle(items)
        for item in items:
            if any(self.by_offset[offset].fate == "bad" for offset in item.offsets):
                job.failures.append({"code": "invalid", job.kind.value: item.body})
                self.fails_again.update(item.offsets)
            elif word == "passing" and self.chance.random() < 0.4:
                job.failures.append({"code": "server_error", job.kind.value: item.body})
                self.fails_again.update(item.offsets)
            else:
                self.take_effect(job.kind, item)

    def end_job(self, epoch: Epoch) -> None:
        """FullStory says how a job ended, or that it knows of none."""
        if not epoch.jobs:
            return
        request = self.any_of(epoch.jobs)
        if request.entry.job_id is None:
            self.broken("law 10: a job is asked for whose id is not known any more")
        job = self.fullstory_jobs[request.entry.job_id]
        word = self.chance.choice(self.weather.jobs)
        end: JobEnd
        if (job.is_forgotten or word == "forgotten") and not request.was_denied:  # who was denied once asks on
            end = self.forget(job, request)
        else:
            if not job.has_run:
                self.run_job(job, word)
            end = Completed()
            if job.failures:
                is_unreadable = word == "unreadable"
                end = Failed(len(job.failures), None if is_unreadable else job.failures)
                if is_unreadable:
                    self.fails_again.update(offset for item in job.items for offset in item.offsets)
                    self.waive(job)
        epoch.about = job.items
        answers.job_ended(request, end, self.now)
        epoch.about = None
        self.events["job_ended"] += 1

    def forget(self, job: Job, request: Request) -> Unknown:
        """FullStory forgets a job; and what it said under the key, if nothing came of the job."""
        if not job.is_forgotten and not job.has_run and self.chance.random() < 0.5:
            self.first_answers.pop(request.idempotency_key, None)
            job.has_run = True
        job.is_forgotten = True
        return Unknown()

    def waive(self, job: Job) -> None:
        """Events of which nobody knows whether they failed count as delivered where the settings say so."""
        if job.kind is Kind.EVENT and self.setting.unattributed == "accept":
            for item in job.items:
                for offset in item.offsets:
                    self.ended[offset] = True

    # Dead letters

    def check_letters(self, epoch: Epoch, action: WriteLetters) -> None:
        """Law 3: a record has one letter in an epoch. Law 9: and only one that deserves it."""
        for record, rejected in action.letters:
            known = self.by_offset[record.offset]
            if record.offset in epoch.lettered:
                self.broken(f"law 3: {record.offset} is dead-lettered twice")
            epoch.lettered.add(record.offset)
            deserves = known.fate in ("bad", "malformed") or self.failed_500[record.offset] >= SUSPECT_AFTER
            if record is not known.record:
                self.broken(f"law 3: the letter of {record.offset} differs from it")
            if not deserves and rejected.reason is not DeadLetterReason.UNATTRIBUTED:
                self.broken(f"law 9: {record.offset} is dead-lettered: {rejected}")

    def write_letters(self, epoch: Epoch) -> None:
        """The broker acknowledges the dead letters of a batch."""
        if epoch.letters:
            action = self.any_of(epoch.letters)
            for record, _ in action.letters:
                self.ended[record.offset] = True
            epoch.partition.letters_acknowledged(action.batch)
            self.events["letters_acknowledged"] += 1

    # Epochs

    def begin_epoch(self) -> Epoch:
        """Own the partition, from what is committed on."""
        self.epochs += 1
        is_batch = self.setting.is_batch if self.chance.random() < 0.95 else not self.setting.is_batch
        epoch = Epoch(self, self.epochs, is_batch=is_batch)
        self.events["assigned"] += 1
        if self.chance.random() < 0.7:
            epoch.partition.recover("destination")
            self.events["recover"] += 1
        return epoch

    def revoke(self) -> None:
        """The partition goes in good order: what is in flight may be answered, then the journal is committed."""
        epoch = self.owner
        epoch.partition.revoking()
        epoch.is_going = True
        self.events["revoking"] += 1
        for _ in range(self.chance.randrange(20)):
            self.chance.choice((self.answer, self.answer, self.write_letters, self.post, self.end_job, self.idle))(
                epoch
            )
        self.answer_commit(epoch)
        self.give_up_flights(epoch)
        self.events["last_commit"] += 1
        if (commit := epoch.partition.last_commit()) is not None:
            self.check_commit(epoch, commit)
            if self.chance.random() < 0.8:
                self.committed = commit.offset, commit.metadata
        self.drop(epoch)
        self.owner = self.begin_epoch()

    def lose(self) -> None:
        """The partition is somebody else's already."""
        epoch = self.owner
        self.drop(epoch)
        self.give_up_flights(epoch)
        if epoch.commit is not None and self.chance.random() < 0.5:  # it had taken effect before
            (commit,) = epoch.commit.values()
            self.committed = commit.offset, commit.metadata
        self.owner = self.begin_epoch()

    def suspend(self) -> None:
        """The process stops for so long that another one takes over, and goes on without knowing it."""
        self.wake()
        epoch = self.suspended = self.owner
        for flight in epoch.flights:
            flight.answer = self.carry_out(flight, self.chance.choice(self.weather.answers))
        if epoch.commit is not None and self.chance.random() < 0.5:
            (commit,) = epoch.commit.values()
            self.committed = commit.offset, commit.metadata
        self.pass_time(2 * self.setting.lease_s)
        self.owner = self.begin_epoch()

    def wake(self) -> None:
        """A process that was suspended learns at last that it has lost the partition."""
        if self.suspended is not None:
            self.drop(self.suspended)
            self.give_up_flights(self.suspended)
            self.suspended = None

    def give_up_flights(self, epoch: Epoch) -> None:
        """Wait no more for answers; what is in flight arrives, or does not."""
        for flight in epoch.flights:
            if flight.answer is None and self.chance.random() < 0.5:
                self.carry_out(flight, "take")
            answers.answered(flight.request, None, self.now)
            self.events["answered"] += 1
        epoch.flights.clear()

    def drop(self, epoch: Epoch) -> None:
        """End the epoch; law 12: what was handed over has settled or is released, each record once."""
        released = epoch.partition.drop()
        self.events["drop"] += 1
        epoch.is_going = epoch.is_gone = True
        while epoch.letters and self.chance.random() < 0.5:
            self.write_letters(epoch)
        if epoch.settled + released != epoch.taken:
            self.broken(f"laws 3 and 12: {epoch.taken} taken, {epoch.settled} settled, {released} released")
        self.ended_epochs.append(epoch)

    def idle(self, epoch: Epoch) -> None:
        """Look at a partition that goes, or has gone: nothing is to be done for it."""
        self.perform(epoch, epoch.partition.look(self.now))
        if epoch.commits.due([epoch.partition], self.now):
            self.broken("law 4: a commit of a partition that goes")
        if epoch.partition.is_due(self.now) or epoch.partition.form_planned(self.now, self.wall):
            self.broken("law 4: a batch of a partition that goes")

    def stray(self, _epoch: Epoch) -> None:
        """Something is told to an epoch that has ended, or to a process that does not know that it has lost it."""
        if (epoch := self.suspended) is not None:
            steps = (self.look, self.post, self.post, self.answer, self.answer_commit)
            for _ in range(4):
                self.chance.choice(steps)(epoch)
            if self.chance.random() < 0.1:
                self.wake()
        elif self.ended_epochs:
            epoch = self.chance.choice(self.ended_epochs)
            steps = (self.post, self.end_job, self.idle, self.answer_commit, self.write_letters)
            for _ in range(4):
                self.chance.choice(steps)(epoch)

    # The end

    def settle_all(self) -> None:
        """Law 8: when all goes well, all that there is settles and is committed."""
        epoch, self.weather = self.owner, WEATHERS["fair"]
        for _ in range(SETTLES_WITHIN_ROUNDS):
            if epoch.stands_still or epoch.commits.is_refused:
                return
            self.fetch(epoch, is_new=False)
            self.tell_end(epoch)
            for _ in range(2):  # what a commit covers is POSTed at once
                self.look_with_room(epoch, 1_000)
                self.ask_commit(epoch)
                self.check_linger(epoch)
                self.answer_commit(epoch)
            for step, waiting in ((self.post, epoch.posts), (self.answer, epoch.flights), (self.end_job, epoch.jobs)):
                for _ in range(len(waiting)):
                    step(epoch)
            self.write_letters(epoch)
            is_read = epoch.position == self.end and epoch.partition.is_recovered
            if is_read and not epoch.buffer and self.committed and self.committed[0] > self.offsets_end:
                break
            self.pass_time(max(self.setting.linger_s, 1.0))
        else:
            self.broken(f"law 8: {self.committed} is committed, {self.offsets_end} is the last record")
        if epoch.limits.operations or epoch.limits.jobs:
            self.broken(
                f"law 12: {epoch.limits.operations} operations in {epoch.limits.jobs} jobs are never given back"
            )

    @property
    def offsets_end(self) -> int:
        """The last offset of the topic; -1 without any."""
        return self.offsets[-1] if self.offsets else -1


def _key(nonce: bytes, kind: Kind, name: tuple[int, int, int], body_hash: bytes) -> str:
    digest = blake2b(key=nonce, digest_size=16, person=kind.encode())
    digest.update(b"%d %d %d " % name)
    digest.update(body_hash)
    return digest.hexdigest()


def main(seconds: float = 10.0) -> None:
    """Print how many events a second the owner and the model take together."""
    seed, began, worked = 0, time.perf_counter(), time.process_time()
    by_name: Counter[str] = Counter()
    while time.perf_counter() - began < seconds:
        chance = random.Random(seed)
        world = World(Setting(maps_for_real=seed % 5 == 0, deletes=seed % 3 == 0), seed)
        for _ in range(20):
            world.run(300, chance.choice(list(WEATHERS)))
            chance.choice((world.revoke, world.lose, world.suspend, world.settle_all))()
        by_name += world.events
        seed += 1
    took, worked_s = time.perf_counter() - began, time.process_time() - worked
    events = by_name.total()
    sys.stdout.write(f"{events:,} events in {took:.1f} s, {seed} worlds: {events / took:,.0f} a second, ")
    sys.stdout.write(f"{events / worked_s:,.0f} a second of this process's own time\n")
    sys.stdout.write(", ".join(f"{name} {count:,}" for name, count in by_name.most_common()) + "\n")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
