"""The format of a snapshot: the sessions of a store in a file, between two processes.

    magic 16 | time of writing 8 | entry, entry, ... | hash 32

An entry: its fixed fields (``_FIXED``) | reputation 16 | successor 32 | user | payload. The flags
say which parts it has. Its times are seconds at the time of writing, because the clock of the next
process may begin elsewhere. Keys are hashes, as in the store, so the file contains no session IDs.

The hash is BLAKE2b over all bytes before it, keyed with a secret if there is one. A reader checks
it before it uses any entry. This module opens no files.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from hashlib import blake2b, sha256
from struct import Struct
from typing import Any, BinaryIO, Final, NamedTuple

from .layout import HAS_REPUTATION, KEY, REPUTATION, ROTATED

NAME: Final = b"lembro sessions"
MAGIC: Final = NAME + b"1"  # the version of the format
HASH: Final = 32  # bytes
MARK: Final = 32  # a flag: the mark of a used legacy cookie
CLOSED: Final = 64  # a flag: until when the table of marks is closed

_START: Final = Struct(f"<{len(MAGIC)}sd")
# Key, flags, age, seconds left without use and in any case, seconds since the last use, lengths.
_FIXED: Final = Struct(f"<{KEY}sBddddHI")
_CHUNK: Final = 1 << 20  # bytes that are hashed at once


class Entry(NamedTuple):
    """A session, a rotated key, or a mark."""

    key: bytes
    flags: int
    """Which of the optional parts it has: the flags of a record, ``MARK`` and ``CLOSED``."""
    age: float
    idle_left: float
    life_left: float
    unused: float
    """Seconds since the last use."""
    user: bytes
    payload: bytes
    reputation: bytes = b""
    successor: bytes = b""


class Invalid(Exception):  # noqa: N818 - named after the state of the file
    """The file is not a complete snapshot, or was changed. The message gives the reason."""


def start(written: float) -> bytes:
    """Return the first bytes of a snapshot that is written at this time."""
    return _START.pack(MAGIC, written)


def pack(entry: Entry) -> bytes:
    """Return the bytes of an entry."""
    key, flags, age, idle_left, life_left, unused, user, payload, reputation, successor = entry
    fixed = _FIXED.pack(key, flags, age, idle_left, life_left, unused, len(user), len(payload))
    return b"".join((fixed, reputation, successor, user, payload))


def hasher(secret: str | None) -> Any:
    """Return a hash object for a snapshot, keyed with the secret if there is one."""
    key = b"" if secret is None else sha256(secret.encode()).digest()
    return blake2b(key=key, digest_size=HASH, person=b"lembro snapshot")


def check(file: BinaryIO, size: int, secrets: Sequence[str]) -> float:
    """Check a whole file, and return when it was written. The next read returns the first entry.

    Args:
        file: The file, at its beginning.
        size: Its size in bytes.
        secrets: Secrets that it may be keyed with. Without any, it must have no key.

    Raises:
        Invalid: The file is too short, has another format, or its hash is wrong.
    """
    left = size - HASH
    if left < _START.size:
        raise Invalid("it is incomplete")
    hashes = [hasher(secret) for secret in secrets] or [hasher(None)]
    while left:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            raise Invalid("it is incomplete")
        left -= len(chunk)
        for each in hashes:
            each.update(chunk)
    found = file.read(HASH)
    if not any(hmac.compare_digest(found, each.digest()) for each in hashes):
        raise Invalid("its hash is wrong: it is incomplete, was changed, or has another secret")
    file.seek(0)
    magic, written = _START.unpack(file.read(_START.size))
    if magic != MAGIC:
        raise Invalid("another version of lembro has written it")
    return float(written)


def entries(file: BinaryIO, size: int) -> Iterator[Entry]:
    """Yield the entries of a file that was checked.

    Raises:
        Invalid: An entry is longer than the file. Without a secret, anyone can make a valid hash.
    """
    left = size - HASH - _START.size
    while left:
        left -= _FIXED.size
        if left < 0:
            raise Invalid("an entry is incomplete")
        fixed = file.read(_FIXED.size)
        key, flags, age, idle_left, life_left, unused, user, payload = _FIXED.unpack(fixed)
        sizes = (
            REPUTATION if flags & HAS_REPUTATION else 0,
            KEY if flags & ROTATED else 0,
            user,
            payload,
        )
        left -= sum(sizes)
        if left < 0:
            raise Invalid("an entry is incomplete")
        body = file.read(sum(sizes))
        parts, at = [], 0
        for length in sizes:
            parts.append(body[at : at + length])
            at += length
        reputation, successor, its_user, its_payload = parts
        yield Entry(
            key,
            flags,
            age,
            idle_left,
            life_left,
            unused,
            its_user,
            its_payload,
            reputation,
            successor,
        )
