"""86. A login fails because the visitor's session is full: their ID does not fit into it.

The login wins. The largest keys that the visitor had before are dropped, with an event and a
warning.
"""

from __future__ import annotations

import logging

import pytest

from tests.support.visits import Visit, World, login, write
from tests.support.worlds import PARSER_KINDS, SESSION_KINDS, Build, only

pytestmark = pytest.mark.anyio

LIMIT = 2048
USER = "u" * 250  # larger than what is left


@pytest.fixture
def world(build: Build) -> World:
    return build(store={"max_size": "64K", "max_session_size": LIMIT})


@only(PARSER_KINDS)
async def test_a_login_drops_the_largest_keys_of_a_full_session(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    tab = world.tab()
    await tab.write(cart="x" * (LIMIT - 400), seen=list(range(50)), lang="de")

    def log_in(visit: Visit) -> None:
        visit.session.login(USER)
        visit.session["welcome"] = "hello"

    answer = await tab.visit(log_in)
    assert answer.status == 200
    assert await tab.user() == USER
    assert await tab.read() == {"seen": list(range(50)), "lang": "de", "welcome": "hello"}
    assert world.backend.live() == 1
    (event,) = world.heard("dropped")
    assert "a login dropped cart of the visitor's data" in event.reason
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "dropped cart" in warning.getMessage()


@only(SESSION_KINDS)
async def test_several_keys_are_dropped_if_one_is_not_enough(world: World) -> None:
    tab = world.tab()
    await tab.write(a="x" * 800, b="x" * 801)

    def log_in(visit: Visit) -> None:
        visit.session.login(USER)
        visit.session["c"] = "x" * 1500

    await tab.visit(log_in)
    assert await tab.user() == USER
    assert await tab.read() == {"c": "x" * 1500}


@only(SESSION_KINDS)
async def test_of_many_small_keys_no_more_are_dropped_than_needed(world: World) -> None:
    """The names of the keys count, too."""
    tab = world.tab()
    await tab.write(**{f"key{n:03}": 1 for n in range(100)})

    def log_in(visit: Visit) -> None:
        visit.session.login(USER)
        visit.session["c"] = "x" * 1200

    await tab.visit(log_in)
    kept = await tab.read()
    assert len(kept.pop("c")) == 1200
    assert 20 < len(kept) < 100


@only(SESSION_KINDS)
async def test_a_key_that_the_login_has_changed_is_dropped_last(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=["x" * 1500], note="y" * 100)

    def log_in(visit: Visit) -> None:
        visit.session.login(USER)
        visit.session["cart"].append("z" * 200)

    await tab.visit(log_in)
    assert await tab.user() == USER
    assert await tab.read() == {}


@only(SESSION_KINDS)
@pytest.mark.parametrize("size", [LIMIT, 3_000_000])
async def test_a_login_that_stores_too_much_itself_fails(world: World, size: int) -> None:
    tab = world.tab()
    await tab.write(cart=[1], note="short")

    def log_in(visit: Visit) -> None:
        visit.session.login("ada")
        visit.session.update(new="x" * size, note="y" * size)

    answer = await tab.visit(log_in)
    assert answer.status == 500
    assert await tab.user() is None
    assert await tab.read() == {"cart": [1], "note": "short"}


@only(SESSION_KINDS)
async def test_the_same_user_can_log_in_to_a_full_session(world: World) -> None:
    tab = world.tab()
    await tab.login(USER)
    size = LIMIT
    while (await tab.write(cart="x" * size)).status != 200:
        size -= 1 if size < LIMIT - 360 else 60
    await tab.visit(write(lang="de"))
    assert (await tab.visit(login(USER, remember=True))).status == 200
    assert await tab.user() == USER
