"""What passes between the worker and FullStory, seen from outside of both."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from processor.engine.verdict import Answer, NoAnswer
from processor.model.reasons import Kind
from tests.fakes.fullstory import FakeFullStory
from tests.simulation.records import marks_of

REFUSED_FOR_S = 1.0
"""How long a 429 holds at least: FullStory counts in whole seconds."""

FIRST_BACK_OFF_S, MAX_BACK_OFF_S = 0.5, 30.0
"""Where 429s name no time, the longest wait doubles with each one in a row, within these."""


@dataclass(slots=True, eq=False)
class Post:
    """One POST, or one deletion of a user, and its answer."""

    at: float
    kind: Kind
    items: list[dict[str, Any]]
    """A deletion's names its user alone, and the laws add of which record it is."""
    size: int
    key: str
    is_batch: bool
    answer: Answer | NoAnswer | None = None
    """None while there is none, and for ever when the worker did not wait for it."""
    answered_at: float | None = None

    @property
    def status(self) -> int | None:
        """The HTTP status, if any."""
        return self.answer.status if isinstance(self.answer, Answer) else None

    @property
    def is_fullstorys(self) -> bool:
        """Whether FullStory has answered: each fake answer of its own holds something."""
        return isinstance(self.answer, Answer) and speaks_fullstory(self.answer, self.kind, is_batch=self.is_batch)

    @property
    def job_id(self) -> str | None:
        """The job that took the items, if one did."""
        if not self.is_batch or not self.is_fullstorys or self.status != 200:
            return None
        assert isinstance(self.answer, Answer)
        job_id: str = self.answer.body["job"]["id"]
        return job_id

    @property
    def marks(self) -> list[tuple[int, int]]:
        """Number and offset of the records that it carries."""
        return sorted(found for item in self.items for found in marks_of(item))

    @property
    def offsets(self) -> list[int]:
        """The offsets of the records that it carries."""
        return [offset for _, offset in self.marks]


Watcher = Callable[[Post], None]
Answering = Awaitable[Answer | NoAnswer]


class Wire:
    """The `Destination` port in front of a fake FullStory, with what its user can know of that.

    `on_end` is told of a POST whose job has ended; `lives` says whether the process goes on: one that has ended sends
    nothing.
    """

    def __init__(
        self,
        fullstory: FakeFullStory,
        on_post: Watcher,
        on_answer: Watcher,
        on_end: Watcher,
        moment: Callable[[str], None],
        lives: Callable[[], bool],
    ) -> None:
        self.posts: list[Post] = []
        self.deletions: list[Post] = []
        self.polls: list[float] = []
        """When jobs were asked for."""
        self.called_at = float("-inf")
        """When anything was sent last."""
        self.awaiting: set[Post] = set()
        """POSTs whose answers are waited for."""
        self.jobs: dict[str, Post] = {}
        """What is in jobs that go on, as far as FullStory has told."""
        self.doubted: set[str] = set()
        """Those that it has denied to know."""
        self.failed: deque[bool] = deque(maxlen=20)
        """Of the last answers to POSTs, whether they spoke of a FullStory that fails."""
        self.heard_at = float("-inf")
        """When the last of them came."""
        self.quiet_until = float("-inf")
        """Until when FullStory has asked for silence."""
        self.quiet_since = float("-inf")
        """When it asked last."""
        self.returns_by = float("-inf")
        """When the silence ends at the latest: a while later where FullStory named no time."""
        self.was_refused = False
        """Whether it ever asked for it."""
        self._refusals = 0
        self._on_post = on_post
        self._on_answer = on_answer
        self._on_end = on_end
        self._fullstory = fullstory
        self._moment = moment
        self._lives = lives

    async def post(self, kind: Kind, body: bytes, key: str, *, batch: bool) -> Answer | NoAnswer:
        """Pass on."""
        self._live()
        content = orjson.loads(body)
        self._moment("post")
        await asyncio.sleep(0)  # a process that has ended gets no further
        post = Post(_now(), kind, content["requests"] if batch else [content], len(body), key, batch)
        self.posts.append(post)
        return await self._pass_on(post, partial(self._fullstory.post, kind, body, key, batch=batch), "answer")

    async def delete(self, uid: str) -> Answer | NoAnswer:
        """Pass on."""
        self._live()
        self._moment("delete")
        await asyncio.sleep(0)
        post = Post(_now(), Kind.DELETION, [{"uid": uid}], 0, "", is_batch=False)
        self.deletions.append(post)
        return await self._pass_on(post, partial(self._fullstory.delete, uid), "deleted")

    async def _pass_on(self, post: Post, call: Callable[[], Answering], moment: str) -> Answer | NoAnswer:
        self._on_post(post)
        self.awaiting.add(post)
        try:
            self.called_at = post.at
            post.answer = await call()
            post.answered_at = _now()
            self._moment(moment)
            await asyncio.sleep(0)
        finally:
            self.awaiting.remove(post)
        self._heard_of_post(post)
        self._on_answer(post)
        return post.answer

    async def job(self, kind: Kind, job_id: str) -> Answer | NoAnswer:
        """Pass on."""
        self.called_at = _now()
        self.polls.append(self.called_at)
        self._moment("poll")
        answer = await self._fullstory.job(kind, job_id)
        self._heard(answer)
        if isinstance(answer, Answer) and answer.status == 404 and has_code(answer):
            self.doubted.add(job_id)  # also one that another process got, and that the same key may lead to again
        elif isinstance(answer, Answer) and job_id in self.jobs and _is_end(answer):
            self._on_end(self.jobs.pop(job_id))
        return answer

    async def errors(self, kind: Kind, job_id: str, page_token: str) -> Answer | NoAnswer:
        """Pass on."""
        self.called_at = _now()
        answer = await self._fullstory.errors(kind, job_id, page_token)
        self._heard(answer)
        return answer

    async def me(self) -> Answer | NoAnswer:
        """Pass on."""
        return await self._fullstory.me()

    def _live(self) -> None:
        if not self._lives():
            raise asyncio.CancelledError

    def _heard_of_post(self, post: Post) -> None:
        if not isinstance(post.answer, Answer):
            is_failure = True
        else:
            is_failure = post.answer.status >= 500 or post.answer.status in (408, 425) or not post.is_fullstorys
        self.failed.append(is_failure)
        self.heard_at = _now()
        if post.status == 200 and post.is_fullstorys:
            self._refusals = 0
        if post.job_id is not None:
            self.jobs[post.job_id] = post
        self._heard(post.answer)

    def _heard(self, answer: Answer | NoAnswer | None) -> None:
        if isinstance(answer, Answer) and not has_code(answer):
            self._heard_of_gateway(answer)
        if not isinstance(answer, Answer) or answer.status != 429:
            return
        self.was_refused = True
        self.quiet_since = _now()
        least_s = most_s = answer.retry_after_s or 0.0
        if least_s < REFUSED_FOR_S:
            self._refusals += 1
            least_s = REFUSED_FOR_S
            most_s = max(min(FIRST_BACK_OFF_S * 2 ** (self._refusals - 1), MAX_BACK_OFF_S), least_s)
        self.quiet_until = max(self.quiet_until, _now() + least_s)
        self.returns_by = max(self.returns_by, _now() + most_s)

    def _heard_of_gateway(self, answer: Answer) -> None:
        """Whatever stands in between may silence for a minute; its 503 may be a limit that does not say so."""
        most_s = min(answer.retry_after_s or 0.0, 60.0)
        if answer.status == 503:
            self.was_refused = True
            self._refusals += 1
            most_s = max(most_s, min(FIRST_BACK_OFF_S * 2 ** (self._refusals - 1), MAX_BACK_OFF_S), REFUSED_FOR_S)
        self.returns_by = max(self.returns_by, _now() + most_s)


def has_code(answer: Answer) -> bool:
    """Say whether it is an error of FullStory's, as the fake makes them."""
    return isinstance(answer.body, dict) and "code" in answer.body


def speaks_fullstory(answer: Answer, kind: Kind, *, is_batch: bool) -> bool:
    """Say whether the fake made this answer to a POST: its errors have codes, its successes one form each."""
    if answer.status != 200:
        return has_code(answer)
    if is_batch:
        return isinstance(answer.body, dict) and "job" in answer.body
    return isinstance(answer.body, dict) and "id" in answer.body if kind is Kind.USER else answer.body == {}


def _is_end(answer: Answer) -> bool:
    job = answer.body.get("job") if answer.status == 200 and isinstance(answer.body, dict) else None
    return isinstance(job, dict) and job.get("status") in ("COMPLETED", "FAILED")


def _now() -> float:
    return asyncio.get_running_loop().time()
