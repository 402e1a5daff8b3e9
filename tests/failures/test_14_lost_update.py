"""14. Lost update: two requests of one session overlap, and no change is lost without a report.

Different keys are both kept. For the same key, dicts are merged, and lists that both requests only
appended to are joined. Otherwise the later commit wins, and an event reports it.
"""

from __future__ import annotations

from typing import Any

import pytest

from lembro import SessionManager
from tests.support.visits import Script, Tab, Visit, World, look, write

pytestmark = pytest.mark.anyio


async def overlap(tab: Tab, outer: Script, inner: Script) -> None:
    """Run two requests: ``inner`` begins after ``outer`` has loaded and commits before it does."""

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


async def test_changes_of_different_keys_are_merged(world: World) -> None:
    tab = await start(world, old=0)
    await overlap(tab, write(a=1), write(b=2))
    assert await tab.read() == {"old": 0, "a": 1, "b": 2}
    assert not world.heard("conflict")


async def test_many_parallel_writes_are_merged(world: World) -> None:
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


async def test_changes_within_a_dict_are_merged(world: World) -> None:
    tab = await start(world, cart={"apple": 1})

    def add(name: str) -> Script:
        return lambda visit: visit.session["cart"].update({name: 1})

    await overlap(tab, add("pear"), add("plum"))
    assert await tab.read() == {"cart": {"apple": 1, "pear": 1, "plum": 1}}


async def test_items_that_both_append_are_joined(world: World) -> None:
    tab = await start(world, cart=[0])

    def append(item: int) -> Script:
        return lambda visit: visit.session["cart"].append(item)

    await overlap(tab, append(1), append(2))
    assert await tab.read() == {"cart": [0, 2, 1]}
    assert not world.heard("conflict")


async def test_the_later_commit_wins_for_the_same_key(world: World) -> None:
    tab = await start(world, theme="light")
    await overlap(tab, write(theme="dark"), write(theme="blue"))
    assert await tab.read() == {"theme": "dark"}
    (event,) = world.heard("conflict")
    assert event.reason.startswith("theme:")


async def test_a_key_that_only_one_request_deletes_stays_deleted(world: World) -> None:
    tab = await start(world, a=1, b=1)
    await overlap(tab, lambda visit: visit.session.pop("a"), write(c=1))
    assert await tab.read() == {"b": 1, "c": 1}
    await overlap(tab, write(d=1), lambda visit: visit.session.pop("b"))
    assert await tab.read() == {"c": 1, "d": 1}


async def test_a_write_to_a_session_that_was_emptied_is_kept(world: World) -> None:
    tab = world.tab()
    await tab.write(a=1)
    await overlap(tab, write(b=1), lambda visit: visit.session.pop("a"))
    assert await tab.read() == {"b": 1}


async def test_a_counter_changed_by_atomic_counts_both(world: World) -> None:
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


async def test_a_write_is_merged_into_a_rotated_session(world: World) -> None:
    tab = await start(world, old=0)
    await overlap(tab, write(a=1), lambda visit: visit.session.regenerate_id())
    assert await tab.read() == {"old": 0, "a": 1}


async def test_equal_items_that_both_append_are_both_kept(world: World) -> None:
    """For example a double click on "add to cart"."""
    tab = await start(world, cart=[0])

    def add(visit: Visit) -> None:
        visit.session["cart"].append(1)

    await overlap(tab, add, add)
    assert await tab.read() == {"cart": [0, 1, 1]}


async def test_two_atomic_calls_that_store_the_same_value_both_count(world: World) -> None:
    """The second request runs between the first one's read and its write, and stores the same
    bytes.
    """
    tab = await start(world, stock=10)
    behind = SessionManager(world.backend.behind)
    calls = []

    def take(data: dict[str, Any]) -> None:
        data["stock"] -= 1
        calls.append(data["stock"])
        if len(calls) == 1:
            assert tab.cookie is not None
            behind.load(tab.cookie.partition(".")[0]).atomic(take)

    await tab.visit(lambda visit: visit.atomic(take))
    assert calls == [9, 9, 8]
    assert await tab.read() == {"stock": 8}
