"""17. Expiry only in the browser (CVE-2018-1000814, CVE-2024-35220): the server expires sessions.

A cookie that is sent after the session has expired finds nothing, whatever its Max-Age was.
"""

from __future__ import annotations

import pytest

from lembro import CookieOptions
from tests.support.visits import World
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio


async def test_a_cookie_after_the_idle_timeout_finds_nothing(build: Build) -> None:
    world: World = build(idle_timeout=60, absolute_timeout=600)
    tab = world.tab()
    await tab.login("ada")
    await tab.write(a=1)
    world.clock.advance(59)
    assert await tab.user() == "ada"
    world.clock.advance(61)
    assert await world.tab(tab.cookie).user() is None
    assert await world.tab(tab.cookie).read() == {}


async def test_a_remembered_login_ends_on_the_server(build: Build) -> None:
    world: World = build(idle_timeout=30, remember_timeout=60)
    tab = world.tab()
    answer = await tab.login("ada", remember=True)
    assert "Max-Age=60;" in answer.set_cookies[0]
    world.clock.advance(61)
    assert await world.tab(tab.cookie).user() is None


async def test_a_long_max_age_does_not_prolong_the_session(build: Build) -> None:
    world: World = build(idle_timeout=60, cookie=CookieOptions(max_age=86400))
    tab = world.tab()
    await tab.login("ada")
    world.clock.advance(61)
    assert await world.tab(tab.cookie).user() is None
