"""Admission: who may send a request, and when; first come, first served, and questions for jobs before all.

Also the one place that knows why delivery stands still. A halt is raised by whoever meets its cause and ends with the
first thing that shows the cause to be gone: an answer as it should be, or an acknowledged dead letter.
"""

import asyncio
import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from processor.engine.halts import CLOSING, OF_THE_SOURCE, PROBED, UNREACHED, ActiveHalt, HaltFault, unreached
from processor.engine.limits import Cost, Limits, Load
from processor.engine.notices import Halted, Observer, Resumed
from processor.engine.service_health import ServiceHealth
from processor.model.reasons import ACTIONS, UNPASSED_ACTION, HaltReason
from processor.runtime.ports import Clock, SourceFault


class Sender(Protocol):
    """A request that waits for room."""

    @property
    def cost(self) -> Cost:
        """What it counts for while it is in progress."""
        ...

    @property
    def failures(self) -> int:
        """How often it has failed in a row."""
        ...

    @property
    def is_wanted(self) -> bool:
        """Whether it still is to be sent."""
        ...

    def send(self) -> bool:
        """Send it now; False where that is not to be done after all."""
        ...


class Gate:
    """Owned by the event loop's thread. Closed until `open`. `wake` is called whenever `serve` should be."""

    def __init__(self, limits: Limits, clock: Clock, observe: Observer) -> None:
        self.limits = limits
        self.health = ServiceHealth()
        self.halts: dict[HaltReason, ActiveHalt] = {}
        self.wake: Callable[[], None] = lambda: None
        self._clock = clock
        self._observe = observe
        self.is_open = False
        self._is_leaving = False
        self._held: defaultdict[tuple[HaltReason, str], list[tuple[str, str, str, str | None]]] = defaultdict(list)
        self._queue: deque[Sender] = deque()
        self._asking: deque[asyncio.Future[None]] = deque()

    def open(self) -> None:
        """Let requests through: it is known whose key this is."""
        self.is_open = True
        self.wake()

    def close(self) -> None:
        """Let no request through until it is opened again; questions for jobs go on."""
        self.is_open = False

    # Admission

    @property
    def room(self) -> int:
        """How many more requests could be sent at once; none while others wait already.

        Where one request at a time finds out whether anything passes, and all that wait have failed before, one more
        is welcome: each of them may fail for ever by itself.
        """
        if self._asking or self._is_closed:
            return 0
        if self._queue and self.limits.is_probing:
            return int(all(each.failures for each in self._queue))
        return 0 if self._queue else self.limits.room(self._clock.monotonic())

    @property
    def is_waited_for(self) -> bool:
        """Whether a request waits for its right to be sent."""
        return bool(self._queue)

    def is_blocked_for(self, seconds: float) -> bool:
        """Say whether nothing will be sent for so long: by a halt, or at FullStory's wish."""
        opens_at = self.limits.blocked_until
        return self._is_closed or self.limits.is_probing or self._clock.monotonic() + seconds < opens_at

    def queue(self, sender: Sender) -> None:
        """Have this sent when there is room for it, after all that was queued before."""
        self._queue.append(sender)

    def forget_unwanted(self) -> None:
        """Let go what is not to be sent any more; there may be more room than before."""
        self._queue = deque(sender for sender in self._queue if sender.is_wanted)
        self.wake()

    async def ask(self) -> None:
        """Wait for the right to ask for a job; it is counted as asked when this returns.

        What is in progress is to end before more is begun, and a halt keeps nobody from asking.
        """
        turn = asyncio.get_running_loop().create_future()
        self._asking.append(turn)
        self.wake()
        await turn

    def serve(self) -> float | None:
        """Let through whoever has room, in their order; return when time alone may let the next one through.

        A large request is not overtaken, or a stream of small ones would keep it waiting for ever; but where one alone
        is to find out whether anything passes, it is the one that failed least, and then the smallest: what stands in
        between may refuse one record for ever, or large bodies.
        """
        now = self._clock.monotonic()
        while self._asking:
            if self._asking[0].done():
                self._asking.popleft()
            elif self.limits.may_ask(now):
                self.limits.asked(now)
                self._asking.popleft().set_result(None)
            else:
                return self.limits.next_chance(now, asks=True)
        if self.limits.is_probing and len(self._queue) > 1 and self.limits.room(now):
            self._queue.remove(probe := min(self._queue, key=_promise))
            self._queue.appendleft(probe)
        while self._queue:
            sender = self._queue[0]
            if not sender.is_wanted:
                self._queue.popleft()
            elif self._is_closed:
                return None
            elif self.limits.admits(now, sender.cost):
                self._queue.popleft()
                if sender.send():
                    self.limits.sent(now, sender.cost)
            else:
                return self.limits.next_chance(now)
        return None

    @property
    def is_short(self) -> bool:
        """Whether requests wait, and there is a rate for which they do."""
        return bool(self._queue) and self.limits.rate < math.inf

    def answered(self, load: Load, sent_at: float) -> None:
        """Count an answer to a request; what it holds is given back by the owner of its partition."""
        self.limits.answered(self._clock.monotonic(), sent_at, load)
        self.wake()

    def told(self, load: Load, sent_at: float) -> None:
        """Count an answer to a question."""
        self.limits.told(self._clock.monotonic(), sent_at, load)
        self.wake()

    def block(self, seconds: float) -> float:
        """Send nothing for so long; return by how many seconds this made the wait longer."""
        now = self._clock.monotonic()
        return self.limits.block(now + seconds, now)

    @property
    def _is_closed(self) -> bool:
        return not self.is_open or bool(CLOSING & self.halts.keys())

    # Halts

    def halt(
        self, reason: HaltReason, cause: str, action: str = "", where: str = "", concerns: str | None = None
    ) -> None:
        """Stand still for this reason; observers learn of it once for each place, until it is resumed there.

        What was said of the same place before is replaced. `action` replaces the general advice for this reason where
        more is known. The place is what stands still, unless it is said what it `concerns`.
        """
        now = self._clock.wall()
        before = self.halts.get(reason, ActiveHalt(now, {}))
        fault = HaltFault(cause, now, action or ACTIONS[reason], where if concerns is None else concerns)
        self.halts[reason] = halt = before.at(where, fault)
        if where not in before.faults:
            self._observe(Halted(reason, cause, fault.action, len(halt.faults)))
        if reason in PROBED:
            self.limits.halt(self._clock.monotonic())
            self.wake()  # the next chance is another one now

    def resume(self, *reasons: HaltReason, is_cured: bool = True) -> None:
        """End these halts: their causes are gone or, if not `is_cured`, are another worker's now."""
        ended = {reason: self.halts.pop(reason) for reason in reasons if reason in self.halts}
        for reason, halt in ended.items():
            if not self._is_leaving:
                self._observe(Resumed(reason, max(self._clock.wall() - halt.since, 0.0), is_cured))
        if ended:
            if not PROBED & self.halts.keys():
                self.limits.resume()
            self.wake()

    def leave_probes_to_others(self) -> None:
        """End the halts that only a request can end: with nothing to send, nobody here finds out that all is well."""
        self.resume(*PROBED, is_cured=False)

    def source_faults(self, faults: Mapping[HaltReason, Sequence[SourceFault]]) -> None:
        """Halt for what keeps the source from reading, all of it, and for nothing else of its kind."""
        for reason in OF_THE_SOURCE & self.halts.keys():
            for where in self.halts[reason].faults.keys() - {each.where for each in faults.get(reason, ())}:
                self._resume_at(reason, where, is_cured=True)
        for reason, found in faults.items():
            for each in found:
                self.halt(reason, each.cause, each.action, each.where)

    @contextmanager
    def held(
        self,
        reason: HaltReason,
        where: str,
        cause: str,
        action: str = "",
        *,
        concerns: str | None = None,
        is_cured_at_end: bool = True,
    ) -> Iterator[None]:
        """Show a halt for as long as the block lasts, or until it is resumed; of several in a place, the last is shown.

        A block that is cancelled has not seen the cause go.
        """
        shown = (cause, action, where, concerns)
        self.halt(reason, *shown)
        held = self._held[reason, where]
        held.append(shown)
        is_cured = False
        try:
            yield
            is_cured = is_cured_at_end
        finally:
            held.remove(shown)
            if not held:
                del self._held[reason, where]
                self._resume_at(reason, where, is_cured=is_cured)
            elif reason in self.halts:
                self.halt(reason, *held[-1])

    def _resume_at(self, reason: HaltReason, where: str, *, is_cured: bool) -> None:
        """End a halt in one place, and with the last one as a whole."""
        if reason in self.halts and (left := self.halts[reason].without(where)) is not None:
            self.halts[reason] = left
        else:
            self.resume(reason, is_cured=is_cured)

    def leave(self) -> None:
        """The process ends: what ends with it is no cure, and observers do not learn of it."""
        self._is_leaving = True

    def judge(self) -> None:
        """Halt while nothing that is asked reaches FullStory, or is answered by it; call this every second."""
        found = self.health.diagnosis(self._clock.monotonic())
        active = next((reason for reason in UNREACHED if "" in self.faults_of(reason)), None)
        reason = unreached(found, active)
        if found is not None and reason is not None:
            self.halt(reason, found.cause)
        elif active is not None:
            self._resume_at(active, "", is_cured=self.health.is_well)

    def unpassed(self, causes: Mapping[str, str]) -> None:
        """Halt, by partition, for what something in between does not let pass while it lets others; each second."""
        for where in self.faults_of(HaltReason.GATEWAY).keys() - causes.keys() - {""}:
            self._resume_at(HaltReason.GATEWAY, where, is_cured=True)
        for where, cause in causes.items():
            self.halt(HaltReason.GATEWAY, f"{where}: {cause}", UNPASSED_ACTION, where)

    def faults_of(self, reason: HaltReason) -> Mapping[str, HaltFault]:
        """Return what is wrong for this reason, by place."""
        return self.halts[reason].faults if reason in self.halts else {}


def _promise(sender: Sender) -> tuple[int, int]:
    return sender.failures, sender.cost.operations
