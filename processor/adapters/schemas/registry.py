"""Schemas of a registry that speaks Confluent's API: Confluent's own, Apicurio, Karapace, Redpanda."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar, final
from urllib.parse import urlsplit

from confluent_kafka.schema_registry import (  # type: ignore[attr-defined]  # the type stubs lack the asynchronous one
    AsyncSchemaRegistryClient,
    SchemaRegistryError,
)

from processor.adapters.fullstory.retry_after import retry_after_s
from processor.adapters.network import reason_of
from processor.adapters.proxies import Proxies, Proxy, proxy_of
from processor.adapters.schemas.answers import is_registrys, shown
from processor.adapters.schemas.apicurio import LongIds, are_alike, schema_of_global_id
from processor.adapters.schemas.references import standing_alone, stands_alone
from processor.engine.verdict import FOREIGN_WAIT_S
from processor.events.framing import ApicurioId, Guid, SchemaId, may_be_registered
from processor.events.languages import AVRO
from processor.model.errors import ConfigurationError, RegistryUnavailableError
from processor.runtime.ports import SchemaIncompleteError, SchemaText

REQUEST_TIMEOUT_S = 10.0
"""The client's own default is to wait for ever."""

DEADLINE_S = 30.0
"""For a schema with everything that belongs to it: several addresses may be tried, tokens and references fetched."""

_DEFAULTS = {"timeout": REQUEST_TIMEOUT_S, "max.retries": 0}  # the worker asks again itself, and says so
_NO_PROXY = "http://none.invalid"
_SCHEMA_NOT_FOUND = 40403
_NOT_FOUND = frozenset({40401, 40402, _SCHEMA_NOT_FOUND})
"""The registry's codes for a subject, a version and a schema that it does not have."""

_OF_THE_ID = frozenset({400, 404, 410, 422})
"""A registry that refuses one id so while it answers otherwise can make nothing of it."""

SHOWS_SUBJECTS_FOR_S = 10.0
"""How long it is believed that a registry has something and shows it: one that starts anew has nothing at first."""
_CLUSTER = "bearer.auth.logical.cluster"
_URL_VARIABLE = "PROCESSOR_SCHEMA_REGISTRY__URL"
_PROPERTIES_VARIABLE = "PROCESSOR_SCHEMA_REGISTRY__PROPERTIES"
_HINTS = {
    401: f"check the credentials in {_PROPERTIES_VARIABLE}",
    403: f"the credentials in {_PROPERTIES_VARIABLE} may not read schemas",
    404: f"check {_URL_VARIABLE}, and that the registry knows guids where records name them",
}

_SHOWN = 200
"""Characters of a name that are shown."""

_T = TypeVar("_T")


def _is_told(record: logging.LogRecord) -> bool:
    """Say whether a line of the HTTP library is worth telling: one of level info is for each question (httpx2 2.16)."""
    return record.levelno > logging.INFO or logging.getLogger().level <= logging.DEBUG


for _name in ("httpx", "httpx2"):  # whichever the client finds
    logging.getLogger(_name).addFilter(_is_told)


class _GatewayError(Exception):
    """Something answered that is no registry, or that asks to be left alone for a while."""

    def __init__(self, status: int, what: str, retry_after_s: float) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.retry_after_s = retry_after_s


class Sight(NamedTuple):
    """What a registry shows to this login; None where it does not tell."""

    has_subjects: bool | None
    mode: str | None


@final
class RegistrySchemas:
    """The `Schemas` port over a registry; closed by `async with`. `url` may list several, separated by commas.

    `properties` are those of confluent-kafka's client: TLS, basic and OAuth authentication, `timeout`, `max.retries`,
    and a `proxy`, which outranks `proxies`. `long_ids` says what Apicurio's ids of eight bytes are; None: whichever of
    them exists. Raises `ConfigurationError` when they make no sense. No message ever holds
    a credential.
    """

    def __init__(
        self,
        url: str,
        properties: Mapping[str, Any],
        *,
        proxies: Proxies | None = None,
        long_ids: LongIds | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.address = _shown(url)
        """The URLs, without credentials."""
        self._deadline_s = deadline_s
        self._url = url
        self._proxies = proxies or Proxies()
        self._long_ids = long_ids
        self._client = _client(url, properties, self._proxies)
        self._shows_until = float("-inf")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, traceback)

    async def renew(self, properties: Mapping[str, Any]) -> None:
        """Use other properties from the next question on; raise `ConfigurationError`, and keep the old ones, else.

        A question that is being asked meanwhile may find the registry unavailable.
        """
        client = _client(self._url, properties, self._proxies)
        old, self._client = self._client, client
        self._shows_until = float("-inf")
        await old.__aexit__(None, None, None)

    async def fetch(self, schema_id: SchemaId) -> SchemaText | None:
        """Return the schema with the types that it refers to; None when the registry knows no such id.

        No registry of this protocol knows fingerprints, or gives ids beyond 32 bits: neither is asked for.

        Raises `SchemaIncompleteError` when the registry cannot give it whole, and `RegistryUnavailableError` for
        everything else, at the latest when the deadline has passed. That covers a registry that shows this login
        nothing at all, whatever it says of one schema.
        """
        if not may_be_registered(schema_id):
            return None
        return await self.ask(lambda client: self._fetch(client, schema_id))

    async def look(self) -> Sight:
        """Return what the registry shows; raises what `fetch` raises when it does not answer."""

        async def question(client: Any) -> Sight:
            try:
                subjects = await client.get_subjects()
            except SchemaRegistryError as error:
                if error.http_status_code == 401:
                    raise
                subjects = None
            try:
                mode = (await client._rest_client.get("mode"))["mode"]  # noqa: SLF001 - the client has no method for it
            except (SchemaRegistryError, _GatewayError):  # Apicurio 2.6.13 has none
                mode = None
            return Sight(None if subjects is None else bool(subjects), mode)

        return await self.ask(question)

    async def ask(self, question: Callable[[Any], Awaitable[_T]]) -> _T:
        """Return what the question makes of the client's answers; raises what `fetch` raises."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await question(self._client)
        except (RegistryUnavailableError, SchemaIncompleteError):
            raise
        except SchemaRegistryError as error:
            raise self._unavailable(_said(error), is_of_one_schema=error.http_status_code == 403) from None
        except _GatewayError as error:
            hint = _HINTS.get(error.status)
            what = error.what + (f"; {hint}" if hint else "")
            raise self._unavailable(what, retry_after_s=error.retry_after_s) from None
        except TimeoutError:
            raise self._unavailable(f"did not answer within {self._deadline_s:g} s") from None
        except Exception as error:  # noqa: BLE001 - of httpx, authlib, json: none speaks of the schema
            reason = reason_of(error)
            what = f"cannot be asked ({type(error).__name__})" if reason is None else f"does not answer ({reason})"
            raise self._unavailable(what) from None

    async def _fetch(self, client: Any, schema_id: SchemaId) -> SchemaText | None:
        is_guid = isinstance(schema_id, Guid)
        if isinstance(schema_id, ApicurioId):
            if schema_id.kind == "eight-byte-id" and self._long_ids is None:
                return await self._by_either_id(client, schema_id.number)
            if schema_id.kind == "globalId" or (schema_id.kind != "contentId" and self._long_ids == "global"):
                return await self._by_global_id(client, schema_id.number)
            schema_id = schema_id.number  # by this name the API knows content ids
        try:
            schema = await (client.get_schema_by_guid(str(schema_id)) if is_guid else client.get_schema(schema_id))
        except SchemaRegistryError as error:
            is_absent = error.http_status_code == 404 and error.error_code == _SCHEMA_NOT_FOUND
            if not is_absent and (is_guid or error.http_status_code not in _OF_THE_ID):
                raise  # a registry that knows no guids refuses them all
            shows_subjects = await self._shows_something(client)
            if is_absent:
                return None
            if shows_subjects is None:
                raise
            raise SchemaIncompleteError(f"it {_said(error)}") from None
        self._shows_until = time.monotonic() + SHOWS_SUBJECTS_FOR_S
        language = schema.schema_type or AVRO
        if not schema.references or language != AVRO:
            return SchemaText(schema.schema_str, language)
        return SchemaText(await self._resolved(client, schema_id, schema))

    async def _by_either_id(self, client: Any, number: int) -> SchemaText | None:
        """Return the schema whose global id or content id it is; where both exist, they must be of the same."""
        by_global = await self._by_global_id(client, number)
        by_content = await self._fetch(client, number)
        if by_global is None or by_content is None or are_alike(by_global, by_content):
            return by_global or by_content
        raise self._unavailable(
            f"has two schemas of the number {number}, one by its global id, one by its content id: "
            "set PROCESSOR_SCHEMA_REGISTRY__LONG_IDS to the kind that the producers write",
            is_of_one_schema=True,
        )

    async def _by_global_id(self, client: Any, number: int) -> SchemaText | None:
        found = await schema_of_global_id(client, number)
        if found is None:
            await self._shows_something(client)
        else:
            self._shows_until = time.monotonic() + SHOWS_SUBJECTS_FOR_S
        return found

    async def _resolved(self, client: Any, schema_id: SchemaId, schema: Any) -> str:
        """Return a schema with all that it refers to.

        Apicurio tells neither the group of what is referred to nor versions that are no numbers, so nobody but itself
        can find them (3.3.3, 2026-11; 2.6.13 cannot either). It writes them out if asked; others ignore that.
        """
        if not isinstance(schema_id, Guid):
            try:
                # Past the client's cache, which has the schema as it is.
                whole = await client._rest_client.get(f"schemas/ids/{schema_id}", {"format": "resolved"})  # noqa: SLF001
            except SchemaRegistryError:
                pass  # it knows no such format
            else:
                if stands_alone(whole["schema"]):
                    return str(whole["schema"])
        return standing_alone(schema.schema_str, await _referenced(client, schema))

    async def _shows_something(self, client: Any) -> bool | None:
        """Say that the registry has something that this login may see, None where it does not tell.

        Raises `RegistryUnavailableError` where it shows nothing: then no schema is absent by its word.
        """
        shows = await self._shows_subjects(client)
        if shows is False:
            raise self._unavailable(
                "shows no subject at all to this login: it is empty, or has just started, or the login may not read"
            ) from None
        return shows

    async def _shows_subjects(self, client: Any) -> bool | None:
        """Say whether the registry has anything that this login may see; None where it does not tell."""
        if time.monotonic() < self._shows_until:
            return True
        try:
            shows = bool(await client.get_subjects())
        except SchemaRegistryError as error:
            if error.http_status_code in (403, 404):
                return None
            raise
        if shows:
            self._shows_until = time.monotonic() + SHOWS_SUBJECTS_FOR_S
        return shows

    def _unavailable(
        self, what: str, *, retry_after_s: float = 0.0, is_of_one_schema: bool = False
    ) -> RegistryUnavailableError:
        message = f"the schema registry at {self.address} {what}"
        return RegistryUnavailableError(message, retry_after_s=retry_after_s, is_of_one_schema=is_of_one_schema)


async def _referenced(client: Any, schema: Any) -> dict[str, str]:
    """Return the texts of all that the schema refers to, and of what those refer to, by name."""
    texts: dict[str, str] = {}
    waiting = list(schema.references or ())
    while waiting:
        reference = waiting.pop()
        if reference.name not in texts:
            try:
                found = await client.get_version(reference.subject, reference.version)
            except SchemaRegistryError as error:
                if error.http_status_code == 404 and error.error_code in _NOT_FOUND:
                    name, subject = str(reference.name)[:_SHOWN], str(reference.subject)[:_SHOWN]
                    what = f"{name!a} (subject {subject!a}, version {reference.version})"
                    raise SchemaIncompleteError(f"it refers to {what}, which the registry does not have") from None
                raise
            texts[reference.name] = found.schema.schema_str
            waiting += found.schema.references or ()
    return texts


async def _judge(response: Any) -> None:
    """Let nothing reach the client that is not a registry's, or that asks to be left alone; a hook of its HTTP library.

    The client itself (confluent-kafka 2.16.1, 2026-11) hands over status and body alone, and remembers any JSON object
    as a schema.
    """
    body = await response.aread()
    request = response.request
    path = request.url.raw_path.decode("ascii").partition("?")[0]
    media_type = response.headers.get("Content-Type", "")
    is_ours = is_registrys(request.method, path, response.status_code, body, media_type)
    wait_s = retry_after_s(response.headers.get("Retry-After"), time.time()) or 0.0
    status = response.status_code
    if is_ours and not wait_s:
        return
    if is_ours:
        raise _GatewayError(status, f"answers {status}, and asks to be left alone for {wait_s:.0f} s", wait_s)
    who = "" if status in (401, 403) else ": it is no registry that speaks, but something in between or another server"
    raise _GatewayError(status, f"answers {shown(status, response.headers)}{who}", min(wait_s, FOREIGN_WAIT_S))


def _client(url: str, properties: Mapping[str, Any], proxies: Proxies) -> Any:
    configuration = {**_DEFAULTS, **properties, "url": url}
    if configuration.get("bearer.auth.credentials.source") == "STATIC_TOKEN":
        configuration.setdefault(_CLUSTER, "")  # the client insists on it; only Confluent's cloud has clusters
    if "ssl.certificate.location" in configuration:
        configuration.setdefault("ssl.key.password", "")  # OpenSSL would ask for it at the terminal, and wait
    timeout = configuration["timeout"]
    if not isinstance(timeout, int | float) or not timeout > 0:
        raise ConfigurationError([f"{_PROPERTIES_VARIABLE}: timeout must be a number of seconds above 0"])
    ways = {each.strip(): proxies.of_url(each.strip()) for each in url.split(",")}
    own = configuration.pop("proxy", None)
    if own is not None:
        ways = dict.fromkeys(ways, _own_proxy(own))
    try:
        client = AsyncSchemaRegistryClient({**configuration, "proxy": _NO_PROXY})
    except (ValueError, TypeError, OSError) as error:  # their texts name properties, and no values of them
        raise ConfigurationError([f"{_PROPERTIES_VARIABLE}: {error}"]) from None
    # Without a proxy of its own this client takes the environment's, by rules of httpx that are almost ours, and it has
    # no setting for that (confluent-kafka 2.16.1, November 2026); its texts hold what it cannot read, logins included.
    rest = client._rest_client  # noqa: SLF001
    rest.session = type(rest.session)(
        verify=rest.verify,
        auth=rest.auth,
        timeout=rest.timeout,
        proxy=next((proxy.url for proxy in ways.values() if proxy is not None), None),
        mounts={_origin(each): None for each, proxy in ways.items() if proxy is None},
        trust_env=False,
        event_hooks={"response": [_judge]},
    )
    return client


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _own_proxy(value: object) -> Proxy:
    try:
        return proxy_of("proxy", str(value))
    except ValueError as error:
        raise ConfigurationError([f"{_PROPERTIES_VARIABLE}: proxy: {error}"]) from None


def _said(error: SchemaRegistryError) -> str:
    """Word an answer by its numbers: its text may be a proxy's page, or quote what we sent."""
    hint = _HINTS.get(error.http_status_code)
    code: object = error.error_code  # whatever the JSON held
    number = f" (code {code})" if isinstance(code, int) and code > 0 else ""
    return f"answers {error.http_status_code}{number}" + (f"; {hint}" if hint else "")


def _shown(url: str) -> str:
    """Return the addresses without user names, passwords and queries; raises `ConfigurationError` for what is none."""
    return ", ".join(_shown_one(each.strip()) for each in url.split(","))


def _shown_one(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0  # reading it checks it
    except ValueError:
        is_url = False
    if not is_url:
        raise ConfigurationError([f"{_URL_VARIABLE}: not a URL; for example https://registry.example:8081"])
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
