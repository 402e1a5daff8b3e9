"""The marks of used legacy cookies."""

from __future__ import annotations

import random
from math import inf
from typing import Any

import pytest

from lembro import MemoryStore, Record, SessionTooLarge
from lembro.ids import key_for
from lembro.stores.base import MARK, NO_ROOM, Found
from lembro.stores.memory.audit import recount
from lembro.stores.memory.linked_lists import NONE
from lembro.stores.memory.marks import BYTES, SHARE, Marks
from lembro.testing import FakeClock


def mark(number: int) -> bytes:
    return MARK + key_for(str(number))[len(MARK) :]


def adopt(store: MemoryStore, number: int, *, new: bytes | None = None, **given: Any) -> Any:
    record = Record(given.pop("payload", b"payload"), given.pop("user", None))
    lives = {"idle": 100.0, "life": 1000.0, "grace": 500.0, **given}
    return store.replace(mark(number), new or key_for(f"n{number}"), record, expected=None, **lives)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore("1M", clock=FakeClock())


def test_a_table_takes_no_memory_before_it_is_reserved() -> None:
    marks = Marks(2**20)
    assert (marks.size, marks.get(mark(1), 0.0), marks.keys()) == (0, None, [])
    assert marks.expire_step(0.0) == NONE
    marks.reserve()
    assert marks.size == marks.budget <= 2**17
    assert (BYTES, SHARE) == (88, 8)


def test_a_ring_against_a_dict() -> None:
    """Use marks with two lifetimes, over many turns of the ring."""
    chance, marks = random.Random(1), Marks(64 * 1024)
    marks.reserve()
    model: dict[bytes, tuple[bytes, float, float]] = {}
    now = 0.0
    for number in range(3000):
        now += chance.random()
        deadline = now + chance.choice([10.0, 60.0])
        if marks.has_room(now, anonymous=False):
            successor = key_for(f"s{number}")
            marks.put(mark(number), successor, now, deadline)
            model[mark(number)] = successor, now, deadline
        for key in chance.sample(sorted(model), min(5, len(model))):
            successor, born, deadline = model[key]
            found = marks.get(key, now)
            if deadline <= now:
                assert found is None
                del model[key]
                continue
            assert found is not None
            assert (found.successor, found.payload, found.user) == (successor, b"", None)
            assert found.age == pytest.approx(now - born)
            assert found.life_left == found.idle_left == pytest.approx(deadline - now)
        assert len(marks.keys()) == marks.count <= marks.capacity


def test_a_closed_table_refuses_every_mark_that_it_does_not_have() -> None:
    marks = Marks(64 * 1024)
    marks.reserve()
    marks.put(mark(1), key_for("a"), 0.0, 100.0)
    marks.close(50.0)
    marks.close(40.0)
    known, unknown = marks.get(mark(1), 45.0), marks.get(mark(2), 45.0)
    assert known is not None
    assert unknown == Found(NO_ROOM, None, None, None, inf, 5.0, 5.0)
    assert known.successor == key_for("a")
    assert marks.get(mark(2), 50.0) is None


def test_a_mark_is_added_once_with_its_session(store: MemoryStore) -> None:
    found = adopt(store, 1, user="ada")
    assert (found.payload, found.user, found.life_left) == (b"payload", "ada", 1000.0)
    again = adopt(store, 1, new=key_for("other"))
    assert again.successor == key_for("n1")
    assert again == store.get(mark(1))
    assert store.get(key_for("other")) is None
    assert store.length() == 1
    recount(store._parts)


def test_a_mark_on_a_key_with_a_record_is_refused(store: MemoryStore) -> None:
    store.add(mark(1), Record(b"?"), idle=10, life=10)
    assert adopt(store, 1).payload == b"?"


def test_a_session_without_a_limited_life_has_a_mark(store: MemoryStore) -> None:
    assert adopt(store, 1, life=None).life_left == inf


def test_a_refused_session_leaves_no_mark(store: MemoryStore) -> None:
    adopt(store, 1, user="ada")
    assert adopt(store, 2, user="ada", per_user=(1, "refuse")) is None
    assert adopt(store, 3, new=key_for("n1")) is None
    with pytest.raises(SessionTooLarge):
        adopt(store, 4, payload=b"x" * 10**6)
    assert [store.get(mark(number)) for number in (2, 3, 4)] == [None] * 3
    assert adopt(store, 2, user="ada", per_user=(1, "oldest")) is not None
    assert len(store.of_user("ada")) == 1
    recount(store._parts)


def test_a_user_with_large_sessions_is_noted(store: MemoryStore) -> None:
    for number in range(3):
        adopt(store, number, user="ada", payload=b"x" * 30_000)
    assert store._parts.user_share.heavy


def test_the_purger_removes_expired_marks() -> None:
    clock = FakeClock()
    store = MemoryStore("1M", clock=clock)
    for number in range(50):
        adopt(store, number)
    clock.advance(500)
    store.purge()
    assert store._parts.adoption.marks.count == 0


@pytest.mark.parametrize("size", ["64K", "1M"])
@pytest.mark.parametrize("kind", ["visitors", "users", "large", "removed", "cleared"])
def test_memory_is_reserved_in_a_full_store(size: str, kind: str) -> None:
    store = MemoryStore(size, clock=FakeClock())
    for number in range(3000):
        payload = b"x" * (store.max_session_size // 2 if kind == "large" else 300)
        user = None if kind == "visitors" else f"u{number}"
        store.add(key_for(str(number)), Record(payload, user), idle=100, life=100)
        if kind == "removed" and number % 3:
            store.destroy(key_for(str(number)))
    if kind == "cleared":
        store._parts.clear()
    before = store._parts.ledger.used
    store.reserve_marks()
    marks, ledger = store._parts.adoption.marks, store._parts.ledger
    assert marks.size
    assert ledger.used <= max(before, ledger.limit)
    recount(store._parts)
    for number in range(3000, 3100):
        assert store.add(key_for(str(number)), Record(b"x" * 300), idle=100, life=100)
    recount(store._parts)
    assert store.reduce() >= 0
    assert ledger.used <= ledger.target
    assert ledger.target > marks.size


def test_reserved_memory_is_counted(store: MemoryStore) -> None:
    ledger, marks = store._parts.ledger, store._parts.adoption.marks
    before = ledger.used
    store.reserve_marks()
    store.reserve_marks()
    assert ledger.used == before + marks.budget
    assert ledger.target == marks.budget + 3 * (ledger.max_size - marks.budget) // 4


def test_memory_is_reserved_if_nothing_is_left_to_evict(store: MemoryStore) -> None:
    store._parts.ledger.limit = 0
    store.reserve_marks()
    assert store._parts.adoption.marks.size


def test_without_room_the_table_closes_for_the_life_of_the_mark() -> None:
    clock = FakeClock()
    store = MemoryStore("64K", clock=clock)
    room = store._parts.adoption.marks.capacity
    for number in range(room):
        adopt(store, number, user=f"u{number}")
    clock.advance(499)
    assert adopt(store, room, user="ada").payload == NO_ROOM
    assert store.get(key_for(f"n{room}")) is None
    clock.advance(499)  # all marks have expired, but one may have been refused
    for user in ("ada", None):
        assert adopt(store, room + 1, user=user).payload == NO_ROOM
    clock.advance(1)
    assert adopt(store, room + 2, user="ada").payload == b"payload"


def test_sessions_without_a_user_get_half_of_the_rows() -> None:
    store = MemoryStore("64K", clock=FakeClock())
    marks = store._parts.adoption.marks
    half = marks.capacity // 2
    refused = [adopt(store, number).payload == NO_ROOM for number in range(half + 2)]
    assert refused == [False] * half + [True] * 2
    assert store.get(mark(half)) is None, "the table is open"
    for number in range(half, marks.capacity):
        assert adopt(store, number, user=f"u{number}").user == f"u{number}"
    assert adopt(store, 9999, user="ada").payload == NO_ROOM
