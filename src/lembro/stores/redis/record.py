"""How a session is stored in Redis: one string, readable except for the payload.

    expires 13 | death 13 | born 13 | length of the user 8 | rotated 1 | reputation 1
    user | successor 32, if rotated | reputation 16, if there is one | payload

Times are milliseconds of the server's clock since 1970. ``expires`` is the idle deadline. It is
never later than ``death``, the absolute deadline. The length of the user is hexadecimal, or eight
dashes without a user.
"""

from __future__ import annotations

import math
from typing import Final

from ..base import Found, Record

NEVER: Final = 9_999_999_999_999
"""The value of ``death`` if there is no absolute deadline: a date in 2286."""
TIMES: Final = 39
"""The bytes of the three times."""
HEAD: Final = 49
"""The bytes before the user."""
NOBODY: Final = b"-" * 8


def millis(seconds: float) -> int:
    """Return a duration in milliseconds, at most ``NEVER``."""
    return NEVER if seconds > NEVER / 1000 else int(seconds * 1000)


def encode(record: Record) -> bytes:
    """Return a record that is not rotated, without its times."""
    user, reputation = record.user, record.reputation
    encoded = None if user is None else user.encode()
    return b"%b0%b%b%b%b" % (
        NOBODY if encoded is None else b"%08x" % len(encoded),
        b"0" if reputation is None else b"1",
        encoded or b"",
        reputation or b"",
        record.payload,
    )


def decode(data: bytes, now: int, payload: bytes | None = None) -> Found | None:
    """Return the record, or None if it has expired or its format is not lembro's.

    Args:
        data: The stored bytes.
        now: Milliseconds by the server's clock.
        payload: The payload, if ``data`` does not include it.
    """
    try:
        expires, death, born = int(data[:13]), int(data[13:26]), int(data[26:39])
        length, rotated, known = data[39:47], data[47], data[48]
        at, user = HEAD, None
        if length != NOBODY:
            at += int(length, 16)
            user = data[HEAD:at].decode()
    except (ValueError, IndexError):
        return None
    if expires <= now:
        return None
    successor = reputation = None
    if rotated == 49:  # "1"
        successor, at = data[at : at + 32], at + 32
    if known == 49:
        reputation, at = data[at : at + 16], at + 16
    return Found(
        data[at:] if payload is None else payload,
        user,
        successor,
        reputation,
        (now - born) / 1000,
        (expires - now) / 1000,
        math.inf if death == NEVER else (death - now) / 1000,
    )
