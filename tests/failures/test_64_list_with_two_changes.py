"""64. One list, one request removes, one appends: a flash message was shown twice or never.

The same with a set that two requests change.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.visits import Script, Tab, Visit, World, look

pytestmark = pytest.mark.anyio


def flash(message: str) -> Script:
    return lambda visit: visit.session.setdefault("flash", []).append(message)


def show(visit: Visit) -> list[str]:
    shown: list[str] = visit.session.pop("flash", [])
    return shown


async def overlap(tab: Tab, outer: Script, inner: Script) -> list[Any]:
    """Run ``inner`` between the load and the commit of ``outer``. Return both results."""
    results: list[Any] = []

    async def first(visit: Visit) -> Any:
        look(visit)
        results.append((await tab.visit(inner)).result)
        return outer(visit)

    results.append((await tab.visit(first)).result)
    return results


@pytest.mark.parametrize("shows_first", [True, False])
async def test_each_flash_message_is_shown_once(world: World, shows_first: bool) -> None:
    tab = world.tab()
    await tab.visit(flash("hello"))
    scripts = [flash("added"), show]
    results = await overlap(tab, *(scripts if shows_first else reversed(scripts)))
    assert results[0 if shows_first else 1] == ["hello"]
    assert (await tab.visit(show)).result == ["added"]
    assert (await tab.visit(show)).result == []
    assert not world.heard("conflict")


async def test_additions_and_removals_of_a_set_are_both_kept(world: World) -> None:
    tab = world.tab()
    await tab.write(rights={"read", "write"})

    def add(visit: Visit) -> None:
        visit.session["rights"].add("delete")

    def remove(visit: Visit) -> None:
        visit.session["rights"].discard("write")

    await overlap(tab, add, remove)
    assert await tab.read() == {"rights": {"read", "delete"}}
    assert not world.heard("conflict")
