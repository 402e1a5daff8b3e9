"""Who goes, and as what; and who holds more than one user's share, to the byte."""

from __future__ import annotations

from lembro.stores.base import Record
from lembro.stores.memory.layout import HEADER, LINKS
from lembro.stores.memory.linked_lists import NONE
from lembro.stores.memory.overflow import allocated
from lembro.stores.memory.user_index import user_tag
from tests.support.place import IDLE, RECORD, Place, key

# --- who goes, and as what


def test_who_has_expired_is_not_evicted(place: Place) -> None:
    place.add(0, idle=10)
    place.add(1, idle=11)
    place.clock.advance(10)
    parts = place.parts
    assert parts.reclaim.evict(place.now)
    assert (parts.counters.expired, parts.counters.evicted) == (1, 0)
    assert parts.reclaim.evict(place.now)
    assert (parts.counters.expired, parts.counters.evicted) == (1, 1)
    assert not parts.reclaim.evict(place.now)
    place.store._emit_pending()
    assert place.heard == [("expired", ""), ("evicted", "memory")]


def test_a_replaced_key_goes_without_a_word(place: Place) -> None:
    place.add(0)
    record = Record(b"new")
    was = b"x" * (RECORD - HEADER)
    place.store.replace(
        key(0), key(1), record, expected=was, idle=60, life=None, grace=10
    )  # fmt: skip
    parts = place.parts
    parts.ledger.target = 0
    assert [parts.reclaim.reduce_step(place.now) for _ in range(3)] == [0, 1, NONE]
    assert parts.counters.evicted == 1
    place.store._emit_pending()
    assert place.heard == [("evicted", "memory")]


# --- who holds more than a share


def held(place: Place, user: str) -> int:
    return place.parts.user_share.held(user_tag(user.encode()))


def test_what_a_user_holds_is_what_their_sessions_take_but_for_replaced_keys(place: Place) -> None:
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


def test_a_token_that_looks_like_a_user_counts_for_nobody(place: Place) -> None:
    forged = user_tag(b"ana").to_bytes(8, "big") + bytes(8)
    place.add(0, user="ana")
    assert place.store.add(key(1), Record(b"", None, None, forged), idle=1, life=1)
    assert held(place, "ana") == RECORD


def test_of_very_many_sessions_the_latest_512_are_summed_up(place: Place) -> None:
    for n in range(512):
        place.add(n, user="ana")
    assert held(place, "ana") == 512 * RECORD
    place.add(512, user="ana", size=256)
    assert held(place, "ana") == 511 * RECORD + 256


def test_sessions_of_a_128th_of_a_share_are_looked_at_from_the_128th_on(place: Place) -> None:
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


def test_above_the_share_to_the_byte(place: Place) -> None:
    place.add(0, user="ana", size=256)
    parts = place.parts
    parts.user_share.note(b"ana", parts.user_share.share - 256)
    assert parts.user_share.heavy == set()
    parts.user_share.note(b"ana", parts.user_share.share - 255)
    assert parts.user_share.heavy == {user_tag(b"ana")}
    parts.user_share.note(b"ana", 0)
    assert parts.user_share.heavy == {user_tag(b"ana")}, "it is known"


def test_who_holds_no_more_than_a_share_is_forgotten_when_looked_for(place: Place) -> None:
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


def test_of_a_user_s_sessions_the_least_recently_used_goes(place: Place) -> None:
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


def test_the_last_session_of_a_user_is_none_too_many(place: Place) -> None:
    parts = place.parts
    place.add(0, user="ana", size=1024)
    parts.user_share.heavy.add(user_tag(b"ana"))
    parts.user_share.share = 100
    slot = parts.index.find(key(0))
    assert parts.user_share.victim(NONE) == NONE
    assert parts.user_share.victim(slot) == NONE
    place.add(1, user="ana", size=1024)
    assert parts.user_share.victim(slot) == parts.index.find(key(1))


def test_so_many_above_their_share_there_cannot_be(place: Place) -> None:
    parts = place.parts
    place.add(0, user="ana", size=1032)
    place.add(1, user="bob", size=1032)
    place.add(2, user="dan", size=1024)
    parts.user_share.share = 1024
    parts.user_share.heavy |= {user_tag(b"ana"), user_tag(b"dan"), *range(100, 113)}
    parts.user_share.note(b"bob", 1)
    assert len(parts.user_share.heavy) == 16, "fifteen are no reason to look"
    parts.user_share.note(b"cleo", 1025)
    assert parts.user_share.heavy == {user_tag(name) for name in (b"ana", b"bob", b"cleo")}


def test_somebody_s_too_much_goes_in_place_of_a_logged_in_session_only(place: Place) -> None:
    parts = place.parts
    place.add(0, user="bob")
    for n in (1, 2):
        place.add(n, user="ana", size=1024)
    place.add(3)
    parts.user_share.heavy.add(user_tag(b"ana"))
    parts.user_share.share = 1024
    assert parts.reclaim.evict(place.now)
    assert place.there(range(4)) == [0, 1, 2], "who is not logged in goes first"
    assert parts.reclaim.evict(place.now)
    assert place.there(range(4)) == [0, 2]
    assert parts.reclaim.evict(place.now)
    assert place.there(range(4)) == [2], "ana is within the share; the least recently used"


def test_a_replaced_key_of_a_user_stays_while_somebody_holds_too_much(place: Place) -> None:
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
