"""The worker's page: every state in words, the interesting first, and nothing that was not escaped."""

import re
from collections import Counter
from dataclasses import replace
from html import unescape

import click
import pytest

from processor.adapters.telemetry.headline import LEAST_ERRORS, duration
from processor.adapters.telemetry.history import LAST_LETTERS, OVER_AFTER_S, STEP_S, STEPS, History
from processor.adapters.telemetry.memory import MemoryLook
from processor.adapters.telemetry.page import RUNBOOK_PAGE, SHOWN_PARTITIONS, render
from processor.commands.main import main
from processor.engine.halts import SHOWN_FAULTS
from processor.engine.notices import (
    Answered,
    Committed,
    Consumed,
    DeadLetterWrite,
    KeyKnown,
    Notice,
    RegistryAsked,
    Released,
    Retried,
    SchemaCacheTrouble,
    Settled,
    SourceTrouble,
    WaitsFor,
    WrittenLetter,
)
from processor.engine.partition.state import Blocked, PartitionState
from processor.engine.service_health import Diagnosis, Symptom
from processor.engine.verdict import RetryReason
from processor.engine.worker_state import WorkerState
from processor.model.reasons import (
    ACTIONS,
    Bottleneck,
    DeadLetterReason,
    FilterReason,
    HaltReason,
    Kind,
    ReleaseReason,
)
from processor.model.records import ClientFigures, LetterPlace, TopicPartition
from tests.fakes.state import FACTS, IDLE, halts


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
    return (
        render(state, history or History(Time()), FACTS, Time.now, Time.now).split("</style>")[1].split("<script>")[0]
    )


def first_line(text: str) -> str:
    """Return the first line below the state."""
    return unescape(text.partition('<p class="line">')[2].partition("</p>")[0])


@pytest.mark.parametrize(
    ("state", "title", "line"),
    [
        (replace(IDLE, is_draining=True), "Stopping", "The worker is shutting down"),
        (replace(IDLE, has_joined=False), "Joining", "not assigned this worker its partitions yet"),
        (
            replace(IDLE, halts=halts(HaltReason.UNAUTHORIZED, "FullStory answers 401", since=Time.now - 754)),
            "Halted",
            "FullStory answers 401, since 13:34:06 UTC (12 min 34 s). Give the worker a valid key",
        ),
        (
            replace(
                IDLE,
                has_joined=False,
                halts=halts(HaltReason.KAFKA_UNAVAILABLE, "Kafka does not answer at k:1", since=Time.now),
            ),
            "Not delivering",
            "Kafka does not answer at k:1, since 13:46:40 UTC (0 s). Nothing is lost. Check PROCESSOR_KAFKA__BOOTSTRAP",
        ),
        (
            replace(
                IDLE,
                halts=halts(
                    HaltReason.FULLSTORY_UNAVAILABLE, "FullStory answers 503 to every request", since=Time.now - 36
                ),
                next_try_s=3.6,
            ),
            "Not delivering",
            "FullStory answers 503 to every request, since 13:46:04 UTC (36 s). Nothing is lost. Next try in 4 s.",
        ),
        (
            replace(IDLE, diagnosis=Diagnosis(Symptom.REFUSING, "FullStory refuses", Time.now - 5), next_try_s=0.2),
            "Throttled",
            "FullStory refuses, since 13:46:35 UTC (5 s). Next try in 1 s. Nothing is lost. More workers do not help",
        ),
        (
            replace(IDLE, diagnosis=Diagnosis(Symptom.SLOW, "FullStory is slow", Time.now - 5)),
            "Held back",
            "FullStory is slow, since 13:46:35 UTC (5 s). Nothing is lost.",
        ),
        (replace(IDLE, bottleneck=Bottleneck.DESTINATION), "Held back", "More workers do not help"),
        (
            replace(
                IDLE,
                partitions=[partition(0), *(replace(partition(each), unreached=WaitsFor.BROKER) for each in (1, 2))],
                client=ClientFigures(heard_from={1: Time.now - 2, 2: Time.now - 94}),
            ),
            "Held back",
            "The broker does not answer that leads t[1], t[2]. Nothing has come from broker 2 for 94 s. Check it",
        ),
        (
            replace(IDLE, partitions=[replace(partition(3), unreached=WaitsFor.LEADER)]),
            "Held back",
            "No broker leads t[3]. The brokers with their replicas are down",
        ),
        (IDLE, "Spare", "All is well"),
        (replace(IDLE, partitions=[partition(0)]), "Delivering", "Nothing limits throughput"),
        (
            replace(IDLE, partitions=[replace(partition(0), buffered_records=0, in_flight_records=0)]),
            "Idle",
            "Everything is delivered",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
)
def test_the_first_line_says_what_is_wrong_since_when_and_what_to_do(state: WorkerState, title: str, line: str) -> None:
    """The first line names cause, time and action, or says that all is well."""
    text = unescape(shown(state))
    assert f"<h2>{title}</h2>" in text
    assert line in first_line(text)


def test_what_is_away_goes_before_what_waits_for_an_operator() -> None:
    """Halts are listed with what is away first, each with its section of the runbook."""
    both = {
        **halts(HaltReason.GAP, "t[3] lacks records", since=Time.now),
        **halts(HaltReason.KAFKA_UNAVAILABLE, "Kafka does not answer", since=Time.now),
    }
    text = shown(replace(IDLE, halts=both))

    assert "<h2>Not delivering</h2>" in text
    assert first_line(text).startswith("Kafka does not answer")
    assert "t[3] lacks records, since" in text
    assert '<a href="/runbook#halt-gap">' in text


def test_a_halt_in_several_places_names_each_and_says_once_what_to_do() -> None:
    """What asks for something else has its own action; more than can be shown are counted."""
    causes = [f"t[{each}] lacks records" for each in range(SHOWN_FAULTS + 2)]
    halt = halts(HaltReason.GAP, *causes, since=Time.now)[HaltReason.GAP]
    other = replace(halt.faults[causes[1]], action="Reset the offset.")
    faults = {**halt.faults, causes[1]: other}
    text = unescape(shown(replace(IDLE, halts={HaltReason.GAP: replace(halt, faults=faults)})))

    assert [each in text for each in causes] == [True] * SHOWN_FAULTS + [False] * 2
    assert text.index("t[1] lacks records") < text.index("Reset the offset.") < text.index("t[2] lacks records")
    assert text.count(ACTIONS[HaltReason.GAP]) == 2, "before and after the one that asks for something else"
    assert "And 2 more of this kind." in text
    assert text.count('<a href="/runbook#halt-gap">') == 1


@pytest.mark.parametrize("reason", list(HaltReason))
def test_each_halt_has_its_action_and_its_place_in_the_runbook(reason: HaltReason) -> None:
    """Each halt's action on the page is that of the runbook section it links to."""
    action = ACTIONS[reason]
    row = re.search(rf'<td><a id="halt-{reason.value}">.*', RUNBOOK_PAGE)

    assert action.endswith(".")
    assert row is not None
    cells = RUNBOOK_PAGE[row.start() :].partition("</tr>")[0]
    assert action.replace("`", "") in unescape(re.sub(r"<[^>]+>", "", cells))


def test_what_is_wrong_and_stops_nothing_is_named_while_all_else_is_well() -> None:
    """A full disk is named in the first line until the cache can be written again."""
    history = History(Time())
    history(SchemaCacheTrouble("/c/id-7.json cannot be written: No space left on device"))
    text = shown(IDLE, history)
    assert first_line(text).startswith("The cache of schemas does not work: /c/id-7.json cannot be written")
    assert "PROCESSOR_SCHEMA_REGISTRY__CACHE_DIR" in first_line(text)

    history(SchemaCacheTrouble(""))
    assert first_line(shown(IDLE, history)).startswith("All is well")

    history.note_log(7, "No space left on device")
    assert first_line(shown(IDLE, history)).startswith("The log cannot be written (No space left on device; 7 lines")
    history.note_log(0, "")
    assert first_line(shown(IDLE, history)).startswith("All is well")

    resident = iter((220 * 2**20, 100 * 2**20))
    memory = MemoryLook(lambda: 256 * 2**20, lambda: next(resident))
    memory.look()
    history.note_memory(memory)
    assert first_line(shown(IDLE, history)).startswith("Memory is short (220 of 256 MiB in use)")
    assert "PROCESSOR_MEMORY__BUDGET_BYTES" in first_line(shown(IDLE, history))
    memory.look()
    history.note_memory(memory)
    assert first_line(shown(IDLE, history)).startswith("All is well")


def test_a_figure_that_is_not_known_is_a_dash() -> None:
    """An unknown figure is a dash, also one that was known before Kafka went away."""
    assert "Round trip to Kafka</dt><dd>&ndash;" in shown(IDLE)
    connected = replace(IDLE, client=ClientFigures(0, 0.004), partitions=[partition(0, lag=5)])
    assert "Round trip to Kafka</dt><dd>4<small> ms" in shown(connected)
    assert "Lag</dt><dd>5<small> records" in shown(connected)
    away = shown(replace(connected, halts=halts(HaltReason.KAFKA_UNAVAILABLE, "Kafka does not answer")))
    assert "Round trip to Kafka</dt><dd>&ndash;" in away
    assert "Lag</dt><dd>&ndash;" in away


def test_the_account_of_all_records_is_shown() -> None:
    """The page shows consumed, and what became of it, as one equation."""
    history = History(Time())
    history(Consumed("t", 1_020))
    history(
        Settled(
            Counter({Kind.EVENT: 1_000}),
            Counter({FilterReason.TOMBSTONE: 5}),
            Counter({DeadLetterReason.REJECTED: 2}),
            [],
        )
    )
    history(Released(ReleaseReason.REVOKED, 10))
    text = re.sub(r"<[^>]+>", "", shown(replace(IDLE, partitions=[partition(0)]), history))

    assert "1,020 consumed = 1,000 delivered + 5 filtered + 2 dead-lettered + 10 released + 3 in flight" in text


def test_the_page_says_whose_worker_this_is() -> None:
    """The page shows group, instance, start, FullStory's host and the organisation of the key."""
    history = History(Time())
    for known in (
        "segment-fullstory",
        "worker-7f9c, process 1",
        "1970-01-12 11:00:00 UTC",
        "https://api.fullstory.com",
    ):
        assert known in shown(IDLE, history)
    assert "o-1A2B3C" not in shown(IDLE, history)
    history(KeyKnown("o-1A2B3C", "ARCHITECT", is_batch=True))
    assert "o-1A2B3C" in shown(IDLE, history)
    assert "Architect<small> (batches)" in shown(IDLE, history)


def test_errors_are_told_by_what_was_called_each_with_its_causes() -> None:
    """Whatever the worker talks to has a row of its own, with the causes of its errors in a row and their number."""
    history = History(Time())
    history(Retried(RetryReason.SERVER_ERROR, status=502))
    history(Retried(RetryReason.SERVER_ERROR, status=502))
    history(Retried(RetryReason.CONNECTION, "api:443 refuses connections"))
    history(Retried(RetryReason.TIMEOUT, call="question"))
    history(Retried(RetryReason.SERVER_ERROR, "a gateway answers 503 (nginx, text/html)", 503, "key"))
    history(SourceTrouble("1/1 brokers are down"))
    history(Committed("failed", 1, "Broker: Coordinator not available"))
    history(DeadLetterWrite("refused", "the topic dead does not exist"))
    history(RegistryAsked("unavailable", "the schema registry at http://r:8081 answers 401"))
    history(SchemaCacheTrouble("disk full"))
    told = {each.what: (each.causes.times, str(each.causes)) for each in history.troubles()}

    assert told == {
        "FullStory, requests": (3, "once api:443 refuses connections; 2 times FullStory answers 502"),
        "FullStory, questions about jobs": (1, "timeout"),
        "FullStory, whose key this is": (1, "a gateway answers 503 (nginx, text/html)"),
        "Kafka's client": (1, "1/1 brokers are down"),
        "Commits to Kafka": (1, "Broker: Coordinator not available"),
        "Dead-letter topic": (1, "the topic dead does not exist"),
        "Schema registry": (1, "the schema registry at http://r:8081 answers 401"),
        "Cache of schemas": (1, "disk full"),
    }
    page = unescape(shown(IDLE, history))
    assert all(what in page and causes in page for what, (_, causes) in told.items())


@pytest.mark.parametrize(
    ("fails", "works"),
    [
        (Retried(RetryReason.TIMEOUT), Answered("users/batch", "2xx", 0.1)),
        (Retried(RetryReason.TIMEOUT, call="question"), Answered("users/batch/job", "2xx", 0.1)),
        (Retried(RetryReason.TIMEOUT, call="key"), KeyKnown("o-1", "ADMIN", is_batch=True)),
        (Committed("failed", 1, "away"), Committed("ok", 1)),
        (DeadLetterWrite("retry", "away"), DeadLetterWrite("ok")),
        (RegistryAsked("unavailable", "away"), RegistryAsked("absent")),
        (SchemaCacheTrouble("disk full"), SchemaCacheTrouble("")),
        (SourceTrouble("away"), Committed("ok", 1)),
    ],
    ids=lambda notice: type(notice).__name__,
)
def test_errors_are_over_once_it_has_gone_well_for_a_while(fails: Notice, works: Notice) -> None:
    """A success among errors ends none of them; after a while without another error they are shown as past."""
    time = Time()
    history = History(time)
    for _ in range(4):
        history(fails)
        history(works)
        time.now += OVER_AFTER_S / 2
    (trouble,) = history.troubles()
    assert (trouble.causes.times, trouble.is_over(time.now)) == (4, False)

    time.now += OVER_AFTER_S / 2
    page = render(IDLE, history, FACTS, time.now, time.now)
    assert trouble.is_over(time.now)
    assert '<td class="n">over</td><td class="n">10 s ago</td>' in page

    history(fails)
    assert [each.causes.times for each in history.troubles()] == [1]


def test_errors_among_successes_have_a_line_at_the_top() -> None:
    """What goes wrong again and again and stops nothing is named below the state; a halt says it itself."""
    history = History(Time())
    for _ in range(LEAST_ERRORS):
        history(Retried(RetryReason.CONNECTION, "api:443 refuses connections"))
    line = "FullStory, requests: api:443 refuses connections, since 13:46:40 UTC (0 s), 3 times."

    assert line in shown(IDLE, history)
    assert "<h2>Spare</h2>" in shown(IDLE, history)
    assert line not in shown(replace(IDLE, halts=halts(HaltReason.FULLSTORY_UNAVAILABLE, "away")), history)


@pytest.mark.parametrize("bottleneck", [each for each in Bottleneck if each is not Bottleneck.NONE])
def test_every_bottleneck_is_said_in_words(bottleneck: Bottleneck) -> None:
    """The page has words for every bottleneck."""
    assert "limits throughput" in shown(replace(IDLE, bottleneck=bottleneck))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (119.0, "119 s"),
        (120.0, "2 min 0 s"),
        (7_260.0, "2 h 1 min"),
        (190_000.0, "2 d 4 h"),
        (-5.0, "0 s"),
    ],
)
def test_a_duration_has_the_two_units_that_matter(seconds: float, words: str) -> None:
    """A duration shows its two largest units and is never negative."""
    assert duration(seconds) == words


def test_what_is_shown_is_escaped() -> None:
    """Details and names of topics are escaped in the page."""
    text = shown(replace(IDLE, halts=halts(HaltReason.FORBIDDEN, '<img src=x onerror="alert(1)">')))
    assert "<img" not in text
    assert "&lt;img" in text


def test_the_most_interesting_partitions_are_first_and_the_others_folded() -> None:
    """Held-up partitions come first, then paused ones, then those that lag most; the rest is folded."""
    blocked = Blocked(7, 90.0, WaitsFor.JOB, "j-1")
    partitions = [*(partition(number, lag=number) for number in range(30)), partition(40, blocked=blocked)]
    partitions.append(partition(41, paused=True))
    text = shown(replace(IDLE, partitions=partitions))
    order = [text.index(f"<td>{TopicPartition('t', number)}</td>") for number in (40, 41, 29, 28, 0)]

    assert order == sorted(order)
    assert f"{len(partitions) - SHOWN_PARTITIONS} more" in text
    assert "offset 7 waits for FullStory&#x27;s job j-1" in text


def test_the_last_quarter_of_an_hour_is_remembered_and_no_more() -> None:
    """The history has every step of the last quarter of an hour, empty ones included, and no older one."""
    time = Time()
    history = History(time)
    for _ in range(STEPS + 20):
        time.now += STEP_S
        history(Settled(Counter({Kind.EVENT: 10}), Counter(), Counter(), []))
        history.look(replace(IDLE, partitions=[replace(partition(0), oldest_unsettled_ms=int((time.now - 3) * 1_000))]))
    time.now += 10 * STEP_S
    steps = list(history.steps())

    assert len(steps) == STEPS
    assert [step.delivered for step in steps] == [10] * (STEPS - 10) + [0] * 10
    assert steps[0].oldest_s == pytest.approx(3.0, abs=0.01)
    assert "at most 2.0" in shown(IDLE, history)


def test_dead_letters_are_counted_by_reason_the_latest_first() -> None:
    """Dead letters are listed by reason, the latest first, without their users."""
    time = Time()
    history = History(time)
    for reason in (DeadLetterReason.MALFORMED, DeadLetterReason.REJECTED, DeadLetterReason.MALFORMED):
        time.now += 1
        history(Settled(Counter(), Counter(), Counter({reason: 2}), []))

    assert [(each.reason.value, each.records) for each in history.refused()] == [("malformed", 4), ("rejected", 2)]
    assert "malformed" in shown(IDLE, history)


def test_dead_letters_of_each_reason_are_drawn_over_the_last_quarter_of_an_hour() -> None:
    """A reason has a bar for each half minute in which it occurred, and no more bars than fit the time."""
    time = Time()
    history = History(time)
    for number in range(STEPS):
        time.now += STEP_S
        counts = {DeadLetterReason.MALFORMED: 1, DeadLetterReason.REJECTED: 500 if number == 0 else 0}
        history(Settled(Counter(), Counter(), +Counter(counts), []))
    text = shown(IDLE, history)
    bars = text.partition("<h2>Dead letters since the start</h2>")[2].partition("</section>")[0]

    assert bars.count("<rect") == STEPS // 6 + 1
    assert f'aria-label="malformed: {STEPS} in the last 15 minutes"' in bars
    assert 'aria-label="rejected: 500 in the last 15 minutes"' in bars
    time.now += 2 * STEPS * STEP_S
    assert "<rect" not in shown(IDLE, history)


def test_the_last_dead_letters_are_shown_with_their_commands() -> None:
    """The last few letters have their record's place and the commands for them, the latest first."""
    time = Time()
    history = History(time)
    for number in range(LAST_LETTERS + 5):
        time.now += 1
        place = LetterPlace(3, number) if number % 2 == 0 else None
        letter = WrittenLetter(TopicPartition("t", 1), 100 + number, DeadLetterReason.MALFORMED, place)
        history(DeadLetterWrite("ok", letter=letter))
    history(DeadLetterWrite("retry", "timed out"))
    text = shown(IDLE, history)
    of_record = "--source-topic t --source-partition 1 --source-offset"

    assert [each.letter.offset for each in history.letters()] == [*range(104 + LAST_LETTERS, 104, -1)]
    assert "t[1] at 112" in text
    assert "<code>segment-fullstory dead-letters show 3:12</code>" in text
    assert f"<code>segment-fullstory dead-letters list {of_record} 111</code>" in text
    assert f"<code>segment-fullstory redrive --to topic {of_record} 112</code>" in text
    assert "at 104" not in text


def test_each_command_of_a_letter_is_one_that_there_is() -> None:
    """What the page proposes can be pasted into a terminal."""
    history = History(Time())
    for place in (LetterPlace(3, 12), None):
        letter = WrittenLetter(TopicPartition("t", 1), 100, DeadLetterReason.MALFORMED, place)
        history(DeadLetterWrite("ok", letter=letter))
    commands = re.findall("<code>segment-fullstory (.+?)</code>", shown(IDLE, history))

    assert len(commands) == 4
    for each in commands:
        arguments = each.split()
        command: click.Command | None = main
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), arguments.pop(0))
        assert command is not None, each
        command.make_parser(click.Context(command)).parse_args(arguments)
