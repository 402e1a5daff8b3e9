"""MovingStore against the contract, with some sessions in the old store and some in the new one."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

from lembro import Found, MemoryStore, Record
from lembro.stores import MovingStore
from lembro.stores.base import MARK
from lembro.stores.moving import mark_for
from lembro.testing import FakeClock, StoreContract, StoreRaces, store_machine


class HalfMoved(MovingStore):
    """A store whose anonymous sessions are added to the old store, as if they were from before."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        stores = [MemoryStore("64M", clock=self.clock) for _ in range(2)]
        super().__init__(old=stores[0], new=stores[1])

    def add(self, key: bytes, record: Record, **options: Any) -> bool:
        # This also moves the key: a new key is random, so no session in the old store has it.
        is_new = self.get(key) is None and not self._has_moved(key)
        if options.get("per_user") is None and is_new:
            return self.old.add(key, record, **options)  # type: ignore[no-any-return]
        return super().add(key, record, **options)

    def replace(self, old: bytes, new: bytes, record: Record, **options: Any) -> Found | None:
        self.get(new)  # a new key is random, so no session in the old store has it
        return super().replace(old, new, record, **options)

    def _has_moved(self, key: bytes) -> bool:
        return key.startswith(MARK) or self.new.get(mark_for(key)) is not None


class Unmoved(MovingStore):
    """A store whose old store is empty."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        super().__init__(
            old=MemoryStore("64M", clock=self.clock), new=MemoryStore("64M", clock=self.clock)
        )


def advance(store: Any, seconds: float) -> None:
    store.clock.advance(seconds)


class TestWithoutOldSessions(StoreContract):
    too_large = 2_000_000

    def make_store(self) -> Any:
        return Unmoved()

    def advance(self, store: Any, seconds: float) -> None:
        advance(store, seconds)


class TestWithOldSessions(TestWithoutOldSessions):
    test_purge_removes_expired_sessions = None  # type: ignore[assignment]  # of the new store only

    def make_store(self) -> Any:
        return HalfMoved()


Machine = store_machine(HalfMoved, advance)
Machine.TestCase.settings = settings(
    max_examples=int(os.environ.get("LEMBRO_EXAMPLES", "30")),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestMachine = Machine.TestCase


class TestRaces(StoreRaces):
    def make_store(self) -> Any:
        return MovingStore(old=MemoryStore("64M"), new=MemoryStore("64M"))
