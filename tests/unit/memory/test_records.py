"""Records: written, moved and removed, with all tables in agreement."""

from __future__ import annotations

import random

from lembro.stores.base import Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.user_index import user_tag
from lembro.testing import FakeClock
from tests.support.memory import add, key, recounted


def test_payloads_survive_being_moved(clock: FakeClock) -> None:
    for max_size, count, most in ((2**18, 300, 900), (2**20, 200, 9000), (2**20, 1000, 300)):
        rng = random.Random(count)
        store = MemoryStore(max_size, interval=10, clock=clock)
        keys = [key(n) for n in range(count)]
        model: dict[bytes, bytes] = {}
        for step in range(6 * count):
            some = rng.choice(keys)
            payload = rng.randbytes(int(rng.random() ** 3 * most))
            if rng.random() < 0.1 and some in model:
                found = store.destroy(some)
                assert found is not None
                assert found.payload == model.pop(some)
            elif some in model:
                found = store.set(some, Record(payload), expected=model[some], idle=1e6)
                assert found is not None
                model[some] = payload
            else:
                user = rng.choice([None, "ana", "bob"])
                assert store.add(some, Record(payload, user), idle=1e6, life=1e7)
                model[some] = payload
            if not step % 500:
                recounted(store)
        assert store.stats().evicted == 0
        assert {k: found.payload for k, found in store.all()} == model
        recounted(store)


def test_a_rotation_removes_the_token_from_the_user_index(clock: FakeClock) -> None:
    store = MemoryStore("256K", interval=10, clock=clock)
    for n in range(200):
        add(store, n, size=10, reputation=store.new_reputation())
    before = store._parts.user_index.size
    for n in range(200):
        options = {"expected": b"x" * 10, "idle": 10, "life": None, "grace": 5}
        assert store.replace(key(n), key(1000 + n), Record(b"y"), **options)  # type: ignore[arg-type]
        recounted(store)
    assert store._parts.user_index.size < before


def test_a_token_is_released_while_the_user_index_shrinks(clock: FakeClock) -> None:
    store = MemoryStore("256K", interval=10, clock=clock)
    token = store.new_reputation()
    for n in range(200):
        add(store, n, size=10, reputation=store.new_reputation())
    for n in range(200):
        store.destroy(key(n))
        add(store, 1000 + n, size=10, reputation=token)
        recounted(store)
    assert store._parts.user_index.count == 1


def test_a_token_equal_to_a_user_s_tag_takes_no_session_of_the_user(store: MemoryStore) -> None:
    forged = user_tag(b"ana").to_bytes(8, "big") + bytes(8)
    add(store, 1, user="ana")
    add(store, 2, reputation=forged)
    recounted(store)
    assert [k for k, _ in store.of_user("ana")] == [key(1)]
    assert store.stats().tiers[4] == 1


def test_a_record_takes_less_than_8_bytes_more_than_its_content(store: MemoryStore) -> None:
    parts = store._parts
    slot = 0
    for n, length in ((80, 7), (88, 8), (88, 15)):
        store.clear()
        assert add(store, 1, size=length)
        assert parts.reader.size(slot) == n
    for length, size in ((207, 280), (208, 288), (439, 512)):
        found = store.get(key(1))
        assert found is not None
        store.set(key(1), Record(b"y" * length), expected=found.payload, idle=100)
        assert parts.reader.size(slot) == size
        assert len(parts.overflow) == 0
    found = store.get(key(1))
    assert found is not None
    store.set(key(1), Record(b"z" * 440), expected=found.payload, idle=100)
    assert len(parts.overflow) == 1
