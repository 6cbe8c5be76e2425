"""What TLS connections trust and what they show of themselves, made anew when the files behind that change.

Whom to trust is OpenSSL's matter: `SSL_CERT_FILE` and `SSL_CERT_DIR`, or the system's own store (docs/proxies.md).
"""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import final

from processor.adapters.network import reason_of
from processor.model.errors import ConfigurationError

AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
CERTIFICATE_VARIABLE = "PROCESSOR_FULLSTORY__CLIENT_CERTIFICATE_FILE"

_Stamp = tuple[int, int, int, int]


@final
class Tls:
    """The context of TLS connections; `certificate` is a client's, with its `key` in the same file or in another.

    Raises `ConfigurationError` for files that cannot be used. All of it reads files, and may have to wait for them.
    """

    def __init__(self, certificate: Path | None = None, key: Path | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._stamps = self._stamped()
        self.context = self._made()
        """What connections are opened with from now on; those that are open keep the one that they have."""

    def renew(self) -> bool:
        """Make another context if a file has changed, and return whether; raises as the constructor, and keeps it then.

        A file that is gone is about to be swapped: it did not change.
        """
        stamps = self._stamps | self._stamped()
        if stamps == self._stamps:
            return False
        self.context = self._made()
        self._stamps = stamps
        return True

    def _made(self) -> ssl.SSLContext:
        context = ssl.create_default_context()  # passes over, in silence, what cannot be read of the two variables
        context.set_alpn_protocols(["http/1.1"])
        trust(context, os.environ)
        if self._certificate is not None:
            identify(context, self._certificate, self._key)
        return context

    def _stamped(self) -> dict[Path, _Stamp]:
        """Return what tells of each file, by a look from outside, whether it is another one now."""
        found = {}
        for path in self._files():
            with suppress(OSError):
                status = path.stat()
                found[path] = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
        return found

    def _files(self) -> Iterator[Path]:
        yield from (path for path in (self._certificate, self._key) if path is not None)
        paths = ssl.get_default_verify_paths()
        yield Path(os.environ.get("SSL_CERT_FILE") or paths.openssl_cafile)
        for folder in map(Path, (os.environ.get("SSL_CERT_DIR") or paths.openssl_capath).split(os.pathsep)):
            yield folder  # which changes when a file in it is gone for good
            with suppress(OSError):
                yield from folder.iterdir()


def trust(context: ssl.SSLContext, environ: Mapping[str, str]) -> None:
    """Let a context trust what the variables name; raise `ConfigurationError` for what it cannot read."""
    problems = []
    file, folders = (environ.get(name) for name in AUTHORITIES)
    if file:
        try:
            context.load_verify_locations(cafile=file)
        except OSError as error:
            problems.append(f"SSL_CERT_FILE: cannot be used: {reason_of(error)}; for example: /etc/ssl/ca.pem")
    if folders and not any(Path(each).is_dir() for each in folders.split(os.pathsep)):
        problems.append("SSL_CERT_DIR: is no folder; for example: /etc/ssl/certs")
    if problems:
        raise ConfigurationError(problems)


def identify(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Let a context show a client's certificate; raise `ConfigurationError` if that and the key cannot be used."""
    try:
        context.load_cert_chain(certificate, key, _no_password)
    except (OSError, ValueError) as error:
        is_unnamed = isinstance(error, ssl.SSLError) and error.reason is None
        problem = "the certificate or the key is not there as PEM" if is_unnamed else reason_of(error) or error
        raise ConfigurationError([f"{CERTIFICATE_VARIABLE}: cannot be used with its key: {problem}"]) from None


def _no_password() -> str:
    """Take part in OpenSSL's question for a password, which it would else ask at the terminal, and wait."""
    raise ValueError("the key is encrypted; remove its password")
