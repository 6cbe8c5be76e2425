"""Certificates for servers and clients on loopback, made anew by whoever needs them."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Self, final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

PASSWORD = "s3cret"


@final
@dataclass(frozen=True, slots=True)
class Certificates:
    """An authority, a server's certificate and a client's; the client's key is encrypted with `PASSWORD`."""

    authority: Path
    server: Path
    client: Path
    client_key: Path

    @classmethod
    def make(cls, folder: Path, *names: str) -> Self:
        """Write them into the folder; the server's is for 127.0.0.1 and for `names`."""
        authority_key = ec.generate_private_key(ec.SECP256R1())
        authority = _certificate("authority", authority_key, "authority", authority_key, is_authority=True)
        made = cls(folder / "authority.pem", folder / "server.pem", folder / "client.pem", folder / "client.key")
        made.authority.write_bytes(authority.public_bytes(Encoding.PEM))
        for name, path in (("server", made.server), ("client", made.client)):
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _certificate(name, key, "authority", authority_key, *names, is_authority=False)
            path.write_bytes(certificate.public_bytes(Encoding.PEM))
            if name == "client":
                lock = BestAvailableEncryption(PASSWORD.encode())
                made.client_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
            else:
                made.server.with_suffix(".key").write_bytes(_open_key(key))
        return made

    def client_with_open_key(self) -> bytes:
        """Return what a file holds that has the client's certificate and its key without a password."""
        key = load_pem_private_key(self.client_key.read_bytes(), PASSWORD.encode())
        return self.client.read_bytes() + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def server_context(self) -> ssl.SSLContext:
        """Return a server's context that wants a client's certificate of the same authority."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.authority)
        context.load_cert_chain(self.server, self.server.with_suffix(".key"))
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def _open_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *names: str,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    for_names = [x509.IPAddress(IPv4Address("127.0.0.1")), *(x509.DNSName(each) for each in names)]
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(for_names), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(issuer_key, SHA256())
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
