"""Hosts, and why a connection to one failed, in the operating system's words, whatever libraries wrap around them."""

import os
import re
import ssl
from ipaddress import IPv6Address, ip_address

MAX_NAME_CHARACTERS = 253

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")


def is_host(text: str) -> bool:
    """Say whether a text is a name or an address that the system can be asked for; an IPv6 address has brackets.

    Asked for another name, the `idna` codec raises a `UnicodeError` in the middle of a connection (Python 3.11 to 3.14,
    November 2026), which is no `OSError`.
    """
    try:
        if text.startswith("["):
            return text.endswith("]") and "%" not in text and bool(IPv6Address(text[1:-1]))
        labels = text.removesuffix(".").split(".")
        if labels[-1].isdecimal():  # the system would take 127.1 and 2130706433 for addresses, too
            return bool(ip_address(text))
    except ValueError:
        return False
    return len(text) <= MAX_NAME_CHARACTERS and all(_LABEL.fullmatch(each) for each in labels)


def is_this_computer(host: str) -> bool:
    """Say whether a host, without brackets, is this computer itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def reason_of(error: BaseException) -> str | None:
    """Return what the system said, such as "connection refused"; None where no fault of the system is in the chain."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, ssl.SSLError):  # an OSError with OpenSSL's own numbers
            said = getattr(cause, "verify_message", "") or getattr(cause, "reason", None) or "failed"
            return f"TLS: {said.replace('_', ' ').lower()}"
        if isinstance(cause, OSError) and cause.errno:
            # Names that are not found have negative numbers, and words of their own.
            text = os.strerror(cause.errno) if cause.errno > 0 else cause.strerror or "name not resolved"
            return text[:1].lower() + text[1:]
        cause = cause.__cause__ or cause.__context__
    return None
