"""The signature of a cookie of Express: that of the npm package cookie-signature."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Any


def sign(value: str, secret: bytes) -> str:
    """Return the signature: the HMAC-SHA256 as base64, without padding."""
    return _sign(value.encode(), secret).decode()


@lru_cache(maxsize=16)
def _begun(secret: bytes) -> tuple[Any, Any]:
    """Return both hashes of HMAC (RFC 2104) after the key. ``hmac.digest`` takes five times as
    long, because it looks the algorithm up each time."""
    key = secret if len(secret) <= 64 else sha256(secret).digest()
    key = key.ljust(64, b"\0")
    return sha256(bytes(byte ^ 0x36 for byte in key)), sha256(bytes(byte ^ 0x5C for byte in key))


def is_signed(value: str, signature: str, secrets: Iterable[bytes]) -> bool:
    """Return whether one of the secrets has made the signature of a value."""
    signed, given, matches = value.encode(), signature.encode("utf-8", "surrogatepass"), False
    for secret in secrets:  # all of them, so that the time does not show which one matched
        matches |= hmac.compare_digest(_sign(signed, secret), given)
    return matches


def _sign(value: bytes, secret: bytes) -> bytes:
    begun = _begun(secret)
    inner, outer = begun[0].copy(), begun[1].copy()
    inner.update(value)
    outer.update(inner.digest())
    return b64encode(outer.digest()).rstrip(b"=")
