"""The verbs ``get``, ``add``, ``set``, ``touch`` and ``destroy``."""

from __future__ import annotations

import math

from ...stores.base import Found, Record
from .base import K, L, Subject, key


class Verbs(Subject):
    """The tests of the verbs except ``replace``."""

    # --- get

    def test_get_of_an_unknown_key_is_none(self) -> None:
        assert self.store.get(K) is None

    def test_get_returns_what_was_added(self) -> None:
        reputation = bytes(range(8)) + b"\0" * 8
        assert self.add(K, b"one", "ana", reputation=reputation)
        found = self.store.get(K)
        assert isinstance(found, Found)
        assert (found.payload, found.user, found.successor) == (b"one", "ana", None)
        assert found.reputation == reputation

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

    def test_get_returns_the_times(self) -> None:
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

    def test_idle_is_limited_by_life(self) -> None:
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

    def test_add_of_a_rotated_key_is_false(self) -> None:
        self.add()
        self.replace()
        assert self.add(K) is False
        assert self.store.get(K).successor == L

    def test_add_over_an_expired_record_begins_a_new_one(self) -> None:
        self.add(K, b"one", "ana", idle=100)
        self.later(101)
        assert self.add(K, b"two") is True
        found = self.store.get(K)
        assert (found.payload, found.user) == (b"two", None)
        assert self.near(found.age, 0)

    def test_add_keeps_the_age_of_a_record_from_another_store(self) -> None:
        record = Record(b"one", None, None, None, 50.0)
        assert self.store.add(K, record, idle=100, life=1000)
        self.later(30)
        found = self.store.get(K)
        assert self.near(found.age, 80)
        assert self.near(found.idle_left, 70)
        assert self.near(found.life_left, 970)

    # --- set

    def test_set_saves_if_the_payload_is_as_expected(self) -> None:
        self.add()
        found = self.set(K, b"two", b"one")
        assert found is not None
        assert found.payload == b"two"
        assert self.payload() == b"two"

    def test_set_returns_the_payload_of_another_writer(self) -> None:
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

    def test_set_keeps_user_reputation_age_and_life(self) -> None:
        reputation = b"s" * 8 + b"\0" * 8
        self.add(K, b"one", "ana", reputation=reputation, life=1000)
        self.later(50)
        found = self.store.set(K, Record(b"two", "bob", None, b"t" * 16), expected=b"one", idle=100)
        for seen in (found, self.store.get(K)):
            assert (seen.payload, seen.user, seen.reputation) == (b"two", "ana", reputation)
            assert self.near(seen.age, 50)
            assert self.near(seen.life_left, 950)

    def test_set_extends_the_idle_deadline_within_life(self) -> None:
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

    def test_set_never_matches_a_rotated_key(self) -> None:
        self.add()
        self.replace(grace=30)
        found = self.set(K, b"three", b"", idle=500)
        assert found is not None
        assert (found.payload, found.successor) == (b"", L)
        assert self.near(self.store.get(K).life_left, 30)

    def test_set_accepts_a_payload_of_another_length(self) -> None:
        self.add(K, b"")
        before = b""
        for size in (1, 1000, 3, 0, 200):
            after = b"x" * size
            found = self.set(K, after, before)
            assert found is not None
            assert found.payload == after == self.payload()
            before = after

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

    def test_touch_is_limited_by_life(self) -> None:
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

    def test_destroy_with_expected_removes_only_that_payload(self) -> None:
        self.add()
        assert self.store.destroy(K, expected=b"two") is None
        assert self.payload() == b"one"
        assert self.store.destroy(K, expected=b"one").payload == b"one"
        assert self.store.get(K) is None

    def test_destroy_of_a_rotated_key_returns_its_successor(self) -> None:
        self.add()
        self.replace()
        assert self.store.destroy(K).successor == L
        assert self.store.get(K) is None
        assert self.payload(L) == b"two"
