"""Django: ``LembroCache`` in place of ``LocMemCache``."""

from __future__ import annotations

from math import inf
from typing import Any, Final

from peers.peer import Peer


def install() -> None:
    from django.core.cache.backends import locmem

    from lembro.caches._cache import Cache
    from lembro.integrations.django import LembroCache

    class Timeouts:
        """The remaining seconds: the tests read when an entry expires."""

        def __init__(self, cache: Cache) -> None:
            self._cache = cache

        def __getitem__(self, key: str) -> int | None:
            left = self._cache.ttl(key)
            if left is None:
                raise KeyError(key)
            return None if left == inf else round(left)

    class LocMemCache(LembroCache):
        def __init__(self, location: str, params: dict[str, Any]) -> None:
            super().__init__(location, params)
            self._expire_info = Timeouts(self._cache)

    locmem.LocMemCache = LocMemCache


TESTS: Final = "cache.tests"
LOCMEM: Final = f"{TESTS}.LocMemCacheTests"

PEER = Peer(
    project="django",
    part="cache",
    how=(
        "`LembroCache` in place of `LocMemCache`, for Django's tests of that cache and "
        "of its own sessions in a cache"
    ),
    folder="tests",
    child="peers.django_child",
    tests=(
        LOCMEM,
        f"{TESTS}.CustomCacheKeyValidationTests",
        f"{TESTS}.CacheClosingTests",
        f"{TESTS}.DefaultNonExpiringCacheKeyTests",
        f"{TESTS}.CacheUtils",
        f"{TESTS}.PrefixedCacheUtils",
        f"{TESTS}.CacheHEADTest",
        f"{TESTS}.CacheI18nTest",
        f"{TESTS}.PrefixedCacheI18nTest",
        f"{TESTS}.CacheMiddlewareTest",
        f"{TESTS}.TestWithTemplateResponse",
        f"{TESTS}.TestMakeTemplateFragmentKey",
        f"{TESTS}.CacheHandlerTest",
        "template_tests.syntax_tests.test_cache",
        "sessions_tests.tests.CacheSessionTests",
        "sessions_tests.tests.CacheDBSessionTests",
        "sessions_tests.tests.CacheDBSessionWithTimeZoneTests",
    ),
    install=install,
    differs={
        **dict.fromkeys(
            (
                f"{LOCMEM}.test_data_types",
                f"{LOCMEM}.test_cache_read_for_model_instance",
                f"{LOCMEM}.test_cache_read_for_model_instance_with_deferred",
                f"{LOCMEM}.test_cache_write_for_model_instance_with_deferred",
                f"{LOCMEM}.test_locking_on_pickle",
            ),
            "values are data, and never pickled: a function, a class, a model or a query set is a "
            "`CodecError`",
        ),
        **dict.fromkeys(
            (
                f"{LOCMEM}.test_add_fail_on_pickleerror",
                f"{LOCMEM}.test_set_fail_on_pickleerror",
            ),
            "a value that cannot be stored is a `CodecError` instead of a `PickleError`",
        ),
        **dict.fromkeys(
            (
                f"{LOCMEM}.test_cull",
                f"{LOCMEM}.test_zero_cull",
                f"{LOCMEM}.test_lru_get",
                f"{LOCMEM}.test_lru_set",
                f"{LOCMEM}.test_lru_incr",
            ),
            "there is no `MAX_ENTRIES`: the store is bounded in bytes, by its `max_size`",
        ),
    },
)
