"""The optional verbs of a store."""

from __future__ import annotations

from .base import K, L, M, Subject, key


class Extras(Subject):
    """The tests of the optional verbs. Those that the store does not have are skipped."""

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

    def test_purge_removes_expired_sessions(self) -> None:
        purge = self.has("purge")
        for n in range(10):
            self.add(key(n), idle=10 if n < 7 else 100)
        self.later(11)
        if not self.purges:
            assert purge() == purge(limit=3) == 0
            return
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

    def test_of_user_sorts_by_age_which_a_rotation_keeps(self) -> None:
        self.has("of_user")
        self.add(K, user="ana")
        self.later(1)
        self.add(M, user="ana")
        self.later(1)
        self.replace(K, L, user="ana", life=None)
        assert self.keys_of("ana") == [L, M]

    def test_destroy_user_removes_all_sessions_of_the_user(self) -> None:
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

    def test_destroy_user_keeps_one_session_and_the_keys_rotated_to_it(self) -> None:
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

    def test_destroy_user_does_not_return_expired_sessions(self) -> None:
        destroy_user = self.has("destroy_user")
        self.add(K, user="ana", idle=10)
        self.add(L, user="ana")
        self.later(11)
        assert destroy_user("ana") == [L]

    def test_new_reputation(self) -> None:
        new_reputation = self.has("new_reputation")
        first, second = new_reputation(), new_reputation()
        assert isinstance(first, bytes)
        assert len(first) == 16
        assert first[:8] != second[:8]
        self.later(10)
        assert new_reputation()[8:] > first[8:]
