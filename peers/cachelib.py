"""cachelib: ``LembroCache`` in place of ``SimpleCache``."""

from __future__ import annotations

from typing import Final

from peers.peer import Peer


def install() -> None:
    import cachelib
    from cachelib.serializers import SimpleSerializer

    from lembro.caches._cache import Cache
    from lembro.caches.cachelib import LembroCache

    def length(self: Cache) -> int:
        number: int = self.store.length()  # type: ignore[union-attr]
        return number

    # The tests of concurrency use these, in addition to the promises of a cache.
    Cache.__len__ = length  # type: ignore[attr-defined]
    LembroCache.serializer = SimpleSerializer()  # type: ignore[attr-defined]
    cachelib.SimpleCache = LembroCache  # type: ignore[misc,assignment]


TESTS: Final = "tests/test_simple_cache.py::TestSimpleCache"

PEER = Peer(
    project="cachelib",
    how="`LembroCache` instead of `SimpleCache`",
    options=("-p", "xprocess.pytest_xprocess"),
    tests=("tests/test_simple_cache.py",),
    install=install,
    differs=dict.fromkeys(
        (
            f"{TESTS}::test_threshold",
            f"{TESTS}::test_prune_old_entries",
            f"{TESTS}::test_threshold_zero_defaults_to_500",
        ),
        "there is no `threshold` of entries: `max_size` limits the bytes of the store",
    ),
)
