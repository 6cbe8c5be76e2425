"""The sandbox answers in the types of FullStory's specification, and takes what those of requests describe."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from processor.sandbox import items
from processor.sandbox.batch_api import EVENTS_REQUEST, USERS_REQUEST
from processor.sandbox.context import CONTEXT, FIELDS
from processor.sandbox.message import ApiMessage
from tests.contract.fullstory_sdk import installed, missing_node
from tests.contract.fullstory_types import FILE, extracted, faults
from tests.needs import need
from tests.sandbox.stage import ARCHITECT, EVENT, JOB_S, STANDARD, USER, Api, Json, on_sandbox

SPECIFIED = json.loads(FILE.read_text(encoding="utf-8"))
TYPES, OPERATIONS = SPECIFIED["types"], SPECIFIED["operations"]

CONTRADICTED = {"JobStatusResponse": {"errors?": "number"}}
"""Fields as FullStory describes them, where that contradicts their type: "only included for failed imports"."""

NEWER = {"page_properties", "page_properties_schema"}
"""Fields that only FullStory's newer pages have."""

FULL_EVENT: Json = {
    **EVENT,
    "properties": {"total": 9.5, "none": None},
    "schema": {"properties": {"total": "real"}},
    "context": {
        "browser": {"url": "https://example.com", "userAgent": "UA"},
        "device": {"model": "x", "screen_width": 1},
        "location": {"country": "US", "region": "GA", "latitude": 33.7, "longitude": -84},
    },
}


def of_type(kind: str, value: Any) -> list[str]:
    """Say where an answer is not of the type, but for what is known."""
    types = {**TYPES}
    for name, fields in CONTRADICTED.items():
        kept = {field: of for field, of in TYPES[name].items() if f"{field}?" not in fields}
        types[name] = kept | fields
    return list(faults(types, kind, value))


@on_sandbox(page_size=1)
async def test_each_operation_of_the_sdk_is_answered_in_its_type(api: Api) -> None:
    """Nothing is missing, nothing is of another type and nothing is there that the type has not."""
    answered = set()

    async def ask(operation: str, body: Any = None, query: str = "", **path: str) -> Any:
        method, _, where = operation.partition(" ")
        escaped = {name: quote(value, safe="") for name, value in path.items()}
        reply = await api.call(method, where.format(**escaped) + query, body)
        assert reply.status == 200
        assert of_type(OPERATIONS[operation], reply.body) == []
        answered.add(operation)
        return reply.body

    user_id = (await ask("POST /v2/users", {**USER, "schema": {"properties": {"plan": "str"}}}))["id"]
    await ask("POST /v2/users", {})
    await ask("POST /v2/users/{id}", {"displayName": "U"}, id=user_id)
    for query in ("", "?include_schema=true"):
        await ask("GET /v2/users/{id}", None, query, id=user_id)
        assert (await ask("GET /v2/users", None, query))["next_page_token"]
    await ask("POST /v2/events", FULL_EVENT)
    for kind, good, bad in (
        ("users", USER, {"uid": "u" * 257}),
        ("events", FULL_EVENT, {"name": "", "user": {"id": "1"}}),
    ):
        for requests in ([good, good], [good, bad, bad]):
            job_id = (await ask(f"POST /v2/{kind}/batch", {"requests": requests}))["job"]["id"]
            await ask(f"GET /v2/{kind}/batch/{{job_id}}", job_id=job_id)
            api.clock.time += JOB_S
            await ask(f"GET /v2/{kind}/batch/{{job_id}}", job_id=job_id)
            for query in ("", "?include_schema=true"):
                await ask(f"GET /v2/{kind}/batch/{{job_id}}/imports", None, query, job_id=job_id)
            if bad in requests:
                await ask(f"GET /v2/{kind}/batch/{{job_id}}/errors", job_id=job_id)
    await ask("DELETE /v2/users", None, "?uid=u1")
    await ask("DELETE /v2/users/{id}", id=(await api.get("/users")).body["results"][0]["id"])

    assert answered == OPERATIONS.keys()


@pytest.mark.parametrize(
    ("status", "method", "path", "key", "faults_in_force"),
    [
        (400, "POST", "/v2/events", ARCHITECT, {}),
        (401, "GET", "/v2/users", "nobody", {}),
        (403, "GET", "/v2/users", STANDARD, {}),
        (404, "GET", "/v2/users/1", ARCHITECT, {}),
        (405, "PUT", "/v2/users/1", ARCHITECT, {}),
        (429, "GET", "/v2/users", ARCHITECT, {"throttle_ratio": 1}),
        (500, "GET", "/v2/users", ARCHITECT, {"outage_status": 500}),
        (503, "GET", "/v2/users", ARCHITECT, {"outage_status": 503}),
    ],
)
@on_sandbox()
async def test_each_refusal_is_of_the_type_of_errors(
    api: Api, status: int, method: str, path: str, key: str, faults_in_force: Json
) -> None:
    """A message for people and a code for programs, whatever refuses."""
    await api.faults(**faults_in_force)
    reply = await api.call(method, path, {} if method == "POST" else None, key=key)
    assert (reply.status, of_type("ErrorResponse", reply.body)) == (status, [])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("CreateUserRequest", items.USER),
        ("UpdateUserRequest", items.USER),
        ("BatchUserImportRequest", items.BATCH_USER),
        ("CreateEventRequest", items.EVENT),
        ("Schema", items.SCHEMA),
        ("Context", CONTEXT),
        ("CreateBatchUserImportJobRequest", USERS_REQUEST),
        ("CreateBatchEventsImportJobRequest", EVENTS_REQUEST),
    ],
)
def test_the_fields_of_a_request_are_those_of_its_type(kind: str, message: ApiMessage) -> None:
    """Those of the specification and, for events, what only FullStory's newer pages have."""
    assert message.fields - NEWER == {field.rstrip("?") for field in TYPES[kind]}


def test_the_fields_of_contexts_and_identifications_are_those_of_their_types() -> None:
    """In the groups of a context none is missing; a session has one more on the newer pages, `uid`."""
    groups = {f"{group.capitalize()}Context": set(fields) for group, fields in FIELDS.items()}
    identifications = {"UserIdRequest": set(items.WHO.fields), "SessionIdRequest": items.SESSION.fields - {"uid"}}
    for kind, fields in (groups | identifications).items():
        assert {field.rstrip("?") for field in TYPES[kind]} == fields


@pytest.mark.parametrize(
    ("kind", "value", "fault"),
    [
        ("GetUserResponse", {"id": "1"}, ".is_being_deleted is missing"),
        ("GetUserResponse", {"id": 1, "is_being_deleted": False}, ".id is no string"),
        ("GetUserResponse", {"id": "1", "is_being_deleted": False, "name": "n"}, ".name is not in the type"),
        ("ListUsersResponse", {"results": {}, "total_records": "0"}, ".results is no array"),
        ("ListUsersResponse", {"results": [1], "total_records": "0"}, ".results[0] is no GetUserResponse"),
        ("JobStatus", "PENDING", " is none of ['PROCESSING', 'COMPLETED', 'FAILED']"),
        ("void", {"id": "1"}, ".id is not in the type"),
    ],
)
def test_what_is_not_of_a_type_is_found(kind: str, value: Any, fault: str) -> None:
    """The comparison itself sees each way in which an answer may be wrong."""
    assert of_type(kind, value) == [fault]


@pytest.mark.servers
@pytest.mark.xdist_group("servers")
def test_the_types_are_those_of_the_sdk() -> None:
    """The file is what `python -m tests.contract.fullstory_types` writes of the SDK that is tested."""
    need(missing_node())
    assert extracted(installed()) == SPECIFIED
