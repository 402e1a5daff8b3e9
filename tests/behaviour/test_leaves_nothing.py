"""When a request has ended its session is freed, and does not wait for the garbage collector: what
it holds would be memory beyond the bound of the store. Where the framework itself leaves its
request to the garbage collector, the session waits with it, and goes with it. And however many
requests there were, nothing is left of them but what is in the store."""

from __future__ import annotations

import gc
import inspect
import logging
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from types import MethodType
from typing import Any, Final

import pytest
from anyio import CancelScope, sleep
from anyio.lowlevel import checkpoint

from lembro import Session, StoreError
from tests.support import apps_django
from tests.support.stores import BlockingBackend
from tests.support.visits import Script, Tab, Visit, World, login, look, rotate, write
from tests.support.worlds import KINDS, SOCKET_KINDS, name_of

pytestmark = pytest.mark.anyio

TIMES: Final = 3
OTHERS: Final = ("asyncio", "django.request", "sanic.error", "sanic.root")
OURS: Final = {Counter, logging.LogRecord, MethodType}
"""What counts, what pytest keeps, and what coverage keeps for each thread."""
PATIENCE: Final = 1000  # milliseconds
TURNS: Final = 5  # of the event loop, until its tasks and callbacks are done


# -- what a visitor does ---------------------------------------------------------------------------


def nothing(visit: Visit) -> None: ...


def append(visit: Visit) -> None:
    visit.session["cart"].append(1)


def fail(visit: Visit) -> None:
    look(visit)
    raise LookupError


def fail_unlooked(visit: Visit) -> None:
    raise LookupError


def keep_what_cannot_be_kept(visit: Visit) -> None:
    visit.session["a"] = object()


def look_twice_in_vain(visit: Visit) -> None:
    for _ in range(2):
        with pytest.raises(StoreError):
            look(visit)


async def edit(visit: Visit) -> None:
    for number in range(5):
        async with visit.edit() as session:
            session["n"] = number


def accepting(script: Script) -> Script:
    async def accept(visit: Visit) -> None:
        look(visit)
        await visit.accept()
        result = script(visit)
        if inspect.isawaitable(result):
            await result

    return accept


def leaving(after: int, scope: CancelScope, *, cancels: bool) -> Callable[[], Awaitable[None]]:
    """The client has gone, when so much has been sent: the server says so, or cancels."""
    left = after

    async def sending() -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            return
        if not cancels:
            raise OSError("the client has gone")
        scope.cancel()
        await checkpoint()

    return sending


ACTS: Final[dict[str, dict[str, Any]]] = {
    "nothing": {"script": nothing},
    "look": {"script": look},
    "write": {"script": write(a=1)},
    "append": {"script": append},
    "login": {"script": login("ada")},
    "rotate": {"script": rotate},
    "a failed answer": {"script": write(a=2), "status": 500},
    "fail": {"script": fail},
    "fail, not looked at": {"script": fail_unlooked},
    "fail to store": {"script": keep_what_cannot_be_kept},
    "stream": {"script": look, "later": look},
    "stream, not looked at": {"script": nothing, "later": nothing},
    "stream, first look": {"script": nothing, "later": look},
    "stream, edits": {"script": look, "later": edit},
    "stream, late change": {"script": append, "later": append},
    "stream, fail": {"script": look, "later": fail},
    "the client goes": {"script": look, "leaving": 0},
    "the client goes in a stream": {"script": look, "later": look, "leaving": 1},
    "cancelled": {"script": look, "leaving": 0, "cancels": True},
    "cancelled in a stream": {"script": look, "later": look, "leaving": 1, "cancels": True},
}
SOCKET_ACTS: Final[dict[str, dict[str, Any]]] = {
    "accept": {"script": accepting(nothing)},
    "accept, edits": {"script": accepting(edit)},
    "accept, fail": {"script": accepting(fail)},
    "refuse": {"script": look},
}
FAILURES: Final[dict[str, dict[str, Any]]] = {
    "nothing": {"script": nothing},
    "look": {"script": look},
    "write": {"script": write(a=1)},
    "look twice": {"script": look_twice_in_vain},
}


# -- who makes it wait -----------------------------------------------------------------------------

_RAISED: Final = {"fail", "fail, not looked at", "fail to store"}
_CANCELLED: Final = {"cancelled", "cancelled in a stream"}
_CUT_OFF: Final = {"stream, fail", "the client goes", "the client goes in a stream"}
ALWAYS: Final = {*ACTS, *SOCKET_ACTS, *FAILURES}

WAITS: Final[dict[str, set[str]]] = {
    # The headers of its request hold the environ, which holds them.
    "bottle": ALWAYS,
    # Under an ASGI server its request and its ASGIApp hold each other. (Not under its own server.)
    "sanic": ALWAYS,
    # TaskGroup before Python 3.12.8 and 3.13.1 keeps what it raises in its frame; Django has one in
    # each request. What a handler raises it hands on in its frames.
    "django-asgi": ALWAYS,
    # These keep the exception of a handler in a frame that is in its traceback.
    "django": _RAISED,
    "flask": _RAISED,
    "pyramid": _RAISED,
    "quart": _RAISED | _CUT_OFF | _CANCELLED | {"accept, fail"},
    "aiohttp": {"look", "write"} & FAILURES.keys(),
    # Its WebSocket holds a function of its own that holds it; so does a stream that is cancelled.
    "litestar": {*SOCKET_ACTS, "cancelled in a stream"},
}
"""In which integrations it may wait, at which acts."""

KEEPS_LAST: Final = {"bottle", "sanic"}
"""Whose thread, or task, has the last request until the next one."""


# -- the tests -------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def collected_quickly() -> Iterator[None]:
    """What all the frameworks are made of is not looked through each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_garbage_collector(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in OTHERS:  # what they log holds what was raised, and pytest what was logged
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def sessions_of(tab: Tab, act: dict[str, Any]) -> list[weakref.ref[Session]]:
    """The sessions of some requests that have ended."""
    keywords = dict(act)
    script = keywords.pop("script")
    after, cancels = keywords.pop("leaving", None), keywords.pop("cancels", False)
    seen: list[weakref.ref[Session]] = []

    async def watched(visit: Visit) -> None:
        seen.append(weakref.ref(visit.session))
        result = script(visit)
        if inspect.isawaitable(result):
            await result

    for _ in range(TIMES):
        with CancelScope() as scope:
            if after is not None:
                keywords["sending"] = leaving(after, scope, cancels=cancels)
            await visit_and_forget(tab, watched, keywords)
        for _ in range(TURNS):
            await checkpoint()
    return seen


async def visit_and_forget(tab: Tab, script: Script, keywords: dict[str, Any]) -> None:
    """One request, of which the tests keep nothing either."""
    try:
        answer = await tab.visit(script, **keywords)
    except Exception as error:
        error.__traceback__ = None
    else:
        answer.error = None
    app: Any = tab.world.app
    getattr(app, "errors", {}).clear()
    apps_django._errors.clear()


async def check(world: World, act: str, seen: list[weakref.ref[Session]]) -> None:
    """They are freed, and without the garbage collector where nobody makes them wait for it."""
    assert len(seen) == TIMES
    name = world.app.name
    waits, kept = act in WAITS.get(name, ()), TIMES
    for _ in range(PATIENCE):  # a thread that took part may still be at its last line
        if waits:
            gc.collect()
        kept = sum(reference() is not None for reference in seen)
        if kept <= (waits and name in KEEPS_LAST):
            return
        await sleep(0.001)
    pytest.fail(f"{kept} of {TIMES} sessions are still there")


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        pytest.param(kind, act, id=f"{name_of(kind)}-{act}")
        for kind in KINDS
        for act in ACTS
        if kind[1].in_process
        if "leaving" not in ACTS[act] or kind[0].name != "tornado"  # which does not wait for it
    ],
    indirect=["kind"],
)
async def test_a_request(world: World, act: str) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    await check(world, act, await sessions_of(tab, ACTS[act]))


@pytest.mark.parametrize("act", SOCKET_ACTS)
@pytest.mark.parametrize(
    "kind", [kind for kind in SOCKET_KINDS if kind[1].in_process], indirect=True, ids=name_of
)
async def test_a_websocket(world: World, act: str) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    await check(world, act, await sessions_of(tab, {**SOCKET_ACTS[act], "websocket": True}))


@pytest.mark.parametrize("act", FAILURES)
@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if not kind[1].in_process], indirect=True, ids=name_of
)
async def test_a_store_that_fails(world: World, act: str) -> None:
    """Of a session that could not be loaded the failure is kept, for the first look."""
    tab = world.tab()
    await tab.write(cart=[1])
    world.backend.breaks()
    await check(world, act, await sessions_of(tab, FAILURES[act]))


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind[1] is not BlockingBackend], indirect=True, ids=name_of
)
async def test_many_requests(world: World) -> None:
    acts = [act for act in ACTS.values() if "leaving" not in act]
    if world.app.websockets:
        acts += [{**act, "websocket": True} for act in SOCKET_ACTS.values()]

    async def left_after(rounds: int) -> Counter[type]:
        """What there is of each type; a round is about 60 requests."""
        for _ in range(rounds):
            tab = world.tab()
            await tab.write(cart=[1])
            for act in acts:
                await sessions_of(tab, act)
            await tab.logout()
        world.events.clear()
        for _ in range(3):  # what ends in one collection may free what goes in the next
            gc.collect()
        return Counter(kind for kind in map(type, gc.get_objects()) if kind not in OURS)

    await left_after(1)  # what is made once
    before, growth = await left_after(1), Counter[type]()
    for _ in range(5):  # a thread more in a pool is made once; what leaks is there each time
        after = await left_after(4)
        growth = after - before
        if not growth:
            break
        before = after
    assert growth == Counter()
