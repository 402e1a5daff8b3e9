"""Flask-Session keeps its sessions in a ``LembroCache``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, flash, get_flashed_messages, session
from flask_session import Session

from lembro import MemoryStore
from lembro.caches.cachelib import LembroCache
from lembro.testing import FakeClock


class Shop:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(clock=self.clock)
        self.app = Flask(__name__)
        self.app.config.update(
            TESTING=True,
            SESSION_TYPE="cachelib",
            SESSION_CACHELIB=LembroCache(self.store),
            PERMANENT_SESSION_LIFETIME=timedelta(hours=1),
        )
        Session(self.app)

        @self.app.get("/add/<item>")
        def add(item: str) -> list[str]:
            cart = session.setdefault("cart", [])
            cart.append(item)
            return list(cart)

        @self.app.get("/seats")
        def seats() -> dict[str, Any]:
            taken = session.setdefault("seats", {})
            taken[len(taken)] = ("row", 7)
            return {"keys": [type(key).__name__ for key in taken], "last": repr(taken[0])}

        @self.app.get("/flash")
        def flashes() -> str:
            flash("saved", "info")
            return "ok"

        @self.app.get("/flashed")
        def flashed() -> Any:
            return get_flashed_messages(with_categories=True)

        @self.app.get("/logout")
        def logout() -> str:
            session.clear()
            return "bye"


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_a_cart_is_kept(shop: Shop) -> None:
    browser, another = shop.app.test_client(), shop.app.test_client()
    assert browser.get("/add/bread").json == ["bread"]
    assert browser.get("/add/butter").json == ["bread", "butter"]
    assert another.get("/add/jam").json == ["jam"]
    assert shop.store.length() == 2


def test_numbers_as_keys_and_tuples_keep_their_types(shop: Shop) -> None:
    browser = shop.app.test_client()
    browser.get("/seats")
    assert browser.get("/seats").json == {"keys": ["int", "int"], "last": "('row', 7)"}


def test_flashed_messages_are_shown_once(shop: Shop) -> None:
    browser = shop.app.test_client()
    browser.get("/flash")
    assert browser.get("/flashed").json == [["info", "saved"]]
    assert browser.get("/flashed").json == []


def test_logout_ends_the_session(shop: Shop) -> None:
    browser = shop.app.test_client()
    browser.get("/add/bread")
    browser.get("/logout")
    assert shop.store.length() == 0
    assert browser.get("/add/jam").json == ["jam"]


def test_expired_sessions_are_freed(shop: Shop) -> None:
    browser = shop.app.test_client()
    browser.get("/add/bread")
    shop.clock.advance(3600)
    assert shop.store.length() == 0
    assert browser.get("/add/jam").json == ["jam"]


def test_the_id_is_not_in_the_store(shop: Shop) -> None:
    browser = shop.app.test_client()
    browser.get("/add/bread")
    cookie = browser.get_cookie("session")
    assert cookie is not None
    assert cookie.value.encode() not in shop.store._parts.arena.memory[:]


def test_memory_is_bounded() -> None:
    shop = Shop()
    shop.store = MemoryStore("128K")
    shop.app.session_interface.cache = LembroCache(shop.store)  # type: ignore[attr-defined]
    for number in range(500):
        shop.app.test_client().get(f"/add/{number:0200}")
    assert 100 < shop.store.length() < 500
    assert shop.store.stats().used <= 128 * 1024
