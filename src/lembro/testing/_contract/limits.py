"""The limits: sessions of a user, and the size of a session."""

from __future__ import annotations

from collections.abc import Callable
from unittest import SkipTest

from ...errors import SessionTooLarge
from .base import K, L, M, Subject, key


def _too_large(attempt: Callable[[], object]) -> SessionTooLarge | None:
    try:
        attempt()
    except SessionTooLarge as error:
        return error
    return None


class Limits(Subject):
    """The tests of the limits: the sessions of a user, and the size of a session."""

    # --- add: the cap on a user's sessions

    def test_a_cap_refuses_one_session_too_many(self) -> None:
        assert self.add(key(1), user="ana", per_user=(2, "refuse"))
        assert self.add(key(2), user="ana", per_user=(2, "refuse"))
        assert self.add(key(3), user="ana", per_user=(2, "refuse")) is False
        assert self.store.get(key(3)) is None
        assert self.payload(key(1)) == self.payload(key(2)) == b"one"

    def test_a_cap_ends_the_oldest_session(self) -> None:
        for n in range(4):
            assert self.add(key(n), user="ana", per_user=(2, "oldest"))
            self.later(1)
        assert [self.payload(key(n)) is not None for n in range(4)] == [False, False, True, True]

    def test_cap_oldest_ends_as_many_sessions_as_needed(self) -> None:
        for n in range(5):
            self.add(key(n), user="ana")
            self.later(1)
        assert self.add(key(5), user="ana", per_user=(2, "oldest"))
        assert [n for n in range(6) if self.store.get(key(n))] == [4, 5]

    def test_cap_counts_only_this_user(self) -> None:
        self.add(key(1), user="bob")
        self.add(key(2))
        assert self.add(key(3), user="ana", per_user=(1, "refuse"))
        assert self.payload(key(1)) == self.payload(key(2)) == b"one"

    def test_cap_does_not_apply_to_anonymous_sessions(self) -> None:
        for n in range(3):
            assert self.add(key(n), per_user=(1, "refuse"))

    def test_cap_does_not_count_expired_sessions(self) -> None:
        self.add(key(1), user="ana", idle=10)
        self.later(11)
        assert self.add(key(2), user="ana", per_user=(1, "refuse"))

    def test_cap_does_not_count_rotated_keys(self) -> None:
        self.add(K, user="ana")
        self.replace(user="ana")
        assert self.add(M, user="ana", per_user=(2, "refuse"))
        assert self.store.get(K).successor == L

    def test_cap_that_fails_on_an_existing_key_ends_nothing(self) -> None:
        self.add(K, user="ana")
        assert self.add(K, user="ana", per_user=(1, "oldest")) is False
        assert self.payload() == b"one"

    # --- too large

    def test_too_large_is_refused_and_changes_nothing(self) -> None:
        if self.too_large is None:
            raise SkipTest("too_large is None: the store accepts payloads of any size")
        large = b"x" * self.too_large
        self.add(K, b"one", "ana", idle=100)
        for attempt in (
            lambda: self.add(L, large),
            lambda: self.set(K, large, b"one", idle=500),
            lambda: self.replace(K, L, large, idle=500),
            lambda: self.add(L, large, "ana", per_user=(1, "oldest")),
        ):
            error = _too_large(attempt)
            assert error is not None, "SessionTooLarge was not raised"
            assert error.size > error.limit > 0
            found = self.store.get(K)
            assert (found.payload, found.user, found.successor) == (b"one", "ana", None)
            assert self.near(found.idle_left, 100)
            assert self.store.get(L) is None
