"""Whatever is done with sessions, without a framework: nothing is left to the garbage collector,
and nothing of it stays but what is in the store."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
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
from lembro.errors import LembroError
from lembro.ids import key_for
from lembro.integrations import _adapter
from lembro.migrate import Refused, StoreReader
from lembro.testing import FakeClock
from tests.support.visits import drive

Op = Callable[[SessionManager], object]

_numbers = itertools.count(1)
clock: Final = FakeClock()


def begin(manager: SessionManager, session_id: str | None) -> Session:
    """The session of a request."""
    return _adapter.begin(manager, f"sid={session_id}", https=False)


# -- what is done ----------------------------------------------------------------------------------


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
    assert session.manager.user_sessions("ada")[0].current
    session.logout()
    session.save()


def many(manager: SessionManager) -> None:
    for _ in range(3):
        manager.create({"n": 1}, user_id="eve")
    info = manager.user_sessions("eve")[0]
    assert manager.end(info.handle, user="eve")
    assert manager.length() == len(manager.all()) == 2
    assert manager.revoke_user("eve") == 2
    manager.stats()
    manager.clear()


def login_and_out_everywhere(manager: SessionManager) -> None:
    session = begin(manager, manager.create({"n": 1}))
    session.login("ada", remember=True)
    _adapter.commit(session, 200)
    other = begin(manager, session.issued_id)
    other.logout_everywhere()
    _adapter.commit(other, 200)


def edits(manager: SessionManager) -> None:
    """Of a stream or a WebSocket."""
    session = begin(manager, manager.create({"said": []}))
    len(session)
    _adapter.commit(session, 200)
    for number in range(20):
        with session.edit():
            session["said"] = [number]
        assert session["said"] == [number]
    with suppress(LookupError), session.edit():
        session["said"] = []
        raise LookupError
    with suppress(LembroError), session.edit(), session.edit():
        pass
    with suppress(SessionCommitted):
        session["said"] = 1
    manager.finish(session)


def edits_of_a_session_that_ends(manager: SessionManager) -> None:
    session_id = manager.create({"n": 1})
    session = begin(manager, session_id)
    len(session)
    _adapter.commit(session, 200)
    manager.destroy(session_id)
    with suppress(SessionGone), session.edit():
        pass
    with suppress(SessionGone):
        len(session)


def atomic(manager: SessionManager) -> None:
    session_id = manager.create({"n": 1})
    session, interferes = begin(manager, session_id), True

    def up(data: dict[str, Any]) -> int:
        nonlocal interferes
        if interferes:  # and has to be called again
            interferes = False
            manager.set(session_id, {"n": 10})
        data["n"] += 1
        return int(data["n"])

    assert session.atomic(up) == 11
    _adapter.commit(session, 200)


def conflict(manager: SessionManager) -> None:
    session_id = manager.create({"cart": [1], "n": 1})
    one, other = begin(manager, session_id), begin(manager, session_id)
    for number, session in enumerate((one, other)):
        session["cart"].append(number)
        session["n"] = number + 5
    for session in (one, other):
        _adapter.commit(session, 200)


def changed_too_late(manager: SessionManager) -> None:
    session = begin(manager, manager.create({"cart": [1]}))
    cart = session["cart"]
    _adapter.commit(session, 200)
    cart.append(2)
    manager.finish(session)


def what_cannot_be_stored(manager: SessionManager) -> None:
    session = begin(manager, None)
    with suppress(CodecError):
        session["a"] = object()
    session["a"] = []
    session["a"].append(object())
    assert _adapter.commit(session, 200) is not None


def what_cannot_be_read(manager: SessionManager) -> None:
    session_id = manager.create({"n": 1})
    store: Any = manager.store
    key = key_for(session_id)
    store.set(key, Record(b"\x07"), expected=store.get(key).payload, idle=60)
    assert dict(begin(manager, session_id)) == {}


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
    store.close()  # its thread, which ends when it likes
    other = SessionManager(store)
    session_id = other.create({"n": 1})
    assert other.lasting(60, 60).get(session_id) == {"n": 1}


def an_old_session(manager: SessionManager) -> None:
    def load(session_id: str) -> Any:
        if session_id.startswith("refused"):
            raise Refused("no")
        if session_id.startswith("down"):
            raise StoreError("down")
        return {"user_id": 7, "cart": [1]}

    reader = StoreReader(load, cookie="old", lifetime=60, user="user_id", blocking=False)
    moved = SessionManager(manager.store, migrate_from=reader)
    for kind in ("moved", "refused", "down"):
        session = _adapter.begin(moved, f"old={kind}-{next(_numbers)}", https=False)
        with suppress(StoreError):
            session.setdefault("cart", []).append(2)
        _adapter.commit(session, 200)


OPS: Final[list[Op]] = [
    by_id,
    by_id_in_async_code,
    loaded,
    many,
    login_and_out_everywhere,
    edits,
    edits_of_a_session_that_ends,
    atomic,
    conflict,
    changed_too_late,
    what_cannot_be_stored,
    what_cannot_be_read,
    listeners,
    time_passes,
    another_manager,
    an_old_session,
]


# -- the tests -------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def collected_quickly() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionManager]:
    monkeypatch.setattr(logging.getLogger("lembro"), "disabled", True)  # pytest keeps what it says
    store = MemoryStore("64K", clock=clock)
    store.close()  # its thread
    gc.collect()
    gc.disable()
    yield SessionManager(store)
    gc.enable()


@pytest.mark.parametrize("op", OPS)
def test_nothing_is_left_to_the_garbage_collector(op: Op, manager: SessionManager) -> None:
    op(manager)  # what is made once
    gc.collect()
    for _ in range(10):
        op(manager)
    assert gc.collect() == 0


@pytest.mark.parametrize("op", OPS)
def test_nothing_is_left_at_all(op: Op, manager: SessionManager) -> None:
    def left_after(times: int) -> Counter[type]:
        for _ in range(times):
            op(manager)
        gc.collect()
        return Counter(kind for kind in map(type, gc.get_objects()) if kind is not Counter)

    left_after(5)
    before = left_after(5)
    assert left_after(100) - before == Counter()


def test_tasks_that_wait_for_their_turn_leave_nothing(manager: SessionManager) -> None:
    """And those that give up waiting."""

    async def edit(session: Session) -> None:
        async with session.edit():
            session["n"] += 1
            await asyncio.sleep(0)

    async def work() -> None:
        session = begin(manager, manager.create({"n": 0}))
        len(session)
        _adapter.commit(session, 200)
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
