"""The signature of a cookie of Express: that of the npm package cookie-signature."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Iterable


def sign(value: str, secret: bytes) -> str:
    """Return the signature: the HMAC-SHA256 as base64, without padding."""
    return b64encode(hmac.digest(secret, value.encode(), "sha256")).rstrip(b"=").decode()


def is_signed(value: str, signature: str, secrets: Iterable[bytes]) -> bool:
    """Return whether one of the secrets has made the signature of a value."""
    # Every secret is tried, so that the time does not show which one matched.
    given = signature.encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(sign(value, secret).encode(), given) for secret in secrets]
    return any(matches)
