"""Messages as real senders write them, each reduced to what was once handled wrongly.

Each names who writes it, in which version. The values are our own, their forms the senders': a record's value stands as
text, because numbers lose their form in Python.
"""

from typing import Any

import pytest

from processor.events.avro import decode
from processor.events.mapping import Mapping, MappingRules
from processor.model.outcomes import Event, Filtered, Mapped, Outcome, Rejected
from processor.model.reasons import DeadLetterReason, FilterReason, PropertyRule
from tests.properties.segment import KAFKA_TIMESTAMP_MS, record

Json = dict[str, Any]
Counted = set[tuple[PropertyRule, str]]

AT = '"timestamp": "2026-03-04T05:06:07Z"'


def become(text: str, rules: MappingRules | None = None) -> tuple[Outcome, Counted]:
    """Return what becomes of a record with this value, and what is counted of it, with its place."""
    counted: Counted = set()
    event = decode(record(text.encode()), {}, lambda rule, path: counted.add((rule, path)))
    assert isinstance(event, dict)
    return Mapping(rules or MappingRules()).map(event, KAFKA_TIMESTAMP_MS, lambda *each: counted.add(each)), counted


def sent(text: str, rules: MappingRules | None = None) -> tuple[Event, Counted]:
    """Return the item that is sent of a record, and what is counted of it."""
    outcome, counted = become(text, rules)
    assert isinstance(outcome, Mapped)
    return outcome.body, counted


@pytest.mark.parametrize(
    "integrations", ['{"all": false}', '{"Amplitude": true, "all": false}', '{"All": false}', '{"ALL": false}']
)
@pytest.mark.parametrize("kind", ['"identify", "traits": {"plan": "pro"}', '"track", "event": "Paid"'])
def test_an_opt_out_holds_in_any_case(integrations: str, kind: str) -> None:
    """`DisableAll()` of analytics-go 3.1.0 writes `all`; Segment's facade honours it."""
    outcome, _ = become(f'{{"type": {kind}, "userId": "u-7", {AT}, "integrations": {integrations}}}')

    assert outcome == Filtered(FilterReason.INTEGRATIONS)


def test_consent_is_asked_for() -> None:
    """@segment/analytics-consent-tools 2.0.3 states it beside integrations that are empty."""
    consent = '{"consent": {"categoryPreferences": {"Ads": true, "Measuring": false, "Required": true}}}'
    text = f'{{"type": "track", "userId": "u-7", "event": "Paid", {AT}, "integrations": {{}}, "context": {consent}}}'

    assert become(text, MappingRules(consent=("Measuring",)))[0] == Filtered(FilterReason.CONSENT)
    assert become(text, MappingRules(consent=("Ads", "Measuring")))[0] == Filtered(FilterReason.CONSENT)
    assert isinstance(become(text, MappingRules(consent=("Ads", "Required")))[0], Mapped)
    assert isinstance(become(text, MappingRules(consent=("Ads", "Measuring"), consent_rule="any"))[0], Mapped)


@pytest.mark.parametrize(
    ("given", "time"),
    [
        pytest.param('"1772600767890"', "2026-03-04T05:06:07.890Z", id="milliseconds as text"),
        pytest.param("1.77260076789E12", "2026-03-04T05:06:07.890Z", id="milliseconds as Gson writes them"),
        pytest.param("1772600767890.0", "2026-03-04T05:06:07.890Z", id="milliseconds as pandas writes them"),
        pytest.param("1772600767", "2026-03-04T05:06:07.000Z", id="seconds"),
        pytest.param('"2026-03-04T05:06:07.000+0000"', "2026-03-04T05:06:07.000Z", id="Jackson's offset"),
        pytest.param('"Wed, 04 Mar 2026 05:06:07 GMT"', "2026-03-04T05:06:07.000Z", id="toUTCString of JavaScript"),
        pytest.param('"2026-03-04t05:06:07z"', "2026-03-04T05:06:07.000Z", id="RFC 3339 in lower case"),
        pytest.param('"20260304T050607Z"', "2026-03-04T05:06:07.000Z", id="the basic format"),
        pytest.param('"2026-03-04T05:06:07.123456789Z"', "2026-03-04T05:06:07.123Z", id="analytics-go 3.1.0"),
    ],
)
def test_a_time_is_that_time(given: str, time: str) -> None:
    """In no form that is common it becomes another century, or the time of arrival."""
    item, _ = sent(f'{{"type": "track", "userId": "u-7", "event": "Paid", "timestamp": {given}}}')

    assert item["timestamp"] == time


@pytest.mark.parametrize("given", ["0", '"0"', "0.0"])
def test_zero_is_no_time(given: str) -> None:
    """What a field holds that nobody set: the record's own time takes its place, and that is counted."""
    item, counted = sent(f'{{"type": "track", "userId": "u-7", "event": "Paid", "timestamp": {given}}}')

    assert item["timestamp"] == "2026-01-01T00:00:00.000Z"
    assert {rule for rule, _ in counted} == {PropertyRule.TIMESTAMP_INVALID, PropertyRule.TIMESTAMP_OF_KAFKA}


def test_a_time_is_one_wherever_it_stands() -> None:
    """The offset that Jackson and Python write is one of a property, too."""
    properties = '{"paid_at": "2026-03-04T05:06:07.000+0000"}'
    item, _ = sent(f'{{"type": "track", "userId": "u-7", "event": "Paid", {AT}, "properties": {properties}}}')

    assert item["properties"] == {"paid_at": "2026-03-04T05:06:07.000Z"}
    assert item["schema"] == {"properties": {"paid_at": "date"}}


def test_a_page_is_no_mobile_app() -> None:
    """RudderStack's SDK for browsers (3.34.1) puts itself into `context.app`, and says `$direct` of a direct visit."""
    sdk = '"name": "RudderLabs JavaScript SDK", "version": "3.34.1"'
    page = '{"url": "https://tea.example/", "referrer": "$direct", "initial_referrer": "$direct"}'
    app = f'{{{sdk}, "namespace": "com.rudderlabs.javascript", "installType": "npm"}}'
    context = f'{{"app": {app}, "library": {{{sdk}}}, "page": {page}}}'
    item, counted = sent(
        '{"type": "track", "channel": "web", "userId": "u-7", "anonymousId": "a-7", "event": "Paid", '
        f'"originalTimestamp": "2026-03-04T05:06:07.890Z", "integrations": {{"All": true}}, "context": {context}}}'
    )

    assert item["context"] == {"browser": {"url": "https://tea.example/"}}
    assert counted == {(PropertyRule.TIMESTAMP_ORIGINAL, "originalTimestamp")}


def properties(text: str) -> tuple[Json, Counted]:
    """Return what is sent of a track's properties."""
    item, counted = sent(f'{{"type": "track", "userId": "u-7", "event": "Paid", {AT}, "properties": {text}}}')
    return item["properties"], counted


def test_numbers_beyond_a_real_are_counted() -> None:
    """BigInteger and BigDecimal of Java, and whole numbers of Python, have any number of digits."""
    given, counted = properties('{"whole": 88888888888888888888888, "exact": 98765432109876543210.0123456789}')

    assert given == {"whole": 8.888888888888889e22, "exact": 9.876543210987655e19}
    assert (PropertyRule.NUMBER_ROUNDED, "whole") in counted


def test_what_stands_beside_a_nan_means_the_same() -> None:
    """One parser's meaning, whoever reads: of numbers in properties, in arrays and of ids."""
    alone, _ = properties('{"lines": [{"id": 88888888888888888888888}]}')
    beside, counted = properties('{"lines": [{"id": 88888888888888888888888}], "n": NaN}')

    assert alone == beside == {"lines": '[{"id":8.888888888888889e+22}]'}
    assert (PropertyRule.NOT_A_NUMBER, "n") in counted


@pytest.mark.parametrize("beside", ["{}", '{"n": NaN}'])
def test_an_id_that_a_real_cannot_tell_apart_is_none(beside: str) -> None:
    """Twenty-one digits would make one user of several."""
    outcome, _ = become(
        f'{{"type": "track", "userId": 876543210987654321098, "event": "Paid", {AT}, "properties": {beside}}}'
    )

    assert isinstance(outcome, Rejected)
    assert outcome.reason is DeadLetterReason.MISSING_USER


@pytest.mark.parametrize("others", ["", '"anonymousId": "a-7", '])
def test_a_whole_number_written_as_a_real_is_its_id(others: str) -> None:
    """Gson, pandas, Spark and Jackson write 42 so; Segment's destination (3.497.0) sends `42`."""
    item, _ = sent(f'{{"type": "track", "userId": 1234.0, {others}"event": "Paid", {AT}}}')

    assert item["user"] == {"uid": "1234"}


def test_a_number_is_an_events_name() -> None:
    """Segment's destination (3.497.0) sends its digits, too."""
    assert sent(f'{{"type": "track", "userId": "u-7", "event": 503, {AT}}}')[0]["name"] == "503"


def test_a_message_without_context_is_delivered() -> None:
    """analytics-go (3.1.0) writes none; the digits of its times stay in properties, where FullStory takes them."""
    item, _ = sent(
        '{"type": "track", "messageId": "m-7", "userId": "u-7", "event": "Paid", '
        '"timestamp": "2026-03-04T05:06:07.123456789Z", '
        '"properties": {"count": 3, "at": "2026-03-04T05:06:07.123456789+02:00"}}'
    )

    assert item == {
        "name": "Paid",
        "timestamp": "2026-03-04T05:06:07.123Z",
        "user": {"uid": "u-7"},
        "properties": {"count": 3, "at": "2026-03-04T05:06:07.123456789+02:00"},
        "schema": {"properties": {"count": "int", "at": "date"}},
    }


@pytest.mark.parametrize("region", ["GA", "US-GA", "ga", "us-ga"])
def test_a_region_stands_beside_its_country(region: str) -> None:
    """As in the samples of FullStory's specification."""
    location = f'{{"country": "US", "region": "{region}", "city": "Macon"}}'
    item, _ = sent(
        f'{{"type": "track", "userId": "u-7", "event": "Paid", {AT}, "context": {{"location": {location}}}}}'
    )

    assert item["context"]["location"] == {"country": "US", "region": "GA", "city": "Macon"}


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("198.51.100.9:51000", "198.51.100.9"),
        ("[2001:db8::9]:51000", "2001:db8::9"),
        ("10:45", None),
        (":", None),
        ("x.y:z", None),
    ],
)
def test_an_address_is_sent_without_its_port(given: str, address: str | None) -> None:
    """Azure's gateways write the port (PostHog#10111, authentik#25679); what is no address is none."""
    item, counted = sent(f'{{"type": "track", "userId": "u-7", "event": "Paid", {AT}, "context": {{"ip": "{given}"}}}}')

    assert item.get("context", {}).get("location", {}).get("ip_address") == address
    rule = PropertyRule.CONTEXT_DROPPED if address is None else PropertyRule.ADDRESS_CUT
    assert counted == {(rule, "context.ip")}
