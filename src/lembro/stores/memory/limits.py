"""The sizes that a record may have, and the place of its payload."""

from __future__ import annotations

from typing import Final, NoReturn

from ...errors import ConfigError, SessionTooLarge
from ..base import Record
from .counters import Counters
from .layout import HEADER, LINKS, LONGEST_USER, REPUTATION
from .overflow import allocated

MOST_INSIDE: Final = 2**18  # bytes; an extent has 16 bits, in units of 8 bytes


class SizeLimits:
    """The limits of one store.

    Attributes:
        max_session_size: The maximum size of a session in bytes.
        small: A record of more bytes has its payload in the overflow.
        longest_user: The maximum length of an encoded user in bytes.
    """

    __slots__ = ("_counters", "longest_user", "max_session_size", "small")

    def __init__(self, max_session_size: int, segment: int, counters: Counters) -> None:
        """Derive the limits from max_session_size and the size of a segment, in bytes."""
        self._counters = counters
        self.max_session_size: int = max_session_size
        quarter = segment >> 2
        self.small: int = min(MOST_INSIDE, quarter)
        self.longest_user: int = min(LONGEST_USER, quarter - 128)

    def measure(self, user: bytes | None, record: Record) -> tuple[int, int]:
        """Return how many bytes a new record will take in a segment, and in the overflow.

        Raises:
            SessionTooLarge: It would be larger than ``max_session_size``.
            ConfigError: The reputation has the wrong length.
        """
        reputation, head = record.reputation, HEADER
        if reputation is not None:
            if len(reputation) != REPUTATION:
                raise ConfigError(
                    f"reputation must be {REPUTATION} bytes, got {len(reputation)}. "
                    "Use one that new_reputation() returned."
                )
            head += LINKS + REPUTATION
        if user is not None:
            head += len(user) if reputation is not None else LINKS + len(user)
            if len(user) > self.longest_user:
                self.reject(max(head, self.max_session_size + 1))
        length = len(record.payload)
        total = head + length
        if total > self.max_session_size:
            self.reject(total)
        if total > self.small:
            return (head + 7) & -8, allocated(length)
        return (total + 7) & -8, 0

    def reject(self, size: int) -> NoReturn:
        """Raise SessionTooLarge for a session of this size, and count it."""
        self._counters.too_large += 1
        raise SessionTooLarge(size, self.max_session_size)
