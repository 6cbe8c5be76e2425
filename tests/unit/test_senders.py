"""What real libraries wrote becomes what docs/senders.md says."""

from pathlib import Path

import pytest

from processor.model.reasons import FilterReason
from tests.registry import serdes
from tests.senders.senders import PROGRAMS, SENDERS, SERIALIZERS, messages_in, serialized
from tests.senders.tables import PAGE, Sent, all_sent, with_tables

SENT = all_sent()
PINS = (".json", ".txt", ".toml", ".xml")


def test_the_page_says_what_becomes_of_the_recording() -> None:
    """Else make its tables anew: `python -m tests.senders`."""
    page = PAGE.read_text(encoding="utf-8")

    assert with_tables(page) == page


@pytest.mark.parametrize("sent", SENT, ids=lambda sent: sent.sender.name)
def test_nothing_that_a_library_writes_is_refused(sent: Sent) -> None:
    """Identifies and tracks are delivered unless somebody opted out, other types are filtered."""
    outcomes = {(one.written["type"], one.outcome) for one in sent.messages}
    filtered = f"filtered, `{FilterReason.MESSAGE_TYPE}`"
    opted_out = {("track", f"filtered, `{FilterReason.INTEGRATIONS}`")} if sent.sender.package != "@jitsu/js" else set()

    assert {("identify", "delivered"), ("track", "delivered")} | opted_out == {
        each for each in outcomes if each[0] in ("identify", "track")
    }
    assert {outcome for kind, outcome in outcomes if kind not in ("identify", "track")} == {filtered}
    assert {"group", "page"} <= {kind for kind, _ in outcomes}


@pytest.mark.parametrize(("package", "version"), sorted({each[1:3] for each in (*SENDERS, *SERIALIZERS)}))
def test_the_versions_are_those_that_are_pinned(package: str, version: str) -> None:
    """So that what is recorded anew is what the page names."""
    files = [*(file for file in PROGRAMS.glob("*/*") if file.suffix in PINS), Path(serdes.__file__)]
    pins = [file.read_text(encoding="utf-8") for file in files]

    assert any(package.rpartition(":")[2] in text and version in text for text in pins)


def test_every_serializer_is_recorded() -> None:
    """And no other."""
    assert set(serialized()) == {each.name for each in SERIALIZERS}


def test_messages_of_a_batch_keep_their_characters() -> None:
    """Numbers have forms that reading would lose."""
    body = '{"batch": [{"a": 42.0}, {"b": [12.30]}], "context": {"library": {"name": "x"}}}'

    found = list(messages_in("X", body))

    assert [each.text for each in found] == ['{"a": 42.0}', '{"b": [12.30]}']
    assert found[0].around == {"context": {"library": {"name": "x"}}}
    assert [each.text for each in messages_in("X", '{"a": 1}')] == ['{"a": 1}']
