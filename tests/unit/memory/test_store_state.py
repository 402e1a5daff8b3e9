"""The state of a new store, and the moment at which its verbs emit their events."""

from __future__ import annotations

import time
from collections.abc import Callable
from struct import unpack

import pytest

from lembro import MemoryStore
from lembro.events import Event
from lembro.stores.base import Found, Record
from lembro.stores.memory import worker_check
from lembro.stores.memory.parts import Parts
from lembro.stores.memory.verbs import Verbs
from lembro.testing import FakeClock
from tests.support.memory import add, fill, key


def test_a_reputation_has_the_time_of_its_birth_by_the_wall_clock() -> None:
    (birth,) = unpack(">d", MemoryStore("64K").new_reputation()[8:])
    assert birth == pytest.approx(time.time(), abs=60)
    (birth,) = unpack(">d", MemoryStore("64K", clock=FakeClock(500.0)).new_reputation()[8:])
    assert birth == 500.0


def test_each_store_looks_for_other_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    claims: list[None] = []
    monkeypatch.setattr(worker_check, "claim", lambda: claims.append(None))
    assert MemoryStore("64K").stats().purge_errors == 0
    assert len(claims) == 1


def test_an_empty_store_that_is_opened_again_starts_no_thread() -> None:
    store = MemoryStore("64K")
    store.close()
    store.open()
    assert store._purger is None


@pytest.mark.parametrize(
    "verb",
    [
        lambda store: store.get(key(1)),
        lambda store: store.touch(key(1), idle=50),
        lambda store: store.set(key(1), Record(b"y"), expected=b"x" * 500, idle=50),
        lambda store: store.replace(
            *(key(1), key(2), Record(b"y")), expected=b"x" * 500, idle=50, life=50, grace=5
        ),
        lambda store: store.destroy(key(1)),
    ],
    ids=["get", "touch", "set", "replace", "destroy"],
)
def test_a_verb_that_meets_an_expired_session_emits_the_event(
    verb: Callable[[MemoryStore], object], store: MemoryStore, clock: FakeClock
) -> None:
    events: list[Event] = []
    store.on("expired", events.append)
    add(store, 1, idle=5)
    clock.advance(5)
    assert not verb(store)
    assert [event.name for event in events] == ["expired"]


def test_reduce_counts_expired_sessions_as_expired(store: MemoryStore, clock: FakeClock) -> None:
    for n in range(60):
        add(store, n, idle=5)
    clock.advance(5)
    assert store.reduce() == 0
    assert (store.stats().expired, store.stats().evicted) == (60, 0)


def test_clear_gives_large_payloads_back_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are gone when the rest is removed in one step."""
    store = MemoryStore("1M", clock=FakeClock())
    fill(store, 0, 5, 50_000)
    seen: list[tuple[int, int]] = []
    clear = Parts.clear

    def spy(parts: Parts) -> None:
        seen.append((before, len(parts.overflow)))
        clear(parts)

    monkeypatch.setattr(Parts, "clear", spy)
    before = len(store._parts.overflow)
    store.clear()
    assert seen == [(5, 0)]


def test_an_iteration_reads_256_slots_while_it_holds_the_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryStore("1M", clock=FakeClock())
    fill(store, 0, 300, 10)
    read = Verbs.sessions_in
    seen: list[range] = []

    def spy(verbs: Verbs, slots: range, now: float) -> list[tuple[bytes, Found]]:
        seen.append(slots)
        return read(verbs, slots, now)

    monkeypatch.setattr(Verbs, "sessions_in", spy)
    assert len(list(store.all())) == 300
    assert seen == [range(256), range(256, 512)]
    assert not store.blocking
