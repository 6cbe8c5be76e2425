"""Settings: where they come from, what they refuse, and that they never tell a secret."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs import generate
from processor.adapters.kafka.config import KafkaSettings, consumer_config, producer_config
from processor.app.parts import kafka_settings
from processor.events.privacy import PropertyLists
from processor.events.rules import MappingRules
from processor.model.errors import ConfigurationError
from processor.settings import MemorySplit, Settings, load
from processor.settings.client_properties import KAFKA_RESERVED
from processor.settings.connections import FullStorySection, KafkaSection, SchemaRegistrySection
from processor.settings.memory import HELD_PER_BATCH_BYTE, MIB, budget_for, largest_batch
from processor.settings.variables import Variable, variables
from tests.fakes.tls import Certificates

SECRET = "hunter2"

REQUIRED = {
    "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": "kafka-1:9092, kafka-2",
    "PROCESSOR_KAFKA__TOPICS": "segment.identify, segment.track",
    "PROCESSOR_KAFKA__GROUP_ID": "segment-fullstory",
    "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "dlq.segment",
    "PROCESSOR_FULLSTORY__API_KEY": f"na1.{SECRET}",
}


def problems(environ: dict[str, str], file: Path | None = None) -> list[str]:
    """Return what is wrong with an environment that is not to be accepted."""
    with pytest.raises(ConfigurationError) as raised:
        load(environ, file)
    assert SECRET not in str(raised.value)
    return raised.value.problems


def problem(name: str, value: str) -> str:
    """Return the one problem of a variable that stands beside good ones."""
    [only] = problems({**REQUIRED, f"PROCESSOR_{name}": value})
    return only


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where a TOML file may be written."""
    return tmp_path / "settings.toml"


def test_the_topic_of_redrives_is_consumed_too() -> None:
    """The worker reads its topics and, if one is set, the topic to which dead letters are brought back."""
    settings = load({**REQUIRED, "PROCESSOR_KAFKA__REDRIVE_TOPIC": "segment.redrive"})

    assert kafka_settings(settings).topics == ("segment.identify", "segment.track", "segment.redrive")
    assert kafka_settings(load(REQUIRED)).topics == ("segment.identify", "segment.track")


def test_nobody_reads_what_is_parked() -> None:
    """A parking topic that the worker reads, as the topic of redrives, is refused."""
    topic = "segment.redrive"
    names = {"PROCESSOR_KAFKA__REDRIVE_TOPIC": topic, "PROCESSOR_KAFKA__PARKING_TOPIC": topic}
    [only] = problems({**REQUIRED, **names})

    assert "also PROCESSOR_KAFKA__REDRIVE_TOPIC" in only


def test_what_is_required_is_enough() -> None:
    """Addresses, topics, group and key make a complete configuration; everything else has a default."""
    settings = load(REQUIRED)

    assert settings.kafka.bootstrap_servers == "kafka-1:9092,kafka-2"
    assert settings.kafka.topics == ("segment.identify", "segment.track")
    assert settings.schema_registry.url is None
    assert settings.fullstory.api_key.get_secret_value() == f"na1.{SECRET}"
    assert settings.fullstory.base_url == "https://api.fullstory.com"
    assert settings.delivery.mode == "auto"
    assert settings.http.port == 8080
    assert settings.memory.split() == MemorySplit(8 * MIB, 256 * 1024, 64 * 1024, 248 * MIB)


def test_everything_that_is_missing_is_one_list_of_variables_with_examples() -> None:
    """An empty environment is one problem; each required variable is a line of it that could be pasted."""
    [found] = problems({})
    head, *lines, end = found.splitlines()

    assert head == "5 required settings are not set. Set them in the environment, for example:"
    assert lines == [
        "  PROCESSOR_KAFKA__BOOTSTRAP_SERVERS=kafka-1:9092,kafka-2:9092",
        "  PROCESSOR_KAFKA__TOPICS=segment.identify,segment.track",
        "  PROCESSOR_KAFKA__GROUP_ID=segment-fullstory",
        "  PROCESSOR_KAFKA__DEAD_LETTER_TOPIC=dlq.segment",
        "  PROCESSOR_FULLSTORY__API_KEY=na1.EXAMPLE (or PROCESSOR_FULLSTORY__API_KEY_FILE)",
    ]
    assert end == "To write a settings file: segment-fullstory settings init"
    assert all(variable.about.default is None for variable in variables() if variable.info.is_required())


@pytest.mark.parametrize("name", list(REQUIRED))
def test_one_setting_that_is_missing_is_one_line(name: str) -> None:
    """A single missing setting is one line with the variable and an example."""
    [found] = problems({each: value for each, value in REQUIRED.items() if each != name})

    assert found.startswith(f"{name}: is not set")
    assert "; for example: " in found
    assert "\n" not in found


def test_what_is_missing_does_not_hide_what_is_wrong() -> None:
    """Missing settings and wrong values are reported together."""
    found = problems({"PROCESSOR_HTTP__PORT": "x", "PROCESSOR_KAFKA__TOPIC": "x", "PROCESSOR_KAFKA__START": "x"})

    assert [each.partition(":")[0].partition(" required")[0] for each in found] == [
        "PROCESSOR_KAFKA__TOPIC",
        "5",
        "PROCESSOR_KAFKA__START",
        "PROCESSOR_HTTP__PORT",
    ]


def test_every_wrong_value_is_told_at_once() -> None:
    """Problems of different groups, and between settings, come in one error."""
    found = problems(
        {
            **REQUIRED,
            "PROCESSOR_KAFKA__TOPICS": "^segment.*",
            "PROCESSOR_HTTP__PORT": "99999",
            "PROCESSOR_LOG__LEVEL": "loud",
            "PROCESSOR_MEMORY__BUDGET_BYTES": str(16 * MIB),
            "PROCESSOR_BATCH__MAX_BYTES": str(16 * MIB),
            "PROCESSOR_HTPP__HOST": "127.0.0.1",
        }
    )

    names = {each.partition(":")[0] for each in found}
    assert names == {
        "PROCESSOR_KAFKA__TOPICS",
        "PROCESSOR_HTTP__PORT",
        "PROCESSOR_LOG__LEVEL",
        "PROCESSOR_MEMORY__BUDGET_BYTES",
        "PROCESSOR_HTPP__HOST",
    }


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("KAFKA__BOOTSTRAP_SERVERS", " , ", "lists no broker"),
        ("KAFKA__BOOTSTRAP_SERVERS", "a:9092,b:0", "entry 2"),
        ("KAFKA__BOOTSTRAP_SERVERS", "a:99999", "entry 1"),
        ("KAFKA__BOOTSTRAP_SERVERS", f"user:{SECRET}@a:9092", "entry 1"),
        ("KAFKA__TOPICS", ",", "lists no topic"),
        ("KAFKA__TOPICS", "a,a", "lists a topic twice"),
        ("KAFKA__TOPICS", "a b", "contains 'a b'"),
        ("KAFKA__TOPICS", "..", "contains '..'"),
        ("KAFKA__TOPICS", "a" * 250, "1 to 249"),
        ("KAFKA__TOPICS", "^segment.*", "a pattern could match the dead-letter topic"),
        ("KAFKA__TOPICS", "dlq.segment", "also one of PROCESSOR_KAFKA__TOPICS"),
        ("KAFKA__DEAD_LETTER_TOPIC", "segment.track", "also one of PROCESSOR_KAFKA__TOPICS"),
        ("KAFKA__DEAD_LETTER_TOPIC", "^x", "pattern"),
        ("KAFKA__REDRIVE_TOPIC", "segment.track", "also one of PROCESSOR_KAFKA__TOPICS"),
        ("KAFKA__REDRIVE_TOPIC", "dlq.segment", "also PROCESSOR_KAFKA__DEAD_LETTER_TOPIC"),
        ("KAFKA__PARKING_TOPIC", "segment.track", "also one of PROCESSOR_KAFKA__TOPICS"),
        ("KAFKA__PARKING_TOPIC", "dlq.segment", "also PROCESSOR_KAFKA__DEAD_LETTER_TOPIC"),
        ("KAFKA__GROUP_ID", "  ", "must not be blank"),
        ("KAFKA__START", "newest", "'earliest', 'latest' or 'halt'"),
        ("KAFKA__ON_GAP", "skip", "'halt' or 'continue'"),
        ("SCHEMA_REGISTRY__URL", "registry:8081", "is not an http:// or https:// URL"),
        ("SCHEMA_REGISTRY__URL", "http://registry:0", "is not an http:// or https:// URL"),
        ("SCHEMA_REGISTRY__URL", "http://registry:port", "is not an http:// or https:// URL"),
        ("SCHEMA_REGISTRY__URL", "http://reg istry", "is not an http:// or https:// URL"),
        ("SCHEMA_REGISTRY__URL", ",", "lists no URL"),
        (
            "SCHEMA_REGISTRY__URL",
            f"http://user:{SECRET}@registry",
            "put credentials into PROCESSOR_SCHEMA_REGISTRY__PROPERTIES",
        ),
        ("SCHEMA_REGISTRY__URL", "http://registry?x=1", "query"),
        ("FULLSTORY__BASE_URL", "https://api.eu1.fullstory.com", "belongs to the data centre na1"),
        ("FULLSTORY__BASE_URL", f"https://user:{SECRET}@host", "user name or password"),
        ("FULLSTORY__API_KEY", f"Basic {SECRET}", "without the word Basic"),
        ("FULLSTORY__API_KEY", f"{SECRET} {SECRET}", "white space"),
        ("FULLSTORY__API_KEY", f"{SECRET}é", "white space or other characters"),
        ("FULLSTORY__ORG_ID", " ", "must not be blank"),
        ("DELIVERY__MODE", "fast", "'auto', 'batch' or 'single'"),
        ("DELIVERY__ORG_SHARE", "0", "must be greater than 0"),
        ("DELIVERY__ORG_SHARE", "1.1", "must be 1 or less"),
        ("DELIVERY__ORG_SHARE", "nan", "finite"),
        ("DELIVERY__UNATTRIBUTED", "drop", "'halt', 'dead_letter' or 'accept'"),
        ("LOG__FORMAT", "xml", "'json' or 'console'"),
        ("READY__FAIL_ON_HALT", "perhaps", "must be true or false"),
        ("BATCH__MAX_RECORDS", "50001", "50000"),
        ("BATCH__MAX_RECORDS", "1.5", "must be a whole number"),
        ("BATCH__MAX_BYTES", "0", "1024"),
        ("BATCH__LINGER_S", "-1", "must be 0 or more"),
        ("BATCH__LINGER_S", "inf", "finite"),
        ("MEMORY__BUDGET_BYTES", "1", str(16 * MIB)),
        ("SHUTDOWN__GRACE_S", "-1", "must be 0 or more"),
        ("HTTP__HOST", " ", "must not be blank"),
        ("HTTP__PORT", "65536", "65535"),
        ("MAPPING__INTEGRATION_NAMES", ",", "must have at least one entry"),
        ("MAPPING__INTEGRATION_NAMES", "a,a", "lists 'a' twice"),
        ("MAPPING__INTEGRATIONS", "obey", "'honour' or 'ignore'"),
        ("MAPPING__MESSAGE_TYPES", ",", "must have at least one entry"),
        (
            "MAPPING__MESSAGE_TYPES",
            "track,group",
            "lists 'group', which is none of identify, track, page, screen and delete",
        ),
        ("MAPPING__MESSAGE_TYPES", "track,Track", "lists 'track' twice"),
        ("MAPPING__ANONYMOUS", "drop", "'uid', 'property' or 'filter'"),
        ("MAPPING__NAMES", "snake", "'segment' or 'underscore'"),
        ("MAPPING__SCHEMA", "yes", "'declare' or 'infer'"),
        ("MAPPING__NULLS", "keep", "'omit' or 'send'"),
        ("MAPPING__SESSION", "latest", "'none' or 'most_recent'"),
        ("MAPPING__CONTEXT", "perhaps", "must be true or false"),
        ("MAPPING__TRAITS_TRUNCATE", "name", "lists 'name': write PATH:CHARACTERS"),
        ("MAPPING__TRAITS_TRUNCATE", "name:0", "with 1 to 9999 characters"),
        ("MAPPING__PROPERTIES_TRUNCATE", ":5", "with 1 to 9999 characters"),
        ("MAPPING__HASH_SALT", "x" * 16, "has no effect, because nothing is hashed"),
    ],
)
def test_a_wrong_value_is_named_and_explained(name: str, value: str, expected: str) -> None:
    """One problem, which begins with the variable, says what is wrong and ends with an example."""
    found = problem(name, value)

    assert expected in found
    assert "for example" in found


NEEDED = {
    "hash_salt": {"PROCESSOR_MAPPING__TRAITS_HASH": "phone"},
    "hash_salt_file": {"PROCESSOR_MAPPING__TRAITS_HASH": "phone"},
    "consent_rule": {"PROCESSOR_MAPPING__CONSENT": "Analytics"},
}
"""What settings need besides, to have an effect."""


@pytest.mark.parametrize("variable", variables(), ids=lambda variable: variable.key)
def test_every_example_is_valid(variable: Variable, tmp_path: Path) -> None:
    """What a message or the documentation offers as an example is accepted."""
    environ = {**REQUIRED, variable.name: variable.about.example}
    if variable.field == "api_key_file":
        del environ["PROCESSOR_FULLSTORY__API_KEY"]
        environ[variable.name] = str(tmp_path / "key")
        (tmp_path / "key").write_text("na1.abc")
    if variable.field.startswith("client_"):
        names = ("CERTIFICATE", "KEY")
        environ |= {f"PROCESSOR_FULLSTORY__CLIENT_{name}_FILE": str(tmp_path / "client.pem") for name in names}
        (tmp_path / "client.pem").write_bytes(Certificates.make(tmp_path).client_with_open_key())
    if variable.field == "properties_file":
        environ[variable.name] = str(tmp_path / "properties")
        (tmp_path / "properties").write_text("{}")
    environ |= NEEDED.get(variable.field, {})
    if variable.field == "hash_salt_file":
        environ[variable.name] = str(tmp_path / "salt")
        (tmp_path / "salt").write_text("correct-horse-battery-staple")

    load(environ)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"TRAITS_ALLOW": "plan", "TRAITS_DENY": "plan"}, "TRAITS_DENY: `plan` contradicts an entry of"),
        ({"TRAITS_ALLOW": "a.b", "TRAITS_DENY": "a"}, "TRAITS_DENY: `a` contradicts an entry of"),
        ({"TRAITS_ALLOW": "a.b", "TRAITS_HASH": "a"}, "TRAITS_HASH: `a` contradicts an entry of"),
        (
            {"PROPERTIES_DENY": "a", "PROPERTIES_HASH": "a.b"},
            "`a.b` contradicts an entry of PROCESSOR_MAPPING__PROP",
        ),
        ({"PROPERTIES_HASH": "a.b", "PROPERTIES_TRUNCATE": "a:3"}, "`a` contradicts an entry of"),
        ({"EVENTS_ALLOW": "A,B", "EVENTS_DENY": "B"}, "`B` contradicts an entry of PROCESSOR_MAPPING__EVENTS_ALLOW"),
        ({"LIBRARIES_ALLOW": "A", "LIBRARIES_DENY": "A"}, "`A` contradicts an entry of"),
        ({"MESSAGE_TYPES": "identify", "EVENTS_DENY": "A"}, "does not include page or screen or track"),
        ({"MESSAGE_TYPES": "identify", "PROPERTIES_HASH": "a"}, "does not include page or screen or track"),
        (
            {"MESSAGE_TYPES": "identify", "SESSION": "most_recent"},
            "SESSION: has no effect, because PROCESSOR_MAPPING__MESS",
        ),
        (
            {"MESSAGE_TYPES": "identify", "CONTEXT_DENY": "ip"},
            "CONTEXT_DENY: has no effect, because PROCESSOR_MAPPING__MESS",
        ),
        (
            {"CONTEXT": "false", "CONTEXT_DENY": "ip"},
            "CONTEXT_DENY: has no effect, because PROCESSOR_MAPPING__CONTEXT is",
        ),
        ({"CONSENT_RULE": "any"}, "CONSENT_RULE: has no effect, because PROCESSOR_MAPPING__CONSENT lists no category"),
        ({"CONTEXT_DENY": "ip,os.name"}, "CONTEXT_DENY: lists `os.name`, which is never sent; these are: page.url,"),
        (
            {"MESSAGE_TYPES": "track", "TRAITS_DENY": "a"},
            "TRAITS_DENY: has no effect, because PROCESSOR_MAPPING__MESSAGE_",
        ),
        ({"TRAITS_HASH": "a", "HASH_SALT": f"{SECRET}-short"}, "HASH_SALT: has fewer than 16 characters"),
        ({"TRAITS_HASH": "a", "HASH_SALT_FILE": "missing"}, "HASH_SALT_FILE: the file cannot be read"),
    ],
)
def test_mapping_settings_that_contradict_each_other_are_refused(given: dict[str, str], expected: str) -> None:
    """Mapping settings that would have no effect, or two, are refused."""
    [only] = problems(REQUIRED | {f"PROCESSOR_MAPPING__{name}": value for name, value in given.items()})

    assert expected in only
    assert "for example" in only


@pytest.mark.parametrize(
    "given",
    [
        {"TRAITS_ALLOW": "a", "TRAITS_DENY": "a.b", "TRAITS_HASH": "a.c", "TRAITS_TRUNCATE": "a.d:3"},
        {"TRAITS_ALLOW": "a", "TRAITS_HASH": "a"},
        {"TRAITS_DENY": "ab", "TRAITS_HASH": "a"},
        {"TRAITS_DENY": "a", "PROPERTIES_ALLOW": "a"},
        {"EVENTS_ALLOW": "Order *", "EVENTS_DENY": "Order Debugged"},
        {"MESSAGE_TYPES": "Screen", "EVENTS_DENY": "A"},
    ],
)
def test_lists_that_agree_are_accepted(given: dict[str, str]) -> None:
    """Lists that do not contradict each other are accepted, such as a denied path below an allowed one."""
    load(REQUIRED | {f"PROCESSOR_MAPPING__{name}": value for name, value in given.items()})


def test_the_salt_comes_from_one_place(tmp_path: Path) -> None:
    """The salt comes from its variable or its file, and the environment outranks the file of settings."""
    file, salt = tmp_path / "settings.toml", tmp_path / "salt"
    salt.write_text(f"{SECRET}-and-longer\n")
    file.write_text('[mapping]\ntraits_hash = ["phone"]\nhash_salt = "the-salt-of-the-file"\n')

    rules = load({**REQUIRED, "PROCESSOR_MAPPING__HASH_SALT_FILE": str(salt)}, file).mapping.rules()

    assert rules.hash_salt == f"{SECRET}-and-longer"
    assert SECRET not in repr(rules)
    both = {"PROCESSOR_MAPPING__HASH_SALT": f"{SECRET}-and-longer", "PROCESSOR_MAPPING__HASH_SALT_FILE": str(salt)}
    [only] = problems({**REQUIRED, **both, "PROCESSOR_MAPPING__TRAITS_HASH": "phone"})
    assert "remove one of them" in only


def test_mapping_settings_become_rules() -> None:
    """Every mapping setting sets the rule of the same name, and both have the same default."""
    given = {
        "MESSAGE_TYPES": "Track, screen",
        "ANONYMOUS": "Filter",
        "NAMES": "underscore",
        "SCHEMA": "infer",
        "NULLS": "send",
        "SESSION": "most_recent",
        "CONTEXT": "false",
        "INTEGRATIONS": "ignore",
        "INTEGRATION_NAMES": "Ours",
        "CONSENT": "Analytics, Ads",
        "CONSENT_RULE": "Any",
        "EVENTS_ALLOW": "A *",
        "EVENTS_DENY": "A b",
        "LIBRARIES_ALLOW": "c",
        "LIBRARIES_DENY": "d",
        "PROPERTIES_ALLOW": "e",
        "PROPERTIES_DENY": "e.f",
        "PROPERTIES_HASH": "e.g",
        "PROPERTIES_TRUNCATE": "e.h:3, e.i : 12",
        "HASH_SALT": "correct-horse-battery-staple",
    }

    rules = load(REQUIRED | {f"PROCESSOR_MAPPING__{name}": value for name, value in given.items()}).mapping.rules()

    assert rules == MappingRules(
        integration_names=("Ours",),
        integrations="ignore",
        consent=("Analytics", "Ads"),
        consent_rule="any",
        message_types=("track", "screen"),
        anonymous="filter",
        names="underscore",
        schema="infer",
        nulls="send",
        session="most_recent",
        context=False,
        events_allow=("A *",),
        events_deny=("A b",),
        libraries_allow=("c",),
        libraries_deny=("d",),
        properties=PropertyLists(("e",), ("e.f",), ("e.g",), (("e.h", 3), ("e.i", 12))),
        hash_salt="correct-horse-battery-staple",
    )
    traits = {"TRAITS_ALLOW": "e", "TRAITS_DENY": "e.f", "TRAITS_HASH": "e.g", "TRAITS_TRUNCATE": "e.h:3"}
    lists = load(REQUIRED | {f"PROCESSOR_MAPPING__{name}": value for name, value in traits.items()}).mapping.rules()
    assert lists == MappingRules(traits=PropertyLists(("e",), ("e.f",), ("e.g",), (("e.h", 3),)))
    for environ in (REQUIRED, {**REQUIRED, "PROCESSOR_MAPPING__CONSENT": "none"}):
        assert load(environ).mapping.rules() == MappingRules()


@pytest.mark.parametrize(
    "variable",
    [each for each in variables() if each.section == "mapping" and each.field != "hash_salt_file"],
    ids=lambda variable: variable.key,
)
def test_no_mapping_setting_is_without_effect(variable: Variable) -> None:
    """Each mapping setting's example changes the rules, and with them the fingerprint."""
    needed = NEEDED.get(variable.field, {})
    before, after = load(REQUIRED | needed), load({**REQUIRED, **needed, variable.name: variable.about.example})

    assert after.mapping.rules() != before.mapping.rules()


@pytest.mark.parametrize("variable", variables(), ids=lambda variable: variable.key)
def test_every_setting_is_explained(variable: Variable) -> None:
    """Every setting has a meaning, and each default has a reason."""
    about = variable.about

    assert about.meaning.endswith(".")
    assert about.reason.endswith(".") or variable.info.is_required() or variable.field == "api_key"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("PROCESSOR_KAFKA__TOPIC", "; did you mean PROCESSOR_KAFKA__TOPICS?"),
        ("PROCESSOR_HTTP_PORT", "; did you mean PROCESSOR_HTTP__PORT?"),
        ("processor_kafka__groupid", "; did you mean PROCESSOR_KAFKA__GROUP_ID?"),
        ("PROCESSOR_FULLSTORY__APIKEY", "; did you mean PROCESSOR_FULLSTORY__API_KEY?"),
        ("PROCESSOR_KAFKA__TOPICS__0", "; did you mean PROCESSOR_KAFKA__TOPICS?"),
        ("PROCESSOR_ZZZ", ""),
    ],
)
def test_a_misspelt_variable_is_refused(name: str, suggestion: str) -> None:
    """An unknown variable with our prefix is refused, and its value is not repeated."""
    assert problems({**REQUIRED, name: SECRET}) == [f"{name}: no such setting{suggestion}"]


def test_what_kubernetes_sets_for_a_service_is_left_alone() -> None:
    """The variables that Kubernetes sets for a service called `processor` are ignored."""
    kubernetes = {
        "PROCESSOR_SERVICE_HOST": "10.0.0.1",
        "PROCESSOR_SERVICE_PORT": "8080",
        "PROCESSOR_SERVICE_PORT_HTTP": "8080",
        "PROCESSOR_PORT": "tcp://10.0.0.1:8080",
        "PROCESSOR_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "PROCESSOR_PORT_8080_TCP_PROTO": "tcp",
        "PROCESSOR_PORT_8080_TCP_PORT": "8080",
        "PROCESSOR_PORT_8080_TCP_ADDR": "10.0.0.1",
        "PROCESSOR_HTTP_PORT": "tcp://10.0.0.1:8080",
        "PROCESSOR_HTTP_SERVICE_HOST": "10.0.0.1",
    }

    assert load({**REQUIRED, **kubernetes}) == load(REQUIRED)


def test_names_ignore_case_and_empty_values_count_as_absent() -> None:
    """Variables are read in any case, and an empty value counts as not set."""
    environ = {**REQUIRED, "processor_http__port": "9090", "PROCESSOR_LOG__LEVEL": "", "OTHER": "x"}

    settings = load(environ)

    assert settings.http.port == 9090
    assert settings.log.level == "info"


def test_urls_lose_the_slash_at_their_end() -> None:
    """A slash at the end of a URL is dropped, because paths are appended."""
    settings = load({**REQUIRED, "PROCESSOR_SCHEMA_REGISTRY__URL": "http://one:8081/, https://two/path/"})

    assert settings.schema_registry.url == "http://one:8081,https://two/path"


def test_words_ignore_case_and_blanks() -> None:
    """Words such as a log level are accepted in any case and with blanks around them."""
    settings = load({**REQUIRED, "PROCESSOR_LOG__LEVEL": " DEBUG ", "PROCESSOR_KAFKA__START": "Latest"})

    assert settings.log.level == "debug"
    assert settings.kafka.start == "latest"


def test_embedded_settings_do_not_meet_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings made from a mapping take nothing from the environment."""
    monkeypatch.setenv("PROCESSOR_HTTP__PORT", "1")
    monkeypatch.setenv("PROCESSOR_KAFKA__TOPICS", "production")

    by_hand = Settings(
        kafka=KafkaSection(bootstrap_servers="a", topics=("t",), group_id="g", dead_letter_topic="d"),
        schema_registry=SchemaRegistrySection(url="http://r"),
        fullstory=FullStorySection.model_validate({"api_key": "k", "api_key_file": None}),
    )

    assert by_hand.http.port == 8080
    assert by_hand.kafka.topics == ("t",)
    assert load(REQUIRED).http.port == 8080


# The API key


def test_a_key_file_is_read_and_trimmed(tmp_path: Path) -> None:
    """The key is read from its file without the newline at its end."""
    path = tmp_path / "key"
    path.write_text("eu1.abc\n")
    environ = {**REQUIRED, "PROCESSOR_FULLSTORY__API_KEY": "", "PROCESSOR_FULLSTORY__API_KEY_FILE": str(path)}

    settings = load(environ)

    assert settings.fullstory.api_key.get_secret_value() == "eu1.abc"
    assert settings.fullstory.base_url == "https://api.eu1.fullstory.com"


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    """A key given both directly and as a file is refused."""
    path = tmp_path / "key"
    path.write_text(SECRET)

    assert "remove one of them" in problem("FULLSTORY__API_KEY_FILE", str(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file"),
        (b"", "the key is empty"),
        (b" \n", "the key is empty"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"hunter2 hunter2", "not hold a valid key: the key holds white space"),
    ],
)
def test_a_bad_key_file_is_one_problem_that_names_the_file_variable(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    """A bad key file is one problem that names its variable and not its path."""
    path = tmp_path / SECRET
    if content is not None:
        path.write_bytes(content)
    environ = {name: value for name, value in REQUIRED.items() if "API_KEY" not in name}

    [found] = problems({**environ, "PROCESSOR_FULLSTORY__API_KEY_FILE": str(path)})

    assert found.startswith("PROCESSOR_FULLSTORY__API_KEY_FILE: ")
    assert expected in found


def test_a_url_is_checked_although_the_key_is_wrong() -> None:
    """A wrong key and a wrong URL are both reported."""
    found = problems({**REQUIRED, "PROCESSOR_FULLSTORY__API_KEY": "a b", "PROCESSOR_FULLSTORY__BASE_URL": "ftp://x"})

    assert [each.partition(":")[0] for each in found] == [
        "PROCESSOR_FULLSTORY__API_KEY",
        "PROCESSOR_FULLSTORY__BASE_URL",
    ]


# Properties


def test_properties_keep_their_values_and_never_show_them() -> None:
    """Kafka's client gets texts, the registry's client the types that were written, and `repr` shows neither."""
    settings = load(
        {
            **REQUIRED,
            "PROCESSOR_KAFKA__PROPERTIES": f'{{"sasl.password": "{SECRET}", "enable.ssl": true, "socket.x": 5}}',
            "PROCESSOR_SCHEMA_REGISTRY__PROPERTIES": f'{{"basic.auth.user.info": "u:{SECRET}", "timeout": 3}}',
        }
    )

    assert settings.kafka.client_properties() == {"sasl.password": SECRET, "enable.ssl": "true", "socket.x": "5"}
    assert settings.schema_registry.client_properties() == {"basic.auth.user.info": f"u:{SECRET}", "timeout": 3}
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"sasl.password={SECRET}", "is not valid JSON;"),
        (f'"{SECRET}"', "is not a JSON object"),
        (f'["{SECRET}"]', "is not a JSON object"),
        ("[" * 100_000, "is not valid JSON"),
        (
            f'{{"sasl.password": ["{SECRET}"]}}',
            "contains `sasl.password`, which is not a string, a number, true or false",
        ),
        ('{"sasl.password": null}', "contains `sasl.password`, which is not a string"),
        (f'{{"sasl": {{"password": "{SECRET}"}}}}', "put a property name that has dots into quotes"),
        (f'{{"acks": "{SECRET}", "group.id": "x"}}', "`group.id`: has its own setting"),
    ],
)
def test_bad_properties_are_named_without_their_values(value: str, expected: str) -> None:
    """Problems of properties name them without their values."""
    found = problem("KAFKA__PROPERTIES", value)

    assert expected in found


def test_properties_may_stand_in_a_file_too(tmp_path: Path) -> None:
    """Properties come from a variable and a file, and the file outranks the variable."""
    kafka, registry = tmp_path / "kafka.json", tmp_path / "registry.json"
    kafka.write_text(f'{{"sasl.password": "{SECRET}", "socket.x": 5}}\n')
    registry.write_text(f'{{"basic.auth.user.info": "u:{SECRET}", "timeout": 3}}')

    settings = load(
        {
            **REQUIRED,
            "PROCESSOR_KAFKA__PROPERTIES": '{"enable.ssl": true, "socket.x": 4}',
            "PROCESSOR_KAFKA__PROPERTIES_FILE": str(kafka),
            "PROCESSOR_SCHEMA_REGISTRY__PROPERTIES_FILE": str(registry),
        }
    )

    assert settings.kafka.client_properties() == {"sasl.password": SECRET, "enable.ssl": "true", "socket.x": "5"}
    assert settings.schema_registry.client_properties() == {"basic.auth.user.info": f"u:{SECRET}", "timeout": 3}
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "the file cannot be read: No such file or directory"),
        (SECRET, "the file is not valid JSON"),
        (f'{{"group.id": "{SECRET}"}}', "the file must not contain `group.id`"),
    ],
)
def test_a_file_of_properties_that_cannot_be_used_is_told(tmp_path: Path, content: str | None, expected: str) -> None:
    """An unusable file of properties is named by its variable, without its path or content."""
    path = tmp_path / SECRET
    if content is not None:
        path.write_text(content)

    [found] = problems({**REQUIRED, "PROCESSOR_KAFKA__PROPERTIES_FILE": str(path)})

    assert found.startswith("PROCESSOR_KAFKA__PROPERTIES_FILE: ")
    assert expected in found
    assert SECRET not in found


@pytest.mark.parametrize("name", KAFKA_RESERVED)
def test_what_correctness_rests_on_cannot_be_overridden(name: str) -> None:
    """Each property that correctness rests on is refused with its reason."""
    assert KAFKA_RESERVED[name] in problem("KAFKA__PROPERTIES", f'{{"{name}": "x"}}')


def test_what_the_adapter_insists_on_is_reserved() -> None:
    """What the Kafka adapter sets in spite of the operator's properties is refused, not ignored in silence."""
    settings = KafkaSettings("a:9092", ("t",), "g", "d", properties={})
    names = consumer_config(settings).keys() | producer_config(settings).keys()
    operators = dict.fromkeys(names, "of the operator")
    settings = KafkaSettings("a:9092", ("t",), "g", "d", properties=operators)
    insisted = {
        name
        for config in (consumer_config(settings), producer_config(settings))
        for name, value in config.items()
        if value != operators[name]
    }

    assert insisted <= KAFKA_RESERVED.keys()


def test_the_registrys_url_is_no_property() -> None:
    """The registry's URL is refused as a property, because it has a setting."""
    assert "PROCESSOR_SCHEMA_REGISTRY__URL" in problem("SCHEMA_REGISTRY__PROPERTIES", '{"url": "http://x"}')


# The file

TOML = """
[kafka]
bootstrap_servers = "a:9092"
topics = ["x", "y"]
group_id = "g"
dead_letter_topic = "d"
[kafka.properties]
"sasl.password" = "hunter2"
"socket.keepalive.enable" = true
[schema_registry]
url = "http://registry"
[fullstory]
api_key = "eu1.hunter2"
[http]
port = 9000
[mapping]
integration_names = ["One, with a comma"]
"""


def test_a_file_alone_is_enough(file: Path) -> None:
    """A TOML file alone, with lists and tables of its own, makes a complete configuration."""
    file.write_text(TOML)

    settings = load({}, file)

    assert settings.kafka.topics == ("x", "y")
    assert settings.kafka.client_properties() == {"sasl.password": SECRET, "socket.keepalive.enable": "true"}
    assert settings.http.port == 9000
    assert settings.mapping.integration_names == ("One, with a comma",)


def test_the_environment_outranks_the_file(file: Path) -> None:
    """A variable outranks the file for its own setting, and the rest of the group stays."""
    file.write_text(TOML)

    settings = load({"PROCESSOR_KAFKA__GROUP_ID": "other", "PROCESSOR_HTTP__PORT": ""}, file)

    assert settings.kafka.group_id == "other"
    assert settings.kafka.topics == ("x", "y")
    assert settings.http.port == 9000


def test_a_key_of_the_environment_replaces_that_of_the_file_in_either_form(file: Path, tmp_path: Path) -> None:
    """A key of the environment replaces the file's, whichever of the two forms each has."""
    file.write_text(TOML)
    path = tmp_path / "key"
    path.write_text("na1.other")

    settings = load({"PROCESSOR_FULLSTORY__API_KEY_FILE": str(path)}, file)

    assert settings.fullstory.api_key.get_secret_value() == "na1.other"


def test_problems_of_a_file_name_its_keys(file: Path) -> None:
    """All problems of a file are reported at once by key: misspelt names, wrong types, wrong values."""
    file.write_text(TOML.replace("port = 9000", "prot = 1\nport = 99999") + 'log = "debug"\n[kafak]\nx = 1\n[batch]\n')
    text = file.read_text().replace('log = "debug"\n', "")
    file.write_text('log = "debug"\n' + text)

    assert problems({}, file) == [
        f"{file}: log: must be a table: write [log] and put its settings below",
        f"{file}: http.prot: no such setting; did you mean http.port?",
        f"{file}: kafak: no such table; did you mean kafka?",
        f"PROCESSOR_HTTP__PORT (http.port in {file}): must be 65535 or less; for example: 9090",
    ]


def test_a_list_with_several_faults_of_one_kind_is_one_problem(file: Path) -> None:
    """Several elements with the same fault make one line."""
    file.write_text(TOML.replace('["x", "y"]', "[1, 2]"))

    [found] = problems({}, file)

    assert found.startswith(f"PROCESSOR_KAFKA__TOPICS (kafka.topics in {file}): ")


def test_a_wrong_value_of_the_environment_is_not_blamed_on_the_file(file: Path) -> None:
    """The message names the place where the wrong value stands."""
    file.write_text(TOML)

    [found] = problems({"PROCESSOR_HTTP__PORT": "x"}, file)

    assert found.startswith("PROCESSOR_HTTP__PORT: ")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff", "not UTF-8 text"),
        (b"[kafka", "not valid TOML"),
        (b'api_key = "hunter2" x', "not valid TOML"),
    ],
)
def test_an_unreadable_file_is_told_with_what_else_is_known(file: Path, content: bytes | None, expected: str) -> None:
    """With an unreadable file, the other problems are reported as far as they can be known."""
    if content is not None:
        file.write_bytes(content)

    found = problems({"PROCESSOR_ZZZ": "x"}, file)

    assert found[0].startswith(f"{file}: ")
    assert expected in found[0]
    assert found[1:] == ["PROCESSOR_ZZZ: no such setting"]


# Memory


def test_a_budget_too_small_for_a_batch_names_the_numbers_that_fit() -> None:
    """The message names a budget and a batch size, either of which makes the configuration valid."""
    small = {**REQUIRED, "PROCESSOR_MEMORY__BUDGET_BYTES": str(16 * MIB), "PROCESSOR_BATCH__MAX_BYTES": str(8 * MIB)}

    [found] = problems(small)
    budget, batch = budget_for(8 * MIB), largest_batch(16 * MIB)

    assert f"set it to {budget} or more, or PROCESSOR_BATCH__MAX_BYTES to {batch} or less" in found
    load({**small, "PROCESSOR_MEMORY__BUDGET_BYTES": str(budget)})
    load({**small, "PROCESSOR_BATCH__MAX_BYTES": str(batch)})
    assert problems({**small, "PROCESSOR_MEMORY__BUDGET_BYTES": str(budget - 1)})
    assert problems({**small, "PROCESSOR_BATCH__MAX_BYTES": str(batch + 1)})


@given(budget=st.integers(16 * MIB, 1024 * 1024 * MIB))
def test_the_split_is_whole_and_within_what_librdkafka_takes(budget: int) -> None:
    """The parts of the budget add up to it, and each is within its property's range."""
    split = MemorySplit.of(budget)

    assert split.queue_bytes + split.held_bytes == budget
    assert 1_000 <= split.partition_fetch_bytes <= split.fetch_bytes <= split.queue_bytes <= 2_097_151 * 1024
    assert split.held_bytes >= budget * 3 // 4


@pytest.mark.parametrize(("limit_mib", "budget_mib"), [(None, 256), (64, 16), (256, 80), (512, 208), (4_096, 256)])
def test_without_a_budget_the_containers_limit_makes_it(
    monkeypatch: pytest.MonkeyPatch, limit_mib: int | None, budget_mib: int
) -> None:
    """Half of what the limit leaves beside the process, and never more than is of use."""
    monkeypatch.setattr("processor.settings.memory.memory_limit", lambda: limit_mib and limit_mib * MIB)

    assert load(REQUIRED).memory.budget_bytes == budget_mib * MIB
    assert load({**REQUIRED, "PROCESSOR_MEMORY__BUDGET_BYTES": str(33 * MIB)}).memory.budget_bytes == 33 * MIB


@given(batch=st.integers(1_024, 1024 * MIB))
def test_the_smallest_budget_for_a_batch_holds_it_and_one_byte_less_does_not(batch: int) -> None:
    """The number that a message names is exact."""
    needed = batch * HELD_PER_BATCH_BYTE

    assert MemorySplit.of(budget_for(batch)).held_bytes >= needed
    assert MemorySplit.of(budget_for(batch) - 1).held_bytes < needed
    assert largest_batch(budget_for(batch)) >= batch


@given(
    st.dictionaries(
        st.sampled_from([variable.name for variable in variables()]),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30),
    )
)
def test_any_environment_is_accepted_or_explained(environ: dict[str, str]) -> None:
    """No value makes another exception than `ConfigurationError`, and every problem names a variable."""
    try:
        settings: Any = load({**REQUIRED, **environ})
    except ConfigurationError as error:
        assert all("PROCESSOR_" in each for each in error.problems)  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(settings, Settings)


def test_the_documentation_is_what_the_definitions_say() -> None:
    """docs/configuration.md is current; `python -m docs.generate` writes it."""
    assert (generate.DOCS / "configuration.md").read_text(encoding="utf-8") == generate.configuration()


# What other programs follow, too


def test_proxies_are_settings_like_any_other() -> None:
    """Proxies are read with the settings, and what is wrong with them is told with all else."""
    settings = load({**REQUIRED, "HTTPS_PROXY": "http://me:secret@proxy:3128", "no_proxy": "10.0.0.0/8"})
    proxy = settings.proxies.of_url("https://api.fullstory.com")
    assert proxy is not None
    assert proxy.masked == "http://********@proxy:3128"
    assert "secret" not in repr(settings)

    told = problems({**REQUIRED, "https_proxy": f"http://me:{SECRET}@proxy:x", "PROCESSOR_KAFKA__START": "sometimes"})
    assert [each.partition(":")[0] for each in told] == ["https_proxy", "PROCESSOR_KAFKA__START"]


def test_a_client_certificate_is_checked_with_its_key(tmp_path: Path) -> None:
    """A certificate needs its key, in its own file or in another, and both are tried at the start."""
    made, name = Certificates.make(tmp_path), "PROCESSOR_FULLSTORY__CLIENT_CERTIFICATE_FILE"
    both, key = tmp_path / "both.pem", tmp_path / "open.key"
    both.write_bytes(made.client_with_open_key())
    key.write_bytes(made.client_with_open_key())

    assert load({**REQUIRED, name: str(both)}).fullstory.client_certificate_file == both
    load({**REQUIRED, name: str(made.client), "PROCESSOR_FULLSTORY__CLIENT_KEY_FILE": str(key)})
    no_key = problem("FULLSTORY__CLIENT_CERTIFICATE_FILE", str(made.client))
    assert no_key == f"{name}: cannot be used with its key: the certificate or the key is not there as PEM"
    assert problem("FULLSTORY__CLIENT_KEY_FILE", str(key)).startswith(
        f"PROCESSOR_FULLSTORY__CLIENT_KEY_FILE: belongs to {name}, which is not set"
    )
    assert "the file cannot be read" in problem("FULLSTORY__CLIENT_CERTIFICATE_FILE", str(tmp_path / "none"))
    [encrypted] = problems(
        {**REQUIRED, name: str(made.client), "PROCESSOR_FULLSTORY__CLIENT_KEY_FILE": str(made.client_key)}
    )
    assert encrypted == f"{name}: cannot be used with its key: the key is encrypted; remove its password"
