"""The parts of a store: how they are sized, and clearing them."""

from __future__ import annotations

import pytest

from lembro.stores.memory import MemoryStore, layout, limits, parts
from lembro.stores.memory.audit import recount
from lembro.stores.memory.eviction import QUEUES
from lembro.stores.memory.layout import HEADER
from lembro.stores.memory.linked_lists import NONE
from lembro.stores.memory.user_index import user_tag
from tests.support.memory import add, recounted
from tests.support.place import SEGMENT, Place


def test_places_have_64_bits_in_a_very_large_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "WIDEST", 2**16)
    for max_size, bytes_each in ((2**16, 4), (2**16 + 1, 8)):
        store = MemoryStore(max_size)
        assert store._parts.reader.place.itemsize == bytes_each
        assert add(store, 1)
        recounted(store)


def test_the_largest_numbers_fit_in_their_fields() -> None:
    assert parts.WIDEST == 8 * 2**32  # places: 32 bits, in units of 8 bytes
    assert 2**31 - 100 < parts.MOST_SLOTS < 2**31 - 2 * (QUEUES + 1)
    assert limits.MOST_INSIDE + layout.LONGEST_USER + max(layout.BODY) <= 8 * 0xFFFF  # extents


def test_clear_resets_all_parts(place: Place) -> None:
    empty = place.parts.ledger.used
    for n in range(50):
        place.add(n, user="ana", size=2000)
    place.fill(100, 2, HEADER + 5000)
    place.add(200, idle=5)
    place.is_due(10)
    parts = place.parts
    parts.sweep.step(place.now)
    assert parts.wheel.sweeping != NONE
    parts.reclaim.under_pressure = True
    parts.user_share.heavy.add(user_tag(b"ana"))
    stale = len(parts.arena.in_use())
    parts.clear()
    assert (parts.records.count, parts.reclaim.under_pressure, parts.wheel.sweeping) == (
        0,
        False,
        NONE,
    )
    assert parts.user_share.heavy == set()
    assert parts.ledger.used == empty + stale * SEGMENT
    recount(parts)
    given_back = [parts.compaction.give_back_step(place.now) for _ in range(stale + 1)]
    assert given_back == [0] * stale + [NONE]
    assert parts.ledger.used == empty
    assert place.store.of_user("ana") == []
