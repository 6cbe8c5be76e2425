"""From the environment and a file to `Settings`, or to all that is wrong with them at once."""

import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource

from processor.cli.settings.definitions import About, Group
from processor.cli.settings.model import Settings
from processor.model.errors import ConfigurationError
from processor.model.nearest import nearest

PREFIX = "PROCESSOR_"

_SECRETS = {"fullstory": {"api_key", "api_key_file"}, "mapping": {"hash_salt", "hash_salt_file"}}
"""Settings that say one thing in two ways, by group."""

_KUBERNETES = re.compile(r"PROCESSOR_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)\Z")
_KUBERNETES_PORT = re.compile(r"PROCESSOR_(\w+_)?PORT\Z")
_KUBERNETES_URL = re.compile(r"(tcp|udp|sctp)://")


@final
@dataclass(frozen=True, slots=True)
class Variable:
    """A setting under the name that the environment has for it."""

    group: str
    field: str
    info: FieldInfo

    @property
    def name(self) -> str:
        """The environment variable."""
        return f"{PREFIX}{self.group}__{self.field}".upper()

    @property
    def key(self) -> str:
        """The key in a TOML file."""
        return f"{self.group}.{self.field}"

    @property
    def about(self) -> About:
        """What the definition says of it."""
        return next(each for each in self.info.metadata if isinstance(each, About))


def groups() -> dict[str, type[Group]]:
    """Return the groups of settings by name, in order."""
    annotations = {name: info.annotation for name, info in Settings.model_fields.items()}
    return {name: group for name, group in annotations.items() if isinstance(group, type) and issubclass(group, Group)}


def variables() -> list[Variable]:
    """Return every setting, in order."""
    return [
        Variable(group_name, info.alias or name, info)
        for group_name, group in groups().items()
        for name, info in group.model_fields.items()
    ]


def load(environ: Mapping[str, str], file: Path | None = None, *, unused: Collection[str] = ()) -> Settings:
    """Return the settings of an environment and a TOML file; raise `ConfigurationError` with every problem found.

    An empty variable counts as not set, as templates leave it. Groups that are `unused` are not looked at: they hold
    examples where they have no defaults.
    """
    problems = list(_unknown_variables(environ))
    try:
        table = _read(file) if file is not None else {}
    except ValueError as error:
        raise ConfigurationError([str(error), *problems]) from None
    problems += _unknown_keys(table, file)
    environment = _nested(environ)
    try:
        settings = Settings(**_merged(table, environment) | {name: _examples(name) for name in unused})
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
        problems += dict.fromkeys(_explain(detail, environment, file) for detail in details)
        raise ConfigurationError(problems) from None
    if problems:
        raise ConfigurationError(problems)
    return settings


def _nested(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    source = EnvSettingsSource(Settings)
    known = {variable.name for variable in variables()}
    source.env_vars = {name.lower(): value for name, value in environ.items() if value and name.upper() in known}
    return source()


def _merged(table: Mapping[str, Any], environment: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Lay the environment over the file. A group is always there, so that what it lacks is told by its own name."""
    return {name: {**_of_file(table, name, environment), **environment.get(name, {})} for name in groups()}


def _examples(group: str) -> dict[str, str]:
    """Return a value for each setting of a group that has no default, and so no reason for one."""
    return {each.field: each.about.example for each in variables() if each.group == group and not each.about.reason}


def _of_file(table: Mapping[str, Any], group: str, environment: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what the file says of a group, without what the environment says in another way."""
    content = table.get(group)
    if not isinstance(content, dict):
        return {}
    secret = _SECRETS.get(group, set())
    if environment.get(group, {}).keys() & secret:
        return {name: value for name, value in content.items() if name not in secret}
    return content


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file}: the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file}: the file is no UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file}: the file is no TOML: {error}") from None


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    known = [variable.name for variable in variables()]
    for name in sorted(environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known and not _is_kubernetes(name, environ[name]):
            yield f"{name}: no such setting{_suggestion(name.upper(), known)}"


def _is_kubernetes(name: str, value: str) -> bool:
    """Say whether Kubernetes set this variable: it does so for every service, and one may be called `processor`."""
    is_port = _KUBERNETES_PORT.match(name) and _KUBERNETES_URL.match(value)
    return bool(_KUBERNETES.match(name) or is_port)


def _unknown_keys(table: Mapping[str, Any], file: Path | None) -> Iterator[str]:
    known = {name: [variable.key for variable in variables() if variable.group == name] for name in groups()}
    for name, content in table.items():
        if name not in known:
            yield f"{file}: {name}: no such table{_suggestion(name, known)}"
        elif not isinstance(content, dict):
            yield f"{file}: {name}: must be a table: write [{name}] and its settings below it"
        else:
            for key in content:
                if f"{name}.{key}" not in known[name]:
                    yield f"{file}: {name}.{key}: no such setting{_suggestion(f'{name}.{key}', known[name])}"


def _suggestion(name: str, known: Iterable[str]) -> str:
    """Return a known name that is much like this one; the prefix, which all have, does not count."""
    by_rest = {each.removeprefix(PREFIX): each for each in known}
    meant = nearest(name.removeprefix(PREFIX), by_rest)
    return f"; did you mean {by_rest[meant]}?" if meant else ""


def _explain(detail: ErrorDetails, environment: Mapping[str, dict[str, Any]], file: Path | None) -> str:
    """Say in a line what is wrong; never with the value, for it may be a secret in the wrong place."""
    group, *path = (str(each) for each in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    if message.startswith(PREFIX):
        return message
    variable = next(each for each in variables() if (each.group, each.field) == (group, path[0]))
    origin = f" ({variable.key} in {file})" if file is not None and path[0] not in environment.get(group, {}) else ""
    if detail["type"] == "missing":
        message, origin = "is not set", ""
    return f"{variable.name}{origin}: {message[:1].lower()}{message[1:]}; for example: {variable.about.example}"
