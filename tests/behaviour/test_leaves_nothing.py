"""Sessions are freed when their requests end, without the garbage collector.

A session that waits for the collector takes memory beyond the bound of the store. If a framework
leaves its own request to the collector, the session may wait with it. Many requests leave no object
outside of the store.
"""

from __future__ import annotations

import gc
import inspect
import logging
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from types import BuiltinMethodType, MethodType
from typing import Any, Final

import pytest
from anyio import CancelScope, sleep
from anyio.lowlevel import checkpoint
from coverage import Coverage

from lembro import Session, StoreError
from tests.support import apps_django
from tests.support.stores import BlockingBackend
from tests.support.visits import Script, Tab, Visit, World, login, look, rotate, write
from tests.support.worlds import KINDS, SOCKET_KINDS, name_of

pytestmark = pytest.mark.anyio

TIMES: Final = 3
OTHERS: Final = ("asyncio", "django.request", "sanic.error", "sanic.root")
OURS: Final = {Counter, logging.LogRecord}
"""Objects of this test and of pytest."""
OF_COVERAGE: Final = {MethodType, BuiltinMethodType}
"""Methods that coverage, if it measures, keeps for each thread: its own, and those of its lock."""
WAIT: Final = 1000  # milliseconds
TURNS: Final = 5  # of the event loop, until its tasks and callbacks are done


# -- requests --------------------------------------------------------------------------------------


def nothing(visit: Visit) -> None: ...


def append(visit: Visit) -> None:
    visit.session["cart"].append(1)


def fail(visit: Visit) -> None:
    look(visit)
    raise LookupError


def fail_unused(visit: Visit) -> None:
    raise LookupError


def store_an_unstorable_value(visit: Visit) -> None:
    visit.session["a"] = object()


def fail_to_read_twice(visit: Visit) -> None:
    for _ in range(2):
        with pytest.raises(StoreError):
            look(visit)


async def edit(visit: Visit) -> None:
    for number in range(5):
        async with visit.edit() as session:
            session["n"] = number


def require_login(visit: Visit) -> None:
    visit.session.require_recent(60)


def accepting(script: Script) -> Script:
    async def accept(visit: Visit) -> None:
        look(visit)
        await visit.accept()
        result = script(visit)
        if inspect.isawaitable(result):
            await result

    return accept


def leaving(after: int, scope: CancelScope, *, cancels: bool) -> Callable[[], Awaitable[None]]:
    """The client disconnects after a number of messages: sending raises, or the server cancels."""
    left = after

    async def sending() -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            return
        if not cancels:
            raise OSError("the client has disconnected")
        scope.cancel()
        await checkpoint()

    return sending


ACTS: Final[dict[str, dict[str, Any]]] = {
    "nothing": {"script": nothing},
    "read": {"script": look},
    "write": {"script": write(a=1)},
    "append": {"script": append},
    "login": {"script": login("ada")},
    "rotate": {"script": rotate},
    "a failed response": {"script": write(a=2), "status": 500},
    "fail": {"script": fail},
    "fail, unused": {"script": fail_unused},
    "login required": {"script": require_login},
    "fail to store": {"script": store_an_unstorable_value},
    "stream": {"script": look, "later": look},
    "stream, unused": {"script": nothing, "later": nothing},
    "stream, first access": {"script": nothing, "later": look},
    "stream, edits": {"script": look, "later": edit},
    "stream, late change": {"script": append, "later": append},
    "stream, fail": {"script": look, "later": fail},
    "the client disconnects": {"script": look, "leaving": 0},
    "the client disconnects in a stream": {"script": look, "later": look, "leaving": 1},
    "cancelled": {"script": look, "leaving": 0, "cancels": True},
    "cancelled in a stream": {"script": look, "later": look, "leaving": 1, "cancels": True},
}
SOCKET_ACTS: Final[dict[str, dict[str, Any]]] = {
    "accept": {"script": accepting(nothing)},
    "accept, edits": {"script": accepting(edit)},
    "accept, fail": {"script": accepting(fail)},
    "accept, login required": {"script": accepting(require_login)},
    "refuse": {"script": look},
    "refuse, login required": {"script": require_login},
}
FAILURES: Final[dict[str, dict[str, Any]]] = {
    "store down, nothing": {"script": nothing},
    "store down, read": {"script": look},
    "store down, write": {"script": write(a=1)},
    "store down, read twice": {"script": fail_to_read_twice},
}


# -- frameworks that leave their request to the garbage collector ----------------------------------

_RAISED: Final = {"fail", "fail, unused", "fail to store"}
_CANCELLED: Final = {"cancelled", "cancelled in a stream"}
_CUT_OFF: Final = {
    "stream, fail",
    "stream, first access",
    "the client disconnects",
    "the client disconnects in a stream",
}
ALWAYS: Final = {*ACTS, *SOCKET_ACTS, *FAILURES}

WAITS: Final[dict[str, set[str]]] = {
    # The headers of its request hold the environ, which holds them.
    "bottle": ALWAYS,
    # Under an ASGI server its request and its ASGIApp hold each other. (Not under its own server.)
    "sanic": ALWAYS,
    # TaskGroup before Python 3.12.8 and 3.13.1 keeps the exception that it raises in its frame;
    # Django has a TaskGroup in each request. It passes a handler's exception on in its frames.
    "django-asgi": ALWAYS,
    # These keep the exception of a handler in a frame that is in its traceback.
    "django": _RAISED,
    "flask": _RAISED,
    "pyramid": _RAISED | {"login required"},
    "quart": _RAISED | _CUT_OFF | _CANCELLED | {"accept, fail"},
    # It raises its error response, whose traceback has the frame that holds the response.
    "aiohttp": {
        "store down, read",
        "store down, write",
        "login required",
        "refuse, login required",
    },
    # Its WebSocket holds a function that holds the WebSocket. A cancelled stream does the same.
    "litestar": {*SOCKET_ACTS, "cancelled in a stream"},
}
"""The acts of each integration at which a session may wait for the garbage collector."""

KEEPS_LAST: Final = {"bottle", "sanic"}
"""Integrations whose thread or task holds the last request until the next one."""


# -- the tests -------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def collected_quickly() -> None:
    """Exclude the objects of all frameworks from each collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_garbage_collector(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in OTHERS:  # pytest keeps log records, and these keep exceptions
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def sessions_of(tab: Tab, act: dict[str, Any]) -> list[weakref.ref[Session]]:
    """Return the sessions of some requests that have ended."""
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
    """Make one request, without keeping anything of it."""
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
    """Check that the sessions are freed, without the garbage collector unless WAITS says so."""
    assert len(seen) == TIMES
    name = world.app.name
    waits, kept = act in WAITS.get(name, ()), TIMES
    for _ in range(WAIT):  # a worker thread may still run its last line
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
        if "leaving" not in ACTS[act] or kind[0].name != "tornado"  # it does not await its writes
    ],
    indirect=["kind"],
)
async def test_a_request_leaves_no_session(world: World, act: str) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    await check(world, act, await sessions_of(tab, ACTS[act]))


@pytest.mark.parametrize("act", SOCKET_ACTS)
@pytest.mark.parametrize(
    "kind", [kind for kind in SOCKET_KINDS if kind[1].in_process], indirect=True, ids=name_of
)
async def test_a_websocket_leaves_no_session(world: World, act: str) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    await check(world, act, await sessions_of(tab, {**SOCKET_ACTS[act], "websocket": True}))


@pytest.mark.parametrize("act", FAILURES)
@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if not kind[1].in_process], indirect=True, ids=name_of
)
async def test_a_store_failure_leaves_no_session(world: World, act: str) -> None:
    """A session that could not be loaded keeps the error for its first access."""
    tab = world.tab()
    await tab.write(cart=[1])
    world.backend.breaks()
    await check(world, act, await sessions_of(tab, FAILURES[act]))


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind[1] is not BlockingBackend], indirect=True, ids=name_of
)
async def test_many_requests_leave_no_object(world: World) -> None:
    acts = [act for act in ACTS.values() if "leaving" not in act]
    if world.app.websockets:
        acts += [{**act, "websocket": True} for act in SOCKET_ACTS.values()]

    left_out = OURS if Coverage.current() is None else OURS | OF_COVERAGE

    async def left_after(rounds: int) -> Counter[type]:
        """Count the objects of each type; a round is about 60 requests."""
        for _ in range(rounds):
            tab = world.tab()
            await tab.write(cart=[1])
            for act in acts:
                await sessions_of(tab, act)
            await tab.logout()
        world.events.clear()
        for _ in range(3):  # one collection may make more objects collectable
            gc.collect()
        return Counter(kind for kind in map(type, gc.get_objects()) if kind not in left_out)

    await left_after(1)  # create the objects that are created only once
    before, growth = await left_after(1), Counter[type]()
    for _ in range(5):  # a pool may get one more thread; a leak appears each time
        after = await left_after(2)
        growth = after - before
        if not growth:
            break
        before = after
    assert growth == Counter()
