"""The oracle: what became of every record, and whether the laws held, judged from outside of the workers.

It compares three accounts: what was produced, what took effect in the sandbox or was dead-lettered, and what the group
committed when. Pure, so that it can be shown to find what it is there for.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from itertools import accumulate
from math import inf
from typing import Any, NamedTuple, final

from processor.model.reasons import Kind
from processor.workload import ExpectDelivered, GeneratedRecord
from processor.workload.account import Account, Arrival, Balance, FoundLetter, uniques
from tests.chaos.traffic import NESTED, nested_of

NAMED = 5
"""How many offenders against one law are named."""

CLOCK_S = 0.005
"""Kafka's timestamps are whole milliseconds."""

Unique = tuple[str, str, str]
"""Kind, uid and unique string: what tells a record from every other."""


class Produced(NamedTuple):
    """A record that must be delivered, and when it was produced."""

    partition: int
    offset: int
    at_s: float


class Seen(NamedTuple):
    """The first effect of a record."""

    sequence: int
    at_s: float
    request: int


class Commit(NamedTuple):
    """An offset that the group committed."""

    partition: int
    offset: int
    at_s: float
    journal: str = ""

    def __str__(self) -> str:
        """Return the offset and when it was committed."""
        return f"{self.offset} at {self.time}"

    @property
    def content(self) -> tuple[int, int, str]:
        """What was committed, whenever."""
        return self.partition, self.offset, self.journal

    @property
    def time(self) -> str:
        """When it was committed, as the workers' logs write it."""
        return f"{datetime.fromtimestamp(self.at_s, UTC):%H:%M:%S.%f}"


@final
@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run left behind."""

    effects: Iterable[dict[str, Any]]
    """The sandbox's truth, in order; looked at once."""
    arrivals: Mapping[int, float]
    """When each request arrived at the sandbox, by its number."""
    accepted: Mapping[str, float]
    """When each job was accepted, by its id."""
    failed: Iterable[tuple[str, dict[str, Any]]]
    """Users that a job did not take, with the job's id: an identify counts as accepted there all the same."""
    letters: Iterable[tuple[FoundLetter, float]]
    """The dead letters, and when each was written."""
    commits: Iterable[Commit]
    """In the order of the log."""


@final
@dataclass(slots=True)
class Breaches:
    """How often a law was broken; the first offenders are named."""

    count: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, what: str) -> None:
        """Count an offence."""
        self.count += 1
        if len(self.named) < NAMED:
            self.named.append(what)


@final
@dataclass(slots=True)
class Judgement:
    """What the oracle found; `faults` is empty when every law held."""

    balance: Balance
    duplicated: Breaches = field(default_factory=Breaches)
    out_of_order: Breaches = field(default_factory=Breaches)
    merged_wrongly: Breaches = field(default_factory=Breaches)
    early_commits: Breaches = field(default_factory=Breaches)
    commits_back: Breaches = field(default_factory=Breaches)
    commits: int = 0
    letters: int = 0
    letters_repeated: int = 0
    freshness_s: float = 0.0
    """The longest that any record took from its production to its effect."""
    late: str = ""
    """The record that took so long."""
    ages: list[tuple[float, float]] = field(default_factory=list)
    """Of each record that took effect: when it was produced, and how long it took from then on."""

    def counts(self) -> dict[str, Any]:
        """Return what became of the records, for a result file."""
        balance = self.balance
        return {
            "records": balance.records,
            "delivered": {str(kind): count for kind, count in balance.delivered.items()},
            "dead_lettered": {str(reason): count for reason, count in balance.dead_lettered.items()},
            "filtered": {str(reason): count for reason, count in balance.filtered.items()},
            "lost": balance.lost,
            "duplicated": self.duplicated.count,
            "out_of_order": self.out_of_order.count,
        }

    def faults(self) -> Iterator[str]:
        """Name every law that was broken, with the first offenders."""
        yield from self.balance.faults
        for name, breaches in (
            ("took effect again (law 10)", self.duplicated),
            ("out of order (law 11)", self.out_of_order),
            ("merged into what they are not one by one (law 11)", self.merged_wrongly),
            ("committed too early (law 1)", self.early_commits),
            ("committed by one that had lost it (law 4)", self.commits_back),
        ):
            if breaches.count:
                yield f"{breaches.count} {name}, such as: {'; '.join(breaches.named)}"


@final
class Oracle:
    """Remembers what was produced, and judges what became of it."""

    def __init__(self) -> None:
        self.account = Account()
        self._produced: dict[Unique, Produced] = {}

    def produced(self, record: GeneratedRecord, partition: int, offset: int) -> None:
        """Remember a record that the broker acknowledged."""
        self.account.produced(partition, offset, record.expectation)
        if isinstance(expected := record.expectation, ExpectDelivered):
            unique = (str(expected.kind), expected.uid, expected.unique)
            self._produced[unique] = Produced(partition, offset, record.timestamp_ms / 1_000)

    def judge(self, evidence: Evidence) -> Judgement:
        """Judge a finished run."""
        trial = _Trial(evidence, self._produced)
        letters = list(evidence.letters)
        arrivals = trial.arrivals()
        balance = self.account.balance(arrivals, [letter for letter, _ in letters], may_reject=True)
        judgement = trial.judgement(balance)
        written: dict[tuple[int, int], float] = {}
        for letter, at_s in letters:
            written.setdefault(letter[:2], at_s)
        judgement.letters, judgement.letters_repeated = len(letters), len(letters) - len(written)
        trial.judge_order(judgement.out_of_order)
        trial.judge_commits(judgement, written)
        return judgement


@final
class _Trial:
    """One look at the evidence."""

    def __init__(self, evidence: Evidence, produced: Mapping[Unique, Produced]) -> None:
        self._evidence = evidence
        self._produced = produced
        self._first: dict[Unique, Seen] = {}
        self._accepted: dict[Unique, float] = {}
        self._duplicated = Breaches()
        self._merged_wrongly = Breaches()

    def arrivals(self) -> Iterator[Arrival]:
        """Yield what took effect, and note the first effect of each record and every further one."""
        for effect in self._evidence.effects:
            arrival = Arrival(effect["kind"], effect["item"])
            job = effect["job_id"]
            found = uniques(arrival)
            if effect["kind"] == Kind.USER:
                self._judge_merging(effect["item"], found)
            for unique in found:
                if effect["kind"] == Kind.USER:
                    self._accept(unique, effect["at"] if job is None else self._evidence.accepted[job])
                if (first := self._first.get(unique)) is None:
                    self._first[unique] = Seen(effect["sequence"], effect["at"], effect["request"])
                else:
                    self._duplicated.add(
                        f"{self._at(unique)} {unique[2]} by the requests {first.request} and {effect['request']}"
                    )
            yield arrival

    def judgement(self, balance: Balance) -> Judgement:
        """Return what the effects alone tell."""
        judgement = Judgement(balance, self._duplicated, merged_wrongly=self._merged_wrongly)
        for unique, seen in self._first.items():
            if record := self._produced.get(unique):
                age_s = seen.at_s - record.at_s
                judgement.ages.append((record.at_s, age_s))
                if age_s > judgement.freshness_s:
                    judgement.freshness_s, judgement.late = age_s, self._at(unique)
        return judgement

    def _judge_merging(self, item: Mapping[str, Any], found: Iterable[Unique]) -> None:
        """Law 11: a merged user ends as its identifies do one by one, replace FullStory an object or merge it."""
        produced = sorted((self._produced[unique].offset, unique) for unique in found if unique in self._produced)
        sent = [nested for _, (_, uid, unique) in produced if (nested := nested_of(uid, unique)) is not None]
        if sent and not item["properties"].get(NESTED) == sent[-1] == reduce(_merged, sent):
            self._merged_wrongly.add(f"{', '.join(self._at(unique) for _, unique in produced)}")

    def judge_order(self, breaches: Breaches) -> None:
        """Law 11, for each user of each partition."""
        for job, item in self._evidence.failed:
            for unique in uniques(Arrival(Kind.USER, item)):
                self._accept(unique, self._evidence.accepted[job])
        users: defaultdict[tuple[int, str], list[tuple[int, Unique]]] = defaultdict(list)
        for unique, record in self._produced.items():
            if unique in self._first:
                users[record.partition, unique[1]].append((record.offset, unique))
        for records in users.values():
            self._judge_user([unique for _, unique in sorted(records)], breaches)

    def _judge_user(self, records: list[Unique], breaches: Breaches) -> None:
        """Follow one user's records in offset order."""
        newest, accepted_s, accepted = 0, -inf, ""
        for unique in records:
            first = self._first[unique]
            if unique[0] == Kind.USER:
                if first.sequence < newest:
                    breaches.add(f"{self._at(unique)} took effect before an earlier identify of its user")
                newest = max(newest, first.sequence)
                if self._accepted[unique] > accepted_s:
                    accepted_s, accepted = self._accepted[unique], self._at(unique)
            elif self._evidence.arrivals[first.request] < accepted_s:
                breaches.add(f"{self._at(unique)} was POSTed before {accepted}, an identify of its user, was accepted")

    def judge_commits(self, judgement: Judgement, written: Mapping[tuple[int, int], float]) -> None:
        """Laws 1 and 4: no commit before all below it had ended, and none goes back.

        Where the answers to a partition's last two commits are lost, the client makes both again (tests/kafka,
        test_refusals.py). The first goes back then, and whoever owns the partition next may go on from it.
        """
        ended: defaultdict[int, dict[int, float]] = defaultdict(dict)
        for unique, record in self._produced.items():
            seen = self._first.get(unique)
            at_s = seen.at_s if seen else written.get((record.partition, record.offset), inf)
            ended[record.partition][record.offset] = at_s
        for (partition, offset), at_s in written.items():
            ended[partition].setdefault(offset, at_s)
        all_ended = {partition: _running_maximum(offsets) for partition, offsets in ended.items()}
        newest: dict[int, Commit] = {}
        first: dict[tuple[int, int, str], Commit] = {}
        last_two: defaultdict[int, deque[tuple[int, int, str]]] = defaultdict(lambda: deque(maxlen=2))
        for commit in self._evidence.commits:
            judgement.commits += 1
            below = all_ended.get(commit.partition, [])[: commit.offset]
            if below and below[-1] > commit.at_s + CLOCK_S:
                judgement.early_commits.add(f"partition {commit.partition} to {commit.offset}")
            before = newest.setdefault(commit.partition, commit)
            same = first.setdefault(commit.content, commit)
            is_made_again = commit.content in last_two[commit.partition]
            last_two[commit.partition].append(commit.content)
            if commit.offset < before.offset and not is_made_again:
                again = "" if same is commit else f", again what was committed at {same.time}"
                judgement.commits_back.add(f"partition {commit.partition} from {before} back to {commit}{again}")
            else:
                newest[commit.partition] = commit

    def _accept(self, unique: Unique, at_s: float) -> None:
        self._accepted[unique] = min(self._accepted.get(unique, inf), at_s)

    def _at(self, unique: Unique) -> str:
        record = self._produced.get(unique)
        return f"({record.partition}, {record.offset})" if record else f"never produced {unique}"


def _merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Return what two objects are when the later one overwrites, path by path, what it has."""
    merged = {**earlier, **later}
    for name in earlier.keys() & later.keys():
        if isinstance(earlier[name], dict) and isinstance(later[name], dict):
            merged[name] = _merged(earlier[name], later[name])
    return merged


def _running_maximum(ended: Mapping[int, float]) -> list[float]:
    """Return for each offset when the last record up to it had ended; what is in no account has ended always."""
    return list(accumulate((ended.get(offset, -inf) for offset in range(max(ended) + 1)), max))
