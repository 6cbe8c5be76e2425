"""`segment-fullstory settings`: what is in force, where it comes from, and no secret; a file to begin with."""

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from processor.commands.settings import settings, toml
from processor.model.errors import ConfigurationError
from processor.settings import load
from processor.settings.sources import PLACEHOLDER
from processor.settings.surroundings import SURROUNDINGS
from processor.settings.variables import Variable, variables
from tests.unit.test_settings import NEEDED

SECRET = "hunter2-hunter2"
KEY = f"na1.{SECRET}"
SALT = f"{SECRET}-salt"
FORMATS = ("text", "json", "toml")

REQUIRED = {
    "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": "kafka-1:9092",
    "PROCESSOR_KAFKA__TOPICS": "segment.identify, segment.track",
    "PROCESSOR_KAFKA__GROUP_ID": "segment-fullstory",
    "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "dlq.segment",
    "PROCESSOR_FULLSTORY__API_KEY": KEY,
}

SECRET_PROPERTIES = {
    "sasl.username": SECRET,
    "sasl.password": SECRET,
    "sasl.oauthbearer.client.secret": SECRET,
    "sasl.oauthbearer.config": f"principal={SECRET}",
    "sasl.mechanism": SECRET,
    "security.protocol": SECRET,
    "session.timeout.ms": SECRET,
    "ssl.ca.location": SECRET,
    "ssl.key.password": SECRET,
    "ssl.key.pem": f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
    "basic.auth.user.info": f"user:{SECRET}",
    "proxy": f"http://user:{SECRET}@proxy:3128",
    "no.such.property": SECRET,
}
"""Secrets where they belong, and where they do not."""


def run(*arguments: str, environ: dict[str, str]) -> Result:
    """Run the command with these settings and no others."""
    others: dict[str, str | None] = {
        name: None for name in os.environ if name.startswith("PROCESSOR_") or name in SURROUNDINGS
    }
    result = CliRunner().invoke(settings, arguments, env=others | environ)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def rows(*arguments: str, environ: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the settings in force, by key, and properties by theirs."""
    report = json.loads(run("--format", "json", *arguments, environ=environ).stdout)
    return {each["property"] or each["setting"]: each for each in report["settings"]}


def source(row: dict[str, Any]) -> str:
    """Return where a value comes from, in a line."""
    return " ".join(filter(None, row["source"].values()))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where a TOML file may be written."""
    return tmp_path / "settings.toml"


# Values and where they come from


def test_every_setting_is_shown_with_its_value_and_where_it_comes_from(file: Path, tmp_path: Path) -> None:
    """Each setting is shown with its value and its source: environment, file, secret file or default."""
    (tmp_path / "key").write_text(KEY)
    file.write_text(
        f'[kafka]\ngroup_id = "of-the-file"\n[http]\nport = 1\n[fullstory]\napi_key_file = "{tmp_path}/key"'
    )
    environ = {**REQUIRED, "PROCESSOR_HTTP__PORT": "9000", "PROCESSOR_KAFKA__GROUP_ID": ""}
    del environ["PROCESSOR_FULLSTORY__API_KEY"]

    found = rows("--config", str(file), environ=environ)

    assert list(found) == [each.key for each in variables()]
    shown = {key: (found[key]["value"], source(found[key])) for key in found}
    assert shown["kafka.topics"] == (["segment.identify", "segment.track"], "environment PROCESSOR_KAFKA__TOPICS")
    assert shown["kafka.group_id"] == ("of-the-file", f"file {file}")
    assert shown["http.port"] == (9000, "environment PROCESSOR_HTTP__PORT")
    assert shown["log.level"] == ("info", "default")
    assert shown["fullstory.api_key_file"] == (f"{tmp_path}/key", f"file {file}")
    assert shown["fullstory.api_key"] == (None, f"secret file {tmp_path}/key")
    assert shown["fullstory.base_url"] == ("https://api.fullstory.com", "default")
    assert found["fullstory.api_key"]["state"] == "masked"


def test_each_property_has_its_own_place(tmp_path: Path) -> None:
    """Each property is shown with its own source, and harmless ones with their values."""
    path = tmp_path / "kafka.json"
    path.write_text(json.dumps({"sasl.password": "new", "ssl.ca.location": str(path)}))
    given = {"security.protocol": "SASL_SSL", "sasl.password": "old", "enable.ssl": True, "session.timeout.ms": 6000}
    environ = {"PROCESSOR_KAFKA__PROPERTIES": json.dumps(given), "PROCESSOR_KAFKA__PROPERTIES_FILE": str(path)}

    found = rows(environ=REQUIRED | environ)

    variable, in_file = "environment PROCESSOR_KAFKA__PROPERTIES", f"secret file {path}"
    assert (found["security.protocol"]["value"], source(found["security.protocol"])) == ("SASL_SSL", variable)
    assert (found["session.timeout.ms"]["value"], found["enable.ssl"]["value"]) == (6000, True)
    assert (found["sasl.password"]["state"], source(found["sasl.password"])) == ("masked", in_file)
    assert (found["ssl.ca.location"]["value"], source(found["ssl.ca.location"])) == (str(path), in_file)


def test_only_what_differs_from_the_defaults_is_shown_on_request() -> None:
    """On request, a setting that is given with its default value is left out."""
    same = {"PROCESSOR_LOG__LEVEL": "info", "PROCESSOR_MAPPING__MESSAGE_TYPES": "identify,track"}

    found = rows("--changed", environ={**REQUIRED, **same, "PROCESSOR_HTTP__PORT": "1"})

    assert list(found) == [
        *("kafka.bootstrap_servers", "kafka.topics", "kafka.group_id", "kafka.dead_letter_topic"),
        *("fullstory.api_key", "http.port"),
    ]


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_the_terminal(columns: int) -> None:
    """Long values and long names wrap within the terminal's width."""
    topics = ",".join(f"segment.topic-{number}" for number in range(30))
    lists = {each.name: "a" * 300 for each in variables() if each.field.startswith(("traits_allow", "events_"))}
    properties = {"PROCESSOR_KAFKA__PROPERTIES": json.dumps(dict.fromkeys(SECRET_PROPERTIES, "true"))}

    shown = run(
        environ={**REQUIRED, **lists, **properties, "PROCESSOR_KAFKA__TOPICS": topics, "COLUMNS": str(columns)}
    ).stdout

    assert max(len(line) for line in shown.splitlines()) <= columns
    assert "environment PROCESSOR_KAFKA__BOOTSTRAP_SERVERS" in shown
    assert "segment.topic-29" in shown


# What is wrong


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_known_is_shown_and_then_the_errors_that_run_reports(form: str) -> None:
    """A wrong value is marked and not repeated, and the good ones beside it are shown."""
    environ = {**REQUIRED, "PROCESSOR_KAFKA__START": "newest", "PROCESSOR_HTTP__PRT": "1"}
    del environ["PROCESSOR_FULLSTORY__API_KEY"]
    with pytest.raises(ConfigurationError) as raised:
        load(environ)

    done = run("--format", form, environ=environ)

    assert done.exit_code == 2
    assert "segment.identify" in done.stdout
    assert "newest" not in done.output
    if form == "json":
        assert json.loads(done.stdout)["problems"] == raised.value.problems
        assert [rows(environ=environ)[key]["state"] for key in ("kafka.start", "fullstory.api_key", "http.port")] == [
            *("invalid", "missing", "shown")
        ]
    else:
        assert done.stderr.strip().splitlines() == raised.value.problems
        assert "(not valid)" in done.stdout
        assert "(not set)" in done.stdout


def test_a_contradiction_marks_the_later_setting_only() -> None:
    """Of two contradicting settings, the refused one is marked and the other shown."""
    found = rows(environ={**REQUIRED, "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "segment.track"})

    assert found["kafka.dead_letter_topic"]["state"] == "invalid"
    assert found["kafka.topics"]["value"] == ["segment.identify", "segment.track"]


def test_a_file_that_cannot_be_read_hides_nothing_of_the_environment(file: Path) -> None:
    """With an unreadable file, the table shows the environment, and the error follows."""
    file.write_text("[kafka")

    done = run("--config", str(file), environ=REQUIRED)

    assert done.exit_code == 2
    assert "segment-fullstory" in done.stdout
    assert "not valid TOML" in done.stderr


# Secrets


def told(environ: dict[str, str], *arguments: str) -> str:
    """Return all that is printed, in all formats."""
    return "".join(run("--format", form, *arguments, environ=environ).output for form in FORMATS)


@pytest.mark.parametrize("name", SECRET_PROPERTIES)
@pytest.mark.parametrize("group", ["KAFKA", "SCHEMA_REGISTRY"])
@pytest.mark.parametrize("place", ["environment", "file", "properties file"])
def test_no_property_that_may_hold_a_secret_is_printed(name: str, group: str, place: str, tmp_path: Path) -> None:
    """No property that may hold a secret is printed, wherever it stands."""
    properties = json.dumps({name: SECRET_PROPERTIES[name]})
    environ, config = dict(REQUIRED), tmp_path / "settings.toml"
    config.write_text("")
    match place:
        case "environment":
            environ[f"PROCESSOR_{group}__PROPERTIES"] = properties
        case "file":
            config.write_text(f'[{group.lower()}.properties]\n"{name}" = {json.dumps(SECRET_PROPERTIES[name])}')
        case _:
            (tmp_path / "properties").write_text(properties)
            environ[f"PROCESSOR_{group}__PROPERTIES_FILE"] = str(tmp_path / "properties")

    output = told(environ, "--config", str(config))

    assert name in output
    assert SECRET not in output


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize(
    "secrets",
    [
        {"FULLSTORY__API_KEY": KEY, "MAPPING__HASH_SALT": SALT},
        {"FULLSTORY__API_KEY_FILE": KEY, "MAPPING__HASH_SALT_FILE": SALT},
    ],
)
def test_neither_key_nor_salt_is_printed(secrets: dict[str, str], tmp_path: Path, *, wrong: bool) -> None:
    """Key and salt are shown by their source only, even if they are invalid."""
    environ = {name: value for name, value in REQUIRED.items() if value != KEY} | {
        "PROCESSOR_MAPPING__TRAITS_HASH": "a"
    }
    for name, secret in secrets.items():
        value = f"{secret} {SECRET}" if wrong else secret
        if name.endswith("_FILE"):
            (tmp_path / name).write_text(value)
            value = str(tmp_path / name)
        environ[f"PROCESSOR_{name}"] = value

    output = told(environ)

    assert SECRET not in output
    assert all(f"PROCESSOR_{name}" in output for name in secrets)
    assert ("********" in output) or wrong


@pytest.mark.parametrize("variable", variables(), ids=lambda variable: variable.key)
def test_a_key_in_the_wrong_setting_is_not_printed(variable: Variable) -> None:
    """A key in any other setting is not printed, valid there or not."""
    output = told({**REQUIRED, variable.name: KEY})

    assert SECRET not in output


def test_a_key_under_a_wrong_name_is_not_printed() -> None:
    """The value of an unknown variable is never printed."""
    assert SECRET not in told({**REQUIRED, "PROCESSOR_FULLSTORY__APIKEY": SECRET})


@hypothesis.settings(deadline=None, max_examples=50)
@given(
    st.dictionaries(
        st.sampled_from([*(variable.name for variable in variables()), *SURROUNDINGS]),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30),
    )
)
def test_any_environment_is_shown(environ: dict[str, str]) -> None:
    """No environment breaks the command, and its TOML can be parsed."""
    environ = {**REQUIRED, **environ}

    text, report, table = (run("--format", form, environ=environ) for form in FORMATS)

    assert text.exit_code == report.exit_code == table.exit_code
    tomllib.loads(table.stdout)
    if json.loads(report.stdout)["problems"]:
        assert table.exit_code == 2
    else:
        assert table.exit_code == 0
        assert text.stderr == ""


def test_proxies_are_shown_without_their_logins() -> None:
    """A proxy of the environment is shown with a masked login, one that is not valid is marked, and TOML has none."""
    environ = {
        **REQUIRED,
        "https_proxy": f"http://someone:{SECRET}@proxy:3128",
        "HTTP_PROXY": f"http://someone:{SECRET}#@proxy:3128",
        "no_proxy": "10.0.0.0/8",
        "SSL_CERT_FILE": "no/such/file",
    }

    found = rows(environ=environ)
    text, table = (run("--format", form, environ=environ) for form in ("text", "toml"))

    assert found["environment.https_proxy"]["value"] == "http://********@proxy:3128"
    assert source(found["environment.https_proxy"]) == "environment https_proxy"
    assert found["environment.no_proxy"]["value"] == "10.0.0.0/8"
    invalid = ("environment.HTTP_PROXY", "environment.SSL_CERT_FILE")
    assert [found[name]["state"] for name in invalid] == 2 * ["invalid"]
    assert "http://********@proxy:3128" in text.stdout
    assert "environment" not in tomllib.loads(table.stdout)
    for each in (text, table):
        assert each.exit_code == 2
        assert "HTTP_PROXY: the user name or password holds a character" in each.stderr
        assert "someone" not in each.output
        assert SECRET not in each.output


# TOML


@given(
    st.recursive(st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False), st.lists)
)
def test_a_value_comes_back_from_toml(value: Any) -> None:
    """Any text, list or number written as TOML reads back equal, without control characters."""
    written = toml.literal(value)

    assert tomllib.loads(f"{toml.key('a.b')} = {written}") == {"a.b": value}
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", written)


def test_settings_in_force_can_be_used_as_a_file_again(file: Path, tmp_path: Path) -> None:
    """The output, with the secrets filled in where comments stand, gives the same settings."""
    (tmp_path / "kafka.json").write_text(json.dumps({"sasl.password": SECRET}))
    secrets = {"PROCESSOR_FULLSTORY__API_KEY": KEY, "PROCESSOR_MAPPING__HASH_SALT": SALT}
    environ = {
        **REQUIRED,
        **secrets,
        "PROCESSOR_KAFKA__PROPERTIES": '{"security.protocol": "SSL", "session.timeout.ms": 6000, "enable.x": true}',
        "PROCESSOR_KAFKA__PROPERTIES_FILE": str(tmp_path / "kafka.json"),
        "PROCESSOR_MAPPING__TRAITS_HASH": "phone",
        "PROCESSOR_MAPPING__INTEGRATION_NAMES": 'One "quoted",Zwei\x85',
        "PROCESSOR_BATCH__LINGER_S": "0.25",
        "PROCESSOR_SCHEMA_REGISTRY__CACHE_DIR": str(tmp_path),
    }

    for options in ([], ["--changed"]):
        file.write_text(run("--format", "toml", *options, environ=environ).stdout)
        assert load(secrets, file) == load(environ)


# A file to begin with


def new_file(folder: Path) -> Path:
    """Write a new file and return its path."""
    file = folder / "new.toml"
    done = run("init", str(file), environ={})
    assert done.exit_code == 0, done.output
    return file


def test_a_new_file_explains_every_setting_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """A new file has each setting once, with meaning, default and example, and is readable by its owner only."""
    file = new_file(tmp_path)
    text = file.read_text(encoding="utf-8")
    prose = " ".join(line.removeprefix("# ") for line in text.splitlines())

    assert file.stat().st_mode & 0o777 == 0o600
    for each in variables():
        assert f"# Example: {each.field} = {toml.example(each)}\n" in text
        assert each.about.meaning in prose
    assert len(re.findall(r"(?m)^#?[a-z_]+ = ", text)) == len(variables())
    comments = [line for line in text.splitlines() if line.startswith("# ") and not line.startswith("# Example")]
    assert max(len(line) for line in comments) <= toml.WIDTH


def test_a_new_file_is_refused_until_it_is_filled_in(tmp_path: Path) -> None:
    """One problem lists every placeholder with an example; the environment may hold the values instead."""
    file = new_file(tmp_path)

    with pytest.raises(ConfigurationError) as raised:
        load({}, file)
    [problem] = raised.value.problems
    head, *lines = problem.splitlines()
    assert head == f"These settings still hold the placeholder {PLACEHOLDER}, in {file}. Replace it, for example:"
    assert [line.strip().partition("=")[0] for line in lines] == [
        *[name for name in REQUIRED if name.startswith("PROCESSOR_KAFKA")],
        "PROCESSOR_FULLSTORY__API_KEY_FILE",
    ]

    assert load(REQUIRED, file) == load(REQUIRED)


def test_a_placeholder_left_in_one_setting_is_the_only_problem() -> None:
    """A placeholder that is left anywhere, also in the environment, is the only problem reported."""
    with pytest.raises(ConfigurationError) as raised:
        load({**REQUIRED, "PROCESSOR_LOG__LEVEL": PLACEHOLDER})

    [problem] = raised.value.problems
    assert "in the environment" in problem
    assert "  PROCESSOR_LOG__LEVEL=warning" in problem


def test_every_line_of_a_new_file_is_a_setting_with_its_default(tmp_path: Path) -> None:
    """With the comments before its settings removed, a new file says what the defaults say."""
    file = new_file(tmp_path)
    (tmp_path / "key").write_text(KEY)
    text = re.sub(r"(?m)^#(?=[a-z_]+ = )", "", file.read_text(encoding="utf-8"))
    for name, value in {
        "bootstrap_servers": '"kafka-1:9092"',
        "topics": '["segment.identify", "segment.track"]',
        "group_id": '"segment-fullstory"',
        "dead_letter_topic": '"dlq.segment"',
        "api_key_file": f'"{tmp_path / "key"}"',
    }.items():
        text = re.sub(rf"(?m)^{name} = .*{PLACEHOLDER}.*$", f"{name} = {value}", text)
    file.write_text(text, encoding="utf-8")
    key = {"PROCESSOR_FULLSTORY__API_KEY": "", "PROCESSOR_FULLSTORY__API_KEY_FILE": str(tmp_path / "key")}

    assert PLACEHOLDER not in text.partition("\n\n")[2]
    assert load({}, file) == load(REQUIRED | key)


@pytest.mark.parametrize("variable", variables(), ids=lambda variable: variable.key)
def test_every_example_of_a_new_file_says_what_that_of_the_environment_says(variable: Variable, file: Path) -> None:
    """Each example of a new file gives the same value as that of the environment."""
    environ = {name: value for name, value in REQUIRED.items() if name != variable.name}
    file.write_text(f"[{variable.section}]\n{variable.field} = {toml.example(variable)}\n", encoding="utf-8")
    if variable.field.endswith("_file"):  # not there
        assert tomllib.loads(file.read_text())[variable.section][variable.field] == variable.about.example
        return
    environ |= NEEDED.get(variable.field, {})

    assert load(environ, file) == load({**environ, variable.name: variable.about.example})


def test_a_file_is_overwritten_on_request_only(tmp_path: Path) -> None:
    """An existing file stays unless --force is given, and only its owner can read the new one."""
    file = tmp_path / "new.toml"
    file.write_text("precious")
    file.chmod(0o644)

    refused = run("init", str(file), environ={})
    assert refused.exit_code == 2
    assert f"{file} already exists: name another file, or add --force" in refused.stderr
    assert file.read_text() == "precious"

    assert run("init", str(file), "--force", environ={}).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert "precious" not in file.read_text(encoding="utf-8")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A folder, or a path in no folder, is named without a traceback."""
    for file in (tmp_path, tmp_path / "nowhere" / "new.toml"):
        done = run("init", "--force", str(file), environ={})
        assert done.exit_code == 2
        assert f"{file} cannot be written: " in done.stderr


def test_a_new_file_can_go_to_standard_output() -> None:
    """With `-`, a new file goes to standard output."""
    assert tomllib.loads(run("init", "-", environ={}).stdout)["kafka"]["group_id"] == PLACEHOLDER


def test_an_empty_value_of_a_file_counts_as_not_set(file: Path) -> None:
    """An empty value in a file counts as not set, as in the environment."""
    file.write_text('[log]\nlevel = ""\n[schema_registry]\nurl = ""\n')

    assert load(REQUIRED, file) == load(REQUIRED)
