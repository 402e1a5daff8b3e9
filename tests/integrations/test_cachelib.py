"""``LembroCache`` keeps the promises of cachelib's ``BaseCache``, and lembro's own."""

from __future__ import annotations

import threading
from datetime import timedelta
from math import inf
from typing import Any

import pytest
from cachelib import BaseCache

from lembro import CodecError, ConfigError, MemoryStore, SessionManager, SessionTooLarge
from lembro.caches.cachelib import LembroCache
from lembro.testing import FakeClock

PAIRS: dict[str, Any] = {
    "128": False,
    "beef": True,
    "crevettes": {},
    "1024": "spam",
    "sausage": 2048,
    "3072": [],
    "brandy": [{}, "fried eggs"],
    "lobster": ["baked beans", [512]],
    "4096": {"sauce": [], 256: "truffle"},
    "tuple": (1, "two"),
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cache(clock: FakeClock) -> LembroCache:
    return LembroCache(MemoryStore(clock=clock))


def test_lembro_cache_is_a_base_cache(cache: LembroCache) -> None:
    assert isinstance(cache, BaseCache)
    assert LembroCache().default_timeout == BaseCache().default_timeout == 300
    assert repr(LembroCache()).startswith("<LembroCache in <MemoryStore ")


def test_set_and_get_work(cache: LembroCache) -> None:
    for key, value in PAIRS.items():
        assert cache.set(key, value) is True
        assert cache.get(key) == value
        assert type(cache.get(key)) is type(value)


def test_several_keys_at_once(cache: LembroCache) -> None:
    assert cache.set_many(PAIRS) == list(PAIRS)
    assert cache.get_many(*PAIRS) == list(PAIRS.values())
    assert cache.get_dict("beef", "1024", "missing") == {
        "beef": True,
        "1024": "spam",
        "missing": None,
    }
    assert cache.delete_many(*PAIRS) == list(PAIRS)
    assert not any(cache.get_many(*PAIRS))


@pytest.mark.parametrize("ignoring", [True, False])
def test_delete_many_with_a_missing_key(ignoring: bool) -> None:
    cache = LembroCache(ignore_delete_many_errors=ignoring)
    cache.set("bacon", "spam")
    assert cache.delete_many("eggs", "bacon") == ["eggs", "bacon"]
    assert cache.get("bacon") is None


def test_get_returns_a_new_object(cache: LembroCache) -> None:
    value = {"items": [1]}
    cache.set("key", value)
    value["items"].append(2)
    cache.get("key")["items"].append(3)
    assert cache.get("key") == {"items": [1]}


def test_add_does_not_replace(cache: LembroCache, clock: FakeClock) -> None:
    assert cache.add("key", "first", timeout=60) is True
    assert cache.add("key", "second") is False
    assert cache.get("key") == "first"
    clock.advance(60)
    assert cache.add("key", "second") is True
    assert cache.get("key") == "second"


def test_delete_of_a_missing_key_is_false(cache: LembroCache) -> None:
    assert cache.delete("key") is False
    cache.set("key", None)
    assert cache.delete("key") is True
    assert cache.delete("key") is False


def test_has_finds_live_keys_only(cache: LembroCache, clock: FakeClock) -> None:
    assert cache.has("key") is False
    cache.set("key", None, timeout=60)
    assert cache.has("key") is True
    clock.advance(60)
    assert cache.has("key") is False


@pytest.mark.parametrize("number", [0, 10, 5_000_000_000_000])
def test_inc_and_dec_begin_with_the_delta(cache: LembroCache, number: int) -> None:
    assert cache.inc("up", number) == number
    assert cache.dec("down", number) == -number
    assert cache.get("down") == -number
    assert cache.dec("up", 5) == number - 5


def test_inc_and_dec_change_a_stored_number(cache: LembroCache) -> None:
    cache.set("count", 10)
    assert cache.inc("count", 5) == 15
    assert cache.dec("count", 3) == 12
    assert cache.inc("count") == 13
    assert cache.get("count") == 13


def test_inc_does_not_prolong_the_timeout(cache: LembroCache, clock: FakeClock) -> None:
    cache.set("tries", 1, timeout=60)
    clock.advance(59)
    assert cache.inc("tries") == 2
    clock.advance(1)
    assert cache.inc("tries") == 1


def test_threads_lose_no_increment(cache: LembroCache) -> None:
    cache.set("counter", 0)
    meet = threading.Barrier(10)

    def count() -> None:
        meet.wait(60)
        for _ in range(50):
            cache.inc("counter")

    threads = [threading.Thread(target=count) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert cache.get("counter") == 500


def test_clear_removes_only_the_entries_of_this_cache(clock: FakeClock) -> None:
    store = MemoryStore(clock=clock)
    pages, counts = LembroCache(store), LembroCache(store, namespace="counts")
    session_id = SessionManager(store).create({"n": 1})
    pages.set("key", "page")
    counts.set("key", 1)
    assert pages.clear() is True
    assert (pages.get("key"), counts.get("key")) == (None, 1)
    assert SessionManager(store).get(session_id) == {"n": 1}


@pytest.mark.parametrize("never", [0, timedelta()])
def test_a_timeout_of_zero_means_forever(cache: LembroCache, clock: FakeClock, never: Any) -> None:
    cache.set("set", 1, timeout=never)
    cache.add("added", 1, timeout=never)
    clock.advance(10 * 366 * 86400)
    assert cache.get_many("set", "added") == [1, 1]
    assert LembroCache(default_timeout=never)._left(None) is None


@pytest.mark.parametrize("minute", [60, timedelta(minutes=1)])
def test_an_entry_ends_after_its_timeout(cache: LembroCache, clock: FakeClock, minute: Any) -> None:
    cache.set("set", 1, timeout=minute)
    cache.add("added", 1, timeout=minute)
    clock.advance(59)
    assert cache.get_many("set", "added") == [1, 1]
    clock.advance(1)
    assert cache.get_many("set", "added") == [None, None]


def test_the_default_timeout_holds(clock: FakeClock) -> None:
    cache = LembroCache(MemoryStore(clock=clock), default_timeout=60)
    cache.set("set", 1)
    cache.inc("counted")
    cache.set_many({"many": 1})
    clock.advance(59)
    assert cache.get_many("set", "counted", "many") == [1, 1, 1]
    clock.advance(1)
    assert cache.get_many("set", "counted", "many") == [None, None, None]


def test_a_timeout_in_the_past_expires_at_once(cache: LembroCache) -> None:
    cache.set("key", 1)
    cache.set("key", 2, timeout=-1)
    assert cache.get("key") is None


def test_expired_entries_are_freed_without_a_read(cache: LembroCache, clock: FakeClock) -> None:
    cache.set_many(PAIRS, timeout=60)
    cache.set("for ever", 1, timeout=0)
    clock.advance(60)
    assert isinstance(cache.store, MemoryStore)
    assert cache.store.length() == 1
    assert cache._cache.ttl("for ever") == inf


def test_values_keep_their_types(cache: LembroCache) -> None:
    with pytest.raises(CodecError, match="object"):
        cache.set("key", object())
    assert cache.get("key") is None


def test_a_value_that_is_too_large_is_logged() -> None:
    cache = LembroCache(MemoryStore("64K"))
    cache.set("key", "small")
    with pytest.raises(SessionTooLarge):
        cache.set("key", "." * 64 * 1024)
    assert cache.get("key") == "small"


def test_an_object_that_is_no_store_is_refused() -> None:
    wrong: Any = "64M"
    with pytest.raises(ConfigError, match=r"^store must be a store, got .* Example: MemoryStore"):
        LembroCache(wrong)
