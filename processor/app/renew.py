"""Secrets that change while the worker runs: their files are read again and again.

A new key of FullStory's is tried before it is used, and so is what Kafka's client takes only when it begins. A login is
not: it is used from the next connection on, and the broker refuses the old one when it wants to.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, final

from structlog.typing import FilteringBoundLogger

from processor.adapters.fullstory.key import ApiKey
from processor.adapters.kafka.config import LOGIN, KafkaSettings, Login
from processor.adapters.kafka.facts import try_out
from processor.adapters.schemas.registry import RegistrySchemas
from processor.engine.verdict import Answer, Halt, NoAnswer, Retry
from processor.model.errors import ConfigurationError, SourceError
from processor.runtime.account import Account, judge
from processor.settings.checks import read_key
from processor.settings.connections import SchemaRegistry
from processor.settings.properties import FILE_PROPERTY, kafka_properties_in, registry_properties_in

LOOK_EVERY_S = 5.0
"""Kubernetes itself takes up to a minute to renew a mounted secret."""


class Secrets(Protocol):
    """Secrets in files."""

    async def look(self) -> None:
        """Put to use what is new in them."""


async def watch(secrets: Secrets) -> None:
    """Look at them for ever."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        await secrets.look()


@final
class KeyFile:
    """The file of the API key; `tried` asks FullStory whose a key is, `use` puts it to use.

    A key that is refused, or another organisation's, is told of once, and the one before it stays in use.
    """

    def __init__(
        self,
        path: Path,
        current: str,
        tried: Callable[[ApiKey], Awaitable[Answer | NoAnswer]],
        use: Callable[[ApiKey, Account], None],
        org_id: Callable[[], str | None],
        log: FilteringBoundLogger,
    ) -> None:
        self._path = path
        self._seen = current
        self._tried = tried
        self._use = use
        self._org_id = org_id
        self._log = log
        self._complaint = ""

    async def look(self) -> None:
        """Put a new key to use, if there is one that works."""
        try:
            text = read_key(self._path)
            if text == self._seen:
                return
            key = ApiKey(text)
            account = judge(await self._tried(key))
        except (ValueError, ConfigurationError) as error:
            self._complain(str(error))
            return
        if isinstance(account, Retry):
            self._complain(f"the new key could not be tried yet: {account.detail}")
            return
        self._seen = text
        if isinstance(account, Halt):
            self._complain(account.detail)
        elif self._org_id() not in (None, account.org_id):
            self._complain(f"the new key is of the organisation {account.org_id}, not {self._org_id()}")
        else:
            self._complaint = ""
            self._use(key, account)

    def _complain(self, detail: str) -> None:
        if detail != self._complaint:
            self._complaint = detail
            self._log.warning("the new key is not used", detail=detail)


@final
class ClientProperties:
    """What a client's properties say, in a file of them and in the files that they name: certificates and keys.

    `use` takes the properties that changed, or whose files did. Where it raises `ConfigurationError` or `SourceError`,
    and where the file cannot be read, what there was before stays in use, and that is told of once.
    """

    def __init__(
        self,
        client: str,
        path: Path | None,
        read: Callable[[Path], Mapping[str, Any]],
        current: Mapping[str, Any],
        use: Callable[[Mapping[str, Any]], Awaitable[None]],
        log: FilteringBoundLogger,
    ) -> None:
        self._client = client
        self._path = path
        self._read = read
        self._current = dict(current)
        self._contents = _contents(current)
        self._use = use
        self._log = log
        self._complaint = ""

    async def look(self) -> None:
        """Put what changed to use."""
        try:
            found = {**self._current, **({} if self._path is None else self._read(self._path))}
            contents = {**self._contents, **_contents(found)}
            changed = {
                name: value
                for name, value in found.items()
                if self._current.get(name) != value or self._contents.get(name) != contents.get(name)
            }
            if not changed:
                return
            await self._use(changed)
        except (ValueError, ConfigurationError, SourceError) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._log.warning("new properties are not used", client=self._client, detail=self._complaint)
            return
        self._complaint = ""
        self._current, self._contents = found, contents
        self._log.info("new properties are used", client=self._client, names=sorted(changed))


def _contents(properties: Mapping[str, Any]) -> Mapping[str, bytes]:
    """Return what the files hold that the properties name; one that cannot be read is about to be swapped."""
    contents = {}
    for name, value in properties.items():
        if name.endswith(FILE_PROPERTY):
            with suppress(OSError):
                contents[name] = hashlib.sha256(Path(value).read_bytes()).digest()
    return contents


def kafka_properties(
    path: Path | None,
    kafka: KafkaSettings,
    log_in: Callable[[Login], None],
    begin_anew: Callable[[], None],
    log: FilteringBoundLogger,
) -> ClientProperties:
    """Return those of Kafka's clients, which take another login at once, and all else when they begin.

    `begin_anew` raises `ConfigurationError` where that cannot be.
    """
    properties = dict(kafka.properties)

    async def use(changed: Mapping[str, Any]) -> None:
        wanted = properties | dict(changed)
        if changed.keys() <= set(LOGIN):
            log_in(Login.of(wanted))
        else:
            await asyncio.to_thread(try_out, replace(kafka, properties=wanted))
            begin_anew()
        properties.update(wanted)

    return ClientProperties("Kafka", path, kafka_properties_in, properties, use, log)


def registry_properties(
    settings: SchemaRegistry, registry: RegistrySchemas, log: FilteringBoundLogger
) -> ClientProperties:
    """Return those of the registry's client, which are used from the next question on."""
    properties: dict[str, Any] = settings.client_properties()

    async def use(changed: Mapping[str, Any]) -> None:
        await registry.renew({**properties, **changed})
        properties.update(changed)

    return ClientProperties("schema registry", settings.properties_file, registry_properties_in, properties, use, log)
