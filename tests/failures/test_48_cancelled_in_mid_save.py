"""48. Cancelled during a save: the request is cancelled at each of its awaits, under asyncio and
trio.

The store holds the old state or the new one. No task is left behind, and the next request is
served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from anyio import CancelScope, get_cancelled_exc_class
from anyio.lowlevel import checkpoint

from lembro._core import codec
from tests.support.apps import INTEGRATIONS
from tests.support.stores import NETWORKED, AsyncAdapter, Backend
from tests.support.visits import Integration, Script, Tab, Visit, World, login, look, rotate, write

pytestmark = pytest.mark.anyio

LOOPS = [
    (loop, integration)
    for loop in ("asyncio", "trio")
    for integration in INTEGRATIONS
    if not integration.sync
    if loop == "asyncio" or getattr(integration, "trio", True)
    if getattr(integration, "cancellable", True)
]
on_every_loop = pytest.mark.parametrize(
    ("anyio_backend", "integration"), LOOPS, ids=lambda value: getattr(value, "name", value)
)

State = set[tuple[str | None, str]]
MOST = 60
"""An upper bound for the awaits of a request."""


class Moments:
    """Count the awaits of a request, and cancel it at one of them."""

    def __init__(self) -> None:
        self.scope: CancelScope | None = None
        self.left = 0

    def set(self, scope: CancelScope, at: int) -> None:
        self.scope, self.left = scope, at

    async def pass_by(self) -> None:
        self.left -= 1
        if self.left == 0 and self.scope is not None:
            self.scope.cancel()
        await checkpoint()


class _Cancelling(AsyncAdapter):
    def __init__(self, store: Any, moments: Moments) -> None:
        super().__init__(store, NETWORKED)
        self._moments = moments

    async def _ado(self, verb: str, *args: Any, **keywords: Any) -> Any:
        await self._moments.pass_by()
        result = self._do(verb, *args, **keywords)
        await self._moments.pass_by()
        return result


class CancelBackend(Backend):
    name = "cancelling"
    sync_drivers = in_process = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.moments = Moments()
        self._adapter = _Cancelling(self.memory, self.moments)

    @property
    def store(self) -> Any:
        return self._adapter

    def state(self) -> State:
        return {
            (found.user, repr(codec.decode(found.payload)[1])) for _, found in self.memory.all()
        }


def _both(visit: Visit) -> None:
    visit.session["a"] = 1
    rotate(visit)


async def _save_twice(visit: Visit) -> None:
    visit.session["a"] = 1
    await visit.save()


ACTS: dict[str, Script] = {
    "reads": look,
    "writes": write(a=1),
    "touches": lambda visit: visit.session.touch(),
    "rotates": rotate,
    "writes and rotates": _both,
    "logs in": login("bob"),
    "logs in again": login("ada"),
    "logs out": lambda visit: visit.session.logout(),
    "saves": _save_twice,
    "atomic": lambda visit: visit.atomic(lambda data: data.update(a=1)),
}


@pytest.fixture
def world(integration: type[Integration]) -> Iterator[World]:
    world = World(integration, CancelBackend)
    yield world
    world.backend.close()


def moments_of(world: World) -> Moments:
    backend = world.backend
    assert isinstance(backend, CancelBackend)
    return backend.moments


def state(world: World) -> State:
    backend = world.backend
    assert isinstance(backend, CancelBackend)
    return backend.state()


def tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return trio.lowlevel.current_statistics().tasks_living


async def cancelled_at(tab: Tab, script: Script, at: int) -> bool:
    """Visit, and cancel the request at its ``at``-th await.

    Returns:
        False if the request has fewer awaits.
    """
    moments = moments_of(tab.world)

    async def acts(visit: Visit) -> None:
        await moments.pass_by()
        result = script(visit)
        if result is not None and hasattr(result, "__await__"):
            await result
        await moments.pass_by()

    with CancelScope() as scope:
        moments.set(scope, at)
        await tab.visit(acts, sending=moments.pass_by)
    moments.scope = None
    return scope.cancelled_caught


async def someone(world: World) -> Tab:
    tab = world.tab()
    await tab.login("ada")
    await tab.write(cart=[1])
    return tab


OFTEN = ("writes", "logs in", "logs out")
"""The acts on every integration: a change, a new cookie, a cleared cookie. The core decides what
an act awaits, so the plain integration is enough for the others."""


@pytest.mark.parametrize(
    ("anyio_backend", "integration", "act"),
    [
        pytest.param(loop, integration, act, id=f"{loop}-{integration.name}-{act}")
        for loop, integration in LOOPS
        for act in ACTS
        if act in OFTEN or integration.name == "asgi"
    ],
)
async def test_a_cancelled_request_leaves_the_old_state_or_the_new_one(
    world: World, act: str
) -> None:
    tab = await someone(world)
    old = state(world)
    assert not await cancelled_at(tab, ACTS[act], MOST)
    new = state(world)
    seen = []
    for at in range(1, MOST):
        world.backend.memory.clear()
        tab = await someone(world)
        before = tasks()
        cancelled = await cancelled_at(tab, ACTS[act], at)
        assert tasks() == before
        now = state(world)
        assert now in (old, new), f"at await {at}"
        world.backend.check()
        if not cancelled:
            break
        seen.append(now)
        # The client sends the cookie that it has, and is served. (Until the grace is over, an ID
        # that another user's login replaced is stale.)
        assert await tab.user() in ("ada", None)
        world.clock.advance(31)
        assert (await tab.write(again=1)).status == 200
        assert (await tab.read())["again"] == 1
    else:
        raise AssertionError("there was no end")
    assert seen[0] == old
    assert len(seen) >= 6
    if new != old:
        assert seen[-1] == new  # the last await is after the save


@on_every_loop
async def test_a_cancelled_logout_everywhere_can_be_repeated(world: World) -> None:
    """It takes two steps, and ends the session that asked for it last."""
    for at in range(1, MOST):
        world.backend.memory.clear()
        tab, other = await someone(world), await someone(world)
        cancelled = await cancelled_at(tab, lambda visit: visit.session.logout_everywhere(), at)
        if await other.user() == "ada":
            assert await tab.user() == "ada"
        if not cancelled:
            assert state(world) == set()
            break
    else:
        raise AssertionError("there was no end")


@on_every_loop
async def test_the_cancellation_of_the_event_loop_is_passed_on(world: World) -> None:
    """It becomes neither a response nor a log line."""
    tab = await someone(world)
    world.events.clear()
    raised: list[BaseException] = []

    async def waits(visit: Visit) -> None:
        look(visit)
        try:
            await moments_of(world).pass_by()
        except get_cancelled_exc_class() as error:
            raised.append(error)
            raise

    with CancelScope() as scope:
        moments_of(world).set(scope, 3)  # a load has two awaits
        await tab.visit(waits)
    assert scope.cancelled_caught
    assert len(raised) == 1
    assert not world.heard("error")
