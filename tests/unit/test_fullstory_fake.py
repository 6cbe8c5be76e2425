"""What simulations rely on in the fake beyond the port's contract."""

import asyncio
from typing import Any

import orjson
import pytest

from processor.engine.verdict import Answer, NoAnswer, RetryReason
from processor.model.reasons import Kind
from tests.fakes.fullstory import FakeFullStory, Lost


async def send(fake: FakeFullStory, key: str, **properties: Any) -> Answer | NoAnswer:
    """POST an event of its own."""
    body = orjson.dumps({"name": "x", "properties": properties})
    return await fake.post(Kind.EVENT, body, key, batch=False)


def test_one_seed_is_one_history() -> None:
    """The same seed repeats answers, losses and effects exactly; another seed gives others."""

    async def history(seed: int) -> list[Any]:
        fake = FakeFullStory(seed, now=lambda: 0.0)
        weather = fake.weather
        weather.lost_before = weather.lost_after = weather.throttled = weather.server_error = 0.2
        weather.job_failure, weather.timeout_s = 0.5, 0.0
        answers: list[Any] = [await send(fake, f"k{n}", n=n) for n in range(40)]
        body = orjson.dumps({"requests": [{"uid": f"u{n}"} for n in range(10)]})
        answers += [await fake.post(Kind.USER, body, f"b{n}", batch=True) for n in range(10)]
        return [answers, list(fake.effects)]

    first, again, other = (asyncio.run(history(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_request_that_has_arrived_is_carried_out_when_its_caller_has_gone() -> None:
    """A request that has arrived takes effect even if its caller ends before the answer."""

    async def run() -> int:
        fake = FakeFullStory(now=lambda: 0.0)
        call = asyncio.create_task(send(fake, "k1"))
        for _ in range(2):  # it sets out, then is at work
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return len(fake.effects)

    assert asyncio.run(run()) == 1


def test_a_timeout_takes_its_time() -> None:
    """The loss is told when the client would give up, by the loop's own clock, and not before."""

    async def run() -> tuple[bool, Any]:
        fake = FakeFullStory()
        fake.weather.timeout_s = 3600.0
        fake.script += [Lost(took_effect=False, reason=RetryReason.TIMEOUT)] * 2
        call = asyncio.create_task(send(fake, "k1"))
        for _ in range(10):
            await asyncio.sleep(0)
        was_done = call.done()
        call.cancel()
        fake.weather.timeout_s = 0.0
        return was_done, await send(fake, "k1")

    assert asyncio.run(run()) == (False, NoAnswer(RetryReason.TIMEOUT))


def test_what_is_in_progress_is_bounded_and_its_peak_known() -> None:
    """Beyond the hard stop batches are throttled, and the fake records the peak."""

    async def run() -> tuple[list[int], int, int]:
        fake = FakeFullStory(now=lambda: 0.0)
        fake.max_jobs, fake.max_operations = 3, 5
        fake.weather.job_duration_s = (1.0, 1.0)
        body = orjson.dumps({"requests": [{"uid": "a"}, {"uid": "b"}]})
        answers = [await fake.post(Kind.USER, body, f"k{n}", batch=True) for n in range(3)]
        return [each.status for each in answers if isinstance(each, Answer)], fake.peak_jobs, fake.peak_operations

    assert asyncio.run(run()) == ([200, 200, 429], 2, 4)
