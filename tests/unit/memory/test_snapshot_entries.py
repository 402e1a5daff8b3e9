"""The entries of a snapshot: what is written for each record and mark, and what is read from it."""

from __future__ import annotations

from io import BytesIO
from math import inf
from struct import pack
from typing import Any

import pytest

from lembro.stores.memory import MemoryStore, snapshot
from lembro.stores.memory.layout import GRAIN, HAS_USER, HEADER, LINKS, ROTATED
from lembro.stores.memory.parts import Parts
from lembro.stores.memory.reclaim import Reclaim
from lembro.stores.memory.snapshot import CLOSED, MARK, Entry, Invalid
from lembro.stores.memory.snapshot_records import (
    closing_of,
    entries_of,
    in_order_of_use,
    marks_of,
    restore,
)
from lembro.stores.memory.user_share import MANY, SHARES, UserShare
from lembro.testing import FakeClock
from tests.support.memory import add, key

MAX_SIZE = 1 << 20
SHARE = MAX_SIZE // SHARES // MANY
USER = b"u" * 40
PLAIN = Entry(key(1), 0, 5.0, 60.0, 90.0, 3.0, b"", b"x" * 100)


@pytest.fixture
def parts(store: MemoryStore) -> Parts:
    return store._parts


# -- written ---------------------------------------------------------------------------------------


def test_free_slots_and_expired_records_are_left_out(
    store: MemoryStore, parts: Parts, clock: FakeClock
) -> None:
    for n, idle in enumerate((50, 10, 50, 50)):
        add(store, n, idle=idle)
    store.destroy(key(0))
    clock.advance(10)
    slots = in_order_of_use(parts)
    assert sorted(slots) == [1, 2, 3]
    assert [entry.key for entry in entries_of(parts, range(4), clock())] == [key(2), key(3)]


def test_marks_are_written_without_those_that_have_expired(parts: Parts) -> None:
    marks = parts.adoption.marks
    marks.reserve()
    for n, deadline in enumerate((101.0, 100.0, 160.0)):
        marks.put(key(n), key(n + 10), 90.0, deadline)
    assert list(marks_of(parts, marks.rows(), 100.0)) == [
        Entry(key(n), MARK | ROTATED, 10.0, left, left, 0.0, b"", b"", b"", key(n + 10))
        for n, left in ((0, 1.0), (2, 60.0))
    ]


@pytest.mark.parametrize("left", [-inf, 0.0, 0.5, 60.0])
def test_a_table_of_marks_is_written_as_closed_until_it_opens_again(
    parts: Parts, left: float
) -> None:
    parts.adoption.marks.close(100.0 + left)
    entry = Entry(bytes(32), MARK | CLOSED, 0.0, left, left, 0.0, b"", b"")
    assert list(closing_of(parts, 100.0)) == ([entry] if left > 0 else [])


def test_a_file_of_this_version_has_these_bytes(parts: Parts) -> None:
    """Another format needs another version in ``snapshot.MAGIC``."""
    parts.adoption.marks.close(8.0)
    (closing,) = closing_of(parts, 6.0)
    full = PLAIN._replace(reputation=b"r" * 16, successor=b"s" * 32, user=b"heidi", payload=b"data")
    times = pack("<dddd", 5.0, 60.0, 90.0, 3.0)
    lengths = bytes((5, 0, 4, 0, 0, 0))
    written = (snapshot.start(1e9), snapshot.pack(full), snapshot.pack(closing))
    assert written == (
        b"lembro sessions1" + pack("<d", 1e9),
        key(1) + b"\0" + times + lengths + b"r" * 16 + b"s" * 32 + b"heidi" + b"data",
        bytes(32) + b"\x60" + pack("<dddd", 0.0, 2.0, 2.0, 0.0) + bytes(6),
    )


# -- read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"age": 0.0}, {"unused": 0.0}, {"life_left": 60.0}])
def test_the_smallest_possible_times_are_accepted(parts: Parts, changes: dict[str, float]) -> None:
    assert restore(parts, [PLAIN._replace(**changes)], 0.0, 100.0) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(("elapsed", "count"), [(59.9, 1), (60.0, 0), (60.1, 0)])
def test_an_entry_that_has_expired_meanwhile_does_not_count(
    parts: Parts, elapsed: float, count: int
) -> None:
    assert restore(parts, [PLAIN], elapsed, 100.0) == count


def test_an_incomplete_entry_is_not_read(parts: Parts) -> None:
    data = snapshot.start(1e9) + snapshot.pack(PLAIN) + bytes(snapshot.HASH)
    file = BytesIO(data)
    file.seek(len(snapshot.start(1e9)))
    with pytest.raises(Invalid, match="an entry is incomplete"):
        next(snapshot.entries(file, len(data) - 1))


def test_a_last_use_before_the_store_was_made_counts_as_its_start(
    store: MemoryStore, parts: Parts, clock: FakeClock
) -> None:
    now = clock()
    clock.advance(50)
    restore(parts, [PLAIN._replace(unused=u, key=key(int(u))) for u in (80.0, 0.0)], 10.0, now + 50)
    reader = parts.reader
    assert sorted(reader.last_used(slot) for slot in in_order_of_use(parts)) == [now, now + 40]


@pytest.mark.parametrize("user", [b"", USER])
@pytest.mark.parametrize("flags", [0, ROTATED])
def test_the_room_that_is_made_is_the_room_that_an_entry_takes(
    parts: Parts, user: bytes, flags: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    make_room = Reclaim.make_room

    def room(self: Reclaim, size: int, *args: Any) -> None:
        make_room(self, size, *args)
        made.append(size)
        made.append(parts.arena.at)

    monkeypatch.setattr(Reclaim, "make_room", room)
    flags |= HAS_USER if user else 0
    successor = key(2) if flags & ROTATED else b""
    entry = PLAIN._replace(flags=flags, user=user, payload=b"", successor=successor)
    assert restore(parts, [PLAIN._replace(key=key(3)), entry], 0.0, 0.0) == 2
    size, at = made[2:]
    taken = parts.arena.at - at
    assert taken <= size <= taken + (LINKS + GRAIN if flags & ROTATED else 0)


@pytest.mark.parametrize(
    ("size", "noted"), [(SHARE - 8, False), (SHARE, False), (SHARE + 8, True), (50_000, True)]
)
def test_a_session_above_a_part_of_a_users_share_is_noted_with_its_size(
    size: int, noted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bytes, int]] = []
    monkeypatch.setattr(UserShare, "note", lambda _, *args: seen.append(args))
    parts = MemoryStore(MAX_SIZE)._parts
    payload = b"x" * (size - HEADER - LINKS - len(USER))
    restore(parts, [PLAIN._replace(flags=HAS_USER, user=USER, payload=payload)], 0.0, 0.0)
    (slot,) = in_order_of_use(parts)
    assert seen == ([(USER, parts.reader.size(slot))] if noted else [])


def test_the_marks_of_users_may_fill_the_table(parts: Parts) -> None:
    marks = parts.adoption.marks
    entry = PLAIN._replace(flags=MARK | ROTATED, successor=key(0))
    entries = [entry._replace(key=key(n)) for n in range(marks.capacity)]
    restore(parts, entries, 10.0, 1000.0)
    assert (marks.count, marks.closed_until) == (marks.capacity, -inf)
    assert marks.row(0) == (key(0), key(0), 985.0, 1050.0)
    restore(parts, [entry._replace(idle_left=70.0)], 10.0, 1000.0)
    assert (marks.count, marks.closed_until) == (marks.capacity, 1060.0)
