"""`segment-fullstory explain` as a user runs it, with files and standard input: docs/explain.md."""

import io
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import fastavro
import pytest

from processor import shipped_folder
from processor.commands.common.next_steps import NEXT_STEPS
from processor.model.reasons import DeadLetterReason, FilterReason
from processor.workload.encoding import AvroEncoder
from tests.commands.program import ROOT, Done, interrupt, run, started

IDENTIFY: dict[str, Any] = {
    "type": "identify",
    "userId": "u-1",
    "traits": {"email": "john@example.com", "Plan Name": "pro", "age": None},
}
TRACK: dict[str, Any] = {
    "type": "track",
    "userId": "u-1",
    "event": "Bought",
    "timestamp": "2015-02-23T22:28:55.111Z",
    "properties": {"price": 5},
}
PAGE: dict[str, Any] = {"type": "page", "userId": "u-1", "name": "Home"}


def lines(*values: object) -> bytes:
    """Return JSON-lines."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def explain(stdin: bytes, *options: str, **environment: str) -> Done:
    """Explain standard input for machines."""
    return run("explain", "-", "--format", "json", *options, environment=environment, stdin=stdin)


def test_each_record_is_an_object_of_its_own() -> None:
    """Each line gives one object with outcome and exact request, without Kafka, FullStory or a key."""
    done = explain(lines(IDENTIFY, PAGE, {"type": "track", "event": "Bought"}, TRACK))

    assert done.code == 0, done.err
    assert [(each["outcome"], each["reason"]) for each in done.objects()] == [
        ("delivered", None),
        ("filtered", "message_type"),
        ("dead-lettered", "missing_user"),
        ("delivered", None),
    ]
    (request,) = done.objects()[0]["requests"]
    assert (request["method"], request["path"]) == ("POST", "/v2/users")
    assert request["body"] == {"uid": "u-1", "email": "john@example.com", "properties": {"PlanName": "pro"}}
    assert request["headers"]["Content-Type"] == "application/json"
    assert request["headers"]["Authorization"] == "Basic ***"
    (request,) = done.objects()[3]["requests"]
    assert (request["path"], request["body"]["name"]) == ("/v2/events", "Bought")
    assert all(each["requests"] == [] for each in done.objects()[1:3])


@pytest.mark.parametrize(
    ("message", "environment", "reason", "remedy"),
    [
        (PAGE, {}, "message_type", {"PROCESSOR_MAPPING__MESSAGE_TYPES": "track,page"}),
        (
            TRACK | {"integrations": {"All": False}},
            {},
            "integrations",
            {"PROCESSOR_MAPPING__INTEGRATIONS": "ignore"},
        ),
        (
            TRACK | {"userId": None, "anonymousId": "a"},
            {"PROCESSOR_MAPPING__ANONYMOUS": "filter"},
            "anonymous",
            {"PROCESSOR_MAPPING__ANONYMOUS": "uid"},
        ),
        (
            TRACK,
            {"PROCESSOR_MAPPING__EVENTS_DENY": "B*"},
            "event_name",
            {"PROCESSOR_MAPPING__EVENTS_DENY": "C*"},
        ),
        (
            TRACK,
            {"PROCESSOR_MAPPING__LIBRARIES_ALLOW": "web"},
            "library",
            {"PROCESSOR_MAPPING__LIBRARIES_ALLOW": "*"},
        ),
    ],
)
def test_a_filtered_record_names_the_setting_that_forwards_it(
    message: dict[str, Any], environment: dict[str, str], reason: str, remedy: dict[str, str]
) -> None:
    """A filtered record names the setting with which it would be delivered."""
    (told,) = explain(lines(message), **environment).objects()
    (after,) = explain(lines(message), **environment | remedy).objects()

    assert (told["outcome"], told["reason"]) == ("filtered", reason)
    assert all(name in told["next_step"] for name in remedy)
    assert (after["outcome"], after["next_step"]) == ("delivered", None)


def test_a_dead_lettered_record_names_its_next_step() -> None:
    """A dead-lettered record shows its next step right below the outcome."""
    done = run("explain", "-", stdin=lines({"type": "track", "event": "Bought"}))
    outcome, next_step = done.out.splitlines()[-4:-2]

    assert outcome == "outcome   dead-lettered: missing_user"
    assert next_step.startswith("next step correct the producer: every message needs a userId")
    assert "docs/mapping.md#who" in next_step


def test_every_reason_has_a_next_step() -> None:
    """Every dead-letter reason has a next step, those that only FullStory gives included."""
    assert NEXT_STEPS.keys() == {*FilterReason, *DeadLetterReason}
    assert all(re.search(r"docs/[\w-]+\.md#", step) for step in NEXT_STEPS.values())


def test_each_rule_that_touched_the_record_is_noted() -> None:
    """Each rule that applied is noted with its property."""
    (told,) = explain(lines(IDENTIFY)).objects()

    notes = [(note["rule"], note["path"]) for note in told["notes"]]
    assert ("renamed", "PlanName") in notes
    assert ("null_omitted", "age") in notes


def test_a_message_may_take_several_lines() -> None:
    """A JSON message over several lines is one record."""
    (told,) = explain(json.dumps(TRACK, indent=2).encode()).objects()

    assert told["outcome"] == "delivered"
    assert told["requests"][0]["body"]["properties"] == {"price": 5}


def test_a_file_begins_with_a_mark_or_blank_lines(tmp_path: Path) -> None:
    """A byte order mark and blank lines are skipped, and line numbers count them."""
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\xef\xbb\xbf\n\n" + lines(TRACK) + b"\r\n" + lines(PAGE))
    done = run("explain", str(file), "--format", "json")

    assert done.code == 0, done.err
    assert [each["record"] for each in done.objects()] == [f"{file}, line 3", f"{file}, line 5"]


def test_a_broken_line_is_named_and_the_others_are_explained() -> None:
    """A broken line is named by its number, and the other lines are explained."""
    done = explain(lines(TRACK) + b'{"type": "track", \n' + lines(PAGE))

    assert done.code == 2
    assert "stdin, line 2: no JSON at column " in done.err
    assert [each["reason"] for each in done.objects()] == [None, "malformed", "message_type"]


@pytest.mark.parametrize(
    ("stdin", "complaint"),
    [
        (b"", "stdin: it is empty"),
        (b" \n\n", "stdin: it is empty"),
        (b'{\n "type": "track",\n "event" "x"\n}\n', "stdin, line 3: no JSON at column 10"),
        (b"\n\nhello\n", "stdin, line 3: no JSON at column 1"),
        (b'{"a":\n\xff"}', "stdin, line 2: no text in UTF-8 at column 1"),
        (b"[" * 100_000, "stdin, line 1: nested too deeply"),
        (b"Obj\x01", "stdin: it is no Avro container file"),
        (b"Oh no", "stdin: it is no Avro container file"),
    ],
)
def test_input_that_is_none_is_named_with_its_line(stdin: bytes, complaint: str) -> None:
    """For input without any message, the error says where and what is wrong."""
    done = explain(stdin)

    assert (done.code, done.out) == (2, "")
    assert complaint in done.err


def test_a_line_of_any_kind_is_explained_as_the_worker_reads_it() -> None:
    """Numbers of thousands of digits, deep nesting, marks and JSON in JSON are told as they are, and end nothing."""
    track = b'{"type": "track", "userId": "u", "event": "E", "properties": {"n": %s}}'
    given = [
        track % (b"9" * 5_000),
        b"\xef\xbb\xbf" + track % b"1",
        b'{"a":' * 100_000,
        json.dumps('{"type": "track"}').encode(),
        b"[]",
        track % b'"\xff\\u0000"',
        track % b"2",
    ]
    done = explain(b"\n".join(given))
    told = done.objects()
    noted = [[(note["rule"], note["path"] or note["text"]) for note in each["notes"]] for each in told]

    assert [each["outcome"] for each in told] == [
        *("delivered", "delivered", "dead-lettered", "dead-lettered", "dead-lettered", "delivered", "delivered")
    ]
    assert ("not_a_number", "n") in noted[0]
    assert ("malformed", "the value is no JSON: line 1: nested too deeply") in noted[2]
    assert "holds a JSON object" in noted[3][0][1]
    assert noted[4][0][1].startswith("the value is a JSON array of length 0, not a JSON object")
    assert {("text_replaced", "n"), ("nul_removed", "n")} <= set(noted[5])
    assert "stdin, line 3: nested too deeply" in done.err


def test_people_are_shown_events_that_no_request_could_hold() -> None:
    """Numbers beyond a double and hundreds of levels are shown, or said not to be, without a traceback."""
    head = b'{"type": "track", "userId": "u", "event": "E", "n": NaN, "properties": {"n": '
    given = [head + each + b"}}" for each in (b"9" * 400, b"[" * 300 + b"]" * 300, b"[" * 900 + b"]" * 900, b"1")]
    done = run("explain", "-", stdin=b"\n".join(given))

    assert done.out.count("outcome") == 4
    assert "not_a_number: n" in done.out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-", "--topic", "t", "--partition", "0", "--offset", "0"],
        ["--topic", "t"],
        ["--partition", "0", "--offset", "1"],
        ["-", "--offset", "1"],
    ],
)
def test_what_to_explain_is_named_once(arguments: list[str]) -> None:
    """Anything but one file or one place in Kafka is wrong usage."""
    assert run("explain", *arguments).code == 2


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file, or a folder, is named without a traceback."""
    assert run("explain", "/nowhere.json").err == "/nowhere.json: No such file or directory\n"
    assert run("explain", str(tmp_path)).err == f"{tmp_path}: Is a directory\n"


def avro_file(messages: list[Any], schema: Any, codec: str = "null") -> bytes:
    """Return an Avro container file."""
    buffer = io.BytesIO()
    fastavro.writer(buffer, fastavro.parse_schema(schema), messages, codec=codec)
    return buffer.getvalue()


def shipped(name: str) -> Any:
    """Return a shipped schema."""
    return json.loads((shipped_folder() / f"{name}.avsc").read_text(encoding="utf-8"))


def avro_track(number: int) -> dict[str, Any]:
    """Return a track as the shipped schema has it."""
    plain = dict.fromkeys(field["name"] for field in shipped("track")["fields"])
    return plain | {
        "type": "track",
        "messageId": f"m-{number}",
        "userId": f"u-{number}",
        "timestamp": 1424730535111,
        "event": "Bought",
        "properties": '{"price": 5}',
    }


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_an_avro_file_is_read_with_its_own_schema(codec: str) -> None:
    """Each record of an Avro file gives the same request as its JSON, and the schema is named."""
    done = explain(avro_file([avro_track(number) for number in range(300)], shipped("track"), codec))
    expected = explain(lines(*(TRACK | {"userId": f"u-{number}"} for number in range(300))))

    assert done.code == 0, done.err
    assert [each["requests"] for each in done.objects()] == [each["requests"] for each in expected.objects()]
    assert "com.segment.Track" in run("explain", "-", stdin=avro_file([avro_track(1)], shipped("track"))).out


def test_a_value_as_kafka_has_it_is_one_record() -> None:
    """A framed value is decoded with a shipped schema, and an unknown id is a rejection."""
    value = AvroEncoder()(avro_track(1))
    (told,) = explain(value).objects()
    (unknown,) = explain(b"\0\0\0\0\x63" + value[5:]).objects()

    assert told["requests"][0]["body"]["user"] == {"uid": "u-1"}
    assert "com.segment.Track" in run("explain", "-", stdin=value).out
    assert unknown["reason"] == "unknown_schema"


def test_a_damaged_avro_file_is_named_after_what_could_be_read() -> None:
    """Of a damaged Avro file, the records before the damage are explained."""
    content = avro_file([avro_track(number) for number in range(2_000)], shipped("track"))
    done = explain(content[: len(content) // 2])

    assert done.code == 2
    assert "the file is damaged" in done.err


def test_an_avro_file_of_something_else_says_what_its_schema_lacks() -> None:
    """An Avro file of no Segment messages rejects its records and says what the schema lacks."""
    schema = {"type": "record", "name": "Price", "fields": [{"name": "amount", "type": "int"}]}
    (told,) = explain(avro_file([{"amount": 5}], schema)).objects()

    assert (told["outcome"], told["reason"]) == ("dead-lettered", "unsuitable_schema")
    assert any("`type`" in note["text"] for note in told["notes"])
    (told,) = explain(avro_file([5], "int")).objects()
    assert (told["outcome"], told["reason"]) == ("dead-lettered", "unsuitable_schema")


def test_the_schema_of_an_avro_file_is_read_as_leniently_as_one_of_a_registry() -> None:
    """A default that does not fit is no fault of a file's records."""
    fields = [{"name": name, "type": "string"} for name in ("type", "userId", "event")]
    price = {"name": "price", "type": "double", "default": 0.0}
    content = avro_file(
        [{"type": "track", "userId": "u", "event": "E", "price": 5.0}],
        {"type": "record", "name": "Track", "fields": [*fields, price]},
    )
    assert b'"default": 0.0' in content
    (told,) = explain(content.replace(b'"default": 0.0', b'"default": "0"')).objects()

    assert told["requests"][0]["body"]["name"] == "E"
    done = explain(content.replace(b'"name": "price"', b'"Name": "price"'))
    assert done.code == 2
    assert "the schema of the file cannot be used: field 4 has no name (at Track)" in done.err


def test_an_avro_file_may_hold_several_types() -> None:
    """An Avro file whose schema is a union is read by its branches."""
    identify = dict.fromkeys(field["name"] for field in shipped("identify")["fields"])
    identify |= {"type": "identify", "messageId": "m", "userId": "u-1"}
    content = avro_file(
        [("com.segment.Track", avro_track(1)), ("com.segment.Identify", identify)],
        [shipped("track"), shipped("identify")],
    )
    told = explain(content).objects()

    assert [each["requests"][0]["path"] for each in told] == ["/v2/events", "/v2/users"]


def test_people_are_told_all_of_it() -> None:
    """The text shows framing, event, outcome, rules and request, with the exact body on one line."""
    done = run("explain", "-", stdin=lines(IDENTIFY))

    for expected in ("JSON", "delivered", "renamed: PlanName", "POST /v2/users", "Authorization: Basic ***", "john@"):
        assert expected in done.out
    assert '{"uid":"u-1","email":"john@example.com","properties":{"PlanName":"pro"}}' in done.out


def test_the_key_is_never_shown() -> None:
    """The output never shows the key, even where one is set."""
    done = explain(lines(TRACK), PROCESSOR_FULLSTORY__API_KEY="na1.SECRET")

    assert done.code == 0, done.err
    assert "SECRET" not in done.out + done.err


def test_a_wrong_setting_is_named() -> None:
    """A wrong mapping setting is an error; those of Kafka and FullStory are not looked at."""
    done = explain(lines(TRACK), PROCESSOR_MAPPING__INTEGRATION_NAMES=",", PROCESSOR_KAFKA__START="never")

    assert done.code == 2
    assert "PROCESSOR_MAPPING__INTEGRATION_NAMES" in done.err
    assert "PROCESSOR_KAFKA__START" not in done.err


def test_a_terminal_is_left_as_it_was() -> None:
    """No control character of a message reaches the terminal, whatever its encoding."""
    message = TRACK | {"event": "größer\x1b[31m", "properties": {"p\x1b]0;x\x07": 1, "größe": "→"}}
    done = run("explain", "-", stdin=lines(message), environment={"PYTHONIOENCODING": "iso8859-5"})

    assert done.code == 0, done.err
    assert "\x1b" not in done.out
    assert "\x07" not in done.out
    assert "gr\\xf6\\xdfe" in done.out


def test_a_file_of_any_name_can_be_explained(tmp_path: Path) -> None:
    """A file whose name is no valid text can be explained."""
    file = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.json")
    Path(file).write_bytes(lines(TRACK))

    assert run("explain", file, "--format", "json").code == 0


def test_ctrl_c_ends_the_program_at_once() -> None:
    """Ctrl-C ends the program without a traceback, even while it waits for a line."""
    with started("explain", "-") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(lines(TRACK))
        process.stdin.flush()
        process.stdout.readline()
        said = interrupt(process)

    assert said == ""
    assert process.returncode == -signal.SIGINT


@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_reader_that_goes_away_is_no_defect(tmp_path: Path, format_: str) -> None:
    """A closed pipe, as after `explain … | head -1`, ends the program without a word."""
    file = tmp_path / "events.jsonl"
    file.write_bytes(lines(TRACK) * 2_000)
    with started("explain", str(file), "--format", format_) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().decode()

    assert said == ""


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Give a configuration under which FullStory is called something else."""
    file = tmp_path / "other.toml"
    file.write_text('[mapping]\nintegration_names = ["Elsewhere"]\n')
    return file


def test_two_configurations_are_compared(other: Path) -> None:
    """Each kind of difference is counted with its records, and the exit code tells that there is one."""
    excluded = [TRACK | {"integrations": {"FullStory": False}} for _ in range(5)]
    done = explain(lines(TRACK, *excluded), "--against", str(other))
    (told,) = done.objects()

    assert done.code == 1, done.err
    assert (told["records"], told["different"]) == (6, 5)
    (difference,) = told["differences"]
    assert difference["kind"] == "outcome: filtered (integrations) → delivered"
    assert difference["records"] == 5
    assert [each["record"] for each in difference["examples"]] == [f"stdin, line {number}" for number in (2, 3, 4)]


def test_names_that_change_are_counted_by_field(tmp_path: Path) -> None:
    """A mapping that writes names in another way counts as properties removed and added."""
    file = tmp_path / "underscore.toml"
    file.write_text('[mapping]\nnames = "underscore"\n')
    done = explain(lines(IDENTIFY, IDENTIFY, TRACK), "--against", str(file))
    (told,) = done.objects()

    assert done.code == 1, done.err
    assert {each["kind"]: each["records"] for each in told["differences"]} == {
        "properties removed": 2,
        "properties added": 2,
    }
    added = next(each for each in told["differences"] if each["kind"] == "properties added")
    assert added["examples"][0] == {"record": "stdin, line 1", "path": "properties.Plan_Name", "after": "pro"}


def test_configurations_that_do_the_same_are_equal(other: Path) -> None:
    """Two configurations with equal results give exit code 0 and say so."""
    done = run("explain", "-", "--against", str(other), stdin=lines(TRACK, PAGE))

    assert done.code == 0, done.err
    assert "0 of 2 records differ" in done.out


def test_a_wrong_file_to_compare_with_is_named(tmp_path: Path) -> None:
    """A wrong file to compare with is reported like a wrong configuration."""
    file = tmp_path / "other.toml"
    file.write_text("[mappings]\n")

    assert "did you mean mapping?" in explain(lines(TRACK), "--against", str(file)).err
    assert "/nowhere.toml" in explain(lines(TRACK), "--against", "/nowhere.toml").err


def test_the_example_of_the_page_is_what_comes_out() -> None:
    """The example of docs/explain.md is what the command prints, but for some headers."""
    page = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
    (example,) = map(json.loads, re.findall(r"(?ms)^```json\n(.*?)^```", page))
    (told,) = explain(lines({"type": "identify", "userId": "userId123", "traits": {"Plan Name": "premium"}})).objects()
    headers = example["requests"][0].pop("headers")

    assert headers.items() <= told["requests"][0].pop("headers").items()
    assert told | {"record": example["record"]} == example
