"""One user's share: when memory is so short that sessions of the logged-in go, those go first whose
user holds more than a sixteenth of the store."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

import pytest

from lembro.stores.base import PerUser, Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.audit import recount
from lembro.stores.memory.user_share import SHARES
from lembro.testing import FakeClock

CAP: PerUser = (100, "oldest")
USERS = 200


class Crowd:
    """A store of 1 MB, in which the share of a user is 64 KiB, and who is in it."""

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
        """How many of the users are there."""
        return sum(len(self.store.of_user(f"user-{number}")) for number in range(USERS))

    def held(self, user: str) -> int:
        return sum(len(found.payload) for _, found in self.store.of_user(user))


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    crowd = Crowd()
    yield crowd
    recount(crowd.store._parts)
    crowd.store.close()


def test_large_sessions_of_one_user_push_out_each_other(crowd: Crowd) -> None:
    crowd.users()
    for n in range(100):
        crowd.add("bot", n, 60_000)
    assert crowd.left() == USERS
    there = [n for n in range(100) if crowd.store.get(crowd.key("bot", n))]
    assert there == list(range(there[0], 100)), "the latest"


def test_sessions_that_grow_push_out_each_other(crowd: Crowd) -> None:
    for n in range(60):
        crowd.add("bot", n, 100)
    crowd.users()
    grown = [crowd.grow("bot", n, 60_000) for n in range(60)]
    assert crowd.left() == USERS
    assert grown.count(True) > 10
    assert crowd.held("bot") >= 60_000, "what was written last is there"


def test_who_was_there_first_and_keeps_coming_gives_way_too(crowd: Crowd) -> None:
    for n in range(14):
        crowd.add("bot", n, 60_000)
    assert crowd.held("bot") == 14 * 60_000, "as long as memory is not short"
    for number in range(2 * USERS):
        crowd.add(f"user-{number}", size=1500)
        for n in range(14):
            crowd.store.touch(crowd.key("bot", n), idle=1e6)
    assert crowd.left() == USERS
    assert len(crowd.store.of_user(f"user-{2 * USERS - 1}")) == 1
    assert crowd.held("bot") < 6 * 60_000


def test_above_the_share_the_least_recently_used_goes(crowd: Crowd) -> None:
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
    assert there - used == set(range(min(there - used), 14, 2)), "of the others the latest"


def test_within_the_share_nobody_is_told_apart(crowd: Crowd) -> None:
    """Whoever came last is there, and whoever has not come for longest is not."""
    for n in range(6):
        crowd.add("family", n, 10_000)
    for number in range(3000):
        crowd.add(f"user-{number}")
    assert crowd.held("family") == 0
    assert crowd.store._parts.user_share.heavy == set()


def test_one_session_is_not_too_many(crowd: Crowd) -> None:
    """Also where one may be larger than a share."""
    store = MemoryStore("1M", max_session_size="256K", clock=crowd.clock)
    crowd.store = store
    crowd.users()
    crowd.add("painter", 0, 200_000)
    for number in range(USERS, 1000):
        crowd.add(f"user-{number}")
    crowd.add("painter", 1, 200_000)
    assert len(store.of_user("painter")) >= 1
    assert store.get(crowd.key("painter", 1)) is not None


@pytest.mark.parametrize("gives_way", ["oldest", "refuse"])
def test_a_great_many_small_ones_are_too_much_as_well(
    crowd: Crowd, gives_way: Literal["oldest", "refuse"]
) -> None:
    crowd.users()
    for n in range(1900):  # each of them less than a hundredth of the share
        crowd.add("bot", n, 330, (10_000, gives_way) if n > 1500 else None)
    assert crowd.store.stats().evicted > 0
    assert crowd.left() == USERS


def test_a_login_counts_as_well(crowd: Crowd) -> None:
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


def test_who_is_known_to_hold_too_much_is_forgotten(crowd: Crowd) -> None:
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
