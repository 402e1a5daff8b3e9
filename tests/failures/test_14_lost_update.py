"""14. Lost update: two requests of one session overlap. Different keys: both are kept. The same
key: dicts merge, lists that both only appended to are joined, else the later commit wins and says
so."""

from __future__ import annotations

from typing import Any

import pytest

from lembro import SessionManager
from tests.support.visits import Script, Tab, Visit, World, look, write

pytestmark = pytest.mark.anyio


async def overlap(tab: Tab, outer: Script, inner: Script) -> None:
    """``inner`` begins after ``outer`` has loaded and commits before it does."""

    async def first(visit: Visit) -> None:
        look(visit)
        answer = await tab.visit(inner)
        assert answer.status == 200
        outer(visit)

    assert (await tab.visit(first)).status == 200


async def start(world: World, **values: Any) -> Tab:
    tab = world.tab()
    await tab.login("ada")
    await tab.write(**values)
    return tab


async def test_different_keys(world: World) -> None:
    tab = await start(world, old=0)
    await overlap(tab, write(a=1), write(b=2))
    assert await tab.read() == {"old": 0, "a": 1, "b": 2}
    assert not world.heard("conflict")


async def test_many_at_once(world: World) -> None:
    tab = await start(world, old=0)

    def writes(number: int) -> Script:
        async def script(visit: Visit) -> None:
            look(visit)
            await visit.meet()
            visit.session[f"k{number}"] = number
            visit.session["list"] = [*visit.session.get("list", []), number]

        return script

    answers = await world.together([(tab, writes(number)) for number in range(20)])
    assert [answer.status for answer in answers] == [200] * 20
    data = await tab.read()
    assert {data[f"k{number}"] for number in range(20)} == set(range(20))
    assert sorted(data["list"]) == list(range(20))


async def test_dicts_within(world: World) -> None:
    tab = await start(world, cart={"apple": 1})

    def add(name: str) -> Script:
        return lambda visit: visit.session["cart"].update({name: 1})

    await overlap(tab, add("pear"), add("plum"))
    assert await tab.read() == {"cart": {"apple": 1, "pear": 1, "plum": 1}}


async def test_lists_that_both_append_to(world: World) -> None:
    tab = await start(world, cart=[0])

    def append(item: int) -> Script:
        return lambda visit: visit.session["cart"].append(item)

    await overlap(tab, append(1), append(2))
    assert await tab.read() == {"cart": [0, 2, 1]}
    assert not world.heard("conflict")


async def test_the_same_key_goes_to_the_later_commit(world: World) -> None:
    tab = await start(world, theme="light")
    await overlap(tab, write(theme="dark"), write(theme="blue"))
    assert await tab.read() == {"theme": "dark"}
    (event,) = world.heard("conflict")
    assert event.reason.startswith("theme:")


async def test_a_key_that_one_deletes_and_the_other_leaves(world: World) -> None:
    tab = await start(world, a=1, b=1)
    await overlap(tab, lambda visit: visit.session.pop("a"), write(c=1))
    assert await tab.read() == {"b": 1, "c": 1}
    await overlap(tab, write(d=1), lambda visit: visit.session.pop("b"))
    assert await tab.read() == {"c": 1, "d": 1}


async def test_a_writer_meets_a_session_that_was_emptied(world: World) -> None:
    tab = world.tab()
    await tab.write(a=1)
    await overlap(tab, write(b=1), lambda visit: visit.session.pop("a"))
    assert await tab.read() == {"b": 1}


async def test_a_counter_by_atomic(world: World) -> None:
    tab = await start(world, stock=10)

    def take(data: dict[str, Any]) -> int:
        data["stock"] -= 1
        return int(data["stock"])

    async def outer(visit: Visit) -> int:
        look(visit)
        await tab.visit(lambda inner: inner.atomic(take))
        return await visit.atomic(take)

    assert (await tab.visit(outer)).result == 8
    assert await tab.read() == {"stock": 8}


async def test_across_a_rotation(world: World) -> None:
    tab = await start(world, old=0)
    await overlap(tab, write(a=1), lambda visit: visit.session.regenerate_id())
    assert await tab.read() == {"old": 0, "a": 1}


async def test_lists_that_both_append_the_same_to(world: World) -> None:
    """As a double click on "add to cart"."""
    tab = await start(world, cart=[0])

    def add(visit: Visit) -> None:
        visit.session["cart"].append(1)

    await overlap(tab, add, add)
    assert await tab.read() == {"cart": [0, 1, 1]}


async def test_two_counters_that_come_to_the_same(world: World) -> None:
    """Another request takes one between this one's read and its write: both store the same bytes,
    and each of them counts."""
    tab = await start(world, stock=10)
    behind = SessionManager(world.backend.memory)
    calls = []

    def take(data: dict[str, Any]) -> None:
        data["stock"] -= 1
        calls.append(data["stock"])
        if len(calls) == 1:
            assert tab.cookie is not None
            behind.load(tab.cookie[:43]).atomic(take)

    await tab.visit(lambda visit: visit.atomic(take))
    assert calls == [9, 9, 8]
    assert await tab.read() == {"stock": 8}
