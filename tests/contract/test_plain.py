"""The contract's suite on stores with the required verbs only, and on faulty stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from unittest import SkipTest

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from lembro.stores.base import Record
from lembro.testing import AsyncStoreContract, Blocking, FakeClock, StoreContract, store_machine
from tests.contract.test_memory import ClockedStore, advance, audit

VERBS = ("get", "add", "set", "replace", "touch", "destroy")
K, L = b"k" * 32, b"l" * 32


class PlainStore:
    """Six verbs, without a limit to the size of a session."""

    blocking = False

    def __init__(self) -> None:
        self._memory = ClockedStore("4M")
        self.fake: FakeClock = self._memory.fake
        for verb in VERBS:
            setattr(self, verb, getattr(self._memory, verb))


class PlainContract(StoreContract):
    def make_store(self) -> Any:
        return PlainStore()

    def advance(self, store: Any, seconds: float) -> None:
        advance(store, seconds)


def skipped(contract: type[StoreContract]) -> list[str]:
    """Run the whole suite. Return the tests that it skips for this store."""
    names = []
    for name in sorted(name for name in dir(contract) if name.startswith("test_")):
        suite = contract()
        suite.setup_method()
        try:
            getattr(suite, name)()
        except SkipTest:
            names.append(name)
        finally:
            suite.teardown_method()
    return names


def test_a_store_may_have_the_required_verbs_only() -> None:
    names = skipped(PlainContract)
    assert "test_all_lists_live_sessions" in names
    assert "test_too_large_is_refused_and_changes_nothing" in names
    assert len(names) < sum(name.startswith("test_") for name in dir(PlainContract)) / 3


def test_the_state_machine_compares_a_store_key_by_key() -> None:
    machine = store_machine(PlainStore, advance)
    few = settings(max_examples=10, stateful_step_count=30, deadline=None, derandomize=True)
    run_state_machine_as_test(machine, settings=few)


def test_a_store_that_accepts_too_much_fails() -> None:
    class Strict(PlainContract):
        too_large = 1000

    suite = Strict()
    suite.setup_method()
    with pytest.raises(AssertionError):
        suite.test_too_large_is_refused_and_changes_nothing()


class CreatingStore(PlainStore):
    """A store that creates a session in ``set``, as most key-value stores do."""

    def __init__(self) -> None:
        super().__init__()
        self.set = self._set_or_add

    def _set_or_add(self, key: bytes, record: Record, *, expected: bytes, idle: float) -> Any:
        held = self._memory.set(key, record, expected=expected, idle=idle)
        if held is None:
            self._memory.add(key, record, idle=idle, life=idle)
            held = self._memory.get(key)
        return held


def test_a_store_that_creates_in_set_fails() -> None:
    class Creating(PlainContract):
        def make_store(self) -> Any:
            return CreatingStore()

    def fails(name: str) -> bool:
        suite = Creating()
        suite.setup_method()
        try:
            getattr(suite, name)()
        except AssertionError:
            return True
        except SkipTest:
            return False
        finally:
            suite.teardown_method()
        return False

    failing = {name for name in dir(Creating) if name.startswith("test_") and fails(name)}
    assert failing >= {"test_set_never_creates"}


def test_a_missing_method_of_a_suite_is_an_error() -> None:
    class TestMine(StoreContract):
        pass

    class TestMineToo(AsyncStoreContract):
        pass

    with pytest.raises(NotImplementedError, match=r"^TestMine needs make_store\(self\), which re"):
        TestMine().setup_method()
    with pytest.raises(NotImplementedError, match=r"^TestMine needs advance\(self, store, secon"):
        TestMine().advance(None, 1)
    with pytest.raises(NotImplementedError, match=r"^TestMineToo needs make_async_store\(self\)"):
        TestMineToo().make_async_store()


# -- the state machine, step by step


def test_an_id_in_use_cannot_be_a_successor() -> None:
    machine = store_machine(lambda: ClockedStore("4M"), advance, audit)()
    for at in (K, L):
        machine.add(at, Record(b"one"), 100.0, 500.0, None)
    machine.replace(K, L, Record(b"two"), None, 100.0, None, 10.0, None)
    machine.holds_the_same()
    assert machine.store.get(K).successor is None
    machine.teardown()


def test_a_rotation_beyond_the_cap_is_refused_by_both() -> None:
    machine = store_machine(lambda: ClockedStore("4M"), advance, audit)()
    for at in (K, L):
        machine.add(at, Record(b"one", "ana"), 100.0, 500.0, None)
    refuse = (1, "refuse")
    machine.replace(K, b"m" * 32, Record(b"two", "ana"), None, 100.0, None, 10.0, refuse)
    machine.holds_the_same()
    assert machine.store.get(K).payload == b"one"
    machine.teardown()


def test_a_rotated_id_may_be_evicted_silently() -> None:
    machine = store_machine(lambda: ClockedStore("64K"), advance, audit, evicts=True)()
    machine.add(K, Record(b"one"), 1000.0, 5000.0, None)
    machine.replace(K, L, Record(b"two"), None, 1000.0, None, 1000.0, None)
    for n in range(60):
        machine.add(n.to_bytes(32), Record(b"x" * 3800), 1000.0, 5000.0, None)
        machine.holds_the_same()
    assert K not in machine.model.entries
    machine.teardown()


# -- async stores


class HalfAsyncStore:
    """A store with some plain methods, and without close."""

    size = 7

    async def get(self, key: bytes) -> bytes:
        return key

    def plainly(self, key: bytes) -> bytes:
        return key

    async def all(self) -> AsyncIterator[bytes]:
        yield K
        yield L


def test_an_async_store_is_recognised() -> None:
    store = Blocking(HalfAsyncStore)
    assert store.size == 7
    assert store.get(K) == store.plainly(K) == K
    assert store.all() == [K, L]
    store.close()


def test_a_failure_shows_the_values() -> None:
    """pytest has rewritten the assertions of the suite."""
    contract = PlainContract()
    contract.setup_method()
    add = contract.store.add

    def add_another(key: bytes, record: Record, **keywords: Any) -> Any:
        return add(key, Record(b"another"), **keywords)

    contract.store.add = add_another
    with pytest.raises(AssertionError, match=r"b'another'.* == .*b'one'"):
        contract.test_get_returns_what_was_added()
