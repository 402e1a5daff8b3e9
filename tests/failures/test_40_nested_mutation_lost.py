"""40. Nested change lost: a change inside a value is stored, without a flag that the handler must
set.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.visits import Script, Visit, World, rotate

pytestmark = pytest.mark.anyio

START: dict[str, Any] = {"cart": [1], "user": {"name": "ada", "tags": {"a"}}, "t": ([1],)}


def plus(visit: Visit) -> None:
    visit.session["cart"] += [2]


def by_reference(visit: Visit) -> None:
    cart = visit.session["cart"]
    cart[0] = 2


CHANGES: dict[str, tuple[Script, dict[str, Any]]] = {
    "append": (lambda v: v.session["cart"].append(2), {**START, "cart": [1, 2]}),
    "+=": (plus, {**START, "cart": [1, 2]}),
    "by reference": (by_reference, {**START, "cart": [2]}),
    "within a dict": (
        lambda v: v.session["user"].update(name="eva"),
        {**START, "user": {"name": "eva", "tags": {"a"}}},
    ),
    "of a set": (
        lambda v: v.session["user"]["tags"].add("b"),
        {**START, "user": {"name": "ada", "tags": {"a", "b"}}},
    ),
    "within a tuple": (lambda v: v.session["t"][0].append(2), {**START, "t": ([1, 2],)}),
    "setdefault": (
        lambda v: v.session.setdefault("new", []).append(1),
        {**START, "new": [1]},
    ),
    "by values()": (lambda v: next(iter(v.session.values())).append(2), {**START, "cart": [1, 2]}),
    "of the type alone": (
        lambda v: v.session["cart"].__setitem__(0, True),
        {**START, "cart": [True]},
    ),
    "del": (lambda v: v.session["user"].pop("tags"), {**START, "user": {"name": "ada"}}),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_nested_change_is_stored(world: World, change: str) -> None:
    script, expected = CHANGES[change]
    tab = world.tab()
    await tab.write(**START)
    answer = await tab.visit(script)
    assert (answer.status, answer.set_cookies) == (200, [])
    data = await tab.read()
    assert repr(sorted(data.items())) == repr(sorted(expected.items()))


@pytest.mark.parametrize("how", ["regenerate_id", "login"])
async def test_a_nested_change_with_a_new_id_is_stored(world: World, how: str) -> None:
    tab = world.tab()
    await tab.write(**START)

    def change(visit: Visit) -> None:
        cart = visit.session["cart"]
        if how == "login":
            visit.session.login("ada")
        else:
            rotate(visit)
        cart.append(2)

    await tab.visit(change)
    assert (await tab.read())["cart"] == [1, 2]


async def test_a_nested_change_that_is_reverted_writes_nothing(world: World) -> None:
    tab = world.tab()
    await tab.write(**START)
    before = world.backend.payloads()

    def change(visit: Visit) -> None:
        visit.session["cart"].append(2)
        visit.session["cart"].pop()

    await tab.visit(change)
    assert world.backend.payloads() == before
