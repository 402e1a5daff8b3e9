"""The share of one user: a sixteenth of max_size.

When logged-in sessions must be evicted, users who hold more than their share lose sessions first.
So one user with many large sessions cannot evict the sessions of other users.

Summing up a user's sessions takes time. The store therefore remembers only who may hold too much,
and counts again before it evicts.
"""

from __future__ import annotations

from typing import Final

from .layout import DEADLINE, HAS_USER, LARGE, ROTATED, read_state
from .linked_lists import NONE
from .overflow import allocated
from .reader import RecordReader
from .user_index import UserIndex, user_tag

SHARES: Final = 16  # shares in max_size
MOST_SUMMED: Final = 512  # sessions of a user, the newest ones, so that a sum does not take long
MANY: Final = 128
"""Sessions. A user with this number of sessions is checked at every login. For other users, only a
session that is larger than a share divided by this number causes a check."""


class UserShare:
    """The users who may hold more than their share.

    Attributes:
        share: The share in bytes.
        heavy: The tags of those users: at most ``SHARES``.
    """

    __slots__ = ("_reader", "_user_index", "heavy", "share")

    def __init__(self, max_size: int, user_index: UserIndex, reader: RecordReader) -> None:
        self._user_index = user_index
        self._reader = reader
        self.share: int = max_size // SHARES
        self.heavy: set[int] = set()

    def note(self, user: bytes, more: int) -> None:
        """Remember a user who will exceed the share with ``more`` bytes more."""
        tag = user_tag(user)
        if tag in self.heavy or more + self.held(tag) <= self.share:
            return
        if len(self.heavy) >= SHARES:  # they cannot all hold more than their share
            self.heavy -= {other for other in self.heavy if self.held(other) <= self.share}
        self.heavy.add(tag)

    def held(self, tag: int) -> int:
        """Return the bytes of a user's sessions."""
        return sum(size for _, size, _ in self._sessions(tag))

    def victim(self, spare: int) -> int:
        """Return the least recently used session of a user above the share, or NONE.

        Args:
            spare: A slot that must not be evicted.
        """
        for tag in list(self.heavy):
            sessions = self._sessions(tag)
            if sum(size for _, size, _ in sessions) <= self.share:
                self.heavy.discard(tag)
                continue
            others = [(used, slot) for used, _, slot in reversed(sessions) if slot != spare]
            if others and len(sessions) > 1:
                return min(others, key=lambda pair: pair[0])[1]
        return NONE

    def reset(self) -> None:
        """Remove all users."""
        self.heavy.clear()

    def _sessions(self, tag: int) -> list[tuple[int, int, int]]:
        """Return last use, bytes and slot of a user's sessions, the newest first."""
        memory, place = self._reader.memory, self._reader.place
        found = []
        for slot in self._user_index.slots_of(tag, MOST_SUMMED):
            _, used, length, flags, _, extent, _ = read_state(memory, (place[slot] << 3) + DEADLINE)
            if flags & HAS_USER and not flags & ROTATED:
                size = (extent << 3) + (allocated(length) if flags & LARGE else 0)
                found.append((used, size, slot))
        return found
