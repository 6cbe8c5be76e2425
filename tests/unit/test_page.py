"""The worker's page: every state in words, the interesting first, and nothing that was not escaped."""

from collections import Counter
from dataclasses import replace

import pytest

from processor.adapters.telemetry.history import STEP_S, STEPS, History
from processor.adapters.telemetry.metrics import Facts
from processor.adapters.telemetry.page import SHOWN_PARTITIONS, render
from processor.model.reasons import Bottleneck, DeadLetterReason, HaltReason, Kind
from processor.model.records import TopicPartition
from processor.runtime.notices import Settled
from processor.runtime.state import Blocked, PartitionState, WorkerState
from tests.fakes.state import IDLE

FACTS = Facts("1.2.3", "f00d", ("segment.identify", "segment.track"), 256 * 2**20)


class Time:
    """A clock that a test turns."""

    now = 1_000_000.0

    def monotonic(self) -> float:
        """Return the moment."""
        return self.now

    def wall(self) -> float:
        """Return the moment."""
        return self.now


def partition(number: int, *, lag: int = 0, blocked: Blocked | None = None, paused: bool = False) -> PartitionState:
    """Return the state of a partition."""
    return PartitionState(TopicPartition("t", number), 1, 2, paused, 10, 10 + lag, 999_000_000, blocked)


def shown(state: WorkerState, history: History | None = None) -> str:
    """Return the page without its style and script."""
    return render(state, history or History(Time()), FACTS, Time.now).split("</style>")[1].split("<script>")[0]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (replace(IDLE, is_draining=True), "Leaving"),
        (replace(IDLE, has_joined=False), "Joining"),
        (replace(IDLE, halts={HaltReason.GAP: "t/3 holds other offsets"}), "t/3 holds other offsets"),
        (replace(IDLE, bottleneck=Bottleneck.DESTINATION), "More workers do not help"),
        (IDLE, "Spare"),
        (replace(IDLE, partitions=[partition(0)]), "Delivering"),
        (replace(IDLE, partitions=[replace(partition(0), buffered_records=0, in_flight_records=0)]), "Idle"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_state_is_said_in_words(state: WorkerState, words: str) -> None:
    """What it is, and what that means."""
    assert words in shown(state)


@pytest.mark.parametrize("bottleneck", [each for each in Bottleneck if each is not Bottleneck.NONE])
def test_every_bottleneck_is_said_in_words(bottleneck: Bottleneck) -> None:
    """None is left out."""
    assert "What holds throughput back is" in shown(replace(IDLE, bottleneck=bottleneck))


def test_what_is_shown_is_escaped() -> None:
    """A detail may hold anything, so may a topic's name."""
    text = shown(replace(IDLE, halts={HaltReason.FORBIDDEN: '<img src=x onerror="alert(1)">'}))
    assert "<img" not in text
    assert "&lt;img" in text


def test_the_most_interesting_partitions_are_first_and_the_others_folded() -> None:
    """What is held up, then what is paused, then what lags most."""
    blocked = Blocked(7, 90.0, "FullStory's job j-1")
    partitions = [*(partition(number, lag=number) for number in range(30)), partition(40, blocked=blocked)]
    partitions.append(partition(41, paused=True))
    text = shown(replace(IDLE, partitions=partitions))
    order = [text.index(f"<td>{TopicPartition('t', number)}</td>") for number in (40, 41, 29, 28, 0)]

    assert order == sorted(order)
    assert f"{len(partitions) - SHOWN_PARTITIONS} more" in text
    assert "offset 7 waits for FullStory&#x27;s job j-1" in text


def test_the_last_quarter_of_an_hour_is_remembered_and_no_more() -> None:
    """Steps in which nothing happened are there, those that are too old are not."""
    time = Time()
    history = History(time)
    for _ in range(STEPS + 20):
        time.now += STEP_S
        history(Settled(Counter({Kind.EVENT: 10}), Counter(), Counter(), [int((time.now - 3) * 1_000)]))
    time.now += 10 * STEP_S
    steps = list(history.steps())

    assert len(steps) == STEPS
    assert [step.delivered for step in steps] == [10] * (STEPS - 10) + [0] * 10
    assert steps[0].slowest_s == pytest.approx(3.0, abs=0.01)
    assert "at most 2.0" in shown(IDLE, history)


def test_dead_letters_are_counted_by_reason_the_latest_first() -> None:
    """Without a word of whose they are."""
    time = Time()
    history = History(time)
    for reason in (DeadLetterReason.MALFORMED, DeadLetterReason.REJECTED, DeadLetterReason.MALFORMED):
        time.now += 1
        history(Settled(Counter(), Counter(), Counter({reason: 2}), []))

    assert [(each.reason.value, each.records) for each in history.refused()] == [("malformed", 4), ("rejected", 2)]
    assert "malformed" in shown(IDLE, history)
