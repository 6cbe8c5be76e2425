"""Certificates: which files are taken, and when another context is made of them."""

import os
import shutil
import ssl
from pathlib import Path

import pytest

from processor.adapters.tls import Tls
from processor.model.errors import ConfigurationError
from tests.fakes.tls import Certificates


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificates:
    """Give certificates, of which the authority is trusted, and no other."""
    (tmp_path / "none").mkdir()
    (tmp_path / "made").mkdir()
    certificates = Certificates.make(tmp_path / "made")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    return certificates


def another(folder: Path) -> Certificates:
    """Make others."""
    folder.mkdir()
    return Certificates.make(folder)


def test_an_empty_folder_leaves_the_file_alone_to_trust(made: Certificates) -> None:
    """With an empty folder, the authorities of the file are trusted, and those of the system are not."""
    del made
    assert len(Tls().context.get_ca_certs()) == 1


def test_without_a_change_the_context_stays(made: Certificates) -> None:
    """While no file changes, connections share a context."""
    del made
    tls = Tls()
    before = tls.context
    assert [tls.renew(), tls.renew()] == [False, False]
    assert tls.context is before


def test_a_file_that_is_swapped_makes_another_context_once(made: Certificates, tmp_path: Path) -> None:
    """A bundle that another one replaces is read once; one that is gone for a moment is no change."""
    tls = Tls()
    (before,) = tls.context.get_ca_certs(binary_form=True)
    made.authority.unlink()
    assert tls.renew() is False
    shutil.copy(another(tmp_path / "other").authority, made.authority)
    assert [tls.renew(), tls.renew()] == [True, False]
    (after,) = tls.context.get_ca_certs(binary_form=True)
    assert after != before


def test_a_folder_that_changes_makes_another_context(made: Certificates, tmp_path: Path) -> None:
    """An authority that comes into the folder, or leaves it, is a change."""
    tls, entry = Tls(), tmp_path / "none" / "12345678.0"
    shutil.copy(made.authority, entry)
    assert [tls.renew(), tls.renew()] == [True, False]
    entry.unlink()
    os.utime(entry.parent, ns=(1, 1))
    assert [tls.renew(), tls.renew()] == [True, False]


def test_a_file_that_cannot_be_used_changes_nothing(made: Certificates) -> None:
    """While a new bundle is only half written, the context from before stays in use."""
    tls = Tls()
    before, whole = tls.context, made.authority.read_bytes()
    made.authority.write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="SSL_CERT_FILE: cannot be used: TLS: "):
            tls.renew()
    assert tls.context is before
    made.authority.write_bytes(whole + b"\n")
    assert tls.renew() is True


def test_a_client_certificate_and_its_key_are_renewed_together(made: Certificates, tmp_path: Path) -> None:
    """A certificate whose new key has not come yet is not used."""
    key = tmp_path / "client.key"
    key.write_bytes(made.client_with_open_key())
    tls = Tls(made.client, key)
    other = another(tmp_path / "other")
    shutil.copy(other.client, made.client)
    with pytest.raises(ConfigurationError, match=r"CLIENT_CERTIFICATE_FILE: .*: TLS: key values mismatch"):
        tls.renew()
    key.write_bytes(other.client_with_open_key())
    assert tls.renew() is True


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(made: Certificates) -> None:
    """An encrypted key is an error, not a question at the terminal that nobody answers."""
    with pytest.raises(ConfigurationError, match="the key is encrypted; remove its password"):
        Tls(made.client, made.client_key)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("SSL_CERT_FILE", "no/such/file", "cannot be used: no such file or directory"),
        ("SSL_CERT_FILE", __file__, "cannot be used: TLS: no certificate or crl found"),
        ("SSL_CERT_FILE", ".", "cannot be used: "),
        ("SSL_CERT_DIR", "no/such/folder", "is no folder"),
        ("SSL_CERT_DIR", f"no/such/folder{os.pathsep}neither", "is no folder"),
    ],
)
def test_authorities_that_cannot_be_read_are_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    """What OpenSSL would pass over in silence, so that no certificate is valid, is an error."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^{name}: {problem}"):
        Tls()


def test_connections_verify_names_and_speak_http_1(made: Certificates) -> None:
    """The context verifies certificates and the names in them."""
    del made
    context = Tls().context
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
