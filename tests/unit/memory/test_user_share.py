"""One user's share.

If logged-in sessions must be evicted, a user who holds more than a sixteenth loses sessions first.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

import pytest

from lembro.stores.base import PerUser, Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.audit import recount
from lembro.stores.memory.layout import HEADER, LINKS
from lembro.stores.memory.linked_lists import NONE
from lembro.stores.memory.overflow import allocated
from lembro.stores.memory.user_index import user_tag
from lembro.stores.memory.user_share import SHARES
from lembro.testing import FakeClock
from tests.support.memory import key
from tests.support.place import IDLE, RECORD, Place

CAP: PerUser = (100, "oldest")
USERS = 200


class Crowd:
    """A store of 1 MB, in which the share of a user is 64 KiB, and its users."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore("1M", clock=self.clock)
        self.sizes: dict[bytes, bytes] = {}

    def key(self, user: str, n: int = 0) -> bytes:
        return random.Random(f"{user} {n}").randbytes(32)

    def add(self, user: str, n: int = 0, size: int = 500, cap: PerUser | None = CAP) -> None:
        self.clock.advance(1)
        payload = b"x" * size
        record = Record(payload, user)
        assert self.store.add(self.key(user, n), record, idle=1e6, life=1e7, per_user=cap)
        self.sizes[self.key(user, n)] = payload

    def grow(self, user: str, n: int, size: int) -> bool:
        self.clock.advance(1)
        key, payload = self.key(user, n), b"y" * size
        held = self.store.set(key, Record(payload), expected=self.sizes[key], idle=1e6)
        self.sizes[key] = payload
        return held is not None

    def users(self) -> None:
        for number in range(USERS):
            self.add(f"user-{number}")

    def left(self) -> int:
        """Count the users who still have a session."""
        return sum(len(self.store.of_user(f"user-{number}")) for number in range(USERS))

    def held(self, user: str) -> int:
        return sum(len(found.payload) for _, found in self.store.of_user(user))


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    crowd = Crowd()
    yield crowd
    recount(crowd.store._parts)
    crowd.store.close()


def test_large_sessions_of_one_user_evict_each_other(crowd: Crowd) -> None:
    crowd.users()
    for n in range(100):
        crowd.add("bot", n, 60_000)
    assert crowd.left() == USERS
    there = [n for n in range(100) if crowd.store.get(crowd.key("bot", n))]
    assert there == list(range(there[0], 100)), "the latest session stays"


def test_growing_sessions_of_one_user_evict_each_other(crowd: Crowd) -> None:
    for n in range(60):
        crowd.add("bot", n, 100)
    crowd.users()
    grown = [crowd.grow("bot", n, 60_000) for n in range(60)]
    assert crowd.left() == USERS
    assert grown.count(True) > 10
    assert crowd.held("bot") >= 60_000, "the latest write is stored"


def test_a_heavy_user_who_came_first_loses_sessions_too(crowd: Crowd) -> None:
    for n in range(14):
        crowd.add("bot", n, 60_000)
    assert crowd.held("bot") == 14 * 60_000, "while memory is not short"
    for number in range(2 * USERS):
        crowd.add(f"user-{number}", size=1500)
        for n in range(14):
            crowd.store.touch(crowd.key("bot", n), idle=1e6)
    assert crowd.left() == USERS
    assert len(crowd.store.of_user(f"user-{2 * USERS - 1}")) == 1
    assert crowd.held("bot") < 6 * 60_000


def test_above_the_share_the_least_recently_used_session_is_evicted(crowd: Crowd) -> None:
    for n in range(14):
        crowd.add("bot", n, 60_000)
    crowd.clock.advance(5)
    used = {0, 2, 4, 6, 8, 10, 12}
    for n in used:
        crowd.store.touch(crowd.key("bot", n), idle=1e6)
    for number in range(USERS):
        crowd.add(f"user-{number}", size=1500)
    there = {n for n in range(14) if crowd.store.get(crowd.key("bot", n))}
    assert used < there < set(range(14))
    assert there - used == set(range(min(there - used), 14, 2)), "the latest of the others"


def test_within_the_share_the_usual_order_holds(crowd: Crowd) -> None:
    """The session that was added last stays, and the least recently used is evicted."""
    for n in range(6):
        crowd.add("family", n, 10_000)
    for number in range(3000):
        crowd.add(f"user-{number}")
    assert crowd.held("family") == 0
    assert crowd.store._parts.user_share.heavy == set()


def test_a_single_session_above_the_share_stays(crowd: Crowd) -> None:
    """This holds also if the limit of a session exceeds the share."""
    store = MemoryStore("1M", max_session_size="256K", clock=crowd.clock)
    crowd.store = store
    crowd.users()
    crowd.add("painter", 0, 200_000)
    for number in range(USERS, 1000):
        crowd.add(f"user-{number}")
    crowd.add("painter", 1, 200_000)
    assert len(store.of_user("painter")) >= 1
    assert store.get(crowd.key("painter", 1)) is not None


@pytest.mark.parametrize("at_limit", ["oldest", "refuse"])
def test_many_small_sessions_can_exceed_the_share(
    crowd: Crowd, at_limit: Literal["oldest", "refuse"]
) -> None:
    crowd.users()
    for n in range(1900):  # each is smaller than a hundredth of the share
        crowd.add("bot", n, 330, (10_000, at_limit) if n > 1500 else None)
    assert crowd.store.stats().evicted > 0
    assert crowd.left() == USERS


def test_sessions_of_a_login_count(crowd: Crowd) -> None:
    crowd.users()
    for n in range(60):
        key = crowd.key("anonymous", n)
        payload = b"x" * 60_000
        assert crowd.store.add(key, Record(payload), idle=1e6, life=1e7)
        held = crowd.store.replace(
            key,
            crowd.key("bot", n),
            Record(payload, "bot"),
            expected=payload,
            idle=1e6,
            life=1e7,
            grace=1,
            per_user=CAP,
        )
        assert held is not None
        crowd.clock.advance(5)
    assert crowd.left() == USERS


def test_users_below_the_share_are_forgotten(crowd: Crowd) -> None:
    heavy = crowd.store._parts.user_share.heavy
    for number in range(4 * SHARES):
        for n in range(3):
            crowd.add(f"bot-{number}", n, 30_000)
        assert len(heavy) <= SHARES
    assert heavy
    crowd.store.clear()
    assert not heavy
    crowd.add("bot", 0, 50_000)
    crowd.add("bot", 1, 50_000)
    assert len(heavy) == 1
    crowd.store.destroy(crowd.key("bot", 0))
    for number in range(3000):
        crowd.add(f"user-{number}")
    assert not heavy


def held(place: Place, user: str) -> int:
    return place.parts.user_share.held(user_tag(user.encode()))


def test_a_user_holds_the_bytes_of_their_sessions_without_rotated_keys(place: Place) -> None:
    place.add(0, user="ana", size=256)
    place.add(1, user="ana", size=HEADER + LINKS + 3 + 5000)
    place.add(2, user="bob")
    place.add(3)
    assert held(place, "ana") == 256 + 96 + allocated(5000)
    was = b"x" * (256 - HEADER - LINKS - 3)
    place.store.replace(
        key(0), key(4), Record(b"", "ana"), expected=was, idle=60, life=None, grace=10
    )
    assert held(place, "ana") == 96 + 96 + allocated(5000)


def test_a_token_equal_to_a_user_s_tag_does_not_count(place: Place) -> None:
    forged = user_tag(b"ana").to_bytes(8, "big") + bytes(8)
    place.add(0, user="ana")
    assert place.store.add(key(1), Record(b"", None, None, forged), idle=1, life=1)
    assert held(place, "ana") == RECORD


def test_of_many_sessions_the_newest_512_are_summed_up(place: Place) -> None:
    for n in range(512):
        place.add(n, user="ana")
    assert held(place, "ana") == 512 * RECORD
    place.add(512, user="ana", size=256)
    assert held(place, "ana") == 511 * RECORD + 256


def test_small_sessions_are_checked_from_the_128th_on(place: Place) -> None:
    parts = place.parts
    size = parts.user_share.share // 128
    for n in range(130):
        place.add(n, user="ana", size=size)
    assert held(place, "ana") > parts.user_share.share
    assert parts.user_share.heavy == set(), "each of them is small"
    place.add(130, user="ana", size=size + 8)
    assert parts.user_share.heavy == {user_tag(b"ana")}
    parts.user_share.heavy.clear()
    record = Record(b"", "ana")
    assert place.store.add(key(131), record, idle=1, life=1, per_user=(1000, "oldest"))
    assert parts.user_share.heavy == {user_tag(b"ana")}


def test_a_user_one_byte_above_the_share_is_noted(place: Place) -> None:
    place.add(0, user="ana", size=256)
    parts = place.parts
    parts.user_share.note(b"ana", parts.user_share.share - 256)
    assert parts.user_share.heavy == set()
    parts.user_share.note(b"ana", parts.user_share.share - 255)
    assert parts.user_share.heavy == {user_tag(b"ana")}
    parts.user_share.note(b"ana", 0)
    assert parts.user_share.heavy == {user_tag(b"ana")}, "the user is noted"


def test_a_user_within_the_share_is_forgotten_at_the_next_check(place: Place) -> None:
    parts = place.parts
    for n in range(3):
        place.add(n, user="ana", size=1024)
        place.add(10 + n, user="bob", size=1024)
        place.clock.advance(2)
    parts.user_share.heavy |= {user_tag(b"ana"), user_tag(b"bob"), user_tag(b"nobody")}
    parts.user_share.share = 3 * 1024
    assert parts.user_share.victim(NONE) == NONE
    assert parts.user_share.heavy == set()
    parts.user_share.heavy |= {user_tag(b"ana"), user_tag(b"nobody")}
    parts.user_share.share = 3 * 1024 - 1
    assert parts.user_share.victim(NONE) == parts.index.find(key(0))


def test_the_victim_is_the_user_s_least_recently_used_session(place: Place) -> None:
    parts = place.parts
    for n in range(3):
        place.add(n, user="ana", size=1024)
    parts.user_share.heavy.add(user_tag(b"ana"))
    parts.user_share.share = 1024
    first, second, third = (parts.index.find(key(n)) for n in range(3))
    assert parts.user_share.victim(NONE) == first, "at the same time: the first that was added"
    assert parts.user_share.victim(first) == second
    place.clock.advance(2)
    for n in (0, 1):
        place.store.touch(key(n), idle=IDLE)
    assert parts.user_share.victim(NONE) == third


def test_the_only_session_of_a_user_is_no_victim(place: Place) -> None:
    parts = place.parts
    place.add(0, user="ana", size=1024)
    parts.user_share.heavy.add(user_tag(b"ana"))
    parts.user_share.share = 100
    slot = parts.index.find(key(0))
    assert parts.user_share.victim(NONE) == NONE
    assert parts.user_share.victim(slot) == NONE
    place.add(1, user="ana", size=1024)
    assert parts.user_share.victim(slot) == parts.index.find(key(1))


def test_at_most_16_users_are_noted(place: Place) -> None:
    parts = place.parts
    place.add(0, user="ana", size=1032)
    place.add(1, user="bob", size=1032)
    place.add(2, user="dan", size=1024)
    parts.user_share.share = 1024
    parts.user_share.heavy |= {user_tag(b"ana"), user_tag(b"dan"), *range(100, 113)}
    parts.user_share.note(b"bob", 1)
    assert len(parts.user_share.heavy) == 16, "fifteen users need no check"
    parts.user_share.note(b"cleo", 1025)
    assert parts.user_share.heavy == {user_tag(name) for name in (b"ana", b"bob", b"cleo")}


def test_a_heavy_user_loses_a_session_in_place_of_a_logged_in_one_only(place: Place) -> None:
    parts = place.parts
    place.add(0, user="bob")
    for n in (1, 2):
        place.add(n, user="ana", size=1024)
    place.add(3)
    parts.user_share.heavy.add(user_tag(b"ana"))
    parts.user_share.share = 1024
    assert parts.reclaim.evict(place.now)
    assert place.there(range(4)) == [0, 1, 2], "visitors are evicted first"
    assert parts.reclaim.evict(place.now)
    assert place.there(range(4)) == [0, 2]
    assert parts.reclaim.evict(place.now)
    assert place.there(range(4)) == [2], "ana is within the share; the least recently used session"


def test_a_rotated_key_stays_while_a_user_is_above_the_share(place: Place) -> None:
    parts = place.parts
    place.add(0, user="bob")
    was = b"x" * (RECORD - HEADER - LINKS - 3)
    place.store.replace(
        key(0), key(5), Record(b"", "bob"), expected=was, idle=60, life=None, grace=10
    )
    for n in (1, 2):
        place.add(n, user="ana", size=1024)
    parts.user_share.heavy.add(user_tag(b"ana"))
    parts.user_share.share = 1024
    assert parts.reclaim.evict(place.now)
    assert parts.index.find(key(0)) >= 0
    assert place.there(range(6)) == [2, 5]
    place.add(6, user="ana", size=1024)
    assert parts.user_share.victim(NONE) == parts.index.find(key(2))
    assert parts.reclaim.evict(place.now, spare=parts.index.find(key(6)))
    assert place.there(range(7)) == [5, 6]
