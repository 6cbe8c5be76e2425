"""Looks at the worker each second: what holds throughput back over some time, and which batch holds a partition up."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from processor.engine.bottleneck import SAMPLE_EVERY_S, Majority
from processor.engine.notices import HeldInOrder, HeldUp, Observer
from processor.engine.partition.state import Blocked
from processor.engine.worker_state import StateOf, WorkerState
from processor.model.reasons import Bottleneck
from processor.model.records import TopicPartition
from processor.runtime.gate import Gate
from processor.runtime.ports import Clock


class Watch:
    """Owned by the event loop's thread. A moment's state says little about throughput; many say more."""

    def __init__(
        self,
        state_of: StateOf,
        gate: Gate,
        clock: Clock,
        worked_s: Callable[[], float],
        observe: Observer,
        remember: Callable[[WorkerState], None],
    ) -> None:
        """`worked_s` returns the seconds in which the event loop's thread has had work; called on that thread.

        `remember` is given the state each second.
        """
        self._state_of = state_of
        self._gate = gate
        self._remember = remember
        self._clock = clock
        self._worked_s = worked_s
        self._observe = observe
        self._majority = Majority()
        self._told: dict[TopicPartition, int] = {}

    def state(self) -> WorkerState:
        """Return the worker's state, with what has lately held it back."""
        return replace(self._state_of(), bottleneck=self._majority.verdict)

    async def run(self) -> None:
        """Look each second, until cancelled."""
        at, worked_s = self._clock.monotonic(), self._worked_s()
        while True:
            await asyncio.sleep(SAMPLE_EVERY_S)
            now, worked_by_now_s = self._clock.monotonic(), self._worked_s()
            self._look((worked_by_now_s - worked_s) / (now - at))
            at, worked_s = now, worked_by_now_s

    def _look(self, busy: float) -> None:
        self._gate.judge()
        state = self._state_of()
        self._gate.unpassed({str(each.id): each.unpassed for each in state.partitions if each.unpassed is not None})
        self._remember(state)
        self._judge(state, busy)
        self._tell({each.id: each.blocked for each in state.partitions if each.blocked is not None})

    def _judge(self, state: WorkerState, busy: float) -> None:
        """Tell when the order of users begins to hold throughput back, and where: no metric names a partition of it."""
        before = self._majority.verdict
        self._majority.add(state.bottleneck, busy)
        if self._majority.verdict is Bottleneck.ORDER is not before:
            self._observe(HeldInOrder(tuple(each.id for each in state.partitions if each.waits_for_users)))

    def _tell(self, found: Mapping[TopicPartition, Blocked]) -> None:
        """Tell once of each batch that holds its partition up."""
        for partition, blocked in found.items():
            if self._told.get(partition) != blocked.offset:
                self._observe(HeldUp(partition, blocked.offset, blocked.age_s, str(blocked)))
        self._told = {partition: blocked.offset for partition, blocked in found.items()}
