"""The signatures of Express's cookies."""

from __future__ import annotations

import hmac
from base64 import b64encode

import pytest

from lembro._http.signature import is_signed, sign


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
def test_a_signature_is_an_hmac(length: int) -> None:
    """HMAC hashes a secret that is longer than a block of 64 bytes."""
    secret = b"k" * length
    signature = sign("hello", secret)
    assert signature == b64encode(hmac.digest(secret, b"hello", "sha256")).decode().rstrip("=")
    assert is_signed("hello", signature, [b"other", secret])
    assert is_signed("hello", signature, [secret, b"other"])


@pytest.mark.parametrize("signature", ["", "x", "\u00e9", "\ud800", sign("hullo", b"secret")])
def test_another_text_is_no_signature(signature: str) -> None:
    assert not is_signed("hello", signature, [b"secret"])
    assert not is_signed("hello", sign("hello", b"secret"), [])
