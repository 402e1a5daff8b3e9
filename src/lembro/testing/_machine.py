"""A state machine that runs the same verbs on a store and on a model, and compares."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..ids import handle_for
from ..stores.base import Found, Record
from ._model import NaiveStore

KEYS = [bytes([n % 7]) * 8 + bytes([n]) * 24 for n in range(40)]  # some have a common prefix
USERS = [None, "ana", "bob", "ü" * 20]


def store_machine(
    make_store: Callable[[], Any],
    advance: Callable[[Any, float], None],
    recount: Callable[[Any], Any] | None = None,
    *,
    evicts: bool = False,
    longest: int = 300,
    tolerance: float = 1e-6,
) -> Any:
    """Make a hypothesis RuleBasedStateMachine that compares a store with a model.

    Args:
        make_store: Returns a new store.
        advance: ``advance(store, seconds)`` lets time pass for the store.
        recount: ``recount(store)`` is called after every step, to check the store's counters.
        evicts: Whether the store may evict sessions. It then has ``on``, and emits ``evicted`` with
            the reason "memory". It may drop rotated keys without an event.
        longest: The length of the longest payload, in bytes.
        tolerance: The largest difference of times that is accepted, in seconds.
    """
    from hypothesis import strategies as st  # noqa: PLC0415 - optional
    from hypothesis.stateful import RuleBasedStateMachine, invariant, rule  # noqa: PLC0415

    keys = st.one_of(st.sampled_from(KEYS[:4]), st.sampled_from(KEYS))
    users = st.sampled_from(USERS)
    payloads = st.builds(
        lambda fill, size: bytes([fill]) * size, st.integers(97, 100), st.integers(0, longest)
    )
    reputations = st.one_of(st.none(), st.integers(0, 5).map(lambda n: bytes([n]) * 8 + bytes(8)))
    records = st.builds(Record, payloads, users, st.none(), reputations)
    idles = st.sampled_from([1.0, 10.0, 100.0, 1000.0, 100000.0])
    lives = st.sampled_from([5.0, 50.0, 500.0, 5000.0, math.inf])
    caps = st.one_of(st.none(), st.tuples(st.integers(1, 4), st.sampled_from(["oldest", "refuse"])))
    guess = st.one_of(st.none(), payloads)  # None: the payload in the model

    class StoreMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.store = make_store()
            self.model = NaiveStore()
            self.lost: list[str | None] = []
            if evicts:
                self.store.on("evicted", self.hear)

        def teardown(self) -> None:
            if hasattr(self.store, "close"):
                self.store.close()

        def hear(self, event: Any) -> None:
            if event.reason == "memory":
                self.lost.append(event.handle)

        def wait(self, seconds: float) -> None:
            advance(self.store, seconds)
            self.model.now += seconds

        def expect(self, key: bytes, value: bytes | None) -> bytes:
            if value is not None:
                return value
            held = self.model.get(key)
            return held.payload if held else b""

        def same(self, found: Found | None, expected: Found | None) -> None:
            if found is None or expected is None:
                assert found is None, found
                assert expected is None, expected
                return
            assert (found.payload, found.user, found.successor, found.reputation) == (
                expected.payload,
                expected.user,
                expected.successor,
                expected.reputation,
            )
            assert abs(found.age - expected.age) <= tolerance
            assert abs(found.idle_left - expected.idle_left) <= tolerance
            left = expected.life_left
            assert found.life_left == left or abs(found.life_left - left) <= tolerance

        def reconcile(self) -> None:
            """Remove from the model what the store has evicted."""
            if not evicts:
                return
            for handle in self.lost:
                named = [k for k in self.model.entries if handle_for(k) == handle]
                assert named, f"the store evicted {handle}, which the model does not have"
                # Several keys may have this handle; the evicted one is missing in the store.
                gone = [k for k in named if self.store.get(k) is None]
                assert gone
                del self.model.entries[gone[0]]
            self.lost.clear()
            for key in list(self.model.entries):
                held = self.model.get(key)
                if held and held.successor is not None and self.store.get(key) is None:
                    del self.model.entries[key]

        @rule(seconds=st.sampled_from([0.5, 1.0, 7.0, 60.0, 600.0, 50000.0]))
        def time_passes(self, seconds: float) -> None:
            self.wait(seconds)

        @rule(key=keys)
        def get(self, key: bytes) -> None:
            self.same(self.store.get(key), self.model.get(key))

        @rule(key=keys, record=records, idle=idles, life=lives, cap=caps)
        def add(self, key: bytes, record: Record, idle: float, life: float, cap: Any) -> None:
            self.wait(1.0)  # so that no two sessions are of the same age
            added = self.store.add(key, record, idle=idle, life=life, per_user=cap)
            assert added == self.model.add(key, record, idle=idle, life=life, per_user=cap)

        @rule(first=st.integers(0, len(KEYS) - 8), record=records, idle=idles)
        def many_come(self, first: int, record: Record, idle: float) -> None:
            for key in KEYS[first : first + 8]:
                self.add(key, record, idle, 5000.0, None)
                self.reconcile()

        @rule(key=keys, record=records, expected=guess, idle=idles)
        def set(self, key: bytes, record: Record, expected: bytes | None, idle: float) -> None:
            value = self.expect(key, expected)
            found = self.store.set(key, record, expected=value, idle=idle)
            self.same(found, self.model.set(key, record, expected=value, idle=idle))

        @rule(
            old=keys,
            new=keys,
            record=records,
            expected=guess,
            idle=idles,
            life=st.one_of(st.none(), lives),
            grace=st.one_of(st.just(0.0), idles),
            cap=caps,
        )
        def replace(  # noqa: PLR0917 - as the rule draws them
            self,
            old: bytes,
            new: bytes,
            record: Record,
            expected: bytes | None,
            idle: float,
            life: float | None,
            grace: float,
            cap: Any,
        ) -> None:
            self.wait(1.0)
            options: dict[str, Any] = {
                "expected": self.expect(old, expected),
                "idle": idle,
                "life": life,
                "grace": grace,
                "per_user": cap,
            }
            found = self.store.replace(old, new, record, **options)
            self.same(found, self.model.replace(old, new, record, **options))

        @rule(key=keys, idle=idles)
        def touch(self, key: bytes, idle: float) -> None:
            assert self.store.touch(key, idle=idle) == self.model.touch(key, idle=idle)

        @rule(key=keys, expected=st.one_of(st.just(b"any"), guess))
        def destroy(self, key: bytes, expected: bytes | None) -> None:
            value = None if expected == b"any" else self.expect(key, expected)
            found = self.store.destroy(key, expected=value)
            self.same(found, self.model.destroy(key, expected=value))

        @rule(user=st.sampled_from(USERS[1:]))
        def of_user(self, user: str) -> None:
            if hasattr(self.store, "of_user"):
                listed = list(self.store.of_user(user))
                expected = self.model.of_user(user)
                assert [key for key, _ in listed] == [key for key, _ in expected]
                for (_, found), (_, ours) in zip(listed, expected, strict=True):
                    self.same(found, ours)

        @rule(user=st.sampled_from(USERS[1:]), keep=st.one_of(st.none(), keys))
        def destroy_user(self, user: str, keep: bytes | None) -> None:
            if hasattr(self.store, "destroy_user"):
                gone = self.store.destroy_user(user, keep)
                assert sorted(gone) == sorted(self.model.destroy_user(user, keep))

        @rule(limit=st.one_of(st.none(), st.integers(1, 5)))
        def purge(self, limit: int | None) -> None:
            if hasattr(self.store, "purge"):
                removed = self.store.purge(limit)
                assert limit is None or removed <= limit

        @rule()
        def reduce(self) -> None:
            if evicts and hasattr(self.store, "reduce"):
                self.store.reduce()

        @invariant()
        def holds_the_same(self) -> None:
            self.reconcile()
            if recount is not None:
                recount(self.store)
            if hasattr(self.store, "all"):
                listed = dict(self.store.all())
                expected = dict(self.model.all())
                assert listed.keys() == expected.keys()
                for key, found in listed.items():
                    self.same(found, expected[key])
            else:
                for key in KEYS:
                    self.same(self.store.get(key), self.model.get(key))

    return StoreMachine
