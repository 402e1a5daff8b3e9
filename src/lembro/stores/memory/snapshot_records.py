"""The records of a store as the entries of a snapshot, and back.

Records are written in the order of their last use, and added in that order. So the next process
evicts in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ...errors import SessionTooLarge
from ..base import Record
from .layout import (
    BODY,
    GRAIN,
    HAS_REPUTATION,
    HAS_USER,
    HEADER,
    KEY,
    LINKS,
    REPUTATION,
    ROTATED,
    TOKEN,
    UTF8,
    read_header,
)
from .linked_lists import NONE
from .parts import Parts
from .snapshot import CLOSED, MARK, Entry, Invalid
from .user_share import MANY

_KEPT: Final = HAS_USER | HAS_REPUTATION | ROTATED


def in_order_of_use(parts: Parts) -> list[int]:
    """Return the slots in use, the least recently used first.

    This needs no lock. A slot that changes meanwhile may be at a wrong position.
    """
    place = parts.reader.place
    slots = [slot for slot in range(parts.slots.fresh) if place[slot]]
    slots.sort(key=parts.reader.last_used)
    return slots


def entries_of(parts: Parts, slots: Iterable[int], now: float) -> Iterator[Entry]:
    """Yield the entries of some slots. Expired records and slots that are free are left out."""
    reader = parts.reader
    place, memory, start = reader.place, reader.memory, reader.start
    for slot in slots:
        at = place[slot] << 3
        if not at:
            continue
        key, born, death, deadline, used, length, flags, _, _, user_length = read_header(memory, at)
        if deadline <= now:
            continue
        body = at + BODY[flags]
        yield Entry(
            key,
            flags & _KEPT,
            now - born,
            deadline - now,
            death - now,
            now - start - used,
            memory[body : body + user_length],
            reader.payload(slot, at, flags, length),
            memory[at + TOKEN : at + TOKEN + REPUTATION] if flags & HAS_REPUTATION else b"",
            memory[body - KEY : body] if flags & ROTATED else b"",
        )


def marks_of(parts: Parts, rows: Iterable[int], now: float) -> Iterator[Entry]:
    """Yield the entries of some rows of the table of marks. Expired marks are left out."""
    for row in rows:
        key, successor, born, deadline = parts.adoption.marks.row(row)
        if deadline > now:
            left = deadline - now
            yield Entry(key, MARK | ROTATED, now - born, left, left, 0.0, b"", b"", b"", successor)


def closing_of(parts: Parts, now: float) -> Iterator[Entry]:
    """Yield an entry that says until when the table of marks is closed, if it is closed."""
    left = parts.adoption.marks.closed_until - now
    if left > 0:
        yield Entry(bytes(KEY), MARK | CLOSED, 0.0, left, left, 0.0, b"", b"")


def restore(parts: Parts, entries: Iterable[Entry], elapsed: float, now: float) -> int:
    """Add the records of a snapshot to an empty store. Return how many.

    Args:
        parts: The parts of the store.
        entries: The entries of the snapshot.
        elapsed: Seconds since it was written.
        now: The current time by the store's clock.

    Raises:
        Invalid: An entry cannot come from a store.
    """
    count, then = 0, now - elapsed
    for entry in entries:
        # A comparison with NaN is false.
        if not (entry.age >= 0 and entry.unused >= 0 and entry.life_left >= entry.idle_left):
            raise Invalid("an entry has impossible times")
        if entry.idle_left <= elapsed:
            continue
        if entry.flags & MARK:
            _restore_mark(parts, entry, then, now)
        elif _restore_record(parts, entry, then, now):
            count += 1
    return count


def _restore_record(parts: Parts, entry: Entry, then: float, now: float) -> bool:
    """Add a record. ``then`` is when the snapshot was written, by the clock of this store."""
    records, flags = parts.records, entry.flags
    user = entry.user if flags & HAS_USER else None
    try:
        entry.user.decode(*UTF8)
    except UnicodeDecodeError:
        raise Invalid("an entry has a user that is not text") from None
    record = Record(entry.payload, None, None, entry.reputation or None)
    try:
        size, outside = parts.limits.measure(user, record)
    except SessionTooLarge:  # this store has a smaller limit
        return False
    if parts.index.find(entry.key) != NONE:
        return False
    if user is not None and size + outside > parts.user_share.share // MANY:
        parts.user_share.note(user, size + outside)
    rotated = HEADER + LINKS + KEY + len(entry.user) + GRAIN if flags & ROTATED else 0
    parts.reclaim.make_room(size + rotated, outside, now)
    used = max(then - entry.unused, parts.reader.start)
    deadline = then + entry.idle_left
    slot = records.insert(
        entry.key, user, record, then - entry.age, then + entry.life_left, deadline, used
    )
    if flags & ROTATED:
        records.make_rotated(slot, entry.successor, deadline)
    return True


def _restore_mark(parts: Parts, entry: Entry, then: float, now: float) -> None:
    adoption = parts.adoption
    adoption.reserve_step(now)  # one step is enough: marks come before the records
    if entry.flags & CLOSED:
        adoption.marks.close(then + entry.idle_left)
    elif adoption.marks.has_room(now, anonymous=False):
        adoption.marks.put(entry.key, entry.successor, then - entry.age, then + entry.idle_left)
    else:  # this store is smaller: accept no legacy cookie that may have been used
        adoption.marks.close(then + entry.idle_left)
