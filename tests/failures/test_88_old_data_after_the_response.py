"""88. A WebSocket or a stream reads what the session held when its response began.

After that, each access to a session in this process's memory asks the store, so it returns what
the store holds now. Over an external store, ``reload()`` and ``edit()`` do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.visits import Script, Visit, World, look
from tests.support.worlds import CODEC_KINDS, PARSER_KINDS, only

pytestmark = pytest.mark.anyio

in_process = only([kind for kind in CODEC_KINDS if kind[1].name == "memory"])


@dataclass
class Cart:
    items: list[str] = field(default_factory=list)


def cart(visit: Visit) -> Cart:
    return visit.session.typed("cart", Cart)


READS: dict[str, Script] = {
    "a key": lambda visit: visit.session["n"],
    "get": lambda visit: visit.session.get("n"),
    "all": lambda visit: dict(visit.session)["n"],
    "in": lambda visit: 2 if "new" in visit.session else 1,
    "the length": lambda visit: len(visit.session) - 1,
    "a typed part": lambda visit: 1 + len(cart(visit).items),
}


@only(PARSER_KINDS)
async def test_a_read_in_a_stream_returns_what_is_stored(world: World) -> None:
    tab = world.tab()
    await tab.write(n=1, cart={"items": []})
    seen: list[dict[str, Any]] = []

    def begin(visit: Visit) -> None:
        cart(visit)
        look(visit)

    async def later(visit: Visit) -> None:
        seen.append({name: read(visit) for name, read in READS.items()})
        await tab.twin().write(n=2, cart={"items": ["bread"]}, new=1)
        seen.append({name: read(visit) for name, read in READS.items()})

    answer = await tab.visit(begin, later=later)
    assert answer.error is None
    assert seen == [dict.fromkeys(READS, 1), dict.fromkeys(READS, 2)]
    assert not world.heard("dropped")


@in_process
async def test_a_late_change_is_reported_when_it_is_replaced(world: World) -> None:
    tab = world.tab()
    await tab.write(items=[1])

    async def later(visit: Visit) -> None:
        visit.session["items"].append(2)
        await tab.twin().write(n=2)
        assert visit.session["items"] == [1]

    answer = await tab.visit(look, later=later)
    assert answer.error is None
    assert [event.reason for event in world.heard("dropped")] == ["changed too late"]


@in_process
async def test_a_late_change_that_cannot_be_stored_is_reported(world: World) -> None:
    tab = world.tab()
    await tab.write(items=[1])

    async def later(visit: Visit) -> None:
        visit.session["items"].append(object())
        await tab.twin().write(n=2)
        assert visit.session["n"] == 2

    answer = await tab.visit(look, later=later)
    assert answer.error is None
    assert [event.reason for event in world.heard("dropped")] == ["changed too late"]


@in_process
async def test_a_late_change_of_a_typed_part_stays_until_the_next_edit(world: World) -> None:
    tab = world.tab()
    await tab.write(cart={"items": []})

    async def later(visit: Visit) -> None:
        late = cart(visit)
        late.items.append("bread")
        await tab.twin().write(n=2)
        assert visit.session["n"] == 2
        assert cart(visit) is late
        async with visit.edit():
            pass
        assert cart(visit).items == ["bread"]

    answer = await tab.visit(lambda visit: cart(visit) and None, later=later)
    assert answer.error is None
    assert await tab.read() == {"cart": {"items": ["bread"]}, "n": 2}


@in_process
async def test_a_typed_part_stays_the_same_object_while_nothing_changes(world: World) -> None:
    tab = world.tab()
    await tab.write(cart={"items": []})

    async def later(visit: Visit) -> bool:
        before = cart(visit)
        await tab.twin().write(n=2)
        return cart(visit) is before

    answer = await tab.visit(lambda visit: cart(visit) and None, later=later)
    assert answer.result is True
