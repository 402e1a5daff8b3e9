"""47. WebSockets: a write in `edit()` is stored.

A session that ends elsewhere raises at the next access (in-process store) or at the next edit
(networked store).
"""

from __future__ import annotations

import anyio
import pytest

from lembro import SessionCommitted, SessionGone
from tests.support.visits import Visit, World, look, write
from tests.support.worlds import SOCKET_KINDS, name_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("kind", SOCKET_KINDS, indirect=True, ids=name_of),
]


async def test_a_write_in_edit_persists(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    async def socket(visit: Visit) -> None:
        assert visit.session.user_id == "ada"
        await visit.accept()
        async with visit.edit() as session:
            session["seen"] = 1
        await tab.write(between=1)
        async with visit.edit() as session:
            session["seen"] += 1

    answer = await tab.visit(socket, websocket=True)
    assert answer.error is None
    assert await tab.read() == {"seen": 2, "between": 1}


async def test_edits_of_two_tasks_take_turns(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    async def socket(visit: Visit) -> None:
        await visit.accept()

        async def edit(name: str) -> None:
            async with visit.edit() as session:
                session["order"] = [*session.get("order", []), name]
                await anyio.wait_all_tasks_blocked()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(edit, "reader")
            tasks.start_soon(edit, "writer")

    assert (await tab.visit(socket, websocket=True)).error is None
    assert sorted((await tab.read())["order"]) == ["reader", "writer"]


async def test_a_write_without_edit_raises(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    async def socket(visit: Visit) -> None:
        await visit.accept()
        with pytest.raises(SessionCommitted, match="edit"):
            visit.session["seen"] = 1

    assert (await tab.visit(socket, websocket=True)).error is None
    assert await tab.read() == {}


async def test_a_nested_change_without_edit_is_reported(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])

    async def socket(visit: Visit) -> None:
        await visit.accept()
        visit.session["cart"].append(2)

    await tab.visit(socket, websocket=True)
    assert await tab.read() == {"cart": [1]}
    assert [event.reason for event in world.heard("dropped")] == ["changed too late"]


async def test_a_write_before_the_accept_is_stored(world: World) -> None:
    tab = world.tab()

    async def socket(visit: Visit) -> None:
        visit.session["a"] = 1
        await visit.accept()

    answer = await tab.visit(socket, websocket=True)
    assert answer.sets_session
    assert answer.tokens("vary") == {"cookie"}
    assert await tab.read() == {"a": 1}


@pytest.mark.parametrize("how", ["logout", "by an operator", "expiry"])
async def test_a_session_that_ended_elsewhere_raises(world: World, how: str) -> None:
    tab = world.tab()
    await tab.login("ada")

    async def socket(visit: Visit) -> None:
        assert visit.session.user_id == "ada"
        await visit.accept()
        assert look(visit) == {}
        match how:
            case "logout":
                await tab.twin().logout()
            case "by an operator":
                await world.revoke_user("ada")
            case _:
                world.clock.advance(2 * 86400)
        if world.backend.in_process:
            with pytest.raises(SessionGone):
                visit.session.get("a")
            with pytest.raises(SessionGone):
                assert visit.session.user_id
        with pytest.raises(SessionGone):
            async with visit.edit() as session:
                session["a"] = 1
        with pytest.raises(SessionGone):
            await visit.reload()

    answer = await tab.visit(socket, websocket=True)
    assert answer.error is None
    assert world.backend.records() == 0


async def test_a_rotation_elsewhere_is_followed(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    async def socket(visit: Visit) -> None:
        look(visit)
        await visit.accept()
        await tab.visit(lambda inner: inner.session.regenerate_id())
        async with visit.edit() as session:
            session["seen"] = 1

    assert (await tab.visit(socket, websocket=True)).error is None
    assert await tab.read() == {"seen": 1}


async def test_a_refused_websocket_stores_no_new_session(world: World) -> None:
    """No cookie can be set there, so no session is created; an existing session is written."""
    tab = world.tab()

    async def refuses(visit: Visit) -> None:
        visit.session["a"] = 1

    answer = await tab.visit(refuses, websocket=True)
    refused_by_http = bool(answer.status)  # by an HTTP response, which has headers
    assert answer.sets_session == refused_by_http
    assert world.backend.records() == refused_by_http

    await tab.login("ada")
    await tab.visit(refuses, websocket=True)
    assert await tab.read() == {"a": 1}


async def test_a_websocket_over_tls_uses_the_https_cookie(world: World) -> None:
    tab = world.tab(https=True)
    await tab.login("ada")

    async def socket(visit: Visit) -> str | None:
        user = visit.session.user_id
        await visit.accept()
        return user

    assert (await tab.visit(socket, websocket=True)).result == "ada"


async def test_a_session_that_is_too_large_closes_the_websocket(world: World) -> None:
    tab = world.tab()

    async def socket(visit: Visit) -> None:
        write(a="x" * 3_000_000)(visit)
        await visit.accept()

    answer = await tab.visit(socket, websocket=True)
    assert answer.closed is not None
    assert answer.closed[0] == 1011
    assert answer.status == 0
