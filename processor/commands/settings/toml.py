"""Settings as TOML: what is in force as a file that can be used again, and a new file to begin with."""

import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, get_origin

from processor.settings.effective import STATES, Effective
from processor.settings.sources import DEFAULT, PLACEHOLDER, SECRET_FILES
from processor.settings.variables import SURROUNDINGS_SECTION, Variable, sections, variables

WIDTH = 100

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_CONTROLS = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
"""Characters that JSON does not escape, and that would touch a terminal or are none of TOML's."""

_HEAD = "\n\n".join(
    [
        "Settings of segment-fullstory.",
        f"Replace each {PLACEHOLDER}. A setting behind a # has its default: remove the # to change it.",
        "An empty value counts as not set.",
        "Environment variables take precedence over this file: PROCESSOR_KAFKA__GROUP_ID is group_id in [kafka].",
        "docs/configuration.md describes all settings. `segment-fullstory settings` shows those in force.",
    ]
)


def literal(value: Any) -> str:
    """Write a value as TOML has it, on one line; None is the empty text, which counts as not set."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key(name)} = {literal(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(literal(each) for each in value)}]"
    return json.dumps("" if value is None else value, ensure_ascii=False).translate(_CONTROLS)


def key(name: str) -> str:
    """Write a name as a key: bare if it may be, else in quotes."""
    return name if _BARE.fullmatch(name) else literal(name)


def current(settings: Iterable[Effective]) -> Iterator[str]:
    """Write settings in force, line by line; secrets, and what has no value to write, are comments."""
    for number, (section, members) in enumerate(groupby(settings, lambda each: each.variable.section)):
        title = f"[{section}]" if section != SURROUNDINGS_SECTION else "# Only variables can say this:"
        yield from ["", title] if number else [title]
        is_within = False
        for each in sorted(members, key=lambda member: member.entry is not None):
            if each.entry is not None and not is_within:
                is_within = True
                yield from ["", f"[{section}.{each.variable.field}]"]
            yield _line(each)


def _line(setting: Effective) -> str:
    name = key(setting.entry or setting.variable.field)
    about, origin = setting.variable.about, setting.origin
    if setting.state != "shown":
        return f"# {name} = {STATES[setting.state]}  # {origin}"
    line = f"{name} = {literal(setting.value)}"
    if origin == DEFAULT and about.default is not None:
        return f"# {line}  # {origin}: {about.default}"
    is_comment = origin.kind == "secret file" or setting.variable.section == SURROUNDINGS_SECTION
    return f"{'# ' if is_comment else ''}{line}  # {origin}"


def template() -> Iterator[str]:
    """Write a new file, line by line: what is needed holds a placeholder, all else is a comment with its default."""
    needed = {SECRET_FILES.get(each.field, each.field) for each in variables() if each.is_needed}
    yield from _comment(_HEAD)
    for name, section in sections().items():
        yield from ["", ""]
        yield from _comment(section.__doc__ or "")
        yield f"[{name}]"
        for each in variables():
            if each.section == name:
                yield from ["", *_comment(_described(each))]
                yield _placeholder(each) if each.field in needed else f"#{each.field} = {literal(each.default)}"


def _described(variable: Variable) -> str:
    about = variable.about
    parts = [about.meaning]
    if variable.choices:
        parts.append(f"One of {', '.join(variable.choices)}.")
    if variable.info.is_required():
        parts.append("Required.")
    else:
        parts.append(f"Default: {about.default or literal(variable.default)}. {about.reason}".rstrip())
    return "\n".join([" ".join(parts), f"Example: {variable.field} = {example(variable)}"])


def _placeholder(variable: Variable) -> str:
    value = [PLACEHOLDER] if get_origin(variable.info.annotation) is tuple else PLACEHOLDER
    return f"{variable.field} = {literal(value)}"


def example(variable: Variable) -> str:
    """Write the example of a setting as TOML has it."""
    text, annotation = variable.about.example, variable.info.annotation
    if get_origin(annotation) is tuple:
        return literal(text.split(","))
    if get_origin(annotation) is dict:
        return literal(json.loads(text))
    return text if annotation in {bool, int, float} else literal(text)


def _comment(text: str) -> Iterator[str]:
    for paragraph in _LINK.sub(r"\1", text).splitlines():
        if paragraph.startswith("Example: "):
            yield f"# {paragraph}"
        else:
            yield from textwrap.wrap(
                paragraph, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
            ) or ["#"]
