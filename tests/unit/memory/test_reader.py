"""Reading records that the test has written."""

from __future__ import annotations

from lembro.stores.base import Found
from lembro.stores.memory import layout
from lembro.stores.memory.layout import HAS_REPUTATION, HAS_USER, LARGE, ROTATED, TAGGED
from lembro.stores.memory.overflow import Overflow, allocated
from lembro.stores.memory.reader import RecordReader
from tests.support.table import Table

KEY = bytes(range(32))
LINKS = bytes(16)


def reader_of(body: bytes, flags: int, length: int, user_length: int = 0) -> RecordReader:
    """A reader of one record in slot 1, used at second 7 of a store made at 100."""
    table, overflow = Table(), Overflow()
    extent = (layout.HEADER + len(body) + 7) >> 3
    head = layout.pack(
        KEY, 101.0, 200.0, 150.0, 7, length, flags, 1, extent, user_length
    )  # fmt: skip
    table.place[1] = 256 >> 3
    table.memory[256 : 256 + len(head) + len(body)] = head + body
    if flags & LARGE:
        overflow.put(1, b"p" * length)
    return RecordReader(table.memory, table.place, overflow, 100.0)


def test_an_anonymous_session_is_read() -> None:
    reader = reader_of(b"payload", 0, 7)
    assert reader.found(1, 110.0) == Found(b"payload", None, None, None, 9.0, 40.0, 90.0)
    assert (reader.key(1), reader.flags(1), reader.deadline(1)) == (KEY, 0, 150.0)
    assert reader.last_used(1) == 107.0
    assert reader.size(1) == 80
    assert reader.user(256, 0) is None
    assert reader.user_name(256, 0) is None
    assert reader.successor(256, 0) is None
    assert reader.payload(1, 256, 0, 7) == b"payload"


def test_a_session_with_user_and_reputation_is_read() -> None:
    flags = HAS_USER | HAS_REPUTATION | TAGGED
    reader = reader_of(LINKS + b"r" * 16 + b"anapayload", flags, 7, 3)
    found = reader.found(1, 110.0)
    assert (found.payload, found.user, found.reputation) == (b"payload", "ana", b"r" * 16)
    assert reader.user(256, flags) == b"ana"
    assert reader.user_name(256, flags) == "ana"
    assert reader.payload(1, 256, flags, 7) == b"payload"


def test_a_rotated_key_is_read() -> None:
    flags = HAS_USER | TAGGED | ROTATED
    reader = reader_of(LINKS + b"s" * 32 + b"ana", flags, 0, 3)
    found = reader.found(1, 110.0)
    assert (found.payload, found.user, found.successor) == (b"", "ana", b"s" * 32)
    assert reader.successor(256, flags) == b"s" * 32


def test_a_payload_in_the_overflow_is_read() -> None:
    reader = reader_of(b"", LARGE, 5000)
    assert reader.found(1, 110.0).payload == reader.payload(1, 256, LARGE, 5000) == b"p" * 5000
    assert reader.size(1) == 80 + allocated(5000)
