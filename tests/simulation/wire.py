"""What passes between the worker and FullStory, seen from outside of both."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from processor.engine.verdict import Answer, NoAnswer
from processor.model.reasons import Kind
from tests.fakes.fullstory import FakeFullStory
from tests.simulation.records import marks_of


@dataclass(slots=True, eq=False)
class Post:
    """One POST and its answer."""

    at: float
    kind: Kind
    items: list[dict[str, Any]]
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
    def marks(self) -> list[tuple[int, int]]:
        """Partition and offset of the records that it carries."""
        return sorted(found for item in self.items for found in marks_of(item))

    @property
    def offsets(self) -> list[int]:
        """The offsets of the records that it carries."""
        return [offset for _, offset in self.marks]


Watcher = Callable[[Post], None]


class Wire:
    """The `Destination` port in front of a fake FullStory."""

    def __init__(
        self, fullstory: FakeFullStory, on_post: Watcher, on_answer: Watcher, moment: Callable[[str], None]
    ) -> None:
        self.posts: list[Post] = []
        self.polls: list[float] = []
        """When jobs were asked for."""
        self._on_post = on_post
        self._on_answer = on_answer
        self._fullstory = fullstory
        self._moment = moment

    async def post(self, kind: Kind, body: bytes, key: str, *, batch: bool) -> Answer | NoAnswer:
        """Pass on."""
        content = orjson.loads(body)
        self._moment("post")
        await asyncio.sleep(0)  # a process that has ended gets no further
        post = Post(_now(), kind, content["requests"] if batch else [content], len(body), key, batch)
        self.posts.append(post)
        self._on_post(post)
        post.answer = await self._fullstory.post(kind, body, key, batch=batch)
        post.answered_at = _now()
        self._moment("answer")
        await asyncio.sleep(0)
        self._on_answer(post)
        return post.answer

    async def job(self, kind: Kind, job_id: str) -> Answer | NoAnswer:
        """Pass on."""
        self.polls.append(_now())
        self._moment("poll")
        return await self._fullstory.job(kind, job_id)

    async def errors(self, kind: Kind, job_id: str, page_token: str) -> Answer | NoAnswer:
        """Pass on."""
        return await self._fullstory.errors(kind, job_id, page_token)

    async def me(self) -> Answer | NoAnswer:
        """Pass on."""
        return await self._fullstory.me()


def _now() -> float:
    return asyncio.get_running_loop().time()
