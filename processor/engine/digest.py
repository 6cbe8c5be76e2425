"""Short digests of texts and bodies, for the journal."""

from base64 import urlsafe_b64encode
from hashlib import blake2b

DIGEST_BYTES = 8


def digest(*parts: bytes) -> str:
    """Return 11 letters that differ whenever the parts do."""
    hashed = blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return urlsafe_b64encode(hashed.digest()).rstrip(b"=").decode()
