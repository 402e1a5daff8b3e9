"""Sizes in bytes: what a text such as ``"4M"`` means, and how much a value takes in a session."""

from __future__ import annotations

from typing import Any

from ._core.codec import encode_value
from .bytesize import parse, pretty

__all__ = ["of", "parse", "pretty"]


def of(value: Any) -> int:
    """How many bytes ``value`` takes in a session; of a dict, about what a session with this data
    takes in the store, where some 150 bytes come on top. Raises CodecError."""
    return len(encode_value(value, "value"))
