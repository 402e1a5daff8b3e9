"""How one record lies in memory.

    key 32 | born, death, deadline, used, length, flags | slot, extent, user length | body

The body: links 16 (of who is in the table of tags) | standing 16 | successor 32 | user | payload.
``born`` is when the record was added, ``death`` its absolute deadline, ``deadline`` the one it
has now, all by the store's clock; ``used`` is the last use in whole seconds since the store was
made; ``length`` is that of the payload; ``extent`` is how much the record takes, in GRAINs.
"""

from __future__ import annotations

from collections.abc import Callable
from mmap import mmap
from struct import Struct
from typing import Any, Final

KEY: Final = 32
REPUTATION: Final = 16
GRAIN: Final = 8  # bytes; every record begins at a multiple

_HEADER = Struct("<32sdddIIBIHH")
HEADER: Final = _HEADER.size
DEADLINE: Final = 48  # where in the header: deadline, used, length, flags, slot, extent, user
USED: Final = 56
FLAGS: Final = 64
SLOT: Final = 65
EXTENT: Final = 69

HAS_USER: Final = 1
HAS_REPUTATION: Final = 2
REPLACED: Final = 4
TAGGED: Final = 8  # has links: may be in the table of tags
LARGE: Final = 16  # the payload lies elsewhere

LINKS: Final = 16
TOKEN: Final = HEADER + LINKS  # where a standing is; a record that has one always has links
BODY: Final[tuple[int, ...]] = tuple(
    HEADER
    + (LINKS if flags & TAGGED else 0)
    + (REPUTATION if flags & HAS_REPUTATION else 0)
    + (KEY if flags & REPLACED else 0)
    for flags in range(32)
)
"""By the flags, where the user begins; the payload comes after it."""
LONGEST_USER: Final = 0xFFFF

UTF8: Final = ("utf-8", "surrogatepass")  # any str is a user's name as far as a store cares

pack: Callable[..., bytes] = _HEADER.pack
# Of the record at: key ... user length.
header: Callable[[mmap, int], tuple[Any, ...]] = _HEADER.unpack_from
# Of the record at: key ... flags.
fields: Callable[[mmap, int], tuple[Any, ...]] = Struct("<32sdddIIB").unpack_from
# At + SLOT: slot, extent, user length.
tail: Callable[[mmap, int], tuple[Any, ...]] = Struct("<IHH").unpack_from
# At + DEADLINE: deadline ... user length.
walked: Callable[[mmap, int], tuple[Any, ...]] = Struct("<dIIBIHH").unpack_from
# At + DEADLINE: deadline, used.
write_times: Callable[..., None] = Struct("<dI").pack_into
# At + DEADLINE: deadline, used, length.
write_state: Callable[..., None] = Struct("<dII").pack_into
write_used: Callable[..., None] = Struct("<I").pack_into
write_slot: Callable[..., None] = Struct("<I").pack_into
write_extent: Callable[..., None] = Struct("<H").pack_into


def encode_user(user: str | None) -> bytes | None:
    return None if user is None else user.encode(*UTF8)
