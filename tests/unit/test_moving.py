"""MovingStore and ``copy_sessions``: a change of the store logs nobody out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lembro import ConfigError, MemoryStore, Record, SessionManager
from lembro.stores import MovingStore, SQLiteStore, copy_sessions
from lembro.stores.base import MARK, NO_ROOM
from lembro.stores.moving import OVERLAP
from lembro.testing import FakeClock
from tests.contract.test_plain import PlainStore
from tests.support.stores import AsyncAdapter

K, L, M = b"k" * 32, b"l" * 32, b"m" * 32
LIVES: dict[str, Any] = {"idle": 1000.0, "life": 5000.0}
ROTATION: dict[str, Any] = {"expected": b"one", "idle": 100.0, "life": None, "grace": 30.0}
ONE = Record(b"one", "ana", None, bytes(16))


class Stores:
    """An old and a new store with one clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.old = MemoryStore("16M", clock=self.clock)
        self.new = MemoryStore("16M", clock=self.clock)
        self.moving = MovingStore(old=self.old, new=self.new)


@pytest.fixture
def stores() -> Stores:
    return Stores()


# -- moving


def test_a_session_moves_when_it_is_used(stores: Stores) -> None:
    stores.old.add(K, ONE, **LIVES)
    stores.clock.advance(50)
    found = stores.moving.get(K)
    assert found is not None
    assert (found.payload, found.user, found.reputation) == (b"one", "ana", bytes(16))
    assert (found.age, found.idle_left, found.life_left) == (50, 950, 4950)
    assert stores.new.get(K) == found
    assert stores.moving.get(L) is None


VERBS: list[Callable[[Any], Any]] = [
    lambda store: store.set(K, Record(b"two"), expected=b"one", idle=10.0).payload == b"two",
    lambda store: store.set(K, Record(b"two"), expected=b"x", idle=10.0).payload == b"one",
    lambda store: store.touch(K, idle=10.0),
    lambda store: store.destroy(K, expected=b"one").payload == b"one",
    lambda store: store.destroy(K).payload == b"one",
    lambda store: store.replace(K, L, Record(b"two", "ana"), **ROTATION).payload == b"two",
]


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_finds_a_session_that_has_not_moved(
    stores: Stores, verb: Callable[[Any], Any]
) -> None:
    stores.old.add(K, ONE, **LIVES)
    assert verb(stores.moving)
    assert stores.old.get(K).payload == b"one"  # type: ignore[union-attr]  # it is only read


def test_no_verb_finds_a_session_that_neither_store_has(stores: Stores) -> None:
    moving = stores.moving
    assert moving.set(K, ONE, expected=b"one", idle=1.0) is None
    assert moving.touch(K, idle=1.0) is False
    assert moving.destroy(K) is None
    assert moving.replace(K, L, ONE, **ROTATION) is None


def test_the_old_store_does_not_undo_a_logout(stores: Stores) -> None:
    stores.old.add(K, ONE, **LIVES)
    stores.moving.destroy(K)
    assert stores.moving.get(K) is None
    assert stores.moving.touch(K, idle=1.0) is False
    stores.clock.advance(999)
    assert stores.moving.get(K) is None


def test_a_mark_lives_longer_than_the_session_in_the_old_store(stores: Stores) -> None:
    stores.old.add(K, Record(b"one"), idle=1000.0, life=10 * OVERLAP)
    stores.moving.destroy(K)
    # A process of the previous version, which has not been stopped yet, extends the session.
    stores.clock.advance(900)
    stores.old.touch(K, idle=OVERLAP + 90)
    stores.clock.advance(OVERLAP + 50)
    assert stores.old.get(K) is not None
    assert stores.moving.get(K) is None


def test_a_rotated_session_does_not_come_back(stores: Stores) -> None:
    stores.old.add(K, ONE, **LIVES)
    stores.moving.replace(K, L, Record(b"two", "ana"), **ROTATION)
    assert stores.moving.get(K).successor == L  # type: ignore[union-attr]
    stores.clock.advance(31)
    assert stores.moving.get(K) is None
    assert stores.moving.get(L).payload == b"two"  # type: ignore[union-attr]


def test_a_rotated_id_of_the_old_store_finds_its_session(stores: Stores) -> None:
    stores.old.add(K, ONE, **LIVES)
    stores.old.replace(K, L, Record(b"two", "ana"), **ROTATION)
    moving = stores.moving
    pointer = moving.get(K)
    assert pointer is not None
    assert pointer.successor == L
    for answer in (
        moving.set(K, ONE, expected=b"", idle=1.0),
        moving.replace(K, M, ONE, **ROTATION),
    ):
        assert answer is not None
        assert answer.successor == L
    assert moving.touch(K, idle=1.0) is False
    assert moving.get(L).payload == b"two"  # type: ignore[union-attr]


def test_requests_at_the_same_time_move_a_session_once(stores: Stores) -> None:
    """The slower request has read the old store, and adds the session after the logout."""
    stores.old.add(K, ONE, **LIVES)
    read = stores.old.get

    def get(key: bytes) -> Any:
        found = read(key)
        stores.old.get = read  # type: ignore[method-assign]
        stores.moving.destroy(K)
        return found

    stores.old.get = get  # type: ignore[method-assign]
    assert stores.moving.get(K) is None
    assert stores.new.get(K) is None


def test_a_session_that_is_too_large_is_lost(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    stores.old.add(K, Record(b"x" * 5000), **LIVES)
    new = MemoryStore("16M", max_session_size=4096, clock=stores.clock)
    moving = MovingStore(old=stores.old, new=new)
    assert moving.get(K) is None
    assert "a session cannot move to the new store" in caplog.text


def test_a_store_without_room_for_marks_refuses_sessions(stores: Stores) -> None:
    stores.old.add(K, ONE, **LIVES)
    stores.new.replace = lambda *_, **__: Record(NO_ROOM)  # type: ignore[method-assign, assignment]
    assert stores.moving.get(K) is None


# -- users


def test_a_revocation_ends_sessions_that_have_not_moved(stores: Stores) -> None:
    stores.old.add(K, ONE, **LIVES)
    stores.old.add(L, Record(b"other", "bob"), **LIVES)
    stores.new.add(M, ONE, **LIVES)
    assert sorted(stores.moving.destroy_user("ana")) == [K, M]
    assert [stores.moving.get(each) for each in (K, M)] == [None, None]
    assert stores.moving.get(L) is not None
    assert stores.moving.destroy_user("bob", L) == []


def test_the_sessions_of_a_user_are_those_of_both_stores(stores: Stores) -> None:
    stores.old.add(K, ONE, **LIVES)
    stores.clock.advance(5)
    stores.new.add(M, ONE, **LIVES)
    assert [key for key, _ in stores.moving.of_user("ana")] == [K, M]


def test_the_limit_of_sessions_counts_those_that_have_not_moved(stores: Stores) -> None:
    cap: Any = (2, "refuse")
    stores.old.add(K, ONE, **LIVES)
    stores.old.add(L, Record(b"one"), **LIVES)
    assert stores.moving.add(M, ONE, **LIVES, per_user=cap)
    assert not stores.moving.add(b"n" * 32, ONE, **LIVES, per_user=cap)
    refused = stores.moving.replace(L, b"n" * 32, Record(b"two", "ana"), **ROTATION, per_user=cap)
    assert refused is not None
    assert refused.payload == b"one"


# -- the other methods


def test_all_and_length_include_sessions_that_have_not_moved(stores: Stores) -> None:
    for key in (K, L):
        stores.old.add(key, ONE, **LIVES)
    stores.moving.get(K)
    stores.new.add(M, ONE, **LIVES)
    assert sorted(key for key, _ in stores.moving.all()) == [K, L, M]
    assert stores.moving.length() == 3
    stores.moving.destroy(K)
    assert stores.moving.length() == 2


def test_clear_also_ends_sessions_that_have_not_moved(stores: Stores) -> None:
    stores.old.add(K, ONE, **LIVES)
    stores.moving.clear()
    assert stores.moving.get(K) is None
    assert stores.moving.length() == 0
    assert stores.old.get(K) is not None


def test_a_legacy_cookie_that_was_used_before_stays_used(stores: Stores) -> None:
    mark = MARK + b"x" * 24
    adoption: dict[str, Any] = {"expected": None, **LIVES, "grace": 1000.0}
    stores.old.replace(mark, K, ONE, **adoption)
    held = stores.moving.replace(mark, L, ONE, **adoption)
    assert held is not None
    assert held.successor == K
    assert stores.moving.get(mark) == held
    assert stores.moving.get(K) is not None
    other = MARK + b"y" * 24
    found = stores.moving.replace(other, L, ONE, **adoption)
    assert found is not None
    assert found.payload == b"one"


def test_other_methods_are_those_of_the_new_store(stores: Stores) -> None:
    assert stores.moving.stats() == stores.new.stats()
    assert stores.moving.purge() == 0
    assert len(stores.moving.new_reputation()) == 16
    assert not hasattr(stores.moving, "aio")
    assert repr(stores.moving).startswith("<MovingStore from <MemoryStore")


def test_stores_are_opened_and_closed(tmp_path: Path) -> None:
    old = SQLiteStore(tmp_path / "old.db")
    old.add(K, ONE, **LIVES)
    old.close()
    moving = MovingStore(old=f"sqlite:///{tmp_path}/old.db", new=f"sqlite:///{tmp_path}/new.db")
    moving.open()
    assert moving.get(K) is not None
    moving.close()
    plain = MovingStore(old=MemoryStore(), new=PlainStore())
    plain.open()
    plain.close()


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("sqlite:////no/such/file.db", "memory:", "'/no/such/file.db' of the store does not"),
        ("redsi://h", "memory:", "got 'redsi:'"),
        (PlainStore(), "memory:", "the old store must have of_user"),
        (AsyncAdapter(MemoryStore()), "memory:", "the old store of a MovingStore must have plain"),
        ("memory:", AsyncAdapter(MemoryStore()), "the new store of a MovingStore must have plain"),
        ("sqlite:///x.db", "sqlite:///x.db", "old and new must be two stores, got the same one"),
        (
            b"redis://:secret@h",
            "memory:",
            "store of a MovingStore must be a store or a URL, got by",
        ),
    ],
)
def test_a_store_without_the_methods_that_it_needs_is_refused(
    old: Any, new: Any, error: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        MovingStore(old=old, new=new)
    assert error in str(caught.value)
    assert "secret" not in str(caught.value)


# -- applications


def test_a_change_from_sqlite_logs_nobody_out(tmp_path: Path) -> None:
    old = SessionManager(f"sqlite:///{tmp_path}/old.db", idle_timeout=60, absolute_timeout=600)
    ids = [old.create({"number": number}, user_id="ana") for number in range(3)]
    old.close()
    store = MovingStore(old=f"sqlite:///{tmp_path}/old.db", new=f"sqlite:///{tmp_path}/new.db")
    manager = SessionManager(store, idle_timeout=60, absolute_timeout=600)
    assert manager.get(ids[0]) == {"number": 0}
    assert len(manager.user_sessions("ana")) == 3
    manager.destroy(ids[1])
    assert [manager.get(each) for each in ids] == [{"number": 0}, None, {"number": 2}]
    manager.revoke_user("ana")
    assert [manager.get(each) for each in ids] == [None] * 3
    manager.close()
    after = SessionManager(f"sqlite:///{tmp_path}/new.db")
    assert [after.get(each) for each in ids] == [None] * 3
    after.close()


def test_async_code_uses_it_in_threads(stores: Stores) -> None:
    old = SessionManager(stores.old)
    session_id = old.create({"cart": 1}, user_id="ana")
    manager = SessionManager(stores.moving)

    async def use() -> None:
        assert await manager.aget(session_id) == {"cart": 1}

    asyncio.run(use())


# -- copying


def test_sessions_of_a_process_are_copied_at_its_shutdown(tmp_path: Path) -> None:
    clock = FakeClock()
    memory = MemoryStore(clock=clock)
    memory.add(K, ONE, **LIVES)
    memory.add(L, Record(b"x" * 5000), **LIVES)
    clock.advance(50)
    with SQLiteStore(tmp_path / "sessions.db", max_session_size=4096) as file:
        file.add(M, ONE, **LIVES)
        assert copy_sessions(memory, file) == (1, 0, 1)
        assert copy_sessions(memory, file) == (0, 1, 1)
        found = file.get(K)
        assert found is not None
        assert (found.payload, found.user, found.reputation) == (b"one", "ana", bytes(16))
        assert 50 <= found.age < 60
        assert 940 < found.idle_left <= 950
        assert 4940 < found.life_left <= 4950
