"""46. A late write in a stream: after the response has begun, an assignment raises.

A nested change is reported in the log and as an event, and `edit()` saves. No change is lost
silently.
"""

from __future__ import annotations

import pytest

from lembro import SessionCommitted, SessionGone
from tests.support.visits import Script, Visit, World, look
from tests.support.worlds import SESSION_KINDS, each

pytestmark = pytest.mark.anyio

WRITES: dict[str, Script] = {
    "assignment": lambda visit: visit.session.__setitem__("a", 1),
    "update": lambda visit: visit.session.update(a=1),
    "deletion": lambda visit: visit.session.pop("cart"),
    "setdefault": lambda visit: visit.session.setdefault("new", 1),
    "login": lambda visit: visit.session.login("ada"),
    "logout": lambda visit: visit.session.logout(),
    "clear": lambda visit: visit.session.clear(),
    "regenerate_id": lambda visit: visit.session.regenerate_id(),
    "save": lambda visit: visit.save(),
}


@each(SESSION_KINDS, write=WRITES, before=["accessed before", "not accessed"])
async def test_a_write_after_the_response_has_begun_raises(
    world: World, write: str, before: str
) -> None:
    tab = world.tab()
    await tab.write(cart=[1])

    async def attempt(visit: Visit) -> None:
        result = WRITES[write](visit)
        if result is not None:
            await result

    async def late(visit: Visit) -> None:
        with pytest.raises(SessionCommitted, match="edit"):
            await attempt(visit)

    answer = await tab.visit(
        look if before == "accessed before" else (lambda visit: None), later=late
    )
    assert (answer.error, answer.body) == (None, b"first last")
    assert await tab.read() == {"cart": [1]}


async def test_a_nested_change_after_the_response_has_begun_is_reported(
    world: World, no_id_in_any_log: list[str]
) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    answer = await tab.visit(look, later=lambda visit: visit.session["cart"].append(2))
    assert answer.error is None
    assert await tab.read() == {"cart": [1]}
    assert [event.reason for event in world.heard("dropped")] == ["changed too late"]
    assert any("edit()" in line for line in no_id_in_any_log)


async def test_a_change_in_edit_is_saved(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])

    async def late(visit: Visit) -> None:
        async with visit.edit() as session:
            session["cart"].append(2)
            session["done"] = True
        assert visit.session["done"] is True
        async with visit.edit() as session:
            session["twice"] = True

    answer = await tab.visit(look, later=late)
    assert answer.error is None
    assert await tab.read() == {"cart": [1, 2], "done": True, "twice": True}
    assert not world.heard("dropped")


async def test_edit_merges_with_changes_of_other_requests(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])

    async def late(visit: Visit) -> None:
        await tab.write(before=1)
        async with visit.edit() as session:
            assert session["before"] == 1
            await tab.write(meanwhile=1)
            session["cart"].append(2)

    await tab.visit(look, later=late)
    assert await tab.read() == {"cart": [1, 2], "before": 1, "meanwhile": 1}


async def test_an_exception_in_edit_saves_nothing(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])

    async def failing_edit(visit: Visit) -> None:
        async with visit.edit() as session:
            session["cart"].append(2)
            raise ZeroDivisionError

    async def late(visit: Visit) -> None:
        with pytest.raises(ZeroDivisionError):
            await failing_edit(visit)

    await tab.visit(look, later=late)
    assert await tab.read() == {"cart": [1]}
    assert not world.heard("dropped")


async def test_edit_of_an_ended_session_raises(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    async def late(visit: Visit) -> None:
        await tab.twin().logout()
        with pytest.raises(SessionGone):
            async with visit.edit() as session:
                session["a"] = 1

    answer = await tab.visit(look, later=late)
    assert answer.error is None
    assert world.backend.records() == 0


async def test_a_session_that_ends_during_edit_raises(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    async def edits(visit: Visit) -> None:
        async with visit.edit() as session:
            await tab.twin().logout()
            session["a"] = 1

    async def late(visit: Visit) -> None:
        with pytest.raises(SessionGone):
            await edits(visit)

    answer = await tab.visit(look, later=late)
    assert answer.error is None
    assert world.backend.records() == 0


async def test_edit_without_a_session_raises(world: World) -> None:
    """No session exists, and no cookie can be set any more."""

    async def late(visit: Visit) -> None:
        with pytest.raises(SessionCommitted):
            async with visit.edit() as session:
                session["a"] = 1

    answer = await world.tab().visit(look, later=late)
    assert answer.error is None
    assert world.backend.records() == 0


async def test_a_login_in_edit_raises(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])

    async def late(visit: Visit) -> None:
        async with visit.edit() as session:
            with pytest.raises(SessionCommitted):
                session.login("ada")
            with pytest.raises(SessionCommitted):
                session.regenerate_id()
            session["a"] = 1

    answer = await tab.visit(look, later=late)
    assert answer.error is None
    assert await tab.read() == {"cart": [1], "a": 1}


async def test_a_logout_in_edit_ends_the_session(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    async def late(visit: Visit) -> None:
        async with visit.edit() as session:
            session.logout()

    answer = await tab.visit(look, later=late)
    assert answer.error is None
    assert await tab.user() is None
    assert world.backend.records() == 0


async def test_reads_in_a_stream_work(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    await tab.write(cart=[1])
    answer = await tab.visit(look, later=look)
    assert answer.error is None
    assert answer.result == {"cart": [1]}


async def test_atomic_in_a_stream_saves(world: World) -> None:
    tab = world.tab()
    await tab.write(stock=1)

    def take(data: dict[str, int]) -> None:
        data["stock"] -= 1

    answer = await tab.visit(look, later=lambda visit: visit.atomic(take))
    assert answer.error is None
    assert await tab.read() == {"stock": 0}
