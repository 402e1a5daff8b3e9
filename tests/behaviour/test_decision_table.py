"""The decision table of ``lembro._core.lifecycle``, cell by cell, on every integration and store.

Each cell says how a request was loaded, what it does, what happens to the cookie, and what the next
request with the resulting cookie finds.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import pytest

from lembro.ids import new_id
from tests.support import worlds
from tests.support.visits import Script, Tab, Visit, World, login, look, rotate, write

KINDS: Final = [*worlds.KINDS, *worlds.EXTERNAL_KINDS]
COMPLETE: Final = [
    kind
    for kind in KINDS
    if kind[1].name == "memory"
    or (
        kind[0].name in ("asgi", "wsgi")
        and kind[1].name in ("async", "blocking", "redis", "sqlite")
    )
]
"""The kinds that meet every cell: each integration, and each way to a store. A framework over
another store, and a database, meet each row and each column."""

pytestmark = pytest.mark.anyio

DATA: Final = {"cart": [1]}


class Cell(NamedTuple):
    cookie: str
    """"set", "clear", or "" if there is no Set-Cookie."""
    data: dict[str, Any]
    """What the same browser finds next."""
    user: str | None
    live: int
    """How many sessions there are afterwards."""


async def no_cookie(world: World) -> Tab:
    return world.tab()


async def unknown_id(world: World) -> Tab:
    return world.tab(new_id())


async def live_session(world: World) -> Tab:
    tab = world.tab()
    await tab.write(**DATA)
    return tab


async def live_login(world: World) -> Tab:
    tab = world.tab()
    await tab.login("ada")
    await tab.write(**DATA)
    return tab


async def rotated(world: World) -> Tab:
    tab = await live_login(world)
    old = tab.twin()
    await tab.visit(rotate)
    return old


async def stale(world: World) -> Tab:
    tab = await live_session(world)
    old = tab.twin()
    await tab.login("ada")
    return old


def nothing(visit: Visit) -> None: ...


ACTS: Final[dict[str, Script]] = {
    "not accessed": nothing,
    "read": look,
    "changed": write(a=1),
    "regenerate_id": rotate,
    "login": login("ada"),
    "destroyed": lambda visit: visit.session.destroy(),
}
BOTH: Final = {**DATA, "a": 1}

TABLE: Final[dict[Any, list[Cell]]] = {
    # loaded from: not accessed, read, changed, regenerate_id, login, destroyed
    no_cookie: [
        Cell("", {}, None, 0),
        Cell("", {}, None, 0),
        Cell("set", {"a": 1}, None, 1),
        Cell("", {}, None, 0),  # there is no session that could get an ID
        Cell("set", {}, "ada", 1),
        Cell("", {}, None, 0),
    ],
    unknown_id: [
        Cell("", {}, None, 0),
        Cell("", {}, None, 0),
        Cell("set", {"a": 1}, None, 1),
        Cell("", {}, None, 0),
        Cell("set", {}, "ada", 1),
        Cell("", {}, None, 0),
    ],
    live_session: [
        Cell("", DATA, None, 1),
        Cell("", DATA, None, 1),
        Cell("", BOTH, None, 1),
        Cell("set", DATA, None, 1),
        Cell("set", DATA, "ada", 1),
        Cell("clear", {}, None, 0),
    ],
    live_login: [
        Cell("", DATA, "ada", 1),
        Cell("", DATA, "ada", 1),
        Cell("", BOTH, "ada", 1),
        Cell("set", DATA, "ada", 1),
        Cell("set", DATA, "ada", 1),
        Cell("clear", {}, None, 0),
    ],
    rotated: [
        Cell("", DATA, "ada", 1),
        Cell("", DATA, "ada", 1),
        Cell("", BOTH, "ada", 1),
        Cell("", DATA, "ada", 1),
        Cell("set", DATA, "ada", 1),
        Cell("clear", {}, None, 0),
    ],
    stale: [
        Cell("", {}, None, 1),
        Cell("", {}, None, 1),
        Cell("", {}, None, 1),
        Cell("", {}, None, 1),
        Cell("set", DATA, "ada", 1),  # the session of the first login continues
        Cell("", {}, None, 1),
    ],
}


@worlds.each(KINDS, COMPLETE, arrive=TABLE, act=ACTS)
async def test_cell(world: World, arrive: Any, act: str) -> None:
    cell = dict(zip(ACTS, TABLE[arrive], strict=True))[act]
    tab: Tab = await arrive(world)
    before = tab.cookie
    answer = await tab.visit(ACTS[act])
    assert answer.status == 200
    assert len(answer.set_cookies) == bool(cell.cookie)
    assert answer.sets_session == (cell.cookie == "set")
    assert answer.clears_session == (cell.cookie == "clear")
    if cell.cookie == "set":
        assert tab.cookie != before
    assert answer.all("vary") == ([] if act == "not accessed" else ["Cookie"])
    assert await tab.read() == cell.data
    assert await tab.user() == cell.user
    assert world.backend.live() == cell.live


@worlds.only(COMPLETE)
async def test_a_change_of_an_ended_session_is_dropped(world: World) -> None:
    tab = await live_session(world)

    async def slow(visit: Visit) -> None:
        look(visit)
        await tab.twin().logout()
        visit.session["a"] = 1

    answer = await tab.visit(slow)
    assert not answer.set_cookies
    assert len(world.heard("dropped")) == 1
    assert world.backend.live() == 0


@worlds.only(COMPLETE)
async def test_a_read_touches_after_a_tenth_of_the_idle_timeout(world: World) -> None:
    day = 86400
    tab = await live_session(world)
    (key,) = world.backend.payloads()

    def left() -> float:
        found = world.backend.memory.get(key)
        assert found is not None
        return found.idle_left

    world.clock.advance(day * 0.09)
    await tab.read()
    assert left() == pytest.approx(day * 0.91)
    world.clock.advance(day * 0.02)
    await tab.visit()
    assert left() == pytest.approx(day * 0.89)
    await tab.read()
    assert left() == pytest.approx(day)


@worlds.only(COMPLETE)
async def test_a_login_after_a_logout_begins_a_new_session(world: World) -> None:
    tab = await live_login(world)
    old = tab.cookie

    def out_and_in(visit: Visit) -> None:
        visit.session.logout()
        visit.session.login("bob")
        visit.session["b"] = 1

    answer = await tab.visit(out_and_in)
    assert len(answer.set_cookies) == 1
    assert await tab.user() == "bob"
    assert await tab.read() == {"b": 1}
    assert await world.tab(old).user() is None
