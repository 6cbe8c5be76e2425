"""Whether the workers keep up, and whether one more would help: in words, from two runs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

from processor.model.reasons import Bottleneck
from processor.simulation.numbers import Numbers
from processor.simulation.play import OnProgress, Run, play

TELLING = 0.25
"""A time that is shorter by such a part counts: which requests meet the limit is chance."""
TELLING_RATE = 0.1
"""So does so much more that is delivered."""
TOO_EARLY_S = 60.0
"""So soon after an outage, workers have hardly begun again."""
LEAST_S = 0.5
"""A difference of so many seconds counts."""

CAUSES = {
    Bottleneck.DESTINATION: "FullStory is the bottleneck, and its limits are shared by all workers",
    Bottleneck.CPU: "the workers' CPU is the bottleneck",
    Bottleneck.KAFKA: "records and commits do not come fast enough from Kafka",
    Bottleneck.ORDER: "users' identifies take effect one after the other",
    Bottleneck.MEMORY: "partitions are paused, for the workers hold as many records as their memory budget allows",
    Bottleneck.NONE: "nothing holds the workers back",
}


@final
@dataclass(frozen=True, slots=True)
class WithOneMore:
    """A run, and the same with one more worker; None where there is no partition for it."""

    run: Run
    more: Run | None

    @property
    def keeps_up(self) -> bool | None:
        """Whether no more records are under way at the end than can be fresh; None where that is too early to say."""
        return None if self.run.is_behind and self.run.undisturbed_s < TOO_EARLY_S else not self.run.is_behind

    @property
    def gains(self) -> list[str]:
        """What one more worker makes better."""
        return [] if self.more is None else list(_gains(self.run, self.more))

    @property
    def words(self) -> list[str]:
        """The verdict, a sentence each."""
        return [self._about_keeping_up(), self._about_one_more()]

    def _about_keeping_up(self) -> str:
        run = self.run
        is_one = run.numbers.workers == 1
        they, does = ("1 worker", "does") if is_one else (f"{run.numbers.workers} workers", "do")
        if self.keeps_up:
            since, drained_s = "outage" if run.numbers.outage else "start", run.drained_after_s
            drained = f" What had piled up was delivered {drained_s:,.0f} s after the {since}." if drained_s else ""
            age = f": half of the events take effect within {run.freshness.p50:.1f} s" if run.freshness else ""
            return f"{they} {'keeps' if is_one else 'keep'} up{age}.{drained}"
        if self.keeps_up is None:
            rest = f"{run.undisturbed_s:,.0f} s are too short to deliver what has piled up; add --minutes"
            return f"Too early to say whether {they} {'keeps' if is_one else 'keep'} up: {rest}."
        change = run.growth_per_s
        if change >= 0:
            hour = f"{change * 3_600:,.0f} more each hour"
            return f"{they} {does} not keep up: {run.behind:,} events are behind at the end, and {hour}."
        rest = f"{run.behind / -change / 60:,.0f} more minutes would do"
        return f"{they} still {'catches' if is_one else 'catch'} up: {run.behind:,} events are behind; {rest}."

    def _about_one_more(self) -> str:
        if self.more is None:
            return "One more worker would get no partition: there are as many workers as partitions."
        if gains := self.gains:
            return f"One more worker would help: {', '.join(gains)}."
        return f"One more worker would not help: {CAUSES[_felt(self.run)]}."


def compare(numbers: Numbers, progress: OnProgress) -> WithOneMore:
    """Simulate as it is and with one more worker."""
    run = play(numbers, lambda part: progress(part / 2))
    if numbers.workers >= numbers.partitions:
        return WithOneMore(run, None)
    return WithOneMore(run, play(replace(numbers, workers=numbers.workers + 1), lambda part: progress((1 + part) / 2)))


def _gains(run: Run, more: Run) -> Iterator[str]:
    if run.is_behind and more.delivered > run.delivered * (1 + TELLING_RATE):
        seconds = run.numbers.seconds
        yield f"it delivers {more.delivered / seconds:,.0f} events/s instead of {run.delivered / seconds:,.0f}"
    before, after = run.drained_after_s, more.drained_after_s
    if before is not None and after is not None and _is_less(after, before):
        yield f"what has piled up is delivered after {after:,.0f} s instead of {before:,.0f}"
    if run.freshness and more.freshness and _is_less(more.freshness.p99, run.freshness.p99):
        yield f"99 % take effect within {more.freshness.p99:,.1f} s instead of {run.freshness.p99:,.1f}"


def _is_less(after: float, before: float) -> bool:
    return after < before * (1 - TELLING) and after < before - LEAST_S


def _felt(run: Run) -> Bottleneck:
    """Return what held it back while anything did."""
    felt = [kind for kind in run.bottlenecks() if kind is not Bottleneck.NONE]
    return felt[0] if felt and (run.is_behind or run.disturbed_until_s is not None) else next(iter(run.bottlenecks()))
