"""An identity provider on a loopback port: it gives signed tokens to the one client that it knows."""

import json
import time
from base64 import b64encode, urlsafe_b64encode
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, final
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from tests.fakes.loopback import Loopback, send

CLIENT, SECRET = "worker", "the-secret-of-the-client"
ISSUER, AUDIENCE, KEY = "https://issuer.example", "kafka", "key-1"


@final
class IdentityProvider(Loopback):
    """OAuth 2's grant by a client's credentials; inside the `with` it answers. Tokens live for `lifetime_s`.

    `keys` is a file with what their signatures are verified by, a JSON Web Key Set.
    """

    def __init__(self, folder: Path, lifetime_s: int) -> None:
        self.keys = folder / "keys.json"
        self.refused = 0
        """Requests with credentials of nobody."""
        self._lifetime_s = lifetime_s
        self._key = rsa.generate_private_key(65_537, 2_048)
        numbers = self._key.public_key().public_numbers()
        public = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": KEY,
            "n": _number(numbers.n),
            "e": _number(numbers.e),
        }
        self.keys.write_text(json.dumps({"keys": [public]}))
        super().__init__(self._handler())

    @property
    def url(self) -> str:
        """Where tokens are asked for."""
        return f"{super().url}/token"

    def _token(self) -> str:
        now = int(time.time())
        claims = {"sub": CLIENT, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + self._lifetime_s}
        signed = ".".join(_text(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": KEY}, claims))
        return f"{signed}.{_text(self._key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self
        credentials = f"Basic {b64encode(f'{CLIENT}:{SECRET}'.encode()).decode()}"

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                is_known = self.headers["Authorization"] == credentials
                if is_known and body.get("grant_type") == ["client_credentials"]:
                    answer: dict[str, Any] = {"access_token": provider._token(), "token_type": "Bearer"}
                    send(self, 200, json.dumps(answer | {"expires_in": provider._lifetime_s}).encode())
                else:
                    provider.refused += 1
                    send(self, 401, json.dumps({"error": "invalid_client"}).encode())

            def log_message(self, *_values: object) -> None:
                """Say nothing."""

        return Handler


def _number(number: int) -> str:
    return _text(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")
