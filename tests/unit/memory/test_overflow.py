"""Payloads too large for a segment."""

from __future__ import annotations

import sys

import pytest

from lembro.stores.memory.overflow import ENTRY, MAPPED_FROM, Overflow, allocated
from lembro.stores.memory.reserved_memory import PAGE


def test_payloads_are_stored_renamed_and_counted() -> None:
    overflow = Overflow()
    payloads = {1: b"a" * 5000, 2: b"b" * 20_000, 3: b""}
    for slot, payload in payloads.items():
        overflow.put(slot, payload)
    overflow.rename(2, 4)
    payloads[4] = payloads.pop(2)
    assert {slot: overflow.get(slot) for slot in payloads} == payloads
    assert overflow.size == overflow.measured == sum(allocated(len(p)) for p in payloads.values())
    for slot in payloads:
        assert slot in overflow
        overflow.pop(slot)
    assert overflow.size == len(overflow) == 0


def test_a_payload_from_16_kib_on_takes_whole_pages() -> None:
    assert allocated(MAPPED_FROM) - allocated(MAPPED_FROM - 1) > 100
    assert MAPPED_FROM == 16384
    outside = allocated(MAPPED_FROM) - MAPPED_FROM
    for pages in (MAPPED_FROM // PAGE, 100):
        assert allocated(pages * PAGE) == outside + pages * PAGE
        assert allocated(pages * PAGE + 1) == outside + (pages + 1) * PAGE


@pytest.mark.parametrize("length", [0, 1, 100, 5000, 16383])
def test_the_counted_size_of_a_small_payload_is_at_least_its_object(length: int) -> None:
    took = allocated(length) - ENTRY
    header = 0 if sys.maxsize > 2**32 else 16  # an object of 32-bit Python has a smaller one
    size = sys.getsizeof(b"x" * length) + 8
    assert size <= took <= size + header + 15
    assert took % 16 == 0
