"""Sizes in bytes: parse and print sizes such as ``"4M"``, and measure a value of a session."""

from __future__ import annotations

from typing import Any

from ._core.codec import encode_value
from .bytesize import parse, pretty

__all__ = ["of", "parse", "pretty"]


def of(value: Any) -> int:
    """Return how many bytes a value takes in a session.

    For a dict, add about 150 bytes to get the size of a session with this data in the store.

    Raises:
        CodecError: the value cannot be stored.
    """
    return len(encode_value(value, "value"))
