"""From the environment and a file to `Settings`, or to all that is wrong with them at once."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from processor.adapters.proxies import Proxies
from processor.model.errors import ConfigurationError
from processor.settings import surroundings
from processor.settings.model import Settings
from processor.settings.sources import PLACEHOLDER, SECRET_FILES, Sources, masked
from processor.settings.variables import PREFIX, Variable, variables

_WORDS = {
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a string",
    "path_type": "must be a string",
    "tuple_type": "must be a list",
    "string_too_short": "must not be blank",
    "too_short": "must have at least one entry",
    "literal_error": "must be {expected}",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
}
"""What pydantic finds wrong, by its own types of errors. A check of our own has a message that says more."""


def load(environ: Mapping[str, str], file: Path | None = None, *, unused: Collection[str] = ()) -> Settings:
    """Return the settings of an environment and a TOML file; raise `ConfigurationError` with every problem found.

    An empty value counts as not set. Sections that are `unused` are not looked at: they hold examples where they have
    no defaults.
    """
    return load_from(Sources.read(environ, file), unused=unused)


def load_from(sources: Sources, *, unused: Collection[str] = ()) -> Settings:
    """Return the settings that `sources` hold; raise `ConfigurationError` with every problem found."""
    if sources.unreadable is not None:
        raise ConfigurationError([sources.unreadable, *sources.unknown])
    secrets = sources.secrets()
    placeholders = [each for each in sources.placeholders() if each.section not in unused]
    problems = [*sources.unknown, *_not_filled_in(placeholders, sources)]
    proxies = Proxies()
    try:
        proxies = surroundings.read(sources.surroundings)
    except ConfigurationError as error:
        problems += error.problems
    values: dict[str, Any] = sources.values() | {name: _examples(name) for name in unused}
    try:
        settings = Settings(**values, proxies=proxies)
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
        problems += _explain(details, sources, placeholders)
        raise ConfigurationError([masked(each, secrets) for each in problems]) from None
    if problems:
        raise ConfigurationError(problems)
    return settings


def _examples(section: str) -> dict[str, str]:
    """Return a value for each setting of a section that has no default, and so no reason for one."""
    return {each.field: each.about.example for each in variables() if each.section == section and not each.about.reason}


def _explain(details: Sequence[ErrorDetails], sources: Sources, placeholders: Sequence[Variable]) -> Iterator[str]:
    """Say what is wrong: what is not set in one problem, each wrong value once."""
    unfilled = {each.field for each in placeholders}
    missing = [_variable(each) for each in details if each["type"] == "missing"]
    yield from _not_set(
        [each for each in missing if unfilled.isdisjoint({each.field, SECRET_FILES.get(each.field)})], sources.file
    )
    yield from dict.fromkeys(_wrong(each, sources) for each in details if each["type"] != "missing")


def _variable(detail: ErrorDetails) -> Variable:
    section, field = detail["loc"][:2]
    return next(each for each in variables() if (each.section, each.field) == (section, field))


def _not_set(missing: Sequence[Variable], file: Path | None) -> Iterator[str]:
    if len(missing) == 1:
        yield f"{missing[0].name}: is not set{_or_its_file(missing[0])}; for example: {missing[0].about.example}"
    elif missing:
        place = "in the environment" if file is None else f"in the environment or in {file}"
        head = f"{len(missing)} required settings are not set. Set them {place}, for example:"
        end = ["To write a settings file: segment-fullstory settings init"] if file is None else []
        yield "\n".join([head, *_examples_of(missing), *end])


def _not_filled_in(placeholders: Sequence[Variable], sources: Sources) -> Iterator[str]:
    if placeholders:
        kinds = {sources.origin(each).kind for each in placeholders}
        place = "the environment" if kinds == {"environment"} else sources.file
        head = f"These settings still hold the placeholder {PLACEHOLDER}, in {place}. Replace it, for example:"
        yield "\n".join([head, *_examples_of(placeholders)])


def _examples_of(them: Sequence[Variable]) -> Iterator[str]:
    return (f"  {each.name}={each.about.example}{_or_its_file(each)}" for each in them)


def _or_its_file(variable: Variable) -> str:
    return f" (or {variable.name}_FILE)" if variable.field in SECRET_FILES else ""


def _wrong(detail: ErrorDetails, sources: Sources) -> str:
    """Say in a line what is wrong; never with the value, for it may be a secret in the wrong place."""
    message = detail["msg"].removeprefix("Value error, ")
    if message.startswith(PREFIX):
        return message
    variable = _variable(detail)
    origin = sources.origin(variable)
    place = f" ({variable.key} in {origin.name})" if origin.kind == "file" else ""
    context = detail.get("ctx", {})
    bounds = {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}
    words = _WORDS.get(detail["type"], "").format(**bounds) or f"{message[:1].lower()}{message[1:]}"
    return f"{variable.name}{place}: {words}; for example: {variable.about.example}"
