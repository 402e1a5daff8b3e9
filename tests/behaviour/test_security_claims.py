"""Claims of docs/security.md that no other test shows."""

from __future__ import annotations

import pytest

from lembro import MemoryStore, SessionManager
from tests.failures.test_72_used_mark_evicted import READER, adopt
from tests.support import apps_aiohttp, gateways
from tests.support.visits import COOKIE, SECURE_COOKIE, World
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio

SECRET = "mC7pQ2xV9kLr4TzB1nWy6HdS8jFg3eAu"
DATA = "4111-1111-1111-1111"


async def test_the_cookie_holds_no_data_of_the_session(world: World) -> None:
    """Its length depends on no data, and two sessions with the same data share no part of it."""
    cookies = []
    for data in ({"card": DATA}, {"card": DATA}, {"cart": [DATA] * 100}):
        tab = world.tab()
        await tab.write(**data)
        await tab.login("ada")
        assert tab.cookie is not None
        cookies.append(tab.cookie)
    assert len({len(cookie) for cookie in cookies}) == 1
    parts = [cookie.split(".") for cookie in cookies]
    assert all(len(set(same)) == len(cookies) for same in zip(*parts, strict=True))


async def test_the_cookie_has_about_100_bytes(build: Build) -> None:
    for options in {}, {"secret": SECRET}:
        world: World = build(**options)
        for https, name in (False, COOKIE), (True, SECURE_COOKIE):
            tab = world.tab(https=https)
            await tab.write(card=DATA)
            await tab.login("ada", remember=True)
            assert tab.cookie is not None
            assert len(name) + len(tab.cookie) <= 100


async def test_a_session_that_the_store_does_not_have_is_not_accepted(world: World) -> None:
    """Nothing but the store says which sessions there are, neither the cookie nor the process."""
    tab = world.tab()
    await tab.login("ada")
    world.backend.memory.clear()
    assert await tab.user() is None
    assert await tab.read() == {}


def test_clear_ends_every_session() -> None:
    manager = SessionManager(MemoryStore("64K"))
    ids = [manager.create({"cart": [1]}), manager.create({"cart": [2]}, user_id="ada")]
    manager.clear()
    for session_id in ids:
        session = manager.load(session_id)
        assert (session.user_id, dict(session)) == (None, {})


async def test_a_session_is_bound_to_no_browser_and_no_address(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    world: World = build(store_address=True)
    tab = world.tab()
    await tab.visit(lambda visit: visit.session.login("ada"), sent=[(b"user-agent", b"curl/8.5.0")])
    for module in gateways, apps_aiohttp:
        monkeypatch.setattr(module, "CLIENT", "203.0.113.7")
    answer = await tab.visit(
        lambda visit: visit.session.user_id, sent=[(b"user-agent", b"Mozilla/5.0 (X11; Linux)")]
    )
    assert answer.result == "ada"
    assert not answer.set_cookies


def test_a_restart_forgets_which_legacy_cookies_were_used() -> None:
    before = SessionManager(MemoryStore("256K"), migrate_from=READER)
    assert adopt(before, "ada.1", logout=True) == "ada"
    assert adopt(before, "ada.1") is None
    after = SessionManager(MemoryStore("256K"), migrate_from=READER)
    assert adopt(after, "ada.1") == "ada"
