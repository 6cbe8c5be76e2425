"""Schemas of a registry that speaks Confluent's API: Confluent's own, Apicurio, Karapace, Redpanda."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, final
from urllib.parse import urlsplit

from confluent_kafka.schema_registry import (  # type: ignore[attr-defined]  # the type stubs lack the asynchronous one
    AsyncSchemaRegistryClient,
    SchemaRegistryError,
)

from processor.adapters.network import reason_of
from processor.adapters.proxies import Proxies, Proxy, proxy_of
from processor.adapters.schemas.references import standing_alone
from processor.events.framing import Fingerprint, Guid, SchemaId
from processor.model.errors import ConfigurationError, RegistryUnavailableError

REQUEST_TIMEOUT_S = 10.0
"""The client's own default is to wait for ever."""

DEADLINE_S = 30.0
"""For a schema with everything that belongs to it: several addresses may be tried, tokens and references fetched."""

_DEFAULTS = {"timeout": REQUEST_TIMEOUT_S, "max.retries": 0}  # the worker asks again itself, and says so
_NO_PROXY = "http://none.invalid"
_SCHEMA_NOT_FOUND = 40403
_CLUSTER = "bearer.auth.logical.cluster"
_URL_VARIABLE = "PROCESSOR_SCHEMA_REGISTRY__URL"
_PROPERTIES_VARIABLE = "PROCESSOR_SCHEMA_REGISTRY__PROPERTIES"
_HINTS = {
    401: f"check the credentials in {_PROPERTIES_VARIABLE}",
    403: f"the credentials in {_PROPERTIES_VARIABLE} may not read schemas",
    404: f"check {_URL_VARIABLE}, and that the registry knows guids where records name them",
}

_T = TypeVar("_T")


@final
class RegistrySchemas:
    """The `Schemas` port over a registry; closed by `async with`. `url` may list several, separated by commas.

    `properties` are those of confluent-kafka's client: TLS, basic and OAuth authentication, `timeout`, `max.retries`,
    and a `proxy`, which outranks `proxies`. Raises `ConfigurationError` when they make no sense. No message ever holds
    a credential.
    """

    def __init__(
        self,
        url: str,
        properties: Mapping[str, Any],
        *,
        proxies: Proxies | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.address = _shown(url)
        """The URLs, without credentials."""
        self._deadline_s = deadline_s
        self._url = url
        self._proxies = proxies or Proxies()
        self._client = _client(url, properties, self._proxies)

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
        await old.__aexit__(None, None, None)

    async def fetch(self, schema_id: SchemaId) -> str | None:
        """Return the schema's text with the types that it refers to; None when the registry knows no such id.

        No registry of this protocol knows fingerprints.

        Raises `RegistryUnavailableError` for everything else, at the latest when the deadline has passed.
        """
        return await self.ask(lambda _client: self._fetch(schema_id))

    async def ask(self, question: Callable[[Any], Awaitable[_T]]) -> _T:
        """Return what the question makes of the client's answers; raises what `fetch` raises."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await question(self._client)
        except RegistryUnavailableError:
            raise
        except SchemaRegistryError as error:
            raise self._unavailable(_said(error)) from None
        except TimeoutError:
            raise self._unavailable(f"did not answer within {self._deadline_s:g} s") from None
        except Exception as error:  # noqa: BLE001 - of httpx, authlib, json: none speaks of the schema
            reason = reason_of(error)
            what = f"cannot be asked ({type(error).__name__})" if reason is None else f"does not answer ({reason})"
            raise self._unavailable(what) from None

    async def _fetch(self, schema_id: SchemaId) -> str | None:
        if isinstance(schema_id, Fingerprint):
            return None
        try:
            if isinstance(schema_id, Guid):
                schema = await self._client.get_schema_by_guid(str(schema_id))
            else:
                schema = await self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code == 404 and error.error_code == _SCHEMA_NOT_FOUND:
                return None
            raise
        return standing_alone(await self._text(schema), await self._referenced(schema))

    async def _referenced(self, schema: Any) -> dict[str, str]:
        """Return the texts of all that the schema refers to, and of what those refer to, by name."""
        texts: dict[str, str] = {}
        waiting = list(schema.references or ())
        while waiting:
            reference = waiting.pop()
            if reference.name not in texts:
                found = await self._client.get_version(reference.subject, reference.version)
                texts[reference.name] = await self._text(found.schema)
                waiting += found.schema.references or ()
        return texts

    async def _text(self, schema: Any) -> str:
        """Return the text; a success without one is no registry's, and the client must not remember it."""
        if not isinstance(schema.schema_str, str):
            await self._client.clear_caches()
            raise self._unavailable(f"answers 200 without a schema; check {_URL_VARIABLE}")
        return schema.schema_str

    def _unavailable(self, what: str) -> RegistryUnavailableError:
        return RegistryUnavailableError(f"the schema registry at {self.address} {what}")


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
