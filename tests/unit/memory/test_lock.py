"""A thread that finds the store's lock held waits and tries again, instead of queueing."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import pytest

from lembro import MemoryStore, Record
from lembro.stores.memory import lock as lock_module
from lembro.stores.memory.fork import FirstUse
from lembro.stores.memory.lock import PAUSE, Lock

KEY: Final = b"k" * 32
OTHER: Final = b"o" * 32

VERBS: Final[dict[str, Callable[[MemoryStore], Any]]] = {
    "get": lambda store: store.get(KEY),
    "add": lambda store: store.add(OTHER, Record(b"b"), idle=60, life=60),
    "set": lambda store: store.set(KEY, Record(b"b"), expected=b"a", idle=60),
    "replace": lambda store: store.replace(
        KEY, OTHER, Record(b"b"), expected=b"a", idle=60, life=None, grace=1
    ),
    "touch": lambda store: store.touch(KEY, idle=60),
    "destroy": lambda store: store.destroy(KEY),
    "of_user": lambda store: store.of_user("ana"),
    "stats": lambda store: store.stats(),
}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Collect the lengths of the pauses, without sleeping."""
    found: list[float] = []
    monkeypatch.setattr(lock_module, "time", SimpleNamespace(sleep=found.append))
    return found


def held_for(lock: Any, looks: int, pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold the lock, and release it after this number of attempts."""

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == looks:
            lock.release()

    assert lock.acquire(False)
    monkeypatch.setattr(lock_module, "time", SimpleNamespace(sleep=sleep))


def test_a_free_lock_is_taken_at_once(pauses: list[float]) -> None:
    lock = Lock()
    with lock:
        assert lock.locked()
        assert not lock.acquire(False)
    assert not lock.locked()
    assert pauses == []


def test_a_held_lock_is_tried_again(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    lock = Lock()
    held_for(lock, 3, pauses, monkeypatch)
    with lock:
        assert lock.locked()
    assert pauses == [PAUSE] * 3


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_waits_until_the_lock_is_free(
    verb: str, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, store = made_store(), made_store()
    held_for(store._lock, 2, pauses, monkeypatch)
    result = VERBS[verb](store)
    assert len(pauses) == 2
    assert not store._lock.locked()
    assert type(result) is type(VERBS[verb](expected))
    expected.close()
    store.close()


def made_store() -> MemoryStore:
    store = MemoryStore("64K", interval=86400)
    store.add(KEY, Record(b"a", "ana"), idle=60, life=60)
    return store


def test_a_thread_interrupted_while_it_waits_holds_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    store = made_store()
    with store._lock:
        monkeypatch.setattr(lock_module, "time", SimpleNamespace(sleep=interrupt))
        with pytest.raises(KeyboardInterrupt):
            store.get(KEY)
    assert not store._lock.locked()
    assert store.get(KEY) is not None
    store.close()


def test_the_first_use_after_a_fork_waits_as_well(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, done = made_store(), list[str]()
    first = FirstUse(store, lambda: done.append("first"))
    held_for(first, 2, pauses, monkeypatch)
    with first:
        assert first.locked()
    assert not first.locked()
    assert (len(pauses), done) == (2, ["first"])
    store.close()
