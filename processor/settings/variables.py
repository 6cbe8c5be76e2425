"""The list of all settings, each under the names that the environment and a TOML file have for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, final, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from processor.model.nearest import nearest
from processor.settings.definitions import About, Section
from processor.settings.model import Settings

PREFIX = "PROCESSOR_"

SURROUNDINGS_SECTION = "environment"
"""What stands in the place of a section for variables without the prefix."""


@final
@dataclass(frozen=True, slots=True)
class Variable:
    """A setting."""

    section: str
    field: str
    info: FieldInfo

    @property
    def name(self) -> str:
        """The environment variable."""
        if self.section == SURROUNDINGS_SECTION:
            return self.field
        return f"{PREFIX}{self.section}__{self.field}".upper()

    @property
    def key(self) -> str:
        """The key in a TOML file."""
        return f"{self.section}.{self.field}"

    @property
    def about(self) -> About:
        """What the definition says of it."""
        return next(each for each in self.info.metadata if isinstance(each, About))

    @property
    def is_needed(self) -> bool:
        """Whether the worker cannot run without: only such settings have no reason for a default."""
        return not self.about.reason

    @property
    def default(self) -> Any:
        """The default as JSON and TOML have it; None where there is none."""
        return None if self.info.is_required() else plain(self.info.get_default(call_default_factory=True))

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it may have, where these are a closed list."""
        return get_args(self.info.annotation) if get_origin(self.info.annotation) is Literal else ()


def plain(value: Any) -> Any:
    """Return a value as JSON and TOML have it."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return value if value is None or isinstance(value, bool | int | float | dict) else str(value)


def sections() -> dict[str, type[Section]]:
    """Return the sections of settings by name, in order."""
    annotations = {name: info.annotation for name, info in Settings.model_fields.items()}
    return {
        name: section
        for name, section in annotations.items()
        if isinstance(section, type) and issubclass(section, Section)
    }


def variables() -> list[Variable]:
    """Return every setting, in order."""
    return [
        Variable(section_name, info.alias or name, info)
        for section_name, section in sections().items()
        for name, info in section.model_fields.items()
    ]


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a question that names a known name much like this one; the prefix, which all have, does not count."""
    by_rest = {each.removeprefix(PREFIX): each for each in known}
    meant = nearest(name.removeprefix(PREFIX), by_rest)
    return f"; did you mean {by_rest[meant]}?" if meant else ""
