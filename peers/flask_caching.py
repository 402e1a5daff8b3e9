"""Flask-Caching: ``LembroCache`` under its ``SimpleCache``."""

from __future__ import annotations

import time
from typing import Any

from peers.peer import Peer


def install() -> None:
    import cachelib
    import cachelib.simple

    from lembro import MemoryStore
    from lembro.caches.cachelib import LembroCache

    module: Any = cachelib.simple
    real = module.time

    def clock() -> float:
        """Their tests replace the clock of cachelib."""
        return time.monotonic() if module.time is real else float(module.time())

    class SimpleCache(LembroCache):
        def __init__(
            self,
            threshold: int = 500,
            default_timeout: int = 300,
            ignore_delete_many_errors: bool = True,
        ) -> None:
            store = MemoryStore("4M", clock=clock)
            super().__init__(store, default_timeout, ignore_delete_many_errors)

    cachelib.SimpleCache = SimpleCache  # type: ignore[misc,assignment]
    module.SimpleCache = SimpleCache


PEER = Peer(
    project="flask-caching",
    how="`LembroCache` in place of cachelib's `SimpleCache`, which Flask-Caching's own is based on",
    tests=("tests",),
    options=("-p", "xprocess.pytest_xprocess"),
    install=install,
    differs={
        "tests/test_cachelib.py::test_cachelib_backend_gets_cache_options": (
            "there is no `threshold` of entries: the store is bounded in bytes, by its `max_size`"
        ),
        "tests/test_serializer.py::test_cachelib_cache_type_gets_the_serializer": (
            "there is no serializer to choose: values are data, and never pickled"
        ),
    },
)
