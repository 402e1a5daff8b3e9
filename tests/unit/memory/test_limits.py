"""The sizes that a record may have."""

from __future__ import annotations

import pytest

from lembro.errors import ConfigError, SessionTooLarge
from lembro.stores.base import Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.counters import Counters
from lembro.stores.memory.layout import HEADER, LINKS, REPUTATION
from lembro.stores.memory.limits import SizeLimits
from lembro.stores.memory.overflow import allocated
from lembro.testing import FakeClock
from tests.support.memory import add, fill, key, recounted


def test_a_reputation_is_16_bytes(store: MemoryStore) -> None:
    with pytest.raises(ConfigError, match="16 bytes"):
        add(store, 1, reputation=b"short")


def test_a_session_that_is_too_large_evicts_nobody(store: MemoryStore) -> None:
    fill(store, 0, 200)
    before = store.stats()
    with pytest.raises(SessionTooLarge) as error:
        add(store, 1000, size=4096)
    assert error.value.limit == 4096 < error.value.size
    after = store.stats()
    assert after.sessions == before.sessions
    assert after.evicted == before.evicted
    assert after.rejected_too_large == 1


@pytest.mark.parametrize("limit", [*range(1025, 1033), 4095])
def test_max_session_size_is_exact_for_add_and_set(limit: int, clock: FakeClock) -> None:
    """A record is rounded up to a multiple of 8 bytes, but the session must not use the rest."""
    store = MemoryStore("1M", max_session_size=limit, clock=clock)
    with pytest.raises(SessionTooLarge) as error:
        add(store, 1, size=limit)
    most = limit - (error.value.size - limit)  # the bytes of the record without the payload
    add(store, 1, size=most)
    payload = b"x" * most
    with pytest.raises(SessionTooLarge) as error:
        store.set(key(1), Record(b"y" * (most + 1)), expected=payload, idle=10)
    assert (error.value.size, error.value.limit) == (limit + 1, limit)
    found = store.set(key(1), Record(b"z" * most), expected=payload, idle=10)
    assert found is not None
    assert found.payload == b"z" * most
    recounted(store)


def test_a_user_too_long_for_a_segment_is_rejected(store: MemoryStore) -> None:
    with pytest.raises(SessionTooLarge):
        add(store, 1, user="u" * 500)
    assert store.length() == 0


def test_the_longest_user_in_a_small_store(store: MemoryStore) -> None:
    assert add(store, 1, size=1, user="u" * 384)
    with pytest.raises(SessionTooLarge):
        add(store, 2, size=1, user="u" * 385)


def test_a_measured_record_is_rounded_up_to_8_bytes() -> None:
    limits = SizeLimits(4096, 2048, Counters(lambda name: False))
    assert limits.measure(None, Record(b"x")) == ((HEADER + 1 + 7) & -8, 0)
    user = HEADER + LINKS + 3 + 10
    assert limits.measure(b"ana", Record(b"x" * 10, "ana")) == ((user + 7) & -8, 0)
    both = user + REPUTATION
    record = Record(b"x" * 10, "ana", None, bytes(16))
    assert limits.measure(b"ana", record) == ((both + 7) & -8, 0)


def test_a_record_above_a_quarter_of_a_segment_is_measured_in_two_parts() -> None:
    limits = SizeLimits(4096, 2048, Counters(lambda name: False))
    assert limits.small == 512
    inside = 512 - HEADER
    assert limits.measure(None, Record(b"x" * inside)) == (512, 0)
    outside = ((HEADER + 7) & -8, allocated(inside + 1))
    assert limits.measure(None, Record(b"x" * (inside + 1))) == outside


def test_a_rejected_size_is_counted() -> None:
    counters = Counters(lambda name: False)
    limits = SizeLimits(4096, 2048, counters)
    for _ in range(2):
        with pytest.raises(SessionTooLarge) as error:
            limits.reject(5000)
        assert (error.value.size, error.value.limit) == (5000, 4096)
    assert counters.too_large == 2


def test_the_length_of_a_user_has_16_bits() -> None:
    assert SizeLimits(2**30, 2**24, Counters(lambda name: False)).longest_user == 0xFFFF
    assert SizeLimits(2**30, 2**12, Counters(lambda name: False)).longest_user == 2**10 - 128
