"""Typed parts of a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def typed_part(
    key: str, kind: type[T], default: Callable[[], T] | None, upgrade: Callable[[Any], T] | None
) -> tuple[Callable[[Any], T], Callable[[T], Any]]:
    """Make the functions that load and dump a typed part."""
    raise NotImplementedError
