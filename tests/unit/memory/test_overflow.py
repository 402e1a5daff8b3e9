"""Payloads too large for a segment."""

from __future__ import annotations

from lembro.stores.memory.overflow import Overflow, allocated


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
