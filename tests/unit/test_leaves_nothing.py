"""No action on a session, without a framework, leaves objects behind.

Nothing waits for the garbage collector, and nothing remains outside of the store.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import pytest

from lembro import (
    CodecError,
    MemoryStore,
    Record,
    SessionCommitted,
    SessionGone,
    SessionManager,
    StoreError,
)
from lembro._core.session import Session
from lembro._http.cookie import Presented
from lembro._runtime.exchange import session_by_id
from lembro.errors import LembroError
from lembro.ids import key_for
from lembro.integrations._adapter import finish, respond
from lembro.manager import runner_of
from lembro.migrate import Refused, StoreReader
from lembro.testing import FakeClock
from tests.support.exchanges import PlainExchange, PlainResponse
from tests.support.visits import drive

Op = Callable[[SessionManager], object]

_numbers = itertools.count(1)
clock: Final = FakeClock()


@contextmanager
def request(manager: SessionManager, cookie: str | None = None) -> Iterator[PlainExchange]:
    """A request with a Cookie header, which ends at the end of the block."""
    exchange = PlainExchange(manager, cookie)
    try:
        yield exchange
    finally:
        finish(exchange)


# -- actions ---------------------------------------------------------------------------------------


def by_id(manager: SessionManager) -> None:
    session_id = manager.create({"cart": [1]}, user_id="ada")
    assert manager.get(session_id) == {"cart": [1]}
    assert manager.set(session_id, {"cart": [1, 2]})
    assert manager.touch(session_id)
    new = manager.regenerate(session_id)
    assert new is not None
    assert manager.destroy(new)
    assert not manager.destroy(session_id)


def by_id_in_async_code(manager: SessionManager) -> None:
    async def work() -> None:
        session_id = await manager.acreate({"cart": [1]}, user_id="ada")
        assert await manager.aget(session_id) == {"cart": [1]}
        assert await manager.aset(session_id, {"cart": [1, 2]})
        session = await manager.aload(session_id)
        session["cart"].append(3)
        await session.asave()
        assert await manager.adestroy(session_id)

    drive(work())


def loaded(manager: SessionManager) -> None:
    session = manager.load()
    session["cart"] = [1]
    session.save()
    session["cart"].append(2)
    session.save()
    session.reload()
    session.login("ada")
    session.save()
    assert session.user_sessions()[0].current
    session.logout()
    session.save()


def many_sessions(manager: SessionManager) -> None:
    for _ in range(3):
        manager.create({"n": 1}, user_id="eve")
    info = manager.user_sessions("eve")[0]
    assert manager.revoke(info.handle)
    assert manager.length() == len(manager.all()) == 2
    assert manager.revoke_user("eve") == 2
    manager.stats()
    manager.clear()


def login_and_out_everywhere(manager: SessionManager) -> None:
    with request(manager, f"sid={manager.create({'n': 1})}") as first:
        first.session.login("ada", remember=True)
        response = PlainResponse()
        respond(first, response)
    with request(manager, response.cookie) as second:
        assert second.session.user_id == "ada"
        second.session.logout_everywhere()
        respond(second, PlainResponse())


def edits(manager: SessionManager) -> None:
    """Edit in a stream or a WebSocket."""
    with request(manager, f"sid={manager.create({'seen': []})}") as exchange:
        session = exchange.session
        len(session)
        respond(exchange, PlainResponse())
        for number in range(20):
            with session.edit():
                session["seen"] = [number]
            assert session["seen"] == [number]
        with suppress(LookupError), session.edit():
            session["seen"] = []
            raise LookupError
        with suppress(LembroError), session.edit(), session.edit():
            pass
        with suppress(SessionCommitted):
            session["seen"] = 1


def edits_of_a_session_that_ends(manager: SessionManager) -> None:
    session_id = manager.create({"n": 1})
    with request(manager, f"sid={session_id}") as exchange:
        session = exchange.session
        len(session)
        respond(exchange, PlainResponse())
        manager.destroy(session_id)
        with suppress(SessionGone), session.edit():
            pass
        with suppress(SessionGone):
            len(session)


def atomic(manager: SessionManager) -> None:
    session_id = manager.create({"n": 1})
    interferes = True

    def up(data: dict[str, Any]) -> int:
        nonlocal interferes
        if interferes:  # has to be called again
            interferes = False
            manager.set(session_id, {"n": 10})
        data["n"] += 1
        return int(data["n"])

    with request(manager, f"sid={session_id}") as exchange:
        assert exchange.session.atomic(up) == 11
        respond(exchange, PlainResponse())


def conflict(manager: SessionManager) -> None:
    cookie = f"sid={manager.create({'cart': [1], 'n': 1})}"
    with request(manager, cookie) as one, request(manager, cookie) as other:
        for number, exchange in enumerate((one, other)):
            exchange.session["cart"].append(number)
            exchange.session["n"] = number + 5
        for exchange in (one, other):
            respond(exchange, PlainResponse())


def changed_too_late(manager: SessionManager) -> None:
    with request(manager, f"sid={manager.create({'cart': [1]})}") as exchange:
        cart = exchange.session["cart"]
        respond(exchange, PlainResponse())
        cart.append(2)


def unstorable_value(manager: SessionManager) -> None:
    with request(manager) as exchange:
        with suppress(CodecError):
            exchange.session["a"] = object()
        exchange.session["a"] = []
        exchange.session["a"].append(object())
        assert not respond(exchange, PlainResponse())


def unreadable_record(manager: SessionManager) -> None:
    session_id = manager.create({"n": 1})
    store: Any = manager.store
    key = key_for(session_id)
    store.set(key, Record(b"\x07"), expected=store.get(key).payload, idle=60)
    with request(manager, f"sid={session_id}") as exchange:
        assert dict(exchange.session) == {}


def listeners(manager: SessionManager) -> None:
    heard: list[Any] = []

    @manager.on("created")
    def hear(event: Any) -> None:
        heard.append(event)

    def fail(event: Any) -> None:
        raise LookupError

    manager.once("created", heard.append)
    manager.once("destroyed", fail)
    never = manager.once("evicted", heard.append)
    session_id = manager.create({"n": 1})
    manager.destroy(session_id)
    manager.off("created", hear)
    manager.off("evicted", never)
    assert len(heard) == 2


def time_passes(manager: SessionManager) -> None:
    session_id = manager.create({"n": 1})
    clock.advance(30 * 86400)
    assert manager.get(session_id) is None
    manager.purge()
    manager.reduce()


def another_manager(manager: SessionManager) -> None:
    store = MemoryStore("64K")
    store.close()  # its thread ends at any time
    other = SessionManager(store)
    session_id = other.create({"n": 1})
    assert dict(session_by_id(runner_of(other), Presented(session_id))) == {"n": 1}


def legacy_sessions(manager: SessionManager) -> None:
    def load(session_id: str) -> Any:
        if session_id.startswith("refused"):
            raise Refused("no")
        if session_id.startswith("down"):
            raise StoreError("down")
        return {"user_id": 7, "cart": [1]}

    reader = StoreReader(load, cookie="old", lifetime=60, user="user_id", blocking=False)
    migrating = SessionManager(manager.store, migrate_from=reader)
    for kind in ("adopted", "refused", "down"):
        with request(migrating, f"old={kind}-{next(_numbers)}") as exchange:
            with suppress(StoreError):
                exchange.session.setdefault("cart", []).append(2)
            respond(exchange, PlainResponse())


OPS: Final[list[Op]] = [
    by_id,
    by_id_in_async_code,
    loaded,
    many_sessions,
    login_and_out_everywhere,
    edits,
    edits_of_a_session_that_ends,
    atomic,
    conflict,
    changed_too_late,
    unstorable_value,
    unreadable_record,
    listeners,
    time_passes,
    another_manager,
    legacy_sessions,
]


# -- the tests -------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def collected_quickly() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionManager]:
    monkeypatch.setattr(logging.getLogger("lembro"), "disabled", True)  # pytest keeps log records
    store = MemoryStore("64K", clock=clock)
    store.close()  # without its thread
    gc.collect()
    gc.disable()
    yield SessionManager(store)
    gc.enable()


@pytest.mark.parametrize("op", OPS)
def test_an_action_leaves_nothing_to_the_garbage_collector(op: Op, manager: SessionManager) -> None:
    op(manager)  # the first call creates lasting objects
    gc.collect()
    for _ in range(10):
        op(manager)
    assert gc.collect() == 0


@pytest.mark.parametrize("op", OPS)
def test_an_action_leaves_no_object(op: Op, manager: SessionManager) -> None:
    def left_after(times: int) -> Counter[type]:
        for _ in range(times):
            op(manager)
        gc.collect()
        return Counter(kind for kind in map(type, gc.get_objects()) if kind is not Counter)

    left_after(5)
    # Threads of other tests may make a few objects meanwhile. What an action leaves, it leaves each
    # time.
    left: Counter[type] = Counter()
    for _ in range(3):
        before = left_after(5)
        more = left_after(100) - before
        left = Counter({kind: number for kind, number in more.items() if number >= 20})
        if not left:
            break
    assert left == Counter()


def test_tasks_that_wait_for_their_turn_leave_nothing(manager: SessionManager) -> None:
    async def edit(session: Session) -> None:
        async with session.edit():
            session["n"] += 1
            await asyncio.sleep(0)

    async def work() -> None:
        with request(manager, f"sid={manager.create({'n': 0})}") as exchange:
            session = exchange.session
            len(session)
            respond(exchange, PlainResponse())
            tasks = [asyncio.ensure_future(edit(session)) for _ in range(6)]
            await asyncio.sleep(0)
            tasks[3].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert session["n"] == 5

    async def twice() -> int:
        await work()
        gc.collect()
        await work()
        return gc.collect()

    assert asyncio.run(twice()) == 0
