"""Why a connection failed, in the operating system's words, whatever libraries have wrapped around them."""

import os
import ssl


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
