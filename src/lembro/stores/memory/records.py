"""Every record is entered, moved and let go here, so that every byte is counted at every step.

``Room``, ``Users`` and ``Core`` build on it, in this order.
"""

from __future__ import annotations

from typing import Final, NoReturn

from ...errors import SessionTooLarge
from ...events import Event
from ...ids import handle_for
from ..base import Record
from . import layout
from .eviction import FREE_LIST, LOGGED_IN
from .layout import (
    BODY,
    DEADLINE,
    FLAGS,
    HAS_REPUTATION,
    HAS_USER,
    HEADER,
    KEY,
    LARGE,
    LINKS,
    REPLACED,
    SLOT,
    TAGGED,
    USED,
    fields,
    tail,
    walked,
)
from .ledger import Parts
from .linked_lists import NONE
from .overflow import allocated
from .user_index import LOOSE

GRAIN: Final = 1.0  # seconds; within them a second use of a session does not move it


def user_tag(user: bytes) -> int:
    """The tag that the sessions of a user are found by."""
    return hash(user) & (2**64 - 1)


class Records(Parts):
    expired: int
    records: int
    too_large: int

    def live(self, key: bytes, now: float) -> int:
        """The slot of a key, or NONE; if it is expired, it goes."""
        slot = self.index.find(key)
        if slot >= 0 and fields(self.memory, self.place[slot] << 3)[3] <= now:
            self._expire(slot)
            return NONE
        return slot

    def _insert(  # noqa: PLR0917 - the hot path
        self,
        key: bytes,
        user: bytes | None,
        record: Record,
        born: float,
        death: float,
        deadline: float,
        now: float,
    ) -> int:
        """Enter a new record, for which there is room; its slot."""
        payload, reputation = record.payload, record.reputation
        slots = self.slots
        if not slots.spare and slots.fresh == slots.edge:
            slots.grow()
            self.account()
        slot = slots.next()
        flags = length = tag = 0
        if user is not None:
            flags, length, tag = HAS_USER | TAGGED, len(user), user_tag(user)
        if reputation is not None:
            flags |= HAS_REPUTATION | TAGGED
            if user is None:
                tag = self.reputations.tag(reputation)
        total = BODY[flags] + length + len(payload)
        outside = 0
        if total > self._small:
            flags |= LARGE
            outside = allocated(len(payload))
        used = int(now - self.start)
        extent = ((total - len(payload) if outside else total) + 7) >> 3
        head = layout.pack(
            key, born, death, deadline, used, len(payload), flags, slot, extent, length
        )
        data = head + payload
        if flags:
            parts = (head, LOOSE if flags & TAGGED else b"", reputation or b"", user or b"")
            data = b"".join(parts if outside else (*parts, payload))
        # What may raise, for a wrong type or want of memory, is done.
        if outside:
            self.larges.put(slot, payload)
            self.account()
        slots.take()
        at = self._take(extent << 3, deadline)
        self.memory[at : at + len(data)] = data
        self.place[slot] = at >> 3
        if self.index.add(key, slot):
            self.account()
        tier = LOGGED_IN
        if flags & TAGGED:
            if user is None:
                self._take_over(tag)
            if self.tags.add(slot, tag):
                self.account()
        if user is None:
            tier = self.tier_of(at, flags, born, now) if flags & TAGGED or born < now else 0
        self.queues.enter(slot, tier, (extent << 3) + outside)
        self.records += 1
        return slot

    def _take(self, size: int, deadline: float) -> int:
        """Room for a record in the open segment, or in a new one."""
        arena = self.arena
        if arena.at + size > arena.end:
            self.wheel.place(arena.open_next(), deadline)
            self.account()
        elif deadline < self.wheel.bound[arena.open]:
            self.wheel.earlier(arena.open, deadline)
        at = arena.at  # as arena.take, written out
        arena.at = at + size
        arena.live[arena.open] += size
        arena.live_total += size
        return at

    def _rewrite(self, slot: int, data: bytes, deadline: float) -> None:
        """Another record for a slot, ``data`` with all but the extent set, in a new place."""
        old = self.place[slot] << 3
        extent: int = tail(self.memory, old + SLOT)[1]
        size = (len(data) + 7) & -8
        at = self._take(size, deadline)
        self.memory[at : at + len(data)] = data
        layout.write_extent(self.memory, at + layout.EXTENT, size >> 3)
        self.place[slot] = at >> 3
        self._vacated(old, extent << 3)

    def _vacated(self, at: int, size: int) -> None:
        """A record no longer lies at this place."""
        segment = self.arena.drop(at, size)
        if segment != NONE:
            if segment == self._sweeping:
                self._sweeping = NONE
            self.wheel.remove(segment)
            self.account()

    def _point(self, slot: int, successor: bytes, deadline: float) -> None:
        """Make a session a pointer to its successor. A user stays in the table of users; a
        token is given up."""
        size = self.size(slot)
        self.queues.leave(slot, size)
        at = self.place[slot] << 3
        key, born, _, _, used, _, flags = fields(self.memory, at)
        user = self.user(at, flags)
        links = b""
        if flags & LARGE:
            self.larges.pop(slot)
            self.account()
        if user is not None:
            links = self.memory[at + HEADER : at + HEADER + LINKS]
            now = HAS_USER | TAGGED | REPLACED
        else:
            now = REPLACED
            if flags & TAGGED and self.tags.remove(slot):
                self.account()
        length = len(user or b"")
        head = layout.pack(key, born, deadline, deadline, used, 0, now, slot, 0, length)
        self._rewrite(slot, b"".join((head, links, successor, user or b"")), deadline)
        tier = 0 if user is None else LOGGED_IN
        self.queues.enter(slot, tier, self.size(slot), replaced=True)

    def _write(self, slot: int, payload: bytes, deadline: float) -> None:
        """Another payload for a session, for which there is room, in another place."""
        at = self.place[slot] << 3
        _, used, _, flags, _, _, user = walked(self.memory, at + DEADLINE)
        before = self.size(slot)
        start = BODY[flags] + user
        outside = flags & LARGE
        data = self.memory[at : at + start]
        whole = data + payload
        if outside:
            self.larges.pop(slot)
        flags &= ~LARGE
        if start + len(payload) > self._small:
            flags |= LARGE
            self.larges.put(slot, payload)
        else:
            data = whole
        self._rewrite(slot, data, deadline)
        at = self.place[slot] << 3
        layout.write_state(self.memory, at + DEADLINE, deadline, used, len(payload))
        self.memory[at + FLAGS] = flags
        if (outside | flags) & LARGE:
            self.account()
        self.queues.resize(slot, self.size(slot) - before)

    def _take_over(self, tag: int) -> None:
        """Whoever bears this token already loses its standing for good."""
        for slot in self.tags.slots_of(tag):
            if not self.flags(slot) & HAS_USER:
                if self.tags.remove(slot):
                    self.account()
                self.queues.use(slot, 0, self.size(slot))

    def _use(self, slot: int, at: int, flags: int, born: float, now: float) -> None:
        """A session is used, for the first time in a while."""
        self.queues.use(slot, self.tier_of(at, flags, born, now), self.size(slot))
        layout.write_used(self.memory, at + USED, int(now - self.start))

    def _expire(self, slot: int) -> None:
        if not self.flags(slot) & REPLACED:
            self.expired += 1
            self._tell("expired", slot)
        self._drop(slot)

    def _drop(self, slot: int) -> None:
        """Take a record out of everything."""
        at = self.place[slot] << 3
        _, _, length, flags, _, extent, _ = walked(self.memory, at + DEADLINE)
        size = extent << 3
        changed = self.index.remove(self.memory[at : at + KEY], slot)
        if flags & TAGGED:
            changed = self.tags.remove(slot) or changed
        if flags & LARGE:
            self.larges.pop(slot)
            changed = True
        if changed:
            self.account()
        self.queues.leave(slot, size + allocated(length) if flags & LARGE else size)
        self._vacated(at, size)
        self.place[slot] = 0
        self.slots.give(slot)
        self.queues.tier[slot] = FREE_LIST
        self.records -= 1

    def _relocate(self, old: int) -> None:
        """Give a record a lower slot, leaving its own free."""
        new = self.slots.take()
        at = self.place[old] << 3
        flags = self.memory[at + FLAGS]
        layout.write_slot(self.memory, at + SLOT, new)
        self.index.rename(self.memory[at : at + KEY], old, new)
        if flags & TAGGED:
            self.tags.rename(old, new)
        if flags & LARGE:
            self.larges.rename(old, new)
        self.queues.rename(old, new)
        self.place[new], self.place[old] = self.place[old], 0
        self.slots.give(old)
        self.queues.tier[old] = FREE_LIST

    def _refuse(self, size: int) -> NoReturn:
        self.too_large += 1
        raise SessionTooLarge(size, self.max_session_size)

    def _tell(self, name: str, slot: int, reason: str = "") -> None:
        if self._heard(name):
            at = self.place[slot] << 3
            user = self.user_name(at, self.memory[at + FLAGS])
            self.news.append(Event(name, handle_for(self.key(slot)), user, reason))
