"""Why a connection failed, whatever libraries have wrapped around it."""

import errno
import socket
import ssl

import pytest

from processor.adapters.network import reason_of


def wrapped(error: BaseException) -> Exception:
    """Return an exception that was raised because of another."""
    outer = RuntimeError("a library's own")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name or service not known"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "TLS: failed"),
        (ValueError("no fault of the system"), None),
        (OSError("without a number"), None),
    ],
)
def test_the_reason_is_what_the_system_said(error: BaseException, reason: str | None) -> None:
    """The reason is the system's message; OpenSSL's numbers are not taken for the system's."""
    assert reason_of(error) == reason
    assert reason_of(wrapped(error)) == reason


def test_a_chain_that_leads_back_to_itself_ends() -> None:
    """The search for a reason ends if a chain of exceptions contains itself."""
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__context__, other.__context__ = other, one
    assert reason_of(one) is None


def test_a_real_handshake_with_a_server_without_tls_says_so() -> None:
    """For https to a plain HTTP server, the reason is that TLS fails with a wrong version number."""
    here, there = socket.socketpair()
    there.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with here, there, pytest.raises(ssl.SSLError) as caught:
        ssl.create_default_context().wrap_socket(here, server_hostname="h.example")
    assert reason_of(caught.value) == "TLS: wrong version number"
