"""Secrets that change while the worker runs: their files are read again and again.

They are read on another thread: a file system may not answer, and the event loop waits for nobody.

A new key of FullStory's is tried before it is used, and so is what Kafka's client takes only when it begins. A login is
not: it is used from the next connection on, and the broker refuses the old one when it wants to.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, assert_never, final

from structlog.typing import FilteringBoundLogger

from processor.adapters.fullstory.key import ApiKey
from processor.adapters.kafka.config import LOGIN, KafkaSettings, Login
from processor.adapters.kafka.facts import try_out
from processor.adapters.tls import Tls
from processor.engine.verdict import Answer, Halt, NoAnswer, Retry
from processor.model.errors import ConfigurationError, SourceError
from processor.runtime.account import KeyAccount, judge
from processor.settings.client_properties import FILE_PROPERTY, kafka_properties_in, registry_properties_in
from processor.settings.connections import SchemaRegistrySection
from processor.settings.validators import read_key

if TYPE_CHECKING:
    from processor.adapters.schemas.registry import RegistrySchemas

LOOK_EVERY_S = 5.0
"""Kubernetes itself takes up to a minute to renew a mounted secret."""


class Renewal(Protocol):
    """Secrets in files, and what puts new ones to use."""

    async def look(self) -> None:
        """Put to use what is new."""


async def keep_renewed(secrets: Renewal) -> None:
    """Look for new ones for ever."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        await secrets.look()


class LogsIn(Protocol):
    """A client of Kafka's that takes another login while it runs."""

    def log_in(self, login: Login) -> None:
        """Use it from the next connection on."""


@final
class KeyFile:
    """The file of the API key; `ask_whose` asks FullStory whose a key is, `use` puts it to use.

    A key that is refused, or another organisation's, is reported once, and the one before it stays in use.
    """

    def __init__(
        self,
        path: Path,
        current: str,
        ask_whose: Callable[[ApiKey], Awaitable[Answer | NoAnswer]],
        use: Callable[[ApiKey, KeyAccount], None],
        org_id: Callable[[], str | None],
        log: FilteringBoundLogger,
    ) -> None:
        self._path = path
        self._seen = current
        self._ask_whose = ask_whose
        self._use = use
        self._org_id = org_id
        self._log = log
        self._complaint = ""

    async def look(self) -> None:
        """Put a new key to use, if there is one that works."""
        try:
            text = await asyncio.to_thread(read_key, self._path)
            if text == self._seen:
                return
            key = ApiKey(text)
            account = judge(await self._ask_whose(key))
            # FullStory's word on a key is final: it is not asked again before the file changes. An outage says nothing
            # of the key, so the next look asks once more.
            if not isinstance(account, Retry):
                self._seen = text
            match account:
                case Retry():
                    why = account.detail or f"FullStory answers {account.status}"
                    self._complain(f"the new key could not be tried yet: {why}")
                case Halt():
                    self._complain(account.detail)
                case KeyAccount() if self._org_id() not in (None, account.org_id):
                    # Its events would end in another organisation than those before them.
                    self._complain(f"the new key is of the organisation {account.org_id}, not {self._org_id()}")
                case KeyAccount():
                    self._use(key, account)
                    self._complaint = ""
                case _:
                    assert_never(account)
        except (ValueError, ConfigurationError) as error:
            self._complain(str(error))

    def _complain(self, detail: str) -> None:
        if detail != self._complaint:
            self._complaint = detail
            self._log.warning("the new key is not used", detail=detail)


@final
class ClientProperties:
    """What a client's properties say, in a file of them and in the files that they name: certificates and keys.

    `use` takes all properties, and the names of those that changed or whose files did. Where it raises
    `ConfigurationError` or `SourceError`, and where the file cannot be read, what there was before stays in use, and
    that is reported once.
    """

    def __init__(
        self,
        client: str,
        path: Path | None,
        read: Callable[[Path], Mapping[str, Any]],
        current: Mapping[str, Any],
        use: Callable[[Mapping[str, Any], set[str]], Awaitable[None]],
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

    async def use_again(self) -> None:
        """Put the same properties to use once more, because something else that the client reads has changed."""
        await self._use(self._current, set())

    async def look(self) -> None:
        """Put what changed to use."""
        try:
            found, contents = await asyncio.to_thread(self._read_files)
            changed = {
                name
                for name, value in found.items()
                if self._current.get(name) != value or self._contents.get(name) != contents.get(name)
            }
            if not changed:
                return
            await self._use(found, changed)
        except (ValueError, ConfigurationError, SourceError) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._log.warning("new properties are not used", client=self._client, detail=self._complaint)
            return
        self._complaint = ""
        self._current, self._contents = found, contents
        self._log.info("new properties are used", client=self._client, names=sorted(changed))

    def _read_files(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the properties and the contents of the files that they name.

        A property that is gone from the file, or a file that is gone, is about to be swapped: it did not change.
        """
        found = {**self._current, **({} if self._path is None else self._read(self._path))}
        return found, {**self._contents, **_contents(found)}


def _contents(properties: Mapping[str, Any]) -> dict[str, bytes]:
    """Return what the files hold that the properties name; one that cannot be read is about to be swapped."""
    contents = {}
    for name, value in properties.items():
        if name.endswith(FILE_PROPERTY):
            with suppress(OSError):
                contents[name] = hashlib.sha256(Path(value).read_bytes()).digest()
    return contents


@final
class CertificateFiles:
    """The files behind TLS: authorities to trust, a client's certificate and its key.

    Connections that are open go on, and no new request is sent on them. `also` is called after a change. What cannot be
    used is reported once, and what there was before stays in use.
    """

    def __init__(self, tls: Tls, also: Callable[[], Awaitable[None]] | None, log: FilteringBoundLogger) -> None:
        self._tls = tls
        self._also = also
        self._log = log
        self._complaint = ""
        self._is_due = False

    async def look(self) -> None:
        """Put what changed to use."""
        try:
            self._is_due |= await asyncio.to_thread(self._tls.renew)
            if self._is_due and self._also is not None:
                await self._also()
        except ConfigurationError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._log.warning("new certificates are not used", detail=self._complaint)
            return
        self._complaint = ""
        if self._is_due:
            self._is_due = False
            self._log.info("new certificates are used")


def kafka_properties(
    path: Path | None,
    kafka: KafkaSettings,
    clients: Iterable[LogsIn],
    begin_anew: Callable[[], None],
    log: FilteringBoundLogger,
) -> ClientProperties:
    """Return those of Kafka's clients, which take another login at once, and all else when they begin.

    `begin_anew` raises `ConfigurationError` where that cannot be.
    """

    async def use(properties: Mapping[str, Any], changed: set[str]) -> None:
        # What only a new client takes is tried first, because a worker that works would end for it. A login ends
        # nothing, and the broker decides from when on it refuses the old one.
        if changed <= set(LOGIN):
            for client in clients:
                client.log_in(Login.of(properties))
        else:
            await asyncio.to_thread(try_out, replace(kafka, properties=properties))
            begin_anew()

    return ClientProperties("Kafka", path, kafka_properties_in, kafka.properties, use, log)


def registry_properties(
    settings: SchemaRegistrySection, registry: "RegistrySchemas", log: FilteringBoundLogger
) -> ClientProperties:
    """Return those of the registry's client, which are used from the next question on."""

    async def use(properties: Mapping[str, Any], _changed: set[str]) -> None:
        await registry.renew(properties)

    current = settings.client_properties()
    return ClientProperties("schema registry", settings.properties_file, registry_properties_in, current, use, log)
