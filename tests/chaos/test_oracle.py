"""The oracle finds what it is there for: each test plants one offence in the evidence of a good run."""

from dataclasses import replace
from typing import Any

import pytest

from processor.model.reasons import DeadLetterReason, Kind
from processor.workload import Expectation, ExpectDeadLettered, ExpectDelivered, GeneratedRecord
from processor.workload.account import FoundLetter
from tests.chaos.oracle import Commit, Evidence, Judgement, Oracle
from tests.chaos.traffic import BUSY, NESTED, nested_of, of_busy_user

UID = "user-1"
PRODUCED_S = 100.0


def identify(number: int) -> Expectation:
    """Return what is expected of an identify."""
    return ExpectDelivered(Kind.USER, UID, f"u1_{number}")


def track(number: int) -> Expectation:
    """Return what is expected of a track."""
    return ExpectDelivered(Kind.EVENT, UID, f"e-1-{number}")


RECORDS = (identify(0), track(1), identify(2), ExpectDeadLettered(DeadLetterReason.MALFORMED), track(4))
"""One partition, in offset order."""


def effect(sequence: int, at: float, request: int, kind: Kind, *numbers: int, job: str = "") -> dict[str, Any]:
    """Return a line of the sandbox's truth: a user merged of several identifies, or one event."""
    if kind == Kind.USER:
        item: dict[str, Any] = {"uid": UID, "properties": {f"u1_{number}": True for number in numbers}}
    else:
        item = {"user": {"uid": UID}, "properties": {"unique": f"e-1-{numbers[0]}"}}
    return {
        "sequence": sequence,
        "at": at,
        "kind": str(kind),
        "job_id": job or None,
        "request": request,
        "item": item,
    }


EFFECTS = [
    effect(1, 102.0, 1, Kind.USER, 0, job="A"),
    effect(2, 102.5, 2, Kind.EVENT, 1, job="B"),
    effect(3, 104.0, 3, Kind.USER, 2, job="C"),
    effect(4, 104.1, 4, Kind.EVENT, 4, job="D"),
]
GOOD = Evidence(
    effects=EFFECTS,
    arrivals={1: 101.0, 2: 101.2, 3: 102.9, 4: 103.2},
    accepted={"A": 101.1, "B": 101.3, "C": 103.1, "D": 103.3},
    failed=[],
    letters=[(FoundLetter(0, 3, "malformed"), 101.0)],
    commits=[Commit(0, 2, 102.6), Commit(0, 5, 104.2)],
)


def judge(evidence: Evidence) -> Judgement:
    """Judge a run of these records."""
    oracle = Oracle()
    for offset, expectation in enumerate(RECORDS):
        oracle.produced(GeneratedRecord(None, None, [], int(PRODUCED_S * 1_000), expectation), 0, offset)
    return oracle.judge(evidence)


def with_effect(number: int, **changes: Any) -> Evidence:
    """Return the good evidence with one effect changed."""
    effects = [{**each, **changes} if index == number else each for index, each in enumerate(EFFECTS)]
    return replace(GOOD, effects=effects)


def test_a_good_run_is_blameless() -> None:
    """No law is broken, and the oldest effect gives the freshness."""
    judgement = judge(GOOD)

    assert list(judgement.faults()) == []
    assert judgement.balance.records == 5
    assert judgement.commits == 2
    assert (judgement.letters, judgement.letters_repeated) == (1, 0)
    assert judgement.freshness_s == pytest.approx(4.1)


def test_what_is_missing_is_lost() -> None:
    """Law 2: a record without effect and dead letter; it was committed all the same, which breaks law 1 too."""
    judgement = judge(replace(GOOD, effects=EFFECTS[:1] + EFFECTS[2:]))

    assert judgement.balance.lost == 1
    assert judgement.early_commits.named == ["partition 0 to 2", "partition 0 to 5"]


def test_what_takes_effect_again_is_named() -> None:
    """Law 10: also inside a user merged of several identifies."""
    judgement = judge(replace(GOOD, effects=[*EFFECTS, effect(5, 105.0, 9, Kind.USER, 0, 2, job="C")]))

    assert judgement.balance.lost == 0
    assert judgement.balance.repeated == judgement.duplicated.count == 2
    assert judgement.duplicated.named[0] == "(0, 0) u1_0 by the requests 1 and 9"
    assert any("law 10" in fault for fault in judgement.faults())


def test_an_effect_beside_a_dead_letter_is_a_fault() -> None:
    """A record ends in one place."""
    judgement = judge(replace(GOOD, letters=[*GOOD.letters, (FoundLetter(0, 4, "rejected"), 103.0)]))

    assert any("(0, 4)" in fault for fault in judgement.faults())


def test_a_dead_letter_may_be_repeated() -> None:
    """They are written at least once, and counted."""
    judgement = judge(replace(GOOD, letters=[*GOOD.letters] * 2))

    assert list(judgement.faults()) == []
    assert judgement.letters_repeated == 1


def test_identifies_out_of_order_are_found() -> None:
    """Law 11: the later one took effect first."""
    judgement = judge(with_effect(0, sequence=5))

    assert judgement.out_of_order.named == ["(0, 2) took effect before an earlier identify of its user"]


def test_an_event_before_its_identify_was_accepted_is_found() -> None:
    """Law 11: the event arrived while the identify before it had no answer yet."""
    judgement = judge(replace(GOOD, arrivals={**GOOD.arrivals, 4: 103.0}))

    assert judgement.out_of_order.named == ["(0, 4) was POSTed before (0, 2), an identify of its user, was accepted"]


def test_an_identify_counts_as_accepted_by_the_first_job_that_took_it() -> None:
    """A job that failed had accepted it: what follows it need not wait until it is sent again."""
    again = with_effect(2, request=7, job_id="E", at=106.0)
    again = replace(again, arrivals={**GOOD.arrivals, 7: 105.0}, accepted={**GOOD.accepted, "E": 105.1})
    again = replace(again, commits=[Commit(0, 5, 106.1)])
    item = EFFECTS[2]["item"]

    assert judge(again).out_of_order.count == 1
    assert judge(replace(again, failed=[("C", item)])).out_of_order.count == 0


def test_an_object_that_is_merged_otherwise_than_one_by_one_is_found() -> None:
    """Law 11: a later object stands for an earlier one only where it has all of its paths, and it is the last."""
    grows, shrinks = merged(5, 6, last=6), merged(10, 11, 13, last=13)

    assert list(grows.faults()) == []
    assert merged(5, 6, last=5).merged_wrongly.named == ["(0, 0), (0, 1)"]
    assert shrinks.merged_wrongly.named == ["(0, 0), (0, 1), (0, 2)"]


def merged(*numbers: int, last: int) -> Judgement:
    """Judge a run in which these identifies of the busy user took effect as one, with the nested trait of `last`."""
    oracle, properties = Oracle(), {NESTED: nested_of(BUSY, f"u0_{last}")}
    for offset, number in enumerate(numbers):
        oracle.produced(of_busy_user(number), 0, offset)
        properties[f"u0_{number}"] = None
    user = effect(1, 102.0, 1, Kind.USER, job="A") | {"item": {"uid": f"{BUSY}-0", "properties": properties}}
    return oracle.judge(replace(GOOD, effects=[user], letters=[], commits=[]))


def test_a_commit_before_the_effect_is_found() -> None:
    """Law 1: neither an effect nor a dead letter may come after the commit that passes its record."""
    early = judge(replace(GOOD, commits=[Commit(0, 5, 104.0)]))
    letter = judge(replace(GOOD, letters=[(FoundLetter(0, 3, "malformed"), 105.0)]))

    assert early.early_commits.named == ["partition 0 to 5"]
    assert letter.early_commits.named == ["partition 0 to 5"]


def test_a_commit_that_goes_back_is_found() -> None:
    """Law 4: one that has lost the partition commits what it knew."""
    old = [Commit(0, 1, 102.0), *GOOD.commits]
    judgement = judge(replace(GOOD, commits=[*old, Commit(0, 2, 104.3, "j"), Commit(0, 1, 104.4)]))

    back = "partition 0 from 5 at 00:01:44.200000 back to"
    assert judgement.commits_back.named == [
        f"{back} 2 at 00:01:44.300000",
        f"{back} 1 at 00:01:44.400000, again what was committed at 00:01:42.000000",
    ]


def test_two_commits_that_their_client_makes_again_are_none_that_go_back() -> None:
    """Their answers were lost. The next owner may go on from the first of them, if the second is refused by then."""
    first, last = GOOD.commits
    both = judge(replace(GOOD, commits=[first, last, first, last]))
    one = judge(replace(GOOD, commits=[first, last, first, Commit(0, 3, 104.5), Commit(0, 5, 104.6)]))

    assert both.commits_back.named == []
    assert one.commits_back.named == []
