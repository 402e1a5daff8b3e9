"""Flask-Caching on a ``LembroCache``."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from flask import Flask
from flask_caching import Cache

from lembro import MemoryStore
from lembro.caches.cachelib import LembroCache
from lembro.testing import FakeClock


class Site:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(clock=self.clock)
        self.app = Flask(__name__)
        self.cache = Cache(
            self.app,
            config={
                "CACHE_TYPE": "lembro.caches.cachelib.LembroCache",
                "CACHE_DEFAULT_TIMEOUT": 60,
                "CACHE_OPTIONS": {"store": self.store},
            },
        )
        numbers = count(1)

        @self.app.get("/page")
        @self.cache.cached()
        def page() -> str:
            return f"page {next(numbers)}"

        @self.app.get("/search")
        @self.cache.cached(query_string=True)
        def search() -> dict[str, Any]:
            return {"number": next(numbers)}

        @self.app.get("/object")
        @self.cache.cached()
        def response() -> Any:
            return self.app.make_response(f"response {next(numbers)}")

        @self.cache.memoize(timeout=10)
        def add(a: int, b: int) -> tuple[int, int]:
            return (a + b, next(numbers))

        self.add = add
        self.browser = self.app.test_client()


@pytest.fixture
def site() -> Site:
    return Site()


def test_flask_caching_uses_lembros_cache(site: Site) -> None:
    assert isinstance(site.cache.cache, LembroCache)
    assert site.cache.cache.default_timeout == 60


def test_a_page_is_cached_for_its_timeout(site: Site) -> None:
    assert site.browser.get("/page").text == "page 1"
    assert site.browser.get("/page").text == "page 1"
    site.clock.advance(60)
    assert site.store.length() == 0
    assert site.browser.get("/page").text == "page 2"


def test_pages_are_cached_by_their_query(site: Site) -> None:
    assert site.browser.get("/search?q=a&p=1").json == {"number": 1}
    assert site.browser.get("/search?p=1&q=a").json == {"number": 1}
    assert site.browser.get("/search?q=b").json == {"number": 2}


def test_memoized_results_are_cached_and_deleted(site: Site) -> None:
    with site.app.app_context():
        assert site.add(1, 2) == (3, 1)
        assert site.add(1, 2) == (3, 1)  # still a tuple
        assert site.add(2, 2) == (4, 2)
        site.cache.delete_memoized(site.add, 1, 2)
        assert site.add(1, 2) == (3, 3)
        assert site.add(2, 2) == (4, 2)
        site.cache.delete_memoized(site.add)
        assert site.add(2, 2) == (4, 4)
        site.clock.advance(10)
        assert site.add(2, 2) == (4, 5)


def test_set_and_get_work(site: Site) -> None:
    cache = site.cache
    with site.app.app_context():
        assert cache.set("key", {1: "one"})
        assert cache.get("key") == {1: "one"}
        assert cache.has("key")
        assert not cache.add("key", 2)
        assert cache.get_dict("key", "missing") == {"key": {1: "one"}, "missing": None}
        assert cache.set_many({"a": 1, "b": 2}) == ["a", "b"]
        assert cache.delete_many("a", "b") == ["a", "b"]
        assert cache.delete("key")
        cache.set("key", 1)
        assert cache.clear()
        assert cache.get("key") is None


def test_a_value_that_is_no_data_is_served_but_not_cached(site: Site) -> None:
    assert site.browser.get("/object").text == "response 1"
    assert site.browser.get("/object").text == "response 2"
    assert site.store.length() == 0
