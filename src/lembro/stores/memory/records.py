"""Adding, changing and removing records.

Only this module and ``compaction.py`` write records. Each method keeps the arena, the slot table,
the index, the user index, the overflow, the eviction order, the expiry wheel and the ledger in
agreement. Making room for a record is not its task: ``reclaim.py`` does that before.
"""

from __future__ import annotations

from typing import Final

from ...events import Event
from ...ids import handle_for
from ..base import Record
from . import layout
from .arena import Arena
from .counters import Counters
from .eviction import FREE_LIST, LOGGED_IN, Queues, tier_for
from .expiry_wheel import ExpiryWheel
from .index import Index
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
    REPUTATION,
    ROTATED,
    SLOT,
    TAGGED,
    TOKEN,
    USED,
    read_fields,
    read_state,
    read_tail,
)
from .ledger import Ledger
from .limits import SizeLimits
from .linked_lists import NONE
from .overflow import Overflow, allocated
from .reader import RecordReader
from .reputation import Reputations
from .slots import Slots
from .user_index import UNLINKED, UserIndex, user_tag

GRAIN: Final = 1.0  # seconds; a session that is used again within them keeps its position


class Records:
    """The records of a store.

    Attributes:
        count: How many records there are: sessions and rotated keys.
    """

    __slots__ = (
        "_arena",
        "_counters",
        "_index",
        "_ledger",
        "_limits",
        "_memory",
        "_overflow",
        "_place",
        "_queues",
        "_reader",
        "_reputations",
        "_slots",
        "_start",
        "_user_index",
        "_wheel",
        "count",
    )

    def __init__(
        self,
        *,
        arena: Arena,
        counters: Counters,
        index: Index,
        ledger: Ledger,
        limits: SizeLimits,
        overflow: Overflow,
        queues: Queues,
        reader: RecordReader,
        reputations: Reputations,
        slots: Slots,
        user_index: UserIndex,
        wheel: ExpiryWheel,
    ) -> None:
        self._arena = arena
        self._counters = counters
        self._index = index
        self._ledger = ledger
        self._limits = limits
        self._memory = reader.memory
        self._overflow = overflow
        self._place = reader.place
        self._queues = queues
        self._reader = reader
        self._reputations = reputations
        self._slots = slots
        self._start = reader.start
        self._user_index = user_index
        self._wheel = wheel
        self.count: int = 0

    def live(self, key: bytes, now: float) -> int:
        """Return the slot of a key, or NONE. An expired record is removed."""
        slot = self._index.find(key)
        if slot >= 0 and read_fields(self._memory, self._place[slot] << 3)[3] <= now:
            self.expire(slot)
            return NONE
        return slot

    # --- writing

    def insert(  # noqa: PLR0917 - the hot path
        self,
        key: bytes,
        user: bytes | None,
        record: Record,
        born: float,
        death: float,
        deadline: float,
        now: float,
    ) -> int:
        """Add a new record, for which there is room. Return its slot."""
        payload, reputation = record.payload, record.reputation
        slots = self._slots
        if not slots.spare and slots.fresh == slots.edge:
            slots.grow()
            self._ledger.update()
        slot = slots.next()
        flags = length = tag = 0
        if user is not None:
            flags, length, tag = HAS_USER | TAGGED, len(user), user_tag(user)
        if reputation is not None:
            flags |= HAS_REPUTATION | TAGGED
            if user is None:
                tag = self._reputations.tag(reputation)
        total = BODY[flags] + length + len(payload)
        outside = 0
        if total > self._limits.small:
            flags |= LARGE
            outside = allocated(len(payload))
        used = int(now - self._start)
        extent = ((total - len(payload) if outside else total) + 7) >> 3
        head = layout.pack(
            key, born, death, deadline, used, len(payload), flags, slot, extent, length
        )
        data = head + payload
        if flags:
            parts = (head, UNLINKED if flags & TAGGED else b"", reputation or b"", user or b"")
            data = b"".join(parts if outside else (*parts, payload))
        # From here on nothing raises: wrong types and a lack of memory would have raised above.
        if outside:
            self._overflow.put(slot, payload)
            self._ledger.update()
        slots.take()
        at = self._take_space(extent << 3, deadline)
        self._memory[at : at + len(data)] = data
        self._place[slot] = at >> 3
        if self._index.add(key, slot):
            self._ledger.update()
        tier = LOGGED_IN
        if flags & TAGGED:
            if user is None:
                self._release_token(tag)
            if self._user_index.add(slot, tag):
                self._ledger.update()
        if user is None:
            tier = self._tier_of(at, flags, born, now) if flags & TAGGED or born < now else 0
        self._queues.add(slot, tier, (extent << 3) + outside)
        self.count += 1
        return slot

    def write_payload(self, slot: int, payload: bytes, deadline: float) -> None:
        """Give a session another payload, for which there is room, and move the record."""
        at = self._place[slot] << 3
        _, used, _, flags, _, _, user_length = read_state(self._memory, at + DEADLINE)
        before = self._reader.size(slot)
        start = BODY[flags] + user_length
        outside = flags & LARGE
        data = self._memory[at : at + start]
        whole = data + payload
        if outside:
            self._overflow.pop(slot)
        flags &= ~LARGE
        if start + len(payload) > self._limits.small:
            flags |= LARGE
            self._overflow.put(slot, payload)
        else:
            data = whole
        self._move(slot, data, deadline)
        at = self._place[slot] << 3
        layout.write_state(self._memory, at + DEADLINE, deadline, used, len(payload))
        self._memory[at + FLAGS] = flags
        if (outside | flags) & LARGE:
            self._ledger.update()
        self._queues.resize(slot, before, self._reader.size(slot))

    def make_rotated(self, slot: int, successor: bytes, deadline: float) -> None:
        """Turn a session into a rotated key, which only names its successor.

        The record of a user stays in the user index. A reputation's token is removed from it.
        """
        size = self._reader.size(slot)
        self._queues.remove(slot, size)
        at = self._place[slot] << 3
        key, born, _, _, used, _, flags = read_fields(self._memory, at)
        user = self._reader.user(at, flags)
        links = b""
        if flags & LARGE:
            self._overflow.pop(slot)
            self._ledger.update()
        if user is not None:
            links = self._memory[at + HEADER : at + HEADER + LINKS]
            rotated = HAS_USER | TAGGED | ROTATED
        else:
            rotated = ROTATED
            if flags & TAGGED and self._user_index.remove(slot):
                self._ledger.update()
        length = len(user or b"")
        head = layout.pack(key, born, deadline, deadline, used, 0, rotated, slot, 0, length)
        self._move(slot, b"".join((head, links, successor, user or b"")), deadline)
        tier = 0 if user is None else LOGGED_IN
        self._queues.add(slot, tier, self._reader.size(slot), rotated=True)

    def mark_used(self, slot: int, at: int, flags: int, born: float, now: float) -> None:
        """Move a session, which is used for the first time in a while, to the end of its queue."""
        self._queues.use(slot, self._tier_of(at, flags, born, now), self._reader.size(slot))
        layout.write_used(self._memory, at + USED, int(now - self._start))

    def change_slot(self, old: int) -> None:
        """Move a record from its slot to the next free one, and free its own."""
        new = self._slots.take()
        at = self._place[old] << 3
        flags = self._memory[at + FLAGS]
        layout.write_slot(self._memory, at + SLOT, new)
        self._index.rename(self._memory[at : at + KEY], old, new)
        if flags & TAGGED:
            self._user_index.rename(old, new)
        if flags & LARGE:
            self._overflow.rename(old, new)
        self._queues.rename(old, new)
        self._place[new], self._place[old] = self._place[old], 0
        self._slots.give(old)
        self._queues.tier[old] = FREE_LIST

    # --- removing

    def expire(self, slot: int) -> None:
        """Remove an expired record. A session is counted and announced, a rotated key is not."""
        if not self._reader.flags(slot) & ROTATED:
            self._counters.expired += 1
            self._announce("expired", slot)
        self.remove(slot)

    def evict(self, slot: int, now: float, reason: str) -> None:
        """Evict a record, or let it expire if its deadline has passed.

        A session is counted and announced, a rotated key is not.
        """
        if self._reader.deadline(slot) <= now:
            self.expire(slot)
            return
        if not self._reader.flags(slot) & ROTATED:
            self._counters.evicted += 1
            self._announce("evicted", slot, reason)
        self.remove(slot)

    def remove(self, slot: int) -> None:
        """Remove a record."""
        at = self._place[slot] << 3
        _, _, length, flags, _, extent, _ = read_state(self._memory, at + DEADLINE)
        size = extent << 3
        changed = self._index.remove(self._memory[at : at + KEY], slot)
        if flags & TAGGED:
            changed = self._user_index.remove(slot) or changed
        if flags & LARGE:
            self._overflow.pop(slot)
            changed = True
        if changed:
            self._ledger.update()
        self._queues.remove(slot, size + allocated(length) if flags & LARGE else size)
        self._free_space(at, size)
        self._place[slot] = 0
        self._slots.give(slot)
        self._queues.tier[slot] = FREE_LIST
        self.count -= 1

    # --- internal

    def _take_space(self, size: int, deadline: float) -> int:
        """Take space for a record from the open segment, or from a new one. Return its offset."""
        arena = self._arena
        if arena.at + size > arena.end:
            self._wheel.add(arena.open_next(), deadline)
            self._ledger.update()
        elif deadline < self._wheel.bound[arena.open]:
            self._wheel.lower_bound(arena.open, deadline)
        # This is arena.take, without the call: it runs for every record that is written.
        at = arena.at
        arena.at = at + size
        arena.live[arena.open] += size
        arena.live_total += size
        return at

    def _free_space(self, at: int, size: int) -> None:
        """Count the space of a record as dead. A segment without living records is freed."""
        segment = self._arena.drop(at, size)
        if segment != NONE:
            self._wheel.remove(segment)
            self._ledger.update()

    def _move(self, slot: int, data: bytes, deadline: float) -> None:
        """Write a record to another place. ``data`` is complete, except for the extent."""
        old = self._place[slot] << 3
        extent: int = read_tail(self._memory, old + SLOT)[1]
        size = (len(data) + 7) & -8
        at = self._take_space(size, deadline)
        self._memory[at : at + len(data)] = data
        layout.write_extent(self._memory, at + layout.EXTENT, size >> 3)
        self._place[slot] = at >> 3
        self._free_space(old, extent << 3)

    def _tier_of(self, at: int, flags: int, born: float, now: float) -> int:
        """Return the tier of a session that is used now."""
        if flags & HAS_USER:
            return LOGGED_IN
        if not flags & HAS_REPUTATION:
            return 0  # a cache entry: one visitor can make many, and keep using them
        if not self._user_index.is_in(at):
            return 0  # a newer session has the same token
        reputation = self._memory[at + TOKEN : at + TOKEN + REPUTATION]
        return tier_for(now - min(born, self._reputations.birth(reputation, now)))

    def _release_token(self, tag: int) -> None:
        """Remove a token from the anonymous sessions that have it, and put them in tier 0.

        A reputation counts for one session only, the newest. Otherwise one visitor could fill a
        higher tier with many sessions.
        """
        for slot in self._user_index.slots_of(tag):
            if not self._reader.flags(slot) & HAS_USER:
                if self._user_index.remove(slot):
                    self._ledger.update()
                self._queues.use(slot, 0, self._reader.size(slot))

    def _announce(self, name: str, slot: int, reason: str = "") -> None:
        """Add an event about a session, if the event has a listener."""
        if self._counters.has_listener(name):
            at = self._place[slot] << 3
            user = self._reader.user_name(at, self._memory[at + FLAGS])
            handle = handle_for(self._reader.key(slot))
            self._counters.events.append(Event(name, handle, user, reason))
