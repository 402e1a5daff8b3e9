"""The sessions of one user: list them, end them, and limit their number."""

from __future__ import annotations

from typing import Final

from .._rotation import is_rotated_to
from ..base import Found, PerUser
from .layout import ROTATED, UTF8, read_fields
from .linked_lists import NONE
from .reader import RecordReader
from .records import Records
from .user_index import UserIndex, user_tag
from .user_share import MANY, MOST_SUMMED, UserShare

MOST_ROTATED: Final = 64
"""Rotated keys of one user. The limit of sessions does not count them, so a user who logs in again
and again could fill the tier of logged-in users with them. Few requests use such an old key."""


class UserSessions:
    """Finds the records of a user through the user index."""

    __slots__ = ("_reader", "_records", "_share", "_user_index")

    def __init__(
        self, user_index: UserIndex, reader: RecordReader, records: Records, share: UserShare
    ) -> None:
        self._user_index = user_index
        self._reader = reader
        self._records = records
        self._share = share

    def of_user(self, user: str, now: float) -> list[tuple[bytes, Found]]:
        """Return the live sessions of a user, the oldest first."""
        reader = self._reader
        slots = self._sessions_of(user.encode(*UTF8), now)
        return [(reader.key(slot), reader.found(slot, now)) for slot in slots]

    def destroy_user(self, user: str, keep: bytes | None, now: float) -> list[bytes]:
        """Remove the sessions and rotated keys of a user.

        Args:
            user: The user.
            keep: The key of a session that stays, together with the keys rotated to it.
            now: The current time.

        Returns:
            The keys of the sessions that were removed.
        """
        reader = self._reader
        records = [(slot, reader.key(slot)) for slot in self._records_of(user.encode(*UTF8))]
        successors = {
            key: reader.successor(reader.place[slot] << 3, reader.flags(slot))
            for slot, key in records
        }
        removed = []
        for slot, key in records:
            if keep is not None and is_rotated_to(keep, key, successors):
                continue
            if reader.deadline(slot) <= now:
                self._records.expire(slot)
                continue
            if successors[key] is None:
                removed.append(key)
            self._records.remove(slot)
        return removed

    def admit(
        self, user: bytes | None, per_user: PerUser | None, now: float, but: int = NONE
    ) -> bool:
        """Return whether a user may have one more session.

        If the limit says "oldest", the user's oldest sessions are evicted to make room for it.

        Args:
            user: The user, encoded.
            per_user: The limit.
            now: The current time.
            but: A slot that does not count.
        """
        if user is None or per_user is None:
            return True
        limit, at_limit = per_user
        sessions = [slot for slot in self._sessions_of(user, now) if slot != but]
        if len(sessions) >= MANY:
            self._share.note(user, 0)
        if len(sessions) < limit:
            return True
        if at_limit == "refuse":
            return False
        for slot in sessions[: len(sessions) - limit + 1]:
            self._records.evict(slot, now, "max_sessions_per_user")
        return True

    def limit_rotated(self, user: bytes) -> None:
        """Make room for one more rotated key of a user: remove the keys that expire first."""
        reader = self._reader
        slots = self._user_index.slots_of(user_tag(user), MOST_SUMMED)
        rotated = [slot for slot in slots if reader.flags(slot) & ROTATED]
        if len(rotated) < MOST_ROTATED:
            return
        rotated.sort(key=reader.deadline)
        for slot in rotated[: len(rotated) - MOST_ROTATED + 1]:
            self._records.remove(slot)

    def _records_of(self, user: bytes) -> list[int]:
        """Return the slots of a user's sessions and rotated keys, in the order they were added."""
        reader = self._reader
        return [
            slot
            for slot in reversed(self._user_index.slots_of(user_tag(user)))
            if reader.user(reader.place[slot] << 3, reader.flags(slot)) == user
        ]

    def _sessions_of(self, user: bytes, now: float) -> list[int]:
        """Return the slots of a user's live sessions, the oldest first."""
        memory, place = self._reader.memory, self._reader.place
        sessions = []
        for slot in self._records_of(user):
            _, born, _, deadline, _, _, flags = read_fields(memory, place[slot] << 3)
            if deadline > now and not flags & ROTATED:
                sessions.append((born, slot))
        sessions.sort(key=lambda pair: pair[0])
        return [slot for _, slot in sessions]
