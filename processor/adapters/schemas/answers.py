"""Whose answer it is: the registry's, or that of something in between, such as a gateway, a proxy or a login page.

A registry is known by its format: an error is a JSON object of `error_code` and `message`, a success holds what its
call is documented to give. Anything else says nothing of a schema, whatever its status. (Apicurio 3.3.3 answers an
unknown path, such as that of guids, with 404 and no body: that counts as of something in between, too.)
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

_GIVES: tuple[tuple[str, re.Pattern[str], str, type], ...] = (
    ("GET", re.compile(r"/schemas/(ids|guids)/[^/]+\Z"), "schema", str),
    ("GET", re.compile(r"/subjects/[^/]+/versions/[^/]+\Z"), "schema", str),
    ("GET", re.compile(r"/mode\Z"), "mode", str),
    ("GET", re.compile(r"/search/artifacts\Z"), "artifacts", list),
    ("POST", re.compile(r"/compatibility/.+\Z"), "is_compatible", bool),
    ("POST", re.compile(r"/subjects/[^/]+/versions\Z"), "id", int),
    ("POST", re.compile(r"/subjects/[^/]+\Z"), "schema", str),
)
"""Which member, of which type, a success of each call has."""

_LIST = re.compile(r"/subjects\Z")
_CONTENT = re.compile(r"/ids/globalIds/[0-9]+\Z")
"""Apicurio's own: the answer is the schema, in JSON or of this media type."""

_PROTOBUF = "application/x-protobuf"

_UNPRINTABLE = re.compile(r"[^ -~]")
_SHOWN = 60
"""Characters of a header that are shown."""


def is_registrys(method: str, path: str, status: int, body: bytes, media_type: str = "") -> bool:
    """Say whether a registry speaks. `path` is that of the request, as it was sent: with what is escaped in it."""
    if status == HTTPStatus.OK and _CONTENT.search(path) and media_type.startswith(_PROTOBUF):
        return True
    try:
        said: Any = json.loads(body)
    except (ValueError, RecursionError):
        return False
    if 200 <= status < 300:
        if method == "GET" and _LIST.search(path):
            return isinstance(said, list) and all(isinstance(each, str) for each in said)
        if method == "GET" and _CONTENT.search(path):
            return isinstance(said, dict | list | str)
        given = next(((name, kind) for verb, call, name, kind in _GIVES if verb == method and call.search(path)), None)
        return isinstance(said, dict) and given is not None and isinstance(said.get(given[0]), given[1])
    if status < 400 or not isinstance(said, dict):
        return False
    code = said.get("error_code")
    return isinstance(code, int) and not isinstance(code, bool) and isinstance(said.get("message"), str)


def shown(status: int, headers: Mapping[str, str]) -> str:
    """Word an answer that is no registry's: its status, who sent it and of what kind it is, and nothing of its body."""
    parts = [f"{name} {text}" for name in ("server", "content-type") if (text := _printable(headers.get(name, "")))]
    return f"{status} ({', '.join(parts)})" if parts else str(status)


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("?", text[: _SHOWN + 1])[:_SHOWN].strip()
