"""The format of a snapshot."""

from __future__ import annotations

import io
from math import inf

import pytest

from lembro.stores.memory import snapshot
from lembro.stores.memory.layout import HAS_REPUTATION, HAS_USER, ROTATED
from lembro.stores.memory.snapshot import Entry, Invalid

PLAIN = Entry(bytes(32), 0, 5.0, 60.0, inf, 1.5, b"", b"payload")
FULL = Entry(
    bytes(range(32)),
    HAS_USER | HAS_REPUTATION | ROTATED,
    *(5.0, 60.0, 90.0, 0.0),
    b"heidi",
    b"",
    bytes(16),
    bytes(32),
)


def whole(*entries: Entry | bytes, secret: str | None = None, written: float = 1e9) -> bytes:
    data = snapshot.start(written)
    data += b"".join(each if isinstance(each, bytes) else snapshot.pack(each) for each in entries)
    digest = snapshot.hasher(secret)
    digest.update(data)
    return data + bytes(digest.digest())


def read(data: bytes, *secrets: str) -> tuple[float, list[Entry]]:
    file = io.BytesIO(data)
    written = snapshot.check(file, len(data), secrets)
    return written, list(snapshot.entries(file, len(data)))


def test_entries_come_back() -> None:
    assert read(whole(PLAIN, FULL)) == (1e9, [PLAIN, FULL])
    assert read(whole()) == (1e9, [])


def test_all_secrets_are_accepted() -> None:
    assert read(whole(PLAIN, secret="old"), "new", "old")[1] == [PLAIN]


@pytest.mark.parametrize(("written", "expected"), [(None, "key"), ("key", None), ("a", "b")])
def test_another_secret_is_refused(written: str | None, expected: str | None) -> None:
    with pytest.raises(Invalid, match="its hash is wrong"):
        read(whole(PLAIN, secret=written), *([expected] if expected else []))


def test_another_version_of_the_format_is_refused() -> None:
    data = bytearray(whole()[: -snapshot.HASH])
    data[len(snapshot.NAME)] += 1
    digest = snapshot.hasher(None)
    digest.update(bytes(data))
    with pytest.raises(Invalid, match="another version of lembro"):
        read(bytes(data) + digest.digest())


def test_a_file_that_becomes_shorter_is_refused() -> None:
    data = whole(PLAIN)
    for length in (0, len(data) - snapshot.HASH - 1):
        with pytest.raises(Invalid, match="incomplete"):
            snapshot.check(io.BytesIO(data[:length]), len(data), ())


@pytest.mark.parametrize("cut", [len(snapshot.pack(PLAIN)) - 1, 10])
def test_an_incomplete_entry_with_a_valid_hash_is_refused(cut: int) -> None:
    with pytest.raises(Invalid, match="an entry is incomplete"):
        read(whole(PLAIN, snapshot.pack(PLAIN)[:cut]))
