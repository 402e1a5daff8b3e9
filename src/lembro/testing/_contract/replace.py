"""The verb ``replace``, and rotated keys."""

from __future__ import annotations

from lembro.stores.base import MARK, Found, PerUser, Record

from .base import K, L, M, Subject, key


class Replace(Subject):
    """The tests of the verb ``replace``."""

    def test_replace_stores_the_new_record_and_makes_it_the_successor(self) -> None:
        self.add(K, b"one", "ana")
        found = self.replace(K, L, b"two", "ana")
        assert found is not None
        assert (found.payload, found.user, found.successor) == (b"two", "ana", None)
        new, old = self.store.get(L), self.store.get(K)
        assert (new.payload, new.user, new.successor) == (b"two", "ana", None)
        assert (old.payload, old.user, old.successor) == (b"", "ana", L)

    def test_replace_keeps_the_old_user_at_the_old_key(self) -> None:
        self.add(K)
        self.replace(user="ana")
        assert self.store.get(K).user is None
        assert self.store.get(L).user == "ana"

    def test_replace_stores_the_reputation_it_is_given(self) -> None:
        reputation = b"s" * 8 + b"\0" * 8
        self.add(K, reputation=reputation)
        found = self.replace(reputation=reputation)
        assert found is not None
        assert found.reputation == self.store.get(L).reputation == reputation
        assert self.store.get(K).reputation is None

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

    def test_rotated_key_lives_for_its_grace(self) -> None:
        self.add()
        self.replace(grace=30)
        self.later(29)
        assert self.store.get(K).successor == L
        self.later(2)
        assert self.store.get(K) is None
        assert self.payload(L) == b"two"

    def test_without_a_grace_the_old_key_is_absent_at_once(self) -> None:
        reputation = b"s" * 8 + b"\0" * 8
        self.add(K, b"one", "ana", reputation=reputation)
        found = self.replace(K, L, b"two", "ana", grace=0.0)
        assert found is not None
        assert (found.payload, found.successor) == (b"two", None)
        assert self.store.get(K) is None
        assert self.store.touch(K, idle=100.0) is False
        assert self.set(K, b"x", b"") is None
        assert self.replace(K, M, expected=b"") is None
        assert self.store.destroy(K) is None
        assert self.store.get(M) is None
        assert self.payload(L) == b"two"

    def test_without_a_grace_the_old_key_can_be_added_again(self) -> None:
        self.add(K, user="ana")
        self.replace(K, L, user="ana", grace=0.0)
        assert self.add(K, b"three") is True
        assert (self.payload(K), self.payload(L)) == (b"three", b"two")

    def test_without_a_grace_a_refused_replace_keeps_the_old_key(self) -> None:
        self.add(key(1), user="ana")
        self.add(K)
        self.add(M, b"there")
        self.replace(expected=b"other", grace=0.0)
        self.replace(K, M, grace=0.0)
        self.replace(user="ana", life=1000, grace=0.0, per_user=(1, "refuse"))
        assert self.payload(K) == b"one"
        assert self.store.get(L) is None

    def test_without_a_grace_a_user_has_only_the_new_session(self) -> None:
        self.add(K, user="ana")
        self.replace(user="ana", grace=0.0, per_user=(1, "refuse"))
        assert self.keys_of("ana") == [L]

    def test_rotated_key_lives_no_longer_than_the_old_record_had_left(self) -> None:
        self.add(idle=10)
        self.replace(grace=30)
        self.later(11)
        assert self.store.get(K) is None

    def test_no_verb_extends_a_rotated_key(self) -> None:
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

    def test_replace_of_another_payload_changes_nothing(self) -> None:
        self.add(K, b"other")
        found = self.replace(expected=b"one")
        assert found is not None
        assert (found.payload, found.successor) == (b"other", None)
        assert self.payload() == b"other"
        assert self.store.get(L) is None

    def test_replace_of_a_rotated_key_returns_its_successor(self) -> None:
        self.add()
        self.replace(K, L)
        for expected in (b"one", b""):
            found = self.replace(K, M, expected=expected)
            assert found is not None
            assert found.successor == L
        assert self.store.get(M) is None

    def test_replace_of_an_absent_key_is_none(self) -> None:
        assert self.replace() is None
        assert self.store.get(L) is None
        assert self.store.get(K) is None

    def test_replace_onto_an_existing_key_is_none(self) -> None:
        self.add(K)
        self.add(L, b"there")
        assert self.replace(K, L) is None
        assert (self.payload(K), self.payload(L)) == (b"one", b"there")
        assert self.store.get(K).successor is None

    def test_replace_of_a_key_by_itself_is_none(self) -> None:
        self.add(K, b"one")
        for grace in (0.0, 5.0):
            assert self.replace(K, K, b"two", expected=b"one", grace=grace) is None
        assert self.payload(K) == b"one"

    def test_replace_onto_an_expired_key(self) -> None:
        self.add(L, b"there", idle=10)
        self.later(11)
        self.add(K)
        found = self.replace(K, L)
        assert found is not None
        assert found.payload == b"two" == self.payload(L)

    def test_replace_can_be_repeated_for_each_new_key(self) -> None:
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

    def test_replace_ends_the_oldest_session_of_the_user(self) -> None:
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

    # Without an old record: the session of a legacy cookie, and the mark that it was used.

    def test_replace_without_an_old_record_adds_the_session_and_a_mark(self) -> None:
        found = self._adopt(L, "ana")
        assert found is not None
        assert (found.payload, found.user, found.successor) == (b"adopted", "ana", None)
        assert self.near(found.life_left, 1000)
        mark = self.store.get(_MARK)
        assert (mark.payload, mark.user, mark.successor) == (b"", None, L)
        assert self.near(mark.life_left, 5000)  # longer than the session

    def test_replace_keeps_the_age_of_a_record_from_another_store(self) -> None:
        record, lives = Record(b"one", "ana", None, None, 50.0), {"idle": 100.0, "life": 1000.0}
        found = self.store.replace(_MARK, K, record, expected=None, grace=5000.0, **lives)
        self.later(10)
        for seen, age in ((found, 50), (self.store.get(K), 60), (self.store.get(_MARK), 10)):
            assert seen is not None
            assert self.near(seen.age, age)
        self.later(10)
        found = self.replace(K, L, life=None)
        assert found is not None
        assert self.near(found.age, 70)

    def test_replace_of_a_mark_changes_nothing(self) -> None:
        self._adopt(L, "ana")
        held = self._adopt(M, "ana")
        assert held is not None
        assert held.successor == L
        assert self.store.get(M) is None

    def test_replace_of_nothing_to_a_key_that_exists_leaves_no_mark(self) -> None:
        self.add(L, b"other")
        assert self._adopt(L, "ana") is None
        assert self.payload(L) == b"other"
        assert self.store.get(_MARK) is None

    def test_replace_of_a_record_that_should_be_absent_changes_nothing(self) -> None:
        self.add(_MARK, b"other")
        held = self._adopt(L, None)
        assert held is not None
        assert held.payload == b"other"
        assert self.store.get(L) is None

    def test_replace_that_the_cap_refuses_leaves_no_mark(self) -> None:
        self.add(K, user="ana")
        assert self._adopt(L, "ana", (1, "refuse")) is None
        assert [self.store.get(k) for k in (_MARK, L)] == [None, None]
        assert self._adopt(L, "ana", (1, "oldest")) is not None
        assert self.store.get(K) is None

    def test_a_mark_outlives_its_session_and_user(self) -> None:
        self._adopt(L, "ana")
        assert self.store.destroy(L) is not None
        self.has("destroy_user")("ana")
        assert self.store.get(_MARK).successor == L
        self.later(4999)
        assert self.store.get(_MARK).successor == L
        self.later(2)
        assert self.store.get(_MARK) is None
        assert self._adopt(M, None) is not None

    def test_clear_leaves_marks(self) -> None:
        clear = self.has("clear")
        self._adopt(L, "ana")
        clear()
        assert self.store.get(L) is None
        assert self.store.get(_MARK).successor == L

    def _adopt(self, new: bytes, user: str | None, per_user: PerUser | None = None) -> Found | None:
        found: Found | None = self.store.replace(
            _MARK,
            new,
            Record(b"adopted", user),
            expected=None,
            idle=1000,
            life=1000,
            grace=5000,
            per_user=per_user,
        )
        return found


_MARK = MARK + K[len(MARK) :]
