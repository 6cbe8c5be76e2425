"""Admission: who may send a request, and when; first come, first served, and questions for jobs before all.

Also the one place that knows why delivery stands still. A halt is raised by whoever meets its cause and ends with the
first thing that shows the cause to be gone: an answer as it should be, or an acknowledged dead letter.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from processor.engine.limits import Cost, Limits, Load
from processor.engine.responses import Responses, Symptom
from processor.model.reasons import ACTIONS, HaltReason
from processor.runtime.notices import Halted, Observer, Resumed
from processor.runtime.ports import Clock
from processor.runtime.state import ActiveHalt

PROBED_HALTS = frozenset({HaltReason.UNAUTHORIZED, HaltReason.FORBIDDEN, HaltReason.UNEXPECTED_ANSWER})
"""Halts that a good answer of FullStory ends; while one lasts only probes are sent."""

CLOSING_HALTS = frozenset({HaltReason.WRONG_ORG, HaltReason.DEAD_LETTER_TOPIC, HaltReason.DEAD_LETTER_RATIO})
"""Halts under which nothing may be sent at all, not even a probe."""

LEAST_WAIT_S = 0.001
"""A timer for less would come before its moment by the rounding of floats, and find nothing to do, again and again."""


@dataclass(slots=True, eq=False)
class _Turn:
    """A request that waits for its right to be sent."""

    cost: Cost
    granted: asyncio.Future[None]


class Gate:
    """Hands out the right to send; owned by the event loop's thread. Closed until `open`."""

    def __init__(self, limits: Limits, clock: Clock, observe: Observer) -> None:
        self.limits = limits
        self.responses = Responses()
        self.halts: dict[HaltReason, ActiveHalt] = {}
        self._clock = clock
        self._observe = observe
        self._is_open = False
        self._is_leaving = False
        self._held: defaultdict[HaltReason, list[tuple[str, str]]] = defaultdict(list)
        self._queue: deque[_Turn] = deque()
        self._asking: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: Callable[[], None] = lambda: None

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have `watcher` called whenever there may be more room than before."""
        self._watcher = watcher

    def open(self) -> None:
        """Let requests through: it is known whose key this is."""
        self._is_open = True
        self.serve()

    @property
    def room(self) -> int:
        """How many more requests could be sent at once; none while others wait already."""
        is_taken = self._queue or self._asking or self._is_closed
        return 0 if is_taken else self.limits.room(self._clock.monotonic())

    @property
    def is_waited_for(self) -> bool:
        """Whether a request waits for its right to be sent."""
        return bool(self._queue)

    def is_blocked_for(self, seconds: float) -> bool:
        """Say whether nothing will be sent for so long: by a halt, or at FullStory's wish."""
        opens_at = self.limits.blocked_until
        return self._is_closed or self.limits.is_probing or self._clock.monotonic() + seconds < opens_at

    async def admit(self, cost: Cost) -> None:
        """Wait for the right to send one request; it is counted as sent when this returns."""
        turn = _Turn(cost, asyncio.get_running_loop().create_future())
        self._queue.append(turn)
        self.serve()
        try:
            await turn.granted
        except asyncio.CancelledError:
            if not turn.granted.cancelled():  # granted and cancelled at one moment
                self.withdraw(cost)
            elif turn in self._queue:
                self._queue.remove(turn)
                self.serve()
            raise

    async def ask(self) -> None:
        """Wait for the right to ask for a job; it is counted as asked when this returns.

        What is in progress is to end before more is begun, and a halt keeps nobody from asking.
        """
        turn = asyncio.get_running_loop().create_future()
        self._asking.append(turn)
        self.serve()
        await turn

    def withdraw(self, cost: Cost) -> None:
        """Give back the right to send: the request was not sent."""
        self.limits.unsent(cost)
        self.serve()

    def answered(self, load: Load, sent_at: float) -> None:
        """Count an answer to a request that was admitted."""
        self.limits.answered(self._clock.monotonic(), sent_at, load)
        self.serve()

    def told(self, load: Load, sent_at: float) -> None:
        """Count an answer to a question."""
        self.limits.told(self._clock.monotonic(), sent_at, load)
        self.serve()

    def finished(self, cost: Cost) -> None:
        """What an admitted request held is given back."""
        self.limits.finished(cost)
        self.serve()

    def block(self, seconds: float) -> float:
        """Send nothing for so long; return by how many seconds this made the wait longer."""
        now = self._clock.monotonic()
        return self.limits.block(now + seconds, now)

    def halt(self, reason: HaltReason, cause: str, action: str = "") -> None:
        """Stand still for this reason; observers learn of it once until it is resumed.

        `action` replaces the general advice for this reason where more is known.
        """
        before = self.halts.get(reason)
        since = self._clock.wall() if before is None else before.since
        self.halts[reason] = ActiveHalt(cause, since, action or ACTIONS[reason])
        if before is None:
            self._observe(Halted(reason, cause, self.halts[reason].action))
        if reason in PROBED_HALTS:
            self.limits.halt(self._clock.monotonic())
            self.serve()  # the next chance is another one now

    def resume(self, *reasons: HaltReason, is_cured: bool = True) -> None:
        """End these halts: their causes are gone or, if not `is_cured`, are another worker's now."""
        ended = {reason: self.halts.pop(reason) for reason in reasons if reason in self.halts}
        for reason, halt in ended.items():
            if not self._is_leaving:
                self._observe(Resumed(reason, max(self._clock.wall() - halt.since, 0.0), is_cured))
        if ended:
            if not PROBED_HALTS & self.halts.keys():
                self.limits.resume()
            self.serve()

    @contextmanager
    def held(self, reason: HaltReason, cause: str, action: str = "", *, is_cured_at_end: bool = True) -> Iterator[None]:
        """Show a halt for as long as the block lasts, or until it is resumed; of several the last one is shown.

        A block that is cancelled has not seen the cause go.
        """
        self.halt(reason, cause, action)
        held = self._held[reason]
        held.append((cause, action))
        is_cured = False
        try:
            yield
            is_cured = is_cured_at_end
        finally:
            held.remove((cause, action))
            if not held:
                self.resume(reason, is_cured=is_cured)
            elif reason in self.halts:
                self.halt(reason, *held[-1])

    def leave(self) -> None:
        """The process ends: what ends with it is no cure, and observers do not learn of it."""
        self._is_leaving = True

    def judge(self) -> None:
        """Halt while FullStory answers no request; call this every second."""
        found = self.responses.finding(self._clock.monotonic())
        symptom = None if found is None else found.symptom
        # An outage that turns into refusals has not ended: nothing is delivered yet.
        lasts = symptom is Symptom.REFUSING and HaltReason.FULLSTORY_UNAVAILABLE in self.halts
        if found is not None and (symptom is Symptom.FAILING or lasts):
            self.halt(HaltReason.FULLSTORY_UNAVAILABLE, found.cause)
        else:
            self.resume(HaltReason.FULLSTORY_UNAVAILABLE, is_cured=self.responses.is_well)

    def serve(self) -> None:
        """Let requests through in their order, as far as there is room; called whenever that may have changed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock.monotonic()
        while self._asking:
            if not self.limits.may_ask(now):
                self._look_again(now, self.limits.next_chance(now, asks=True))
                return
            asking = self._asking.popleft()
            if not asking.done():
                self.limits.asked(now)
                asking.set_result(None)
        while self._queue and not self._is_closed:
            if not self.limits.admits(now, self._queue[0].cost):
                self._look_again(now, self.limits.next_chance(now))
                return
            turn = self._queue.popleft()
            if not turn.granted.done():
                self.limits.sent(now, turn.cost)
                turn.granted.set_result(None)
        self._watcher()

    @property
    def _is_closed(self) -> bool:
        return not self._is_open or bool(CLOSING_HALTS & self.halts.keys())

    def _look_again(self, now: float, chance: float | None) -> None:
        """Come back when time alone may let the first one through."""
        if chance is not None:
            self._timer = asyncio.get_running_loop().call_later(max(chance - now, LEAST_WAIT_S), self.serve)
