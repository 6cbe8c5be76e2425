"""What each answer of FullStory means."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.engine.speaker import error_code
from processor.engine.verdict import (
    FOREIGN_WAIT_S,
    Accepted,
    Answer,
    Completed,
    Delivered,
    ErrorPage,
    Failed,
    Halt,
    NoAnswer,
    Retry,
    RetryReason,
    Running,
    Split,
    Unknown,
    Unreadable,
    is_passing,
    of_errors,
    of_job,
    of_post,
)
from processor.model.outcomes import Rejected
from processor.model.reasons import DeadLetterReason, HaltReason, Kind

JOB = {"job": {"id": "j1", "status": "PROCESSING"}}
LOST = NoAnswer(RetryReason.CONNECTION, "reset by peer")
TROUBLE = [
    (408, RetryReason.TIMEOUT),
    (425, RetryReason.TIMEOUT),
    (409, RetryReason.CONFLICT),
    (429, RetryReason.THROTTLED),
    (500, RetryReason.SERVER_ERROR),
    (502, RetryReason.SERVER_ERROR),
    (503, RetryReason.SERVER_ERROR),
    (599, RetryReason.SERVER_ERROR),
]
SET_UP = [
    (401, HaltReason.UNAUTHORIZED),
    (403, HaltReason.FORBIDDEN),
    (301, HaltReason.UNEXPECTED_ANSWER),
    (404, HaltReason.UNEXPECTED_ANSWER),
    (405, HaltReason.UNEXPECTED_ANSWER),
    (415, HaltReason.UNEXPECTED_ANSWER),
    (418, HaltReason.UNEXPECTED_ANSWER),
]
FOREIGN = object()
JUDGES = [
    lambda answer: of_post(answer, Kind.EVENT, batch=True),
    lambda answer: of_post(answer, Kind.EVENT, batch=False),
    lambda answer: of_post(answer, Kind.USER, batch=False),
    of_job,
    of_errors,
]


def is_foreign(verdict: Any, status: int) -> bool:
    """Say whether this is how the word of something in between is judged: tried again, and told."""
    return (
        isinstance(verdict, Retry)
        and (verdict.reason, verdict.status, verdict.speaks_of_body) == (RetryReason.GATEWAY, status, True)
        and str(status) in verdict.detail
    )


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize(("status", "reason"), TROUBLE)
def test_what_passes_is_tried_again(judge: Any, status: int, reason: RetryReason) -> None:
    """A passing fault is retried, whatever was asked, at the time that FullStory named."""
    assert judge(Answer(status, {"code": "told"}, 7.0)) == Retry(reason, status, 7.0)


@pytest.mark.parametrize("judge", JUDGES)
def test_no_answer_is_tried_again(judge: Any) -> None:
    """A call without an answer is retried, and the network's reason is kept."""
    verdict = judge(LOST)
    assert verdict == Retry(RetryReason.CONNECTION, detail="reset by peer")


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize(("status", "reason"), SET_UP)
def test_what_speaks_of_the_set_up_halts(judge: Any, status: int, reason: HaltReason) -> None:
    """An answer about key or address halts, except for a 403 or 404 to a question about a job."""
    verdict = judge(Answer(status, {"code": "x"}))
    if (judge is of_job and status == 404) or (judge is of_errors and status in (403, 404)):
        assert verdict == (Unreadable() if status == 403 else Unknown())
    else:
        assert isinstance(verdict, Halt)
        assert verdict.reason is reason


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize(
    ("kind", "batch", "body", "expected"),
    [
        (Kind.USER, True, JOB, Accepted("j1")),
        (Kind.EVENT, True, JOB, Accepted("j1")),
        (Kind.EVENT, True, {"job": {"id": ""}}, FOREIGN),
        (Kind.EVENT, True, {"job": {"id": 5}}, FOREIGN),
        (Kind.EVENT, True, {"job": "j1"}, FOREIGN),
        (Kind.EVENT, True, {}, FOREIGN),
        (Kind.EVENT, True, [], FOREIGN),
        (Kind.EVENT, True, None, FOREIGN),
        (Kind.EVENT, False, {}, Delivered()),
        (Kind.EVENT, False, {"status": "maintenance"}, FOREIGN),
        (Kind.EVENT, False, {"id": "x"}, FOREIGN),
        (Kind.EVENT, False, None, FOREIGN),
        (Kind.EVENT, False, [], FOREIGN),
        (Kind.USER, False, {"id": "x"}, Delivered()),
        (Kind.USER, False, {"id": "x", "app_url": "y"}, Delivered()),
        (Kind.USER, False, {"id": ""}, FOREIGN),
        (Kind.USER, False, {"id": 5}, FOREIGN),
        (Kind.USER, False, {}, FOREIGN),
        (Kind.USER, False, {"status": "maintenance"}, FOREIGN),
        (Kind.USER, False, None, FOREIGN),
    ],
)
def test_a_success_is_believed_by_the_body_of_its_endpoint(
    status: int, kind: Kind, body: Any, expected: Any, *, batch: bool
) -> None:
    """A gateway that answers 204, or 200 with any JSON, delivers nothing: the request may never have arrived."""
    verdict = of_post(Answer(status, body), kind, batch=batch)
    assert verdict == expected if expected is not FOREIGN else is_foreign(verdict, status)


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 409, 418, 500, 502, 503, 599])
@pytest.mark.parametrize("body", [None, [], {}, {"message": "no route"}, {"code": 404}, {"code": "Not Found"}])
def test_what_fullstory_does_not_say_blames_no_key_and_denies_no_job(judge: Any, status: int, body: Any) -> None:
    """A gateway without a route answers 404 for FullStory, a firewall 403: both speak for themselves."""
    assert is_foreign(judge(Answer(status, body)), status)


def test_a_deletion_is_over_where_fullstory_says_that_there_is_no_such_user() -> None:
    """Any other 404 of FullStory's speaks of the address: believed, it would end a request under the GDPR unheard."""
    for code in ("user_not_found", "resource_not_found"):
        assert of_post(Answer(404, {"code": code}), Kind.DELETION, batch=False) == Delivered()
    other = of_post(Answer(404, {"code": "server_error"}), Kind.DELETION, batch=False)
    assert isinstance(other, Halt)
    assert other.reason is HaltReason.UNEXPECTED_ANSWER
    assert is_foreign(of_post(Answer(404, {"message": "no route"}), Kind.DELETION, batch=False), 404)


def test_what_stands_in_between_is_named_and_not_quoted() -> None:
    """By its status, its server and what it sends; never by what its page says."""
    verdict = of_post(Answer(403, "bob@example.com", server="Apache", media_type="text/html"), Kind.EVENT, batch=True)
    assert isinstance(verdict, Retry)
    assert verdict.detail == "something in between answers 403 (server Apache, text/html), not FullStory"
    assert "no server named, no type" in Answer(502).as_foreign


@pytest.mark.parametrize("judge", JUDGES)
def test_only_fullstory_silences_for_long(judge: Any) -> None:
    """A page in between that names an hour may be gone within seconds."""
    assert judge(Answer(503, None, 3_600.0)).after_s == FOREIGN_WAIT_S
    assert judge(Answer(429, {}, 3_600.0)).after_s == FOREIGN_WAIT_S
    told = {"code": "too_many_requests", "message": "slow down"}
    assert judge(Answer(429, told, 3_600.0)) == Retry(RetryReason.THROTTLED, 429, 3_600.0)


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize(
    ("status", "reason", "speaks_of_body"), [(429, RetryReason.THROTTLED, False), (408, RetryReason.TIMEOUT, True)]
)
def test_whoever_asks_to_slow_down_is_obeyed(
    judge: Any, status: int, reason: RetryReason, *, speaks_of_body: bool
) -> None:
    """A gateway's limit is a limit; its 408 may mean that this body took it too long to come."""
    verdict = judge(Answer(status, None, 7.0))
    assert (verdict.reason, verdict.after_s, verdict.speaks_of_body) == (reason, 7.0, speaks_of_body)


@pytest.mark.parametrize(
    ("status", "body"), [(400, {"code": "invalid_argument"}), (413, {"code": "x"}), (413, None), (422, {"code": "x"})]
)
def test_a_batch_that_is_refused_is_split(status: int, body: Any) -> None:
    """A refused batch is split, because only an item alone can be at fault; whoever says 413 means its size."""
    assert of_post(Answer(status, body), Kind.EVENT, batch=True) == Split(status)


@pytest.mark.parametrize(
    ("status", "body", "reason", "word"),
    [
        (
            400,
            {"code": "invalid_argument", "message": "bob@example.com"},
            DeadLetterReason.REJECTED,
            "invalid_argument",
        ),
        (422, {"code": "required_field"}, DeadLetterReason.REJECTED, "required_field"),
        (413, {"code": "request_too_large"}, DeadLetterReason.TOO_LARGE, "too large"),
    ],
)
def test_one_item_that_is_refused_is_at_fault(status: int, body: Any, reason: DeadLetterReason, word: str) -> None:
    """A refused single item is rejected, and the detail has FullStory's code and no content."""
    verdict = of_post(Answer(status, body), Kind.EVENT, batch=False)
    assert isinstance(verdict, Rejected)
    assert (verdict.reason, verdict.http_status) == (reason, status)
    assert word in verdict.detail
    assert "example.com" not in verdict.detail


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("body", [None, "<html>", [], {}, {"code": 3}, {"code": "two words"}, {"code": "x" * 65}])
def test_a_refusal_that_is_not_fullstorys_rejects_no_record(status: int, body: Any) -> None:
    """No proxy can dead-letter a record by what it answers."""
    assert is_foreign(of_post(Answer(status, body), Kind.EVENT, batch=False), status)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"code": "a.B-c_9"}, "a.B-c_9"),
        ({"code": "x\n"}, None),
        ({"code": ""}, None),
        ({"message": "x"}, None),
        ("code", None),
    ],
)
def test_an_error_code_is_a_short_word(body: Any, expected: str | None) -> None:
    """An error code is taken only if it is a short word, because anything longer could quote an item."""
    assert error_code(body) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [("server_error", True), ("too_many_requests", True), ("invalid_argument", False), ("", False)],
)
def test_some_codes_of_items_speak_of_fullstory(code: str, *, expected: bool) -> None:
    """An item that failed with a code of FullStory's own fault is sent again."""
    assert is_passing(code) is expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(200, {"job": {"status": "COMPLETED"}}), Completed()),
        (Answer(200, {"job": {"status": "FAILED"}, "errors": 3}), Failed(3)),
        (Answer(200, {"job": {"status": "FAILED"}, "errors": 0}), Failed(1)),
        (Answer(200, {"job": {"status": "FAILED"}, "errors": "3"}), Failed(1)),
        (Answer(200, {"job": {"status": "FAILED"}}), Failed(1)),
        (Answer(200, {"job": {"status": "PROCESSING"}}), Running()),
        (Answer(202, {"job": {"status": "A_NEW_ONE"}}), Running()),
        (Answer(404, {"code": "resource_not_found"}), Unknown()),
    ],
)
def test_a_jobs_state_is_told_by_its_status(answer: Answer, expected: Any) -> None:
    """A job's state follows its status, and an unknown status is not the end."""
    assert of_job(answer) == expected


@pytest.mark.parametrize("body", [None, [], "x", {}, {"job": None}, {"job": "j1"}, {"job": {}}, {"job": {"status": 3}}])
def test_an_answer_without_a_jobs_state_says_nothing_of_it(body: Any) -> None:
    """It is somebody else's: the job goes on."""
    assert is_foreign(of_job(Answer(200, body)), 200)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(200, {"results": [{"code": "x"}, "odd"], "next_page_token": "t"}), ErrorPage(({"code": "x"},), "t")),
        (Answer(200, {"results": [], "next_page_token": None}), ErrorPage((), "")),
        (Answer(200, None, exceeds_bound=True, media_type="application/json"), Unreadable()),
        (Answer(202, {}), Running()),
        (Answer(403, {"code": "forbidden"}), Unreadable()),
        (Answer(404, {"code": "resource_not_found"}), Unknown()),
    ],
)
def test_failed_items_are_read_page_by_page(answer: Answer, expected: Any) -> None:
    """Each page of failed items gives its items and the next token; one that is too large counts as unreadable."""
    assert of_errors(answer) == expected


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"results": None}),
        Answer(200, {"status": "maintenance"}),
        Answer(200, None, media_type="application/json"),
        Answer(200, None, exceeds_bound=True, media_type="text/html"),
        Answer(202, None),
        Answer(202, []),
    ],
)
def test_a_page_in_between_does_not_say_that_items_cannot_be_read(answer: Answer) -> None:
    """With `accept` failed events would count as delivered, and with `halt` the page would be gone and the halt not."""
    assert is_foreign(of_errors(answer), answer.status)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["job", "id", "status", "errors", "results", "code", "next_page_token"]), inner
        )
    ),
    max_leaves=8,
)


@given(st.integers(100, 599), JSON, st.none() | st.floats(0, 1e6))
def test_every_answer_has_a_verdict(status: int, body: Any, retry_after_s: float | None) -> None:
    """Nothing that a server can say raises, and only 400, 413 and 422 to one item reject it (law 9)."""
    answer = Answer(status, body, retry_after_s)
    for judge in JUDGES:
        verdict = judge(answer)
        if isinstance(verdict, Rejected):
            assert status in (400, 413, 422)
