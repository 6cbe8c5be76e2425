"""What FullStory's answers say of the service: one good answer is enough to know that it works."""

import pytest

from processor.engine.causes import KINDS
from processor.engine.service_health import (
    FAILURES_MATTER_S,
    FORGET_AFTER_S,
    FORGET_SLOW_AFTER_S,
    LEAST_FAILURES,
    LEAST_REFUSALS,
    LEAST_S,
    SLOW_S,
    Diagnosis,
    ServiceHealth,
    Symptom,
)
from processor.engine.speaker import ApiCall
from processor.engine.verdict import Answer, NoAnswer, RetryReason

FINE, REFUSED = Answer(200, {}), Answer(429, {"code": "too_many_requests"})
FAILED = Answer(503, {"code": "unavailable"})
PAGE = Answer(404, server="envoy", media_type="text/html")


class Service:
    """Calls that are answered at once, on a clock that a test turns."""

    def __init__(self) -> None:
        self.responses = ServiceHealth()
        self.now = 1_000.0

    def answer(self, *answers: Answer | NoAnswer, is_question: bool = False, took_s: float = 0.0) -> None:
        """Have calls answered, one a second."""
        call = ApiCall.JOB if is_question else ApiCall.EVENT
        for each in answers:
            number = self.responses.asked(self.now, call)
            self.now += took_s
            self.responses.answered(number, self.now, each, call)
            self.now += 1.0

    @property
    def diagnosis(self) -> Diagnosis | None:
        """What is wrong by now."""
        return self.responses.diagnosis(self.now)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (FAILED, "FullStory answers 503 to every request"),
        (Answer(408, {"code": "timeout"}), "FullStory answers 408 to every request"),
        (
            NoAnswer(RetryReason.TIMEOUT, "SocketTimeoutError"),
            "FullStory does not answer any request in time (SocketTimeoutError)",
        ),
        (NoAnswer(RetryReason.TIMEOUT), "FullStory does not answer any request in time"),
        (NoAnswer(RetryReason.CONNECTION, "refused"), "FullStory cannot be reached (refused)"),
        (NoAnswer(RetryReason.CONNECTION), "FullStory cannot be reached"),
    ],
)
def test_failures_in_a_row_are_an_outage_that_began_with_the_first(answer: Answer | NoAnswer, cause: str) -> None:
    """Failures in a row are an outage since the first, told in the words of the last."""
    service = Service()
    service.answer(FINE, *[answer] * LEAST_FAILURES)

    assert service.diagnosis == Diagnosis(Symptom.FAILING, cause, 1_001.0)


def test_mixed_failures_are_counted_by_cause_the_latest_first() -> None:
    """Half 502 and half timeouts are told as both, and many causes as the latest of them and the number of the rest."""
    service = Service()
    for _ in range(3):
        service.answer(Answer(502, {"code": "bad"}), NoAnswer(RetryReason.TIMEOUT, "late"))
    assert service.diagnosis is not None
    assert service.diagnosis.cause == "every request fails (3 times late; 3 times 502)"

    service.answer(*[Answer(status, {"code": "told"}) for status in range(510, 510 + KINDS)])
    told = "; ".join(f"once {status}" for status in range(509 + KINDS, 509, -1))
    assert service.diagnosis.cause == f"every request fails ({told}; 6 times other causes)"

    service.answer(FINE, *[FAILED] * LEAST_FAILURES)
    assert service.diagnosis.cause == "FullStory answers 503 to every request"


def test_too_few_failures_or_too_soon_say_nothing() -> None:
    """Neither a hundred failures at one moment nor two in a row are an outage."""
    service = Service()
    for _ in range(100):
        call = service.responses.asked(service.now, ApiCall.EVENT)
        service.responses.answered(call, service.now, FAILED, ApiCall.EVENT)
    assert service.diagnosis is None

    few = Service()
    few.answer(*[FAILED] * (LEAST_FAILURES - 1))
    few.now += LEAST_S
    assert few.diagnosis is None


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 413, 422])
def test_an_answer_that_speaks_of_the_request_ends_an_outage(status: int) -> None:
    """A refusal of the request itself ends an outage: the service works."""
    service = Service()
    service.answer(*[FAILED] * 10)
    assert service.diagnosis is not None
    service.answer(Answer(status, {} if status == 200 else {"code": "told"}))

    assert service.diagnosis is None


def test_what_answers_in_fullstorys_place_is_an_outage_too_and_named() -> None:
    """By its status, its server and what it sends."""
    service = Service()
    service.answer(FINE, PAGE, PAGE, PAGE)

    cause = "something in between answers 404 (server envoy, text/html), not FullStory, to every request"
    assert service.diagnosis == Diagnosis(Symptom.FAILING, cause, 1_001.0, is_of_gateway=True)


def test_whatever_its_number_it_is_none_of_fullstorys() -> None:
    """A page for 404, an empty 204, JSON of somebody else."""
    service = Service()
    service.answer(FINE, Answer(204), Answer(200, {"status": "maintenance"}), PAGE)

    assert service.diagnosis is not None
    assert service.diagnosis.cause == (
        "every request fails (once 404 of server envoy, text/html; once 200 of no server named, no type; "
        "once 204 of no server named, no type)"
    )


def test_a_413_in_between_speaks_of_one_body() -> None:
    """However many batches it halves: the requests that follow are smaller. To single items it is an outage."""
    service = Service()
    for _ in range(10):
        number = service.responses.asked(service.now, ApiCall.BATCH)
        service.responses.answered(number, service.now, Answer(413), ApiCall.BATCH)
        service.now += 1.0
    assert service.diagnosis is None

    service.answer(*[Answer(413)] * 3)
    assert service.diagnosis is not None


def test_refusals_are_no_outage() -> None:
    """Two answers of 429 in a row are a diagnosis of their own, not an outage."""
    service = Service()
    service.answer(*[REFUSED] * LEAST_REFUSALS)

    assert service.diagnosis == Diagnosis(
        Symptom.REFUSING, "FullStory refuses every request with 429 (too many requests)", 1_000.0
    )


def test_one_refusal_hides_no_outage() -> None:
    """A single refusal before or during an outage does not hide it; refusals alone for long end it."""
    service = Service()
    service.answer(REFUSED, *[FAILED] * LEAST_FAILURES)
    assert service.diagnosis is not None
    assert service.diagnosis.symptom is Symptom.FAILING
    service.answer(REFUSED)
    assert service.diagnosis.symptom is Symptom.FAILING
    service.answer(*[REFUSED] * (int(FAILURES_MATTER_S) + 1))
    later = service.diagnosis
    assert later is not None
    assert later.symptom is Symptom.REFUSING


def test_a_long_wait_outlasts_the_answer_to_an_earlier_request() -> None:
    """Only an answer to a request that was sent after the wait began ends it."""
    service = Service()
    early = service.responses.asked(service.now, ApiCall.EVENT)
    service.answer(Answer(503, {"code": "unavailable"}, 3_600.0))
    service.responses.answered(early, service.now, FINE, ApiCall.EVENT)
    assert service.diagnosis == Diagnosis(Symptom.FAILING, "FullStory answers 503 to every request", 1_000.0)
    service.now += 3_000.0
    assert service.diagnosis is not None, "the wait goes on"
    service.answer(FINE)
    assert service.diagnosis is None


def test_questions_about_jobs_are_judged_apart() -> None:
    """An outage of questions shows even if requests are accepted, and the other way round."""
    service = Service()
    for _ in range(5):
        service.answer(FINE)
        service.answer(FAILED, is_question=True)

    assert service.diagnosis is not None
    assert service.diagnosis.cause == "FullStory answers 503 to every question about a job"


def test_what_stops_delivery_goes_before_what_delays_it() -> None:
    """An outage is named before slow answers."""
    service = Service()
    service.answer(*[FAILED] * LEAST_FAILURES, took_s=SLOW_S)

    assert service.diagnosis is not None
    assert service.diagnosis.symptom is Symptom.FAILING


def test_a_request_that_waits_for_long_is_told_of_before_its_answer() -> None:
    """A request without an answer for long is a diagnosis since it was sent."""
    service = Service()
    service.responses.asked(service.now, ApiCall.EVENT)
    service.now += SLOW_S - 0.1
    assert service.diagnosis is None
    service.now += 1.0

    assert service.diagnosis == Diagnosis(Symptom.SLOW, "FullStory takes long to answer", 1_000.0)


def test_slow_answers_are_a_finding_until_a_fast_one() -> None:
    """Slow answers are a diagnosis from the first slow one to the next fast one."""
    service = Service()
    service.answer(FINE, took_s=SLOW_S + 1)
    service.answer(FINE, took_s=SLOW_S + 1)
    assert service.diagnosis == Diagnosis(Symptom.SLOW, "FullStory takes long to answer", 1_000.0)
    service.answer(FINE)
    assert service.diagnosis is None


def test_questions_may_take_their_time_and_a_call_that_was_given_up_waits_no_more() -> None:
    """A slow question for a job and a call that was given up are no findings."""
    service = Service()
    service.responses.asked(service.now, ApiCall.JOB)
    service.responses.dropped(service.responses.asked(service.now, ApiCall.EVENT))
    service.now += 10 * SLOW_S

    assert service.diagnosis is None


def test_what_was_long_ago_is_forgotten() -> None:
    """An outage without news is forgotten after a while, which is not a good answer."""
    service = Service()
    service.answer(*[FAILED] * 5)
    service.now += FORGET_AFTER_S + 1
    assert service.diagnosis is None
    assert not service.responses.is_well
    service.answer(FINE)
    assert service.responses.is_well


def test_slowness_is_forgotten_soon_where_nothing_is_sent_and_never_while_it_goes_on() -> None:
    """Slowness is forgotten some time after the last slow answer."""
    service = Service()
    service.answer(*[FINE] * 100, took_s=SLOW_S + 1)
    assert service.diagnosis is not None
    service.now += FORGET_SLOW_AFTER_S
    assert service.diagnosis is None


@pytest.mark.parametrize(("status", "symptom"), [(429, Symptom.REFUSING), (503, Symptom.FAILING)])
def test_one_answer_that_asks_for_a_long_wait_is_a_finding_at_once(status: int, symptom: Symptom) -> None:
    """One long Retry-After is a diagnosis at once, since nothing is sent that could show another."""
    service = Service()
    service.answer(Answer(status, None, 120.0))
    assert service.diagnosis is not None
    assert service.diagnosis.symptom is symptom

    short = Service()
    short.answer(Answer(status, None, 1.0))
    assert short.diagnosis is None
