"""What the environment and a TOML file say, setting by setting, before anything is validated."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

from pydantic_settings import EnvSettingsSource

from processor.settings.model import Settings
from processor.settings.surroundings import SURROUNDINGS
from processor.settings.variables import PREFIX, Variable, sections, suggestion, variables

PLACEHOLDER = "REPLACE_ME"
"""In a new settings file, the value of what has no default; it is no value for the loader."""

MASK = "********"
"""What stands in the place of a secret."""

MIN_SECRET_CHARACTERS = 8
"""A secret that is shorter is not looked for in other texts: it would be found in any of them."""

Values = Mapping[str, Mapping[str, Any]]
"""Raw values by section and field."""

SECRET_FILES = {"api_key": "api_key_file", "hash_salt": "hash_salt_file"}
"""Secrets, each with the setting that names a file which holds it instead."""

_KUBERNETES = re.compile(r"PROCESSOR_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)\Z")
_KUBERNETES_PORT = re.compile(r"PROCESSOR_(\w+_)?PORT\Z")
_KUBERNETES_URL = re.compile(r"(tcp|udp|sctp)://")


@final
@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from."""

    kind: Literal["default", "file", "environment", "secret file"]
    name: str = ""
    """The path of the file, or the variable."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


DEFAULT = Origin("default")


@final
@dataclass(frozen=True, slots=True)
class Sources:
    """The environment and the file; the environment outranks the file, setting by setting."""

    file: Path | None
    environment: Values
    table: Values
    """What the file says and the environment does not outrank."""
    unreadable: str | None
    """Why the file could not be read, if it could not."""
    unknown: list[str]
    """Names that no setting has, each as a problem."""
    surroundings: Mapping[str, str]
    """Variables of the environment that other programs follow, too."""

    @classmethod
    def read(cls, environ: Mapping[str, str], file: Path | None) -> "Sources":
        """Read both. A value that is empty counts as not set: templates leave it so."""
        environment = _nested(environ)
        table: dict[str, Any] = {}
        unreadable = None
        try:
            table = _read(file) if file is not None else {}
        except ValueError as error:
            unreadable = str(error)
        unknown = [*_unknown_variables(environ), *_unknown_keys(table, file)]
        of_file = {name: _of_file(table, name, environment) for name in sections()}
        surroundings = {name: value for name, value in environ.items() if name in SURROUNDINGS}
        return cls(file, environment, of_file, unreadable, unknown, surroundings)

    def values(self) -> dict[str, dict[str, Any]]:
        """Return what is set, without placeholders. Every section is there, so that what it lacks has its own name."""
        given = {name: {**self.table[name], **self.environment.get(name, {})} for name in sections()}
        return {
            name: {field: value for field, value in content.items() if not _is_placeholder(value)}
            for name, content in given.items()
        }

    def placeholders(self) -> list[Variable]:
        """Return the settings that still hold the placeholder of a new file."""
        values = self.values()
        return [each for each in variables() if self.origin(each) != DEFAULT and each.field not in values[each.section]]

    def secrets(self) -> set[str]:
        """Return the secrets that are given directly."""
        return {str(content[field]) for content in self.values().values() for field in SECRET_FILES if field in content}

    def origin(self, variable: Variable) -> Origin:
        """Return where the value of a setting comes from."""
        if variable.field in self.environment.get(variable.section, {}):
            return Origin("environment", variable.name)
        if variable.field in self.table[variable.section]:
            return Origin("file", str(self.file))
        return DEFAULT


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return a text without the secrets, which somebody may have put where none belongs."""
    for secret in secrets:
        if len(secret) >= MIN_SECRET_CHARACTERS:
            text = text.replace(secret, MASK)
    return text


def _nested(environ: Mapping[str, str]) -> Values:
    source = EnvSettingsSource(Settings)
    known = {variable.name for variable in variables()}
    source.env_vars = {name.lower(): value for name, value in environ.items() if value and name.upper() in known}
    return source()


def _of_file(table: Mapping[str, Any], section: str, environment: Values) -> dict[str, Any]:
    """Return what the file says of a section, without what the environment says, in the same or in another way."""
    content = table.get(section)
    if not isinstance(content, dict):
        return {}
    outranked = set(environment.get(section, {}))
    for pair in SECRET_FILES.items():
        if not outranked.isdisjoint(pair):
            outranked.update(pair)
    return {name: value for name, value in content.items() if name not in outranked and value != ""}


def _is_placeholder(value: Any) -> bool:
    return isinstance(value, str | list) and PLACEHOLDER in value


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file}: the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file}: the file is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file}: the file is not valid TOML: {error}") from None


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    known = [variable.name for variable in variables()]
    for name in sorted(environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known and not _is_kubernetes(name, environ[name]):
            yield f"{name}: no such setting{suggestion(name.upper(), known)}"


def _is_kubernetes(name: str, value: str) -> bool:
    """Say whether Kubernetes set this variable: it does so for every service, and one may be called `processor`."""
    is_port = _KUBERNETES_PORT.match(name) and _KUBERNETES_URL.match(value)
    return bool(_KUBERNETES.match(name) or is_port)


def _unknown_keys(table: Mapping[str, Any], file: Path | None) -> Iterator[str]:
    known = {name: [variable.key for variable in variables() if variable.section == name] for name in sections()}
    for name, content in table.items():
        if name not in known:
            yield f"{file}: {name}: no such table{suggestion(name, known)}"
        elif not isinstance(content, dict):
            yield f"{file}: {name}: must be a table: write [{name}] and put its settings below"
        else:
            for key in content:
                if f"{name}.{key}" not in known[name]:
                    yield f"{file}: {name}.{key}: no such setting{suggestion(f'{name}.{key}', known[name])}"
