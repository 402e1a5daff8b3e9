"""The store contract, a test for every sentence of ``lembro.stores.base``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast
from unittest import SkipTest

from ..errors import SessionTooLarge
from ..stores.base import Found, PerUser, Record


def key(name: str | int) -> bytes:
    """A key for a test: 32 bytes, not worth hashing."""
    return f"{name}".encode().ljust(32, b".")


def _too_large(attempt: Callable[[], object]) -> SessionTooLarge | None:
    try:
        attempt()
    except SessionTooLarge as error:
        return error
    return None


K, L, M = key("k"), key("l"), key("m")


class StoreContract:
    """Subclass it, with ``make_store`` and ``advance``, in a test module.

    The optional parts of the contract are tested if the store has them.
    """

    tolerance: ClassVar[float] = 1e-6
    """How far times may be off, in seconds."""

    too_large: ClassVar[int | None] = None
    """The length of a payload that the store must refuse; None if it refuses none."""

    store: Any

    def make_store(self) -> Any:
        """A new, empty store."""
        raise NotImplementedError

    def advance(self, store: Any, seconds: float) -> None:
        """Let ``seconds`` pass for the store."""
        raise NotImplementedError

    # --- what the tests are made of

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
        standing: bytes | None = None,
        idle: float = 100.0,
        life: float = 1000.0,
        per_user: PerUser | None = None,
    ) -> bool:
        record = Record(payload, user, None, standing)
        return cast("bool", self.store.add(at, record, idle=idle, life=life, per_user=per_user))

    def replace(
        self,
        old: bytes = K,
        new: bytes = L,
        payload: bytes = b"two",
        user: str | None = None,
        *,
        standing: bytes | None = None,
        expected: bytes = b"one",
        idle: float = 100.0,
        life: float | None = None,
        grace: float = 30.0,
        per_user: PerUser | None = None,
    ) -> Found | None:
        record = Record(payload, user, None, standing)
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

    # --- get

    def test_get_of_an_unknown_key_is_none(self) -> None:
        assert self.store.get(K) is None

    def test_get_returns_what_was_added(self) -> None:
        standing = bytes(range(8)) + b"\0" * 8
        assert self.add(K, b"one", "ana", standing=standing)
        found = self.store.get(K)
        assert isinstance(found, Found)
        assert (found.payload, found.user, found.successor) == (b"one", "ana", None)
        assert found.standing == standing

    def test_payload_is_opaque(self) -> None:
        for n, payload in enumerate((b"", b"\0", bytes(range(256)) * 4, K)):
            assert self.add(key(n), payload)
            assert self.payload(key(n)) == payload

    def test_any_text_may_be_a_user(self) -> None:
        for n, user in enumerate(("a", "ü" * 100, "o'Neill%_*", "a:b", " ", "\x00")):
            assert self.add(key(n), user=user)
            assert self.store.get(key(n)).user == user

    def test_keys_that_differ_in_one_byte_are_different(self) -> None:
        a, b = b"\0" * 31 + b"a", b"\0" * 31 + b"b"
        self.add(a, b"a")
        assert self.store.get(b) is None
        assert self.add(b, b"b")
        assert (self.payload(a), self.payload(b)) == (b"a", b"b")
        self.store.destroy(a)
        assert (self.payload(a), self.payload(b)) == (None, b"b")

    def test_get_tells_the_times(self) -> None:
        self.add(idle=100, life=1000)
        self.later(30)
        found = self.store.get(K)
        assert self.near(found.age, 30)
        assert self.near(found.idle_left, 70)
        assert self.near(found.life_left, 970)

    def test_get_does_not_extend_the_life(self) -> None:
        self.add(idle=100)
        self.later(60)
        assert self.payload() == b"one"
        self.later(60)
        assert self.store.get(K) is None

    def test_expired_is_absent_for_every_verb(self) -> None:
        self.add(idle=100)
        self.later(101)
        assert self.store.get(K) is None
        assert self.set(K, b"two", b"one") is None
        assert self.store.touch(K, idle=100) is False
        assert self.replace() is None
        assert self.store.get(L) is None
        assert self.store.destroy(K) is None

    def test_idle_never_reaches_past_life(self) -> None:
        self.add(idle=5000, life=1000)
        assert self.near(self.store.get(K).idle_left, 1000)
        self.later(1001)
        assert self.store.get(K) is None

    def test_life_may_be_without_limit(self) -> None:
        self.add(idle=100, life=math.inf)
        found = self.store.get(K)
        assert found.life_left == math.inf
        assert self.near(found.idle_left, 100)

    # --- add

    def test_add_is_true_for_a_new_key(self) -> None:
        assert self.add() is True

    def test_add_of_an_existing_key_is_false_and_changes_nothing(self) -> None:
        self.add(K, b"one", "ana", idle=100)
        assert self.add(K, b"two", "bob", idle=500) is False
        found = self.store.get(K)
        assert (found.payload, found.user) == (b"one", "ana")
        assert self.near(found.idle_left, 100)

    def test_add_of_a_replaced_key_is_false(self) -> None:
        self.add()
        self.replace()
        assert self.add(K) is False
        assert self.store.get(K).successor == L

    def test_add_over_an_expired_record_begins_anew(self) -> None:
        self.add(K, b"one", "ana", idle=100)
        self.later(101)
        assert self.add(K, b"two") is True
        found = self.store.get(K)
        assert (found.payload, found.user) == (b"two", None)
        assert self.near(found.age, 0)

    # --- add: the cap on a user's sessions

    def test_cap_refuse(self) -> None:
        assert self.add(key(1), user="ana", per_user=(2, "refuse"))
        assert self.add(key(2), user="ana", per_user=(2, "refuse"))
        assert self.add(key(3), user="ana", per_user=(2, "refuse")) is False
        assert self.store.get(key(3)) is None
        assert self.payload(key(1)) == self.payload(key(2)) == b"one"

    def test_cap_oldest(self) -> None:
        for n in range(4):
            assert self.add(key(n), user="ana", per_user=(2, "oldest"))
            self.later(1)
        assert [self.payload(key(n)) is not None for n in range(4)] == [False, False, True, True]

    def test_cap_oldest_ends_as_many_as_it_takes(self) -> None:
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

    def test_cap_does_not_concern_the_anonymous(self) -> None:
        for n in range(3):
            assert self.add(key(n), per_user=(1, "refuse"))

    def test_cap_leaves_out_what_is_expired(self) -> None:
        self.add(key(1), user="ana", idle=10)
        self.later(11)
        assert self.add(key(2), user="ana", per_user=(1, "refuse"))

    def test_cap_leaves_out_what_is_replaced(self) -> None:
        self.add(K, user="ana")
        self.replace(user="ana")
        assert self.add(M, user="ana", per_user=(2, "refuse"))
        assert self.store.get(K).successor == L

    def test_cap_that_fails_on_an_existing_key_ends_nothing(self) -> None:
        self.add(K, user="ana")
        assert self.add(K, user="ana", per_user=(1, "oldest")) is False
        assert self.payload() == b"one"

    # --- set

    def test_set_saves_what_is_as_expected(self) -> None:
        self.add()
        found = self.set(K, b"two", b"one")
        assert found is not None
        assert found.payload == b"two"
        assert self.payload() == b"two"

    def test_set_returns_what_somebody_else_has_written(self) -> None:
        self.add(K, b"other", idle=100)
        found = self.set(K, b"two", b"one", idle=500)
        assert found is not None
        assert found.payload == b"other"
        found = self.store.get(K)
        assert found.payload == b"other"
        assert self.near(found.idle_left, 100)

    def test_set_compares_the_whole_payload(self) -> None:
        self.add(K, b"one two")
        for wrong in (b"", b"one", b"two", b"one two ", b" one two"):
            found = self.set(K, b"new", wrong)
            assert found is not None
            assert found.payload == b"one two"

    def test_set_never_creates(self) -> None:
        assert self.set(K, b"two", b"") is None
        assert self.store.get(K) is None
        self.add()
        self.store.destroy(K)
        assert self.set(K, b"two", b"one") is None
        assert self.store.get(K) is None

    def test_set_keeps_user_standing_age_and_life(self) -> None:
        standing = b"s" * 8 + b"\0" * 8
        self.add(K, b"one", "ana", standing=standing, life=1000)
        self.later(50)
        found = self.store.set(K, Record(b"two", "bob", None, b"t" * 16), expected=b"one", idle=100)
        for seen in (found, self.store.get(K)):
            assert (seen.payload, seen.user, seen.standing) == (b"two", "ana", standing)
            assert self.near(seen.age, 50)
            assert self.near(seen.life_left, 950)

    def test_set_extends_the_idle_deadline_not_past_life(self) -> None:
        self.add(idle=100, life=250)
        self.later(90)
        found = self.set(K, b"two", b"one", idle=100)
        assert found is not None
        assert self.near(found.idle_left, 100)
        self.later(90)
        found = self.set(K, b"three", b"two", idle=100)
        assert found is not None
        assert self.near(found.idle_left, 70)
        self.later(71)
        assert self.store.get(K) is None

    def test_set_may_shorten_the_idle_deadline(self) -> None:
        self.add(idle=100)
        self.set(K, b"", b"one", idle=10)
        self.later(11)
        assert self.store.get(K) is None

    def test_set_never_matches_a_replaced_key(self) -> None:
        self.add()
        self.replace(grace=30)
        found = self.set(K, b"three", b"", idle=500)
        assert found is not None
        assert (found.payload, found.successor) == (b"", L)
        assert self.near(self.store.get(K).life_left, 30)

    def test_set_of_another_length(self) -> None:
        self.add(K, b"")
        before = b""
        for size in (1, 1000, 3, 0, 200):
            after = b"x" * size
            found = self.set(K, after, before)
            assert found is not None
            assert found.payload == after == self.payload()
            before = after

    # --- replace

    def test_replace_stores_the_new_and_points_the_old_at_it(self) -> None:
        self.add(K, b"one", "ana")
        found = self.replace(K, L, b"two", "ana")
        assert found is not None
        assert (found.payload, found.user, found.successor) == (b"two", "ana", None)
        new, old = self.store.get(L), self.store.get(K)
        assert (new.payload, new.user, new.successor) == (b"two", "ana", None)
        assert (old.payload, old.user, old.successor) == (b"", "ana", L)

    def test_replace_leaves_the_old_user_with_the_old_key(self) -> None:
        self.add(K)
        self.replace(user="ana")
        assert self.store.get(K).user is None
        assert self.store.get(L).user == "ana"

    def test_replace_bears_the_standing_it_is_given(self) -> None:
        standing = b"s" * 8 + b"\0" * 8
        self.add(K, standing=standing)
        found = self.replace(standing=standing)
        assert found is not None
        assert found.standing == self.store.get(L).standing == standing

    def test_replace_without_life_keeps_age_and_life(self) -> None:
        self.add(life=1000)
        self.later(50)
        found = self.replace(life=None, idle=5000)
        for seen in (found, self.store.get(L)):
            assert seen is not None
            assert self.near(seen.age, 50)
            assert self.near(seen.life_left, 950)
            assert self.near(seen.idle_left, 950)

    def test_replace_with_life_starts_a_new_one(self) -> None:
        self.add(life=1000)
        self.later(50)
        found = self.replace(life=2000, idle=70)
        for seen in (found, self.store.get(L)):
            assert seen is not None
            assert self.near(seen.age, 0)
            assert self.near(seen.life_left, 2000)
            assert self.near(seen.idle_left, 70)

    def test_replaced_key_lives_for_its_grace(self) -> None:
        self.add()
        self.replace(grace=30)
        self.later(29)
        assert self.store.get(K).successor == L
        self.later(2)
        assert self.store.get(K) is None
        assert self.payload(L) == b"two"

    def test_replaced_key_lives_no_longer_than_the_old_record_had_left(self) -> None:
        self.add(idle=10)
        self.replace(grace=30)
        self.later(11)
        assert self.store.get(K) is None

    def test_no_verb_extends_a_replaced_key(self) -> None:
        self.add()
        self.replace(grace=30)
        self.later(10)
        assert self.store.touch(K, idle=500) is False
        self.set(K, b"x", b"", idle=500)
        self.replace(K, M, expected=b"", grace=500)
        assert self.store.destroy(K, expected=b"") is None
        assert self.store.get(M) is None
        found = self.store.get(K)
        assert found.successor == L
        assert self.near(found.life_left, 20)

    def test_replace_of_something_else_changes_nothing(self) -> None:
        self.add(K, b"other")
        found = self.replace(expected=b"one")
        assert found is not None
        assert (found.payload, found.successor) == (b"other", None)
        assert self.payload() == b"other"
        assert self.store.get(L) is None

    def test_replace_of_a_replaced_key_returns_its_pointer(self) -> None:
        self.add()
        self.replace(K, L)
        for expected in (b"one", b""):
            found = self.replace(K, M, expected=expected)
            assert found is not None
            assert found.successor == L
        assert self.store.get(M) is None

    def test_replace_of_what_is_gone_is_none(self) -> None:
        assert self.replace() is None
        assert self.store.get(L) is None
        assert self.store.get(K) is None

    def test_replace_onto_an_existing_key_is_none(self) -> None:
        self.add(K)
        self.add(L, b"there")
        assert self.replace(K, L) is None
        assert (self.payload(K), self.payload(L)) == (b"one", b"there")
        assert self.store.get(K).successor is None

    def test_replace_onto_an_expired_key(self) -> None:
        self.add(L, b"there", idle=10)
        self.later(11)
        self.add(K)
        found = self.replace(K, L)
        assert found is not None
        assert found.payload == b"two" == self.payload(L)

    def test_replace_again_and_again(self) -> None:
        self.add(key(0), b"0")
        for n in range(1, 6):
            assert self.replace(key(n - 1), key(n), b"%d" % n, expected=b"%d" % (n - 1))
        assert [self.store.get(key(n)).successor for n in range(5)] == [
            key(n + 1) for n in range(5)
        ]
        assert self.payload(key(5)) == b"5"

    def test_replace_does_not_count_the_old_against_the_cap(self) -> None:
        self.add(K, user="ana")
        for ways in ("refuse", "oldest"):
            old, new = (K, L) if ways == "refuse" else (L, M)
            expected = b"one" if ways == "refuse" else b"two"
            found = self.replace(old, new, b"two", "ana", expected=expected, per_user=(1, ways))
            assert found is not None
            assert found.payload == b"two"
        assert self.payload(M) == b"two"

    def test_replace_that_the_cap_refuses_changes_nothing(self) -> None:
        self.add(key(1), user="ana")
        self.add(K)
        found = self.replace(user="ana", life=1000, per_user=(1, "refuse"))
        assert found is not None
        assert (found.payload, found.user, found.successor) == (b"one", None, None)
        assert self.store.get(K).successor is None
        assert self.store.get(L) is None

    def test_replace_ends_the_oldest_of_the_user(self) -> None:
        self.add(key(1), user="ana")
        self.later(1)
        self.add(key(2), user="ana")
        self.later(1)
        self.add(K)
        assert self.replace(user="ana", life=1000, per_user=(2, "oldest")) is not None
        assert self.store.get(key(1)) is None
        assert self.payload(key(2)) == b"one"
        assert self.payload(L) == b"two"

    def test_replace_of_the_oldest_ends_no_other(self) -> None:
        self.add(K, user="ana")
        self.later(1)
        self.add(M, user="ana")
        assert self.replace(user="ana", per_user=(2, "oldest")) is not None
        assert self.payload(L) == b"two"
        assert self.payload(M) == b"one"

    # --- touch

    def test_touch_extends_the_idle_deadline_and_nothing_else(self) -> None:
        self.add(K, b"one", "ana", idle=100, life=250)
        self.later(90)
        assert self.store.touch(K, idle=100) is True
        found = self.store.get(K)
        assert (found.payload, found.user) == (b"one", "ana")
        assert self.near(found.idle_left, 100)
        assert self.near(found.life_left, 160)
        assert self.near(found.age, 90)

    def test_touch_does_not_reach_past_life(self) -> None:
        self.add(idle=100, life=150)
        self.later(90)
        self.store.touch(K, idle=100)
        self.later(61)
        assert self.store.get(K) is None

    def test_touch_never_creates(self) -> None:
        assert self.store.touch(K, idle=100) is False
        assert self.store.get(K) is None

    # --- destroy

    def test_destroy_returns_what_it_removed(self) -> None:
        self.add(K, b"one", "ana")
        found = self.store.destroy(K)
        assert (found.payload, found.user) == (b"one", "ana")
        assert self.store.get(K) is None

    def test_destroy_returns_it_only_once(self) -> None:
        self.add()
        self.store.destroy(K)
        assert self.store.destroy(K) is None

    def test_destroy_with_expected(self) -> None:
        self.add()
        assert self.store.destroy(K, expected=b"two") is None
        assert self.payload() == b"one"
        assert self.store.destroy(K, expected=b"one").payload == b"one"
        assert self.store.get(K) is None

    def test_destroy_of_a_replaced_key_returns_its_pointer(self) -> None:
        self.add()
        self.replace()
        assert self.store.destroy(K).successor == L
        assert self.store.get(K) is None
        assert self.payload(L) == b"two"

    # --- too large

    def test_too_large_is_refused_and_changes_nothing(self) -> None:
        if self.too_large is None:
            raise SkipTest("the store refuses no size")
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

    # --- what a store may offer besides

    def test_all_lists_live_sessions(self) -> None:
        every = self.has("all")
        self.add(key(1), b"1", "ana")
        self.add(key(2), b"2", idle=10)
        self.later(11)
        self.add(K)
        self.replace(K, L)
        found = {found_key: seen.payload for found_key, seen in every()}
        assert found == {key(1): b"1", L: b"two"}

    def test_length_counts_live_sessions(self) -> None:
        length = self.has("length")
        assert length() == 0
        self.add(key(1), idle=10)
        self.add(K)
        self.replace(K, L)
        assert length() == 2
        self.later(11)
        assert length() == 1

    def test_clear_removes_everything(self) -> None:
        clear = self.has("clear")
        self.add(K, user="ana")
        self.replace(user="ana")
        self.add(M)
        clear()
        assert [self.store.get(k) for k in (K, L, M)] == [None, None, None]
        assert self.add(K)

    def test_purge_removes_what_is_expired(self) -> None:
        purge = self.has("purge")
        for n in range(10):
            self.add(key(n), idle=10 if n < 7 else 100)
        self.later(11)
        assert purge(limit=3) == 3
        assert purge() == 4
        assert purge() == 0
        assert self.payload(key(8)) == b"one"

    def test_of_user_lists_the_oldest_first(self) -> None:
        self.has("of_user")
        for n in (3, 1, 2):
            self.add(key(n), b"%d" % n, "ana")
            self.later(1)
        self.add(key(4), user="bob")
        self.add(key(5), user="ana", idle=5)
        self.later(6)
        assert self.keys_of("ana") == [key(3), key(1), key(2)]
        assert self.keys_of("nobody") == []
        [_, (_, found), _] = self.store.of_user("ana")
        assert (found.payload, found.user) == (b"1", "ana")
        assert self.near(found.age, 8)

    def test_of_user_goes_by_the_age_that_a_rotation_keeps(self) -> None:
        self.has("of_user")
        self.add(K, user="ana")
        self.later(1)
        self.add(M, user="ana")
        self.later(1)
        self.replace(K, L, user="ana", life=None)
        assert self.keys_of("ana") == [L, M]

    def test_destroy_user_removes_all_of_the_user(self) -> None:
        destroy_user = self.has("destroy_user")
        self.add(K, user="ana")
        self.replace(user="ana")
        self.add(M, user="ana")
        self.add(key("bob"), user="bob")
        self.add(key("none"))
        assert sorted(destroy_user("ana")) == [L, M]
        assert [self.store.get(k) for k in (K, L, M)] == [None, None, None]
        assert self.payload(key("bob")) == self.payload(key("none")) == b"one"
        assert destroy_user("ana") == []

    def test_destroy_user_keeps_one_and_what_leads_to_it(self) -> None:
        destroy_user = self.has("destroy_user")
        self.add(key(1), user="ana")
        self.replace(key(1), key(2), b"one", user="ana")
        self.replace(key(2), key(3), b"one", user="ana")
        self.add(key(4), user="ana")
        self.replace(key(4), key(5), b"one", user="ana")
        assert destroy_user("ana", keep=key(3)) == [key(5)]
        assert self.store.get(key(1)).successor == key(2)
        assert self.store.get(key(2)).successor == key(3)
        assert self.payload(key(3)) == b"one"
        assert self.store.get(key(4)) is None

    def test_destroy_user_leaves_out_what_is_expired(self) -> None:
        destroy_user = self.has("destroy_user")
        self.add(K, user="ana", idle=10)
        self.add(L, user="ana")
        self.later(11)
        assert destroy_user("ana") == [L]

    def test_new_standing(self) -> None:
        new_standing = self.has("new_standing")
        first, second = new_standing(), new_standing()
        assert isinstance(first, bytes)
        assert len(first) == 16
        assert first[:8] != second[:8]
        self.later(10)
        assert new_standing()[8:] > first[8:]
