"""The index against a dict."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from lembro.stores.memory.index import END
from tests.support.table import Table


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 99)), max_size=300))
def test_the_index_equals_a_dict(steps: list[tuple[bool, int]]) -> None:
    keys = [bytes([n % 3]) * 8 + bytes([n]) * 24 for n in range(100)]
    table = Table()
    index = table.index(unit=16)
    table.grow(200)
    model: dict[bytes, int] = {}
    for enter, number in steps:
        key = keys[number]
        before = index.size
        if enter and key not in model:
            model[key] = number
            table.put(number, key)
            changed = index.add(key, number)
        elif key in model:
            changed = index.remove(key, model.pop(key))
        else:
            continue
        assert changed == (index.size != before)
        assert index.size >= 4 * index.buckets
        assert sorted(index.slots()) == sorted(model.values())
        assert [index.find(key) for key in keys] == [model.get(key, END) for key in keys]


def test_the_index_grows_and_shrinks_in_small_steps() -> None:
    table = Table()
    index = table.index()
    table.grow(5000)
    keys = [random.Random(n).randbytes(32) for n in range(5000)]
    start = index.size
    for slot, key in enumerate(keys):
        before = index.buckets
        table.put(slot, key)
        index.add(key, slot)
        assert index.buckets - before <= 34
    assert [index.find(key) for key in keys] == list(range(5000))
    assert index.size < 5000 * 7
    for slot, key in enumerate(keys):
        index.remove(key, slot)
    assert index.size <= start + 256
    assert index.slots() == []


def test_a_key_is_found_only_as_a_whole() -> None:
    table = Table()
    index = table.index()
    table.grow(1)
    key = bytes(range(32))
    table.put(0, key)
    index.add(key, 0)
    assert index.find(key) == 0
    for other in (key[:31], key + b"x", key[:8], b"", key[:31] + b"\0"):
        assert index.find(other) == END


def test_a_key_is_found_at_its_new_slot() -> None:
    table = Table()
    index = table.index()
    table.grow(100)
    keys = [random.Random(n).randbytes(32) for n in range(50)]
    for slot, key in enumerate(keys):
        table.put(slot, key)
        index.add(key, slot)
    for old, key in enumerate(keys):
        table.put(old + 50, key)
        index.rename(key, old, old + 50)
    assert [index.find(key) for key in keys] == list(range(50, 100))
