"""`segment-fullstory demo`: it plays to its end, its account is true, and what does not balance is not hidden."""

import asyncio
import io
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, Self

import pytest
import structlog
from click.testing import CliRunner
from rich.console import Console

from processor.adapters.kafka.mock import MockCluster, Tail
from processor.commands.demo import command, demo, play
from processor.commands.demo.closing import Closing
from processor.commands.demo.display import Display, Lines, LiveTable, Phase, Progress, display_for
from processor.commands.demo.producer import MAX_AT_ONCE, MAX_UNCONSUMED, Traffic
from processor.commands.demo.scene import TOPIC, Script, Severity, sandbox_options, worker_settings
from processor.commands.demo.tally import WorkerTally
from processor.engine.notices import Answered, Consumed, Rebalanced, Redelivered, Released, Retried, Settled
from processor.engine.verdict import RetryReason
from processor.engine.worker_state import WorkerState
from processor.model.errors import SourceError
from processor.model.reasons import DeadLetterReason, FilterReason, HaltReason, Kind
from processor.model.records import Record, TopicPartition
from processor.sandbox import Condition, Faults
from processor.workload.account import Balance
from tests.fakes.state import IDLE

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "processor", "demo"]
SCRIPT = Script(duration_s=1, rate=200, seed=3, severity=Severity.NONE)
DEADLINE_S = 120.0

NO_PARTITIONS = replace(IDLE, has_joined=False)


def condition(name: str, text: str, status: int | None = None, *, is_total: bool = False) -> Condition:
    """Return something that FullStory does on purpose."""
    return Condition(name, text, status, is_total, since=1.0, until=None)


def good_closing() -> Closing:
    """Return the end of a run in which everything adds up."""
    outcomes: dict[str, Any] = {
        "delivered": Counter({Kind.USER: 2, Kind.EVENT: 5}),
        "filtered": Counter({FilterReason.TOMBSTONE: 1}),
        "dead_lettered": Counter({DeadLetterReason.MALFORMED: 2}),
    }
    return Closing(Balance(records=10, **outcomes), WorkerTally(consumed=10, **outcomes), 0, {0: 6, 1: 4}, {0: 6, 1: 4})


# The command


def test_what_does_not_balance_ends_the_program_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the account does not balance, the faults and the end of the log are shown, and the exit code is 1."""

    async def lossy(_script: Script, log: structlog.typing.FilteringBoundLogger, audience: play.Audience) -> Closing:
        log.warning("something happened")
        closing = good_closing()
        lossy = replace(closing, balance=replace(closing.balance, lost=1, faults=["(0, 3) is nowhere"]))
        audience.closing(lossy)
        return lossy

    monkeypatch.setattr(command, "play", lossy)

    result = CliRunner().invoke(demo)

    assert result.exit_code == 1
    assert "The account does not balance; lost: 1\n  -  (0, 3) is nowhere\n" in result.stdout
    assert "something happened" in result.stderr


def test_a_fault_of_the_embedded_kafka_is_said_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the embedded Kafka ends the program with a message and its exit code, without an account."""

    async def broken(*_: object) -> NoReturn:
        raise SourceError("the embedded Kafka did not take a record")

    monkeypatch.setattr(command, "play", broken)

    result = CliRunner().invoke(demo)

    assert (result.exit_code, result.output) == (1, "Error: the embedded Kafka did not take a record\n")


@pytest.mark.parametrize("options", [["--duration", "0"], ["--rate", "0"], ["--seed", "-1"], ["--faults", "all"]])
def test_options_that_make_no_sense_are_refused(options: list[str]) -> None:
    """Contradictory options end in click's message before anything is started."""
    assert CliRunner().invoke(demo, options).exit_code == 2


# The course


class NoDisplay:
    """Shows nothing."""

    interval_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, progress: Progress) -> None:
        """Show nothing."""


class NoAudience:
    """Is told nothing that it repeats."""

    def __init__(self, display: Display | None = None) -> None:
        self.display: Display = display or NoDisplay()

    def opening(self, addresses: play.Addresses) -> None:
        """Say nothing."""

    def closing(self, closing: Closing) -> None:
        """Say nothing."""

    def staying(self, addresses: play.Addresses) -> None:
        """Say nothing."""


class StubWorker:
    """In place of a `Process` and its worker: joins no group, and ends with an error where it has one."""

    port = 1

    def __init__(self, error: Exception | None = None, state: WorkerState = NO_PARTITIONS) -> None:
        self.worker = self
        self._error = error
        self._state = state

    def state(self) -> WorkerState:
        """Return the state of a worker without partitions."""
        return self._state

    async def run(self, stop: asyncio.Event) -> None:
        """Fail, or wait to be stopped."""
        if self._error is not None:
            raise self._error
        await stop.wait()


def play_with(
    worker: StubWorker, monkeypatch: pytest.MonkeyPatch, *, script: Script = SCRIPT, display: Display | None = None
) -> Closing:
    """Play with this worker in place of the real one."""

    @asynccontextmanager
    async def process(*_: object) -> AsyncIterator[StubWorker]:
        yield worker

    monkeypatch.setattr(play, "open_process", process)
    return asyncio.run(play.play(script, structlog.get_logger(), NoAudience(display)))


def test_a_worker_that_crashes_ends_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the worker crashes, the demo says why and does not balance, even if nothing was produced."""
    closing = play_with(StubWorker(SourceError("the broker is gone")), monkeypatch)

    assert not closing.is_balanced
    assert list(closing.faults()) == ["the worker ended: SourceError: the broker is gone"]


def test_a_demo_in_which_nothing_moves_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that never consumes does not keep the demo going; all that was produced counts as lost."""
    monkeypatch.setattr(play, "PATIENCE_S", 0.1)

    closing = play_with(StubWorker(), monkeypatch)

    faults = list(closing.faults())
    assert faults[:2] == ["joining: nothing has moved for 0.1 s", "finishing: nothing has moved for 0.1 s"]
    assert closing.balance.lost > 0
    assert not closing.is_balanced


@pytest.mark.parametrize("severity", Severity)
def test_a_storm_has_an_outage(severity: Severity, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a storm has an outage; the other faults of each scenario act from the beginning."""
    monkeypatch.setattr(play, "PATIENCE_S", 0.1)

    closing = play_with(StubWorker(state=IDLE), monkeypatch, script=replace(SCRIPT, severity=severity))

    assert [each.text for each in closing.weather if each.is_total] == (
        ["answers 503 to every request"] if severity is Severity.STORM else []
    )
    assert any(each.name == "item_failure_ratio" for each in closing.weather) is (severity is not Severity.NONE)


class Impatient(NoDisplay):
    """Ends what it has seen for long enough."""

    def __init__(self, moments: int) -> None:
        self._moments = moments

    def show(self, progress: Progress) -> None:
        """Count down to the signal."""
        self._moments -= progress.phase is Phase.JOINING
        if self._moments == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_what_stands_still_on_purpose_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo waits as long as an outage or a revoked key lasts."""
    monkeypatch.setattr(play, "PATIENCE_S", 0.0)
    out = replace(sandbox_options(SCRIPT), faults=Faults(outage_status=503))
    monkeypatch.setattr(play, "sandbox_options", lambda _: out)

    closing = play_with(StubWorker(), monkeypatch, display=Impatient(moments=10))

    assert closing.failures == []
    assert [each.text for each in closing.weather if each.is_total] == ["answers 503 to every request"]


# The closing


def test_a_run_in_which_everything_adds_up_balances() -> None:
    """A run whose counters and arrivals agree has no faults."""
    assert list(good_closing().faults()) == []
    assert good_closing().is_balanced


def test_what_the_account_found_is_named() -> None:
    """The faults of single records and the number of lost ones are named."""
    closing = good_closing()
    lossy = replace(closing, balance=replace(closing.balance, lost=2, faults=["(0, 3) is nowhere"]))

    assert list(lossy.faults()) == ["(0, 3) is nowhere", "2 records are lost"]


def test_counters_that_do_not_balance_are_named() -> None:
    """A consumed record without an end in the counters is a fault, even if it arrived."""
    closing = good_closing()
    unequal = replace(closing, tally=replace(closing.tally, consumed=11))

    assert "consumed 11 = delivered 7 + filtered 1 + dead-lettered 2 + released 0" in next(unequal.faults())


def test_counters_that_differ_from_what_was_found_are_named() -> None:
    """A record that is counted under another filter rule than its own is a fault."""
    closing = good_closing()
    wrong = replace(closing.tally, filtered=Counter({FilterReason.INTEGRATIONS: 1}))

    assert list(replace(closing, tally=wrong).faults()) == [
        "filtered: the worker counted integrations 1; found were tombstone 1"
    ]


@pytest.mark.parametrize(("announced", "is_balanced"), [(0, False), (2, False), (3, True)])
def test_only_repeats_that_the_worker_announced_are_accepted(announced: int, *, is_balanced: bool) -> None:
    """A repeated effect is a fault unless the worker counted it as redelivered."""
    closing = good_closing()
    repeated = replace(
        closing,
        balance=replace(closing.balance, repeated=3),
        tally=replace(closing.tally, redelivered=announced),
    )

    assert repeated.is_balanced is is_balanced


def test_after_the_loss_of_partitions_records_may_come_twice_and_none_may_be_lost() -> None:
    """A computer that slept loses its partitions; what was not committed then is read, settled and counted again."""
    closing = good_closing()
    tally = replace(closing.tally, has_lost_partitions=True, consumed=12, delivered=Counter({Kind.EVENT: 9}))
    interrupted = replace(closing, tally=tally, balance=replace(closing.balance, repeated=2))

    assert interrupted.is_balanced
    assert not replace(interrupted, balance=replace(closing.balance, lost=1)).is_balanced


def test_an_offset_that_was_not_committed_is_named() -> None:
    """A partition that is committed short of its end, or beyond it, is a fault."""
    assert list(replace(good_closing(), committed={0: 5, 1: 4}).faults()) == [
        "partition 0 ends at 6 and is committed to 5"
    ]


# The parts


def test_traffic_keeps_its_rate_and_waits_for_the_consumer() -> None:
    """Traffic keeps its rate in small portions, and never exceeds what the embedded Kafka can keep."""
    with MockCluster(TOPIC) as cluster:
        traffic = Traffic(cluster, replace(SCRIPT, rate=1_000))
        traffic.advance(0.1, 0)
        _serve(cluster, traffic)
        after_a_moment = len(traffic.account)
        for _ in range(2 * MAX_UNCONSUMED // MAX_AT_ONCE):
            traffic.advance(60.0, 0)
        _serve(cluster, traffic)
        at_the_limit, was_held_back = len(traffic.account), traffic.is_held_back
        traffic.advance(60.0, MAX_AT_ONCE)
        _serve(cluster, traffic)
        ends = cluster.ends(TOPIC)

    assert (after_a_moment, at_the_limit, was_held_back) == (100, MAX_UNCONSUMED, True)
    assert len(traffic.account) == MAX_UNCONSUMED + MAX_AT_ONCE
    assert traffic.ends == ends


def _serve(cluster: MockCluster, traffic: Traffic) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not traffic.is_acknowledged:
        assert time.monotonic() < deadline
        cluster.serve()


def test_the_embedded_kafka_gives_back_what_it_took() -> None:
    """Key, value and headers come back byte for byte, and a new group stands at the beginning."""
    headers = [("source", b"web"), ("empty", b""), ("absent", None)]
    taken: list[tuple[int, int]] = []
    with MockCluster("letters") as cluster:
        tail = cluster.tail("letters")
        cluster.produce("letters", b"k", None, headers, lambda *at: taken.append(at))
        found: list[Record] = []
        while not found:
            cluster.serve()
            found = tail.read()
        ends, committed = cluster.ends("letters"), cluster.committed("letters", "nobody's")
        is_at_the_end = tail.offsets == ends

    (partition, offset) = taken[0]
    assert [(each.key, each.value, each.headers) for each in found] == [(b"k", None, headers)]
    assert ends == dict.fromkeys(range(4), 0) | {partition: offset + 1}
    assert committed == dict.fromkeys(range(4), 0)
    assert is_at_the_end


def test_records_that_the_embedded_kafka_deleted_unread_are_no_silent_gap() -> None:
    """A reader that is too slow for the embedded Kafka is told that records were deleted."""
    acknowledged: list[int] = []
    with MockCluster("letters") as cluster:
        for _ in range(40):
            cluster.produce("letters", b"one partition", b"x" * 500_000, [], lambda _, at: acknowledged.append(at))
        while len(acknowledged) < 40:
            cluster.serve()
        with pytest.raises(SourceError, match="cannot be read"):
            _read_on(cluster.tail("letters"))


def _read_on(tail: Tail) -> NoReturn:
    while True:
        tail.read()


def test_the_tally_adds_up_what_the_worker_tells() -> None:
    """The tally counts each notice, and takes freshness from the age of records as they settle."""
    tally = WorkerTally(wall=lambda: 100.0)
    settled = Settled(
        Counter({Kind.EVENT: 3}),
        Counter({FilterReason.TOMBSTONE: 1}),
        Counter({DeadLetterReason.REJECTED: 1}),
        [99_000, 98_000, 101_000],
    )
    before = tally.freshness()

    for notice in (
        Consumed(TOPIC, 7),
        settled,
        Released("lost", 2),  # type: ignore[arg-type]
        Redelivered(3),
        Answered("users", "2xx", 0.1),
        Retried(RetryReason.THROTTLED),
        Rebalanced("revoked", ()),
    ):
        tally(notice)
    was_lost = tally.has_lost_partitions
    tally(Rebalanced("lost", (TopicPartition(TOPIC, 0),)))

    assert (tally.consumed, tally.settled, tally.released, tally.redelivered, tally.requests) == (7, 5, 2, 3, 1)
    assert tally.retries == Counter({RetryReason.THROTTLED: 1})
    assert (before, tally.freshness()) == (None, (1.0, 2.0))
    assert (was_lost, tally.has_lost_partitions) == (False, True)


def test_the_worker_is_set_up_for_the_sandbox_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's worker uses neither a registry nor a key of the user's environment."""
    monkeypatch.setenv("PROCESSOR_SCHEMA_REGISTRY__URL", "http://registry:8081")
    monkeypatch.setenv("PROCESSOR_FULLSTORY__API_KEY", "na1.theirs")

    settings = worker_settings("127.0.0.1:1", "http://127.0.0.1:2")

    assert settings.schema_registry.url is None
    assert settings.fullstory.api_key.get_secret_value() == "na1.demo"
    assert settings.http.host == "127.0.0.1"


# What is seen

SHOW_CURSOR = "\x1b[?25h"
REFUSAL = condition("item_failure_ratio", "refuses 1 % of items")

PROGRESS = Progress(
    Phase.PRODUCING,
    elapsed_s=7.2,
    produced=3_600,
    is_held_back=True,
    lag=812,
    in_flight=800,
    halts={HaltReason.UNAUTHORIZED: "the key is wrong"},
    tally=WorkerTally(
        consumed=3_500,
        delivered=Counter({Kind.USER: 500, Kind.EVENT: 2_000}),
        dead_lettered=Counter({DeadLetterReason.REJECTED: 84}),
        requests=210,
    ),
    rate=512.4,
    weather=[REFUSAL],
    now=100.0,
)


def test_outside_of_a_terminal_a_moment_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal, each moment is one line of plain text, and the weather has a line when it changes."""
    lines = Lines()
    for progress in (PROGRESS, PROGRESS, replace(PROGRESS, weather=[])):
        lines.show(progress)

    weather, line, again, calm, last, end = capsys.readouterr().out.split("\n")
    assert end == ""
    assert (weather, calm) == ("weather  FullStory refuses 1 % of items", "weather  nothing goes wrong on purpose")
    assert line == again
    assert "rejected: this" not in last
    assert line.startswith(
        "producing 7 s  produced 3,600 (the generator waits for the worker)  consumed 3,500 (lag 812,"
    )
    assert "delivered 2,500 (500 users, 2,000 events)" in line
    assert "84 rejected: this FullStory refuses 1 % of items on purpose" in line
    assert "rate 512/s" in line
    assert line.endswith("halted unauthorized: the key is wrong")


@pytest.mark.parametrize(("width", "height"), [(120, 40), (30, 5), (1, 1)])
def test_in_a_terminal_a_moment_is_a_table_whatever_its_size(width: int, height: int) -> None:
    """In a terminal of any size, the table is drawn, drawn again and removed."""
    file = io.StringIO()
    with LiveTable(Console(file=file, force_terminal=True, width=width, height=height)) as table:
        table.show(PROGRESS)
        table.show(replace(PROGRESS, phase=Phase.FINISHING))

    drawn, _, after = file.getvalue().rpartition(SHOW_CURSOR)
    assert ("producing" in drawn and "finishing" in drawn) or width < len("producing")
    assert re.sub(r"\x1b\[\d*[A-Z]|\s", "", after) == ""


@pytest.mark.parametrize(
    ("weather", "said"),
    [
        ([condition("max_body_bytes", "answers 413", 413)], "\x1b[1;32mnothing goes wrong on purpose"),
        ([REFUSAL], "\x1b[1;33mFullStory refuses 1 % of items"),
        ([condition("keys", "answers 401", 401, is_total=True), REFUSAL], "\x1b[1;31mFullStory answers 401"),
    ],
)
def test_the_weather_has_the_colour_of_its_severity(weather: list[Condition], said: str) -> None:
    """The weather is green if all is well, yellow if some goes wrong, and red if nothing can be delivered."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system="standard", width=100, height=40, no_color=False)
    with LiveTable(console) as table:
        table.show(replace(PROGRESS, weather=weather))

    assert said in file.getvalue()


def test_a_file_is_no_terminal_even_if_colours_are_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forced colours do not make a moving table of a log file."""
    monkeypatch.setenv("FORCE_COLOR", "1")

    assert isinstance(display_for(Console(file=io.StringIO())), Lines)
