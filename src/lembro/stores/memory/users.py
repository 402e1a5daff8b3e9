"""The sessions of one user: all of them, in order, and how many there may be."""

from __future__ import annotations

from typing import Final

from ..base import Found, PerUser
from .layout import REPLACED, UTF8, fields
from .linked_lists import NONE
from .reclaim import LOOKED_THROUGH, MANY, Room
from .records import user_tag

MOST_REPLACED: Final = 64
"""Replaced keys of one user. They count against no cap, so a user who logged in over and over would
fill the level of the logged-in with them; more than a few nobody follows."""


class Users(Room):
    evicted: int

    def of_user(self, user: str, now: float) -> list[tuple[bytes, Found]]:
        """The live sessions of a user, the oldest first."""
        slots = self._sessions_of(user.encode(*UTF8), now)
        return [(self.key(slot), self.found(slot, now)) for slot in slots]

    def destroy_user(self, user: str, keep: bytes | None, now: float) -> list[bytes]:
        """Remove a user's sessions and replaced keys but for ``keep`` and what leads to it;
        the keys of the sessions."""
        records = [(slot, self.key(slot)) for slot in self._records_of(user.encode(*UTF8))]
        leads = {
            key: self.successor(self.place[slot] << 3, self.flags(slot)) for slot, key in records
        }
        gone = []
        for slot, key in records:
            if keep is not None and _leads_to(keep, key, leads):
                continue
            if self.deadline(slot) <= now:
                self._expire(slot)
                continue
            if leads[key] is None:
                gone.append(key)
            self._drop(slot)
        return gone

    # --- within

    def _admit(
        self, user: bytes | None, per_user: PerUser | None, now: float, but: int = NONE
    ) -> bool:
        """Whether a user may have one session more (``but`` does not count); for "oldest" the
        oldest end until it is so."""
        if user is None or per_user is None:
            return True
        limit, gives_way = per_user
        sessions = [slot for slot in self._sessions_of(user, now) if slot != but]
        if len(sessions) >= MANY:
            self._note(user, 0)
        if len(sessions) < limit:
            return True
        if gives_way == "refuse":
            return False
        for slot in sessions[: len(sessions) - limit + 1]:
            self.evicted += 1
            self._tell("evicted", slot, "max_sessions_per_user")
            self._drop(slot)
        return True

    def _limit_replaced(self, user: bytes) -> None:
        """Make way for one more replaced key of a user: those go whose grace ends first."""
        slots = self.tags.slots_of(user_tag(user), LOOKED_THROUGH)
        replaced = [slot for slot in slots if self.flags(slot) & REPLACED]
        if len(replaced) < MOST_REPLACED:
            return
        replaced.sort(key=self.deadline)
        for slot in replaced[: len(replaced) - MOST_REPLACED + 1]:
            self._drop(slot)

    def _records_of(self, user: bytes) -> list[int]:
        """The slots of a user's sessions and replaced keys, in the order added."""
        return [
            slot
            for slot in reversed(self.tags.slots_of(user_tag(user)))
            if self.user(self.place[slot] << 3, self.flags(slot)) == user
        ]

    def _sessions_of(self, user: bytes, now: float) -> list[int]:
        """The live ones of a user, the oldest first."""
        sessions = []
        for slot in self._records_of(user):
            _, born, _, deadline, _, _, flags = fields(self.memory, self.place[slot] << 3)
            if deadline > now and not flags & REPLACED:
                sessions.append((born, slot))
        sessions.sort(key=lambda pair: pair[0])
        return [slot for _, slot in sessions]


def _leads_to(goal: bytes, key: bytes | None, leads: dict[bytes, bytes | None]) -> bool:
    """Whether ``key`` is ``goal`` or was replaced, at however many removes, by it."""
    for _ in range(len(leads) + 1):  # no chain is longer, and a circle ends
        if key is None or key == goal:
            break
        key = leads.get(key)
    return key == goal
