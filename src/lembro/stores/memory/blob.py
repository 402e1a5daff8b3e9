"""How one record lies in memory: a single bytes object of exact size.

    key 32 | slot, born, life, birth, user length, flags | user | standing | successor | payload

One object a session, and nothing the garbage collector walks. The bytes that an encoder returns
may occupy half as much again as their length, unseen by ``sys.getsizeof``; joining copies them
into exactly what they need.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Final

from ..base import Found

KEY: Final = 32
STANDING: Final = 16
_FIELDS = Struct("<IdddIB")
HEADER: Final = KEY + _FIELDS.size

HAS_USER: Final = 1
HAS_STANDING: Final = 2
REPLACED: Final = 4

UTF8: Final = ("utf-8", "surrogatepass")  # any str is a user's name as far as a store cares

_OBJECT: Final = 33 + 8  # what bytes put before and after their content; the allocator's own word
_GRAIN: Final = 16

pack_fields = _FIELDS.pack
fields = _FIELDS.unpack_from  # fields(blob, KEY) -> slot, born, life, birth, user length, flags


def allocated(length: int) -> int:
    """What bytes of this length occupy, never less than they do (pymalloc and glibc)."""
    return (length + _OBJECT + _GRAIN - 1) & -_GRAIN


def length(user: bytes | None, standing: bytes | None, payload: bytes) -> int:
    """How long the blob of such a session is."""
    return HEADER + len(user or b"") + len(standing or b"") + len(payload)


def encode_user(user: str | None) -> bytes | None:
    return None if user is None else user.encode(*UTF8)


def pack(  # noqa: PLR0917 - the hot path
    key: bytes,
    slot: int,
    born: float,
    life: float,
    birth: float,
    user: bytes | None,
    standing: bytes | None,
    successor: bytes | None,
    payload: bytes,
) -> bytes:
    """A blob. ``born`` is when the record was added, ``life`` its absolute deadline, ``birth``
    that of its standing; all by the store's clock."""
    flags = 0
    if user is not None:
        flags |= HAS_USER
    if standing is not None:
        flags |= HAS_STANDING
    if successor is not None:
        flags |= REPLACED
    head = pack_fields(slot, born, life, birth, len(user or b""), flags)
    return b"".join((key, head, user or b"", standing or b"", successor or b"", payload))


def repack(blob: bytes, slot: int, born: float, life: float, birth: float) -> bytes:
    """The same blob with other numbers in its head."""
    *_, user_length, flags = fields(blob, KEY)
    head = pack_fields(slot, born, life, birth, user_length, flags)
    return b"".join((blob[:KEY], head, blob[HEADER:]))


def start(user_length: int, flags: int) -> int:
    """Where the payload begins."""
    at = HEADER + user_length
    if flags & HAS_STANDING:
        at += STANDING
    if flags & REPLACED:
        at += KEY
    return at


def user_of(blob: bytes) -> bytes | None:
    """The user in a blob, encoded."""
    *_, user_length, flags = fields(blob, KEY)
    return blob[HEADER : HEADER + user_length] if flags & HAS_USER else None


def standing_of(blob: bytes) -> bytes | None:
    *_, user_length, flags = fields(blob, KEY)
    at = HEADER + user_length
    return blob[at : at + STANDING] if flags & HAS_STANDING else None


def successor_of(blob: bytes) -> bytes | None:
    *_, user_length, flags = fields(blob, KEY)
    at = start(user_length, flags)
    return blob[at - KEY : at] if flags & REPLACED else None


def found(blob: bytes, deadline: float, now: float) -> Found:
    """The record in a blob, as the contract returns it."""
    return found_as(blob, fields(blob, KEY), deadline, now)


def found_as(blob: bytes, numbers: tuple[Any, ...], deadline: float, now: float) -> Found:
    """As ``found``, for a blob whose fields have been read already."""
    _, born, life, _, user_length, flags = numbers
    if not flags:
        return Found(blob[HEADER:], None, None, None, now - born, deadline - now, life - now)
    user = standing = successor = None
    at = HEADER
    if flags & HAS_USER:
        user = str(blob[at : at + user_length], "utf-8", "surrogatepass")  # as UTF8; faster
        at += user_length
    if flags & HAS_STANDING:
        standing = blob[at : at + STANDING]
        at += STANDING
    if flags & REPLACED:
        successor = blob[at : at + KEY]
        at += KEY
    return Found(blob[at:], user, successor, standing, now - born, deadline - now, life - now)
