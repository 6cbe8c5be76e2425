"""JSON text to values that can be written again."""

import json
from typing import Any

import orjson

INVALID = object()
"""What text that is no JSON gives; null gives None."""


def parse_json(text: bytes | str) -> Any:
    """Return what JSON text says, or `INVALID`. Never raises.

    What orjson refuses but common producers write (NaN, infinities, lone surrogates) is parsed by the slower standard
    library; every lone surrogate becomes U+FFFD, because no UTF-8 holds one.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        lenient = text.decode() if isinstance(text, bytes) else text
        return _without_surrogates(json.loads(lenient))
    except (ValueError, RecursionError):
        return INVALID


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(each) for each in value]
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(each) for name, each in value.items()}
    return value
