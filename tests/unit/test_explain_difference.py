"""How two explanations of one record differ."""

import json
from typing import Any

import pytest

from processor.commands.common.explanation import Explanation, Verdict
from processor.commands.common.shown_request import ShownRequest
from processor.commands.explain.difference import Comparison, differences

OTHER = "/v2/events"


def explained(
    body: dict[str, Any] | None = None,
    outcome: Verdict = "delivered",
    reason: str | None = None,
    path: str = "/v2/users",
) -> Explanation:
    """Return an explanation with one request, or with none."""
    requests = [] if body is None else [ShownRequest("POST", path, {}, json.dumps(body).encode())]
    return Explanation("line 1", "JSON", None, None, outcome, reason, requests, [], None)


USER = {"uid": "u", "properties": {"plan": "pro", "nested": {"deep": 1}, "empty": {}}}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (explained(USER), []),
        (explained(None, "filtered", "integrations"), ["outcome: delivered → filtered (integrations)"]),
        (explained(USER, path=OTHER), ["endpoint"]),
        (explained(USER | {"uid": "v"}), ["uid changed"]),
        (explained(USER | {"email": "e"}), ["email added"]),
        (explained({"uid": "u"}), ["properties removed"] * 3),
        (
            explained(USER | {"properties": {"plan": "pro", "nested": {"deep": 1.0}, "empty": {}}}),
            ["properties changed"],
        ),
        (
            explained(USER | {"properties": {"plan": "pro", "nested": {"deep": True}, "empty": {}}}),
            ["properties changed"],
        ),
        (
            explained(USER | {"properties": {"Plan": "pro", "nested": {"deep": 1}, "empty": {}}}),
            ["properties removed", "properties added"],
        ),
    ],
)
def test_what_differs_is_named_by_field(after: Explanation, expected: list[str]) -> None:
    """A difference names the outcome, the endpoint or the fields of the body that changed; types count."""
    assert [each.kind for each in differences(explained(USER), after)] == expected


def test_a_kind_counts_once_a_record_and_keeps_few_examples() -> None:
    """The most frequent kind comes first, and a side that has nothing is absent from an example."""
    comparison = Comparison()
    for _ in range(5):
        comparison.add(explained(USER), explained({"uid": "u"}))
    comparison.add(explained(USER), explained(USER | {"email": "e"}))
    comparison.add(explained(USER), explained(USER))
    told = comparison.as_json()

    assert (told["records"], told["different"]) == (7, 6)
    assert [(each["kind"], each["records"]) for each in told["differences"]] == [
        ("properties removed", 5),
        ("email added", 1),
    ]
    assert len(told["differences"][0]["examples"]) == 3
    assert told["differences"][1]["examples"] == [{"record": "line 1", "path": "email", "after": "e"}]
