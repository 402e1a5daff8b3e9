"""The byte layout of one record, and the functions that read and write its fields.

    key 32 | born, death, deadline, used, length, flags | slot, extent, user length | body

The body: links 16 (of the user index) | reputation 16 | successor 32 | user | payload. Each part of
the body is optional; the flags say which parts a record has.

``born`` is when the record was added, ``death`` its absolute deadline, and ``deadline`` the earlier
of that and its idle deadline: three times by the store's clock. ``used`` is when the record was
last used, in whole seconds since the store was made. ``length`` is the length of the payload.
``extent`` is the size of the whole record in its segment, in units of ``GRAIN`` bytes.

In this package, ``at`` is the offset of a record in the arena's memory. It is valid until the next
record is written, because a write may move records.
"""

from __future__ import annotations

from collections.abc import Callable
from mmap import mmap
from struct import Struct
from typing import Any, Final

KEY: Final = 32  # bytes
REPUTATION: Final = 16  # bytes
GRAIN: Final = 8  # bytes; every record begins at a multiple of it

_HEADER = Struct("<32sdddIIBIHH")
HEADER: Final = _HEADER.size
# Offsets in the header.
DEADLINE: Final = 48  # deadline, used, length, flags, slot, extent and user length follow
USED: Final = 56
FLAGS: Final = 64
SLOT: Final = 65
EXTENT: Final = 69

HAS_USER: Final = 1
HAS_REPUTATION: Final = 2
ROTATED: Final = 4  # the key was rotated: the record only names its successor
TAGGED: Final = 8  # the record has links: it may be in the user index
LARGE: Final = 16  # the payload is in the overflow, not in the record

LINKS: Final = 16  # bytes
TOKEN: Final = HEADER + LINKS  # the offset of a reputation; a record with one always has links
BODY: Final[tuple[int, ...]] = tuple(
    HEADER
    + (LINKS if flags & TAGGED else 0)
    + (REPUTATION if flags & HAS_REPUTATION else 0)
    + (KEY if flags & ROTATED else 0)
    for flags in range(32)
)
"""The offset of the user, by the record's flags. The payload follows the user."""
LONGEST_USER: Final = 0xFFFF  # bytes

UTF8: Final = ("utf-8", "surrogatepass")  # a store accepts every str as a user

pack: Callable[..., bytes] = _HEADER.pack
# At the record: key to user length, the whole header.
read_header: Callable[[mmap, int], tuple[Any, ...]] = _HEADER.unpack_from
# At the record: key to flags.
read_fields: Callable[[mmap, int], tuple[Any, ...]] = Struct("<32sdddIIB").unpack_from
# At + SLOT: slot, extent, user length.
read_tail: Callable[[mmap, int], tuple[Any, ...]] = Struct("<IHH").unpack_from
# At + DEADLINE: deadline to user length.
read_state: Callable[[mmap, int], tuple[Any, ...]] = Struct("<dIIBIHH").unpack_from
# At + DEADLINE: deadline, used.
write_times: Callable[..., None] = Struct("<dI").pack_into
# At + DEADLINE: deadline, used, length.
write_state: Callable[..., None] = Struct("<dII").pack_into
write_used: Callable[..., None] = Struct("<I").pack_into
write_slot: Callable[..., None] = Struct("<I").pack_into
write_extent: Callable[..., None] = Struct("<H").pack_into


def encode_user(user: str | None) -> bytes | None:
    """Encode a user as it is stored. None stays None."""
    return None if user is None else user.encode(*UTF8)
