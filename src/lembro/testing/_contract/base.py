"""Helpers for the tests of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast
from unittest import SkipTest

from ...stores.base import Found, PerUser, Record


def key(name: str | int) -> bytes:
    """Return a key for a test: 32 bytes."""
    return f"{name}".encode().ljust(32, b".")


K, L, M = key("k"), key("l"), key("m")


class Subject:
    """The store under test, and short names for its verbs."""

    tolerance: ClassVar[float] = 1e-6
    """The largest difference of times that is accepted, in seconds."""

    too_large: ClassVar[int | None] = None
    """The length of a payload that the store must refuse; None if it refuses none."""

    purges: ClassVar[bool] = True
    """Whether purge() removes expired records; False if the backend does so by itself."""

    store: Any

    def make_store(self) -> Any:
        """Return a new, empty store."""
        raise NotImplementedError(
            f"{type(self).__name__} needs make_store(self), which returns a new, empty store"
        )

    def advance(self, store: Any, seconds: float) -> None:
        """Let ``seconds`` pass for the store."""
        raise NotImplementedError(
            f"{type(self).__name__} needs advance(self, store, seconds), which lets time pass for "
            f"the store. Example: self.clock.advance(seconds), with a FakeClock as its clock"
        )

    def setup_method(self) -> None:
        self.store = self.make_store()

    def teardown_method(self) -> None:
        if hasattr(self.store, "close"):
            self.store.close()

    def later(self, seconds: float) -> None:
        self.advance(self.store, seconds)

    def add(
        self,
        at: bytes = K,
        payload: bytes = b"one",
        user: str | None = None,
        *,
        reputation: bytes | None = None,
        idle: float = 100.0,
        life: float = 1000.0,
        per_user: PerUser | None = None,
    ) -> bool:
        record = Record(payload, user, None, reputation)
        return cast("bool", self.store.add(at, record, idle=idle, life=life, per_user=per_user))

    def replace(
        self,
        old: bytes = K,
        new: bytes = L,
        payload: bytes = b"two",
        user: str | None = None,
        *,
        reputation: bytes | None = None,
        expected: bytes = b"one",
        idle: float = 100.0,
        life: float | None = None,
        grace: float = 30.0,
        per_user: PerUser | None = None,
    ) -> Found | None:
        record = Record(payload, user, None, reputation)
        return cast(
            "Found | None",
            self.store.replace(
                old,
                new,
                record,
                expected=expected,
                idle=idle,
                life=life,
                grace=grace,
                per_user=per_user,
            ),
        )

    def set(self, at: bytes, payload: bytes, expected: bytes, idle: float = 100.0) -> Found | None:
        return cast(
            "Found | None",
            self.store.set(at, Record(payload), expected=expected, idle=idle),
        )

    def payload(self, at: bytes = K) -> bytes | None:
        found = self.store.get(at)
        return None if found is None else found.payload

    def near(self, value: float, other: float) -> bool:
        return value == other or abs(value - other) <= self.tolerance

    def has(self, name: str) -> Callable[..., Any]:
        if not hasattr(self.store, name):
            raise SkipTest(f"the store has no {name}()")
        return cast("Callable[..., Any]", getattr(self.store, name))

    def keys_of(self, user: str) -> list[bytes]:
        pairs: Iterable[tuple[bytes, Found]] = self.has("of_user")(user)
        return [found_key for found_key, _ in pairs]
