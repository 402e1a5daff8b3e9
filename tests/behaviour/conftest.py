"""The behaviour is the same on every integration and store."""

from __future__ import annotations

from tests.support.worlds import anyio_backend, build, kind, world

__all__ = ["anyio_backend", "build", "kind", "world"]
