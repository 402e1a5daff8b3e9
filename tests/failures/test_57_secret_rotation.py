"""57. Secret rotation (Rack): after a new secret is put first, cookies signed by the old one are
accepted.

New cookies are signed by the new secret. Once the old secret is removed, its cookies are rejected.
"""

from __future__ import annotations

import pytest

from tests.support.visits import World, rotate
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio

OLD = "the old secret, which was long enough"
NEW = "the new secret, which is as long as it"
OTHER = "somebody else's secret, not less long"


async def test_a_session_survives_a_secret_rotation(build: Build) -> None:
    world: World = build(secret=OLD)
    stays, comes_back = world.tab(), world.tab()
    await stays.login("ada")
    await comes_back.login("bob")

    world.start(secret=[NEW, OLD])
    assert await stays.user() == "ada"
    assert await comes_back.user() == "bob"
    fresh = world.tab()
    await fresh.login("eve")
    await comes_back.visit(rotate)

    world.start(secret=NEW)
    assert await fresh.user() == "eve"
    assert await comes_back.user() == "bob"
    assert await stays.user() is None
    assert world.heard("rejected")[-1].reason == "the signature does not match any secret"


async def test_a_cookie_of_another_application_is_rejected(build: Build) -> None:
    world: World = build(secret=OTHER)
    tab = world.tab()
    await tab.login("ada")
    world.start(secret=[NEW, OLD])
    assert await tab.user() is None


async def test_unsigned_cookies_are_rejected_once_a_secret_is_set(build: Build) -> None:
    world: World = build()
    tab = world.tab()
    await tab.login("ada")
    world.start(secret=NEW)
    assert await tab.user() is None  # anybody can make up an ID
    world.start()
    assert await tab.user() == "ada"


async def test_signed_cookies_are_rejected_once_the_secret_is_removed(build: Build) -> None:
    world: World = build(secret=NEW)
    tab = world.tab()
    await tab.login("ada")
    world.start()
    assert await tab.user() == "ada"
