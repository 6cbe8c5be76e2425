"""Result files: what a long run found, kept beside the documents that quote it."""

from pathlib import Path
from typing import Any

import orjson


def keep(file: Path | None, result: dict[str, Any]) -> None:
    """Write a result as JSON, where a file is asked for."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
