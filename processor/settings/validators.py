"""What makes a value valid, each as a function that returns it in its proper form or raises a `ValueError`.

No message repeats a text that may hold a secret.
"""

import re
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from processor.adapters.fullstory import ApiKey, base_url_of
from processor.adapters.tls import identify
from processor.model.errors import ConfigurationError

MAX_PORT = 65_535
MIN_SALT_CHARACTERS = 16

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}\Z")
_CHARACTERS = re.compile(r"[1-9][0-9]{0,3}\Z")
_SERVER = re.compile(r"(?:[A-Za-z_]+://)?(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?\Z")


def comma_list(value: Any) -> Any:
    """Split a text at its commas; anything else passes as it is."""
    if not isinstance(value, str):
        return value
    return [part for each in value.split(",") if (part := each.strip())]


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Check that no name is listed twice."""
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"lists {twice[0]!r} twice")
    return names


def members(names: Any, known: Sequence[str]) -> Any:
    """Check words of a closed list, in which case does not matter; anything but a list passes as it is."""
    if not isinstance(names, list):
        return names
    given = [name.lower() if isinstance(name, str) else name for name in names]
    if unknown := [name for name in given if name not in known]:
        raise ValueError(f"lists {unknown[0]!r}, which is none of {', '.join(known[:-1])} and {known[-1]}")
    return given


def lengths(entries: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Split entries of the form PATH:CHARACTERS."""
    split: list[tuple[str, int]] = []
    for entry in entries:
        path, _, characters = (part.strip() for part in entry.rpartition(":"))
        if not path or not _CHARACTERS.match(characters):
            raise ValueError(f"lists {entry!r}: write PATH:CHARACTERS, with 1 to 9999 characters, as name:100")
        split.append((path, int(characters)))
    return tuple(split)


def topic(name: str) -> str:
    """Check the name of one topic."""
    if name.startswith("^"):
        raise ValueError(
            f"contains the pattern {name!r}, and a pattern could match the dead-letter topic or topics without "
            "Segment events: list each topic by its name"
        )
    if not _TOPIC.match(name) or name in {".", ".."}:
        raise ValueError(f"contains {name!r}: a topic name has 1 to 249 of the characters A-Z a-z 0-9 . _ -")
    return name


def topics(names: tuple[str, ...]) -> tuple[str, ...]:
    """Check the subscribed topics."""
    if not names:
        raise ValueError("lists no topic")
    for name in names:
        topic(name)
    if len(set(names)) < len(names):
        raise ValueError("lists a topic twice")
    return names


def servers(value: str) -> str:
    """Check a comma list of brokers."""
    brokers = comma_list(value)
    if not brokers:
        raise ValueError("lists no broker")
    for number, broker in enumerate(brokers, 1):
        match = _SERVER.match(broker)
        if match is None or not 0 < int(match[1] or 9092) <= MAX_PORT:
            raise ValueError(f"entry {number} is not HOST:PORT")
    return ",".join(brokers)


def urls(value: str) -> str:
    """Check a comma list of base URLs."""
    each = comma_list(value)
    if not each:
        raise ValueError("lists no URL")
    return ",".join(_url(one) for one in each)


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_server = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_server = False
    if not is_server or not value.isprintable() or " " in value:
        raise ValueError("is not an http:// or https:// URL")
    if "@" in parts.netloc:
        raise ValueError(
            "must not contain a user name or password, because URLs appear in logs: put credentials into "
            "PROCESSOR_SCHEMA_REGISTRY__PROPERTIES, as basic.auth.user.info"
        )
    if parts.query or parts.fragment:
        raise ValueError("has a query or a fragment: give the base URL only")
    return parts.geturl().rstrip("/")


def key(text: str) -> str:
    """Check an API key; return it without the white space around it."""
    text = text.strip()
    try:
        ApiKey(text)
    except ConfigurationError as error:
        raise ValueError(str(error).partition(": ")[2]) from None
    return text


def read_key(path: Path) -> str:
    """Return the API key that a file holds."""
    text = secret_in(path)
    try:
        return key(text)
    except ValueError as error:
        raise ValueError(f"the file does not hold a valid key: {error}") from None


def readable(path: Path, read: Callable[[Path], object]) -> Path:
    """Check that a file holds what is read from it; return its path."""
    read(path)
    return path


def not_both(given: str, path: Path | None, variable: str) -> None:
    """Refuse a secret that is given both directly and as a file, which `variable` names."""
    if given and path is not None:
        raise ValueError(f"is set, and so is {variable}: remove one of them")


def salt(text: str) -> str:
    """Check a salt; return it without the white space around it."""
    text = text.strip()
    if len(text) < MIN_SALT_CHARACTERS:
        raise ValueError(f"has fewer than {MIN_SALT_CHARACTERS} characters, so it could be guessed: use a longer one")
    return text


def read_salt(path: Path) -> str:
    """Return the salt that a file holds."""
    return salt(secret_in(path))


def secret_in(path: Path) -> str:
    """Return what a file holds; the messages leave out the path, which may be the secret by mistake."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8 text") from None


def client_certificate(certificate: Path, key_file: Path | None) -> None:
    """Check that a certificate and its key can be used together."""
    try:
        identify(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key_file)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def base_url(value: str, api_key: str, *, allow_private: bool) -> str:
    """Check FullStory's URL against the key; an empty value means the host that the key names."""
    try:
        return base_url_of(ApiKey(api_key), value.strip(), allow_private=allow_private)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
