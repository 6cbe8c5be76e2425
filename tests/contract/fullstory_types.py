"""The types of FullStory's API, as its SDK for Node ships them: what `python -m tests.contract.fullstory_types` writes.

The SDK is generated from FullStory's own specification. Node and npm are needed to write the file anew, and by no test
that reads it.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.contract.fullstory_sdk import HERE, installed

FILE = HERE / "fullstory_types.json"
INTERFACE = re.compile(r"(?s)export interface (\w+) \{(.*?)\n\}")
FIELD = re.compile(r"(?m)^    '(\w+)'(\??): (.+);$")
SIMPLE = {"string": (str,), "number": (int, float), "boolean": (bool,), "object": (dict,)}
ENUM = re.compile(r"(?s)export declare enum (\w+) \{(.*?)\n\}")
ANSWER = re.compile(r"(?s)\n    (\w+)\(request: .*?\): Promise<FSResponse<(\w+)>>")
CALL = re.compile(r"(?s)\n    (\w+)\(request\) \{.*?basePath\}(\S+?)`.*?method: '(\w+)'")


def extracted(sdk: Path) -> dict[str, Any]:
    """Return the types, each with its fields (`?` where optional) or its values, and what each operation answers."""
    library = sdk / "node_modules" / "@fullstory" / "server-api-client" / "lib"
    types: dict[str, Any] = {}
    for file in sorted((library / "model").rglob("*.d.ts")):
        text = file.read_text(encoding="utf-8")
        for name, body in INTERFACE.findall(text):
            types[name] = {
                field + mark: re.sub(r"Array<(\w+)>", r"\1[]", kind) for field, mark, kind in FIELD.findall(body)
            }
        for name, body in ENUM.findall(text):
            types[name] = re.findall(r'"(\w+)"', body)
    return {"operations": dict(sorted(_operations(library / "api"))), "types": types}


def _operations(api: Path) -> Iterator[tuple[str, str]]:
    """Yield each operation as `GET /v2/users`, with the type of its answer."""
    for file in api.rglob("*Api.js"):
        answers = dict(ANSWER.findall(file.with_suffix(".d.ts").read_text(encoding="utf-8")))
        for name, path, method in CALL.findall(file.read_text(encoding="utf-8")):
            yield f"{method} {path}", answers[name]


def faults(types: dict[str, Any], kind: str, value: Any, at: str = "") -> Iterator[str]:
    """Say where a value is not of a type: members that it lacks, that it has beyond the type, or of another type.

    Of `void` is the empty object.
    """
    if kind.endswith("[]"):
        if type(value) is not list:
            yield f"{at} is no array"
            return
        for index, element in enumerate(value):
            yield from faults(types, kind.removesuffix("[]"), element, f"{at}[{index}]")
    elif kind in SIMPLE:
        if type(value) not in SIMPLE[kind]:
            yield f"{at} is no {kind}"
    elif type(of := types.get(kind, {})) is list:
        if value not in of:
            yield f"{at} is none of {of}"
    elif type(value) is not dict:
        yield f"{at} is no {kind}"
    else:
        yield from _faults_of_fields(types, of, value, at)


def _faults_of_fields(types: dict[str, Any], fields: dict[str, str], value: dict[str, Any], at: str) -> Iterator[str]:
    kinds = {field.rstrip("?"): kind for field, kind in fields.items()}
    for field in fields:
        if not field.endswith("?") and field not in value:
            yield f"{at}.{field} is missing"
    for field, inner in value.items():
        if field not in kinds:
            yield f"{at}.{field} is not in the type"
        else:
            yield from faults(types, kinds[field], inner, f"{at}.{field}")


if __name__ == "__main__":
    FILE.write_text(json.dumps(extracted(installed()), indent=1) + "\n", encoding="utf-8")
