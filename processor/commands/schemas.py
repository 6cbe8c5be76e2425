"""`segment-fullstory schemas`: the schemas that come with the worker, and a registry."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import click

from processor.adapters.schemas.local import shipped_files
from processor.adapters.schemas.registry import RegistrySchemas
from processor.adapters.schemas.subjects import RegistrySubjects, State
from processor.commands.common.options import CONFIG
from processor.commands.common.terminal import complain
from processor.model.errors import ConfigurationError, RegistryUnavailableError
from processor.settings import load

NOT_OF_SCHEMAS = ("kafka", "fullstory")
"""Groups of settings that these commands do not take."""

INCOMPATIBLE = 1
UNUSABLE = 2

_URL = "PROCESSOR_SCHEMA_REGISTRY__URL"


@final
@dataclass(frozen=True, slots=True)
class Shipped:
    """A schema that comes with the worker."""

    name: str
    id: int
    full_name: str
    doc: str
    text: str


def shipped() -> dict[str, Shipped]:
    """Return the schemas by name, in the order of their ids."""
    return {file.stem: _read(schema_id, file) for schema_id, file in shipped_files().items()}


def _read(schema_id: int, file: Path) -> Shipped:
    text = file.read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return Shipped(file.stem, schema_id, f"{schema['namespace']}.{schema['name']}", schema["doc"], text)


@final
@dataclass(frozen=True, slots=True)
class Wanted:
    """A schema and the subject that it is for."""

    schema: Shipped
    subject: str


def _wanted(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> Sequence[Wanted]:
    """Parse SCHEMA or SCHEMA=TOPIC; all schemas where there are none."""
    known = shipped()
    wanted = []
    for value in values or known:
        name, _, topic = value.partition("=")
        if name not in known:
            raise click.BadParameter(f"there is no schema {name!r}, but {', '.join(known)}")
        schema = known[name]
        wanted.append(Wanted(schema, f"{topic}-value" if topic else schema.full_name))
    subjects = [each.subject for each in wanted]
    if len(set(subjects)) < len(subjects):
        raise click.BadParameter("two schemas are for one subject, which holds versions of one schema")
    return wanted


_WANTED = click.argument("wanted", nargs=-1, callback=_wanted, metavar="[SCHEMA[=TOPIC]]...")


@click.group
def schemas() -> None:
    """List the shipped Avro schemas, compare them with a schema registry, and register them there.

    The worker does not need them: it reads each record with the schema it was written with. They are for producers
    that have no schema yet. PROCESSOR_SCHEMA_REGISTRY__URL and PROCESSOR_SCHEMA_REGISTRY__PROPERTIES name the
    registry.
    """


@schemas.command("list")
def list_() -> None:
    """List the schemas: name, id (without a registry), full name, description."""
    for each in shipped().values():
        click.echo(f"{each.name:<10} {each.id:>3}  {each.full_name:<22} {each.doc}")


@schemas.command
@click.argument("name")
def show(name: str) -> None:
    """Print one schema."""
    known = shipped()
    if name not in known:
        raise click.BadParameter(f"there is no schema {name!r}, but {', '.join(known)}")
    click.echo(known[name].text, nl=False)


@schemas.command
@_WANTED
@CONFIG
def compatibility(wanted: Sequence[Wanted], *, config: Path | None) -> None:
    """Compare the schemas with the registry: all of them, or the ones you name.

    The subject is SCHEMA's full name (record name strategy) or, with =TOPIC, TOPIC-value. Exit codes: 0 each schema
    is registered or compatible, 1 one is incompatible with its subject, 2 the registry or the settings cannot be used.
    """

    async def work(subjects: RegistrySubjects) -> int:
        return _code(await _compare(subjects, wanted))

    sys.exit(_with_registry(config, work))


@schemas.command
@_WANTED
@click.option("--dry-run", is_flag=True, help="Only show what would be registered.")
@CONFIG
def register(wanted: Sequence[Wanted], *, dry_run: bool, config: Path | None) -> None:
    """Register the schemas: all of them, or the ones you name. If one is incompatible, none is registered.

    The subject is SCHEMA's full name (record name strategy) or, with =TOPIC, TOPIC-value. Exit codes: 0 registered
    (with --dry-run: would be registered), 1 one is incompatible, 2 the registry or the settings cannot be used.
    """

    async def work(subjects: RegistrySubjects) -> int:
        states = await _compare(subjects, wanted)
        if not _code(states) and not dry_run:
            for each, state in zip(wanted, states, strict=True):
                if state.standing == "registered":
                    continue
                schema_id = await subjects.register(each.subject, each.schema.text)
                if schema_id is None:
                    click.echo(f"{each.subject}: REFUSED: it fits the latest version, but not the registry's rule")
                    return INCOMPATIBLE
                click.echo(f"{each.subject}: now registered, id {schema_id}")
        return _code(states)

    sys.exit(_with_registry(config, work))


async def _compare(subjects: RegistrySubjects, wanted: Sequence[Wanted]) -> Sequence[State]:
    """Say where each stands, and return it."""
    states = []
    for each in wanted:
        states.append(await subjects.state(each.subject, each.schema.text))
        click.echo(f"{each.subject}: {_said(states[-1])}")
        for objection in states[-1].objections:
            click.echo(f"  {objection}")
    return states


def _code(states: Sequence[State]) -> int:
    return INCOMPATIBLE if any(state.standing == "incompatible" for state in states) else 0


def _said(state: State) -> str:
    match state.standing:
        case "registered":
            return f"registered, version {state.version}, id {state.schema_id}"
        case "new":
            return "new: the registry has no such subject"
        case "compatible":
            return f"compatible with version {state.version}, id {state.schema_id}"
        case "incompatible":
            return f"INCOMPATIBLE with version {state.version}, id {state.schema_id}"


def _with_registry(config: Path | None, work: Callable[[RegistrySubjects], Awaitable[int]]) -> int:
    """Do the work and return its exit code; what cannot be used is said on standard error."""

    async def ask() -> int:
        settings = load(os.environ, config, unused=NOT_OF_SCHEMAS)
        registry, proxies = settings.schema_registry, settings.proxies
        if registry.url is None:
            raise ConfigurationError([f"{_URL}: is not set; for example: http://schema-registry:8081"])
        async with RegistrySchemas(registry.url, registry.client_properties(), proxies=proxies) as schemas:
            return await work(RegistrySubjects(schemas))

    try:
        return asyncio.run(ask())
    except ConfigurationError as error:
        complain(error.problems)
    except RegistryUnavailableError as error:
        complain([str(error)])
    return UNUSABLE
