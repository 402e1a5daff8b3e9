"""Room for what is written, and what goes on beside the verbs in small pieces: looking for what
has expired, evicting, evacuating, letting the tables shrink."""

from __future__ import annotations

from math import inf
from typing import Final

from . import layout
from .arena import CLASSES
from .eviction import FREE_LIST, LOGGED_IN, REPLACED_BIT
from .layout import (
    BODY,
    DEADLINE,
    HAS_USER,
    LARGE,
    REPLACED,
    walked,
)
from .ledger import SHARES
from .linked_lists import NONE
from .overflow import allocated
from .records import Records, user_tag

DRAIN: Final = 8  # records that each write looks at when some are due
LOOKS: Final = 64  # records that a write looks at before it evicts
MISSED_AFTER: Final = 900.0
"""Seconds: who passed by longer ago is evicted ahead of need. After a minute, one in a hundred who
looked once and came back after a break found no session in a store that was a little too small."""
LOOKED_THROUGH: Final = 512  # of a user's records, the latest, so that nobody waits long
MANY: Final = 128  # sessions of a user; so many small ones may be more than a share
FEWEST_SLOTS: Final = 256  # a table of at most so many does not shrink


class Room(Records):
    busy_at: float
    evicted: int
    heavy: set[int]
    records: int

    def _make_room(self, size: int, outside: int, now: float, spare: int = NONE) -> None:
        """Let records go until ``size`` bytes fit into a segment, and ``outside`` besides. That
        a sixteenth of the segments be dead is seen to as well, a few records at a time."""
        arena = self.arena
        looks, gone = LOOKS, 0
        while True:
            need = outside if arena.at + size <= arena.end else outside + arena.segment
            fits = self.used + need <= self.limit
            if fits and (gone >= DRAIN or arena.live_total + size + outside <= self.live_limit):
                return
            if not fits and arena.give_back():
                self.account()
                continue
            self._pressed = True
            self.busy_at = -inf
            if looks:
                looked = self.look(now)
                looks = 0 if looked == NONE else looks - 1
                gone += looked == 1
            elif not fits and (segment := arena.sparsest()) != NONE:
                self._evacuate(segment)
            elif self.evict(now, spare):
                gone += 1
            elif fits:
                return
            else:
                self._refuse(size + outside)

    def _settle(self, now: float) -> None:
        """After a write, from ``busy_at`` on: a little of what has to be done anyway."""
        more = False
        for _ in range(DRAIN):
            if self.look(now) == NONE:
                break
        else:
            more = True
        more = self.compact(DRAIN) or more
        if self._pressed:
            self._ease(now)
        self.busy_at = -inf if more or self._pressed else self.wheel.next

    def _ease(self, now: float) -> None:
        """Go on towards the target, but only with whom nobody will miss."""
        for _ in range(DRAIN):
            if self.used <= self.target:
                break
            if not self._is_too_full():
                segment = self.arena.sparsest()
                if segment == NONE:
                    break
                self._evacuate(segment)
                return
            slot = self.queues.chains.first(0)
            if slot == NONE or now - self.used_at(slot) < MISSED_AFTER:
                break
            self._let_go(slot, now)
        else:
            return
        self._pressed = False

    def _is_too_full(self) -> bool:
        """Whether the target cannot be reached by evacuating alone."""
        arena = self.arena
        outside = self.used - arena.held
        return arena.live_total > (self.target - outside - 2 * arena.segment) * 31 // 32

    def look(self, now: float) -> int:
        """Look at one record in the segments that have come round: 1 if it was expired (and
        went), 0 if not, NONE if no segment is waiting."""
        segment = self._sweeping
        if segment == NONE:
            segment = self.wheel.look(now)
            if segment < 0:
                return NONE if segment == NONE else 0
            self._sweeping = segment
            self._sweep_at = self.arena.bounds(segment)[0]
            self._soonest = self.wheel.bound[segment] = inf
        at, end = self._sweep_at, self.arena.bounds(segment)[1]
        memory, place, capacity = self.memory, self.place, self.slots.capacity
        while at < end:
            deadline, _, _, _, slot, extent, _ = walked(memory, at + DEADLINE)
            here = at >> 3
            at += extent << 3
            if slot >= capacity or place[slot] != here:
                continue  # dead
            self._sweep_at = at
            if deadline <= now:
                self._expire(slot)
                return 1
            self._soonest = min(self._soonest, deadline)
            return 0
        self._sweeping = NONE
        self.wheel.again(segment, min(self._soonest, self.wheel.bound[segment]))
        return 0

    def evict(self, now: float, spare: int = NONE) -> bool:
        """Let one record go, the next in the order of eviction. False if there is none."""
        slot = self.queues.victim(spare)
        if slot == NONE:
            return False
        if self.heavy and self.queues.tier[slot] & ~REPLACED_BIT == LOGGED_IN:
            too_much = self._of_too_much(spare)
            if too_much != NONE:
                slot = too_much
        self._let_go(slot, now)
        return True

    # --- who holds more than one user's share: their sessions go before those of other users

    def _note(self, user: bytes, more: int) -> None:
        """A user is about to hold ``more`` bytes more. Remember those who may be above the share;
        ``_of_too_much`` makes sure."""
        tag = user_tag(user)
        if tag in self.heavy or more + self._held(tag) <= self.share:
            return
        if len(self.heavy) >= SHARES:  # so many there cannot be
            self.heavy -= {other for other in self.heavy if self._held(other) <= self.share}
        self.heavy.add(tag)

    def _held(self, tag: int) -> int:
        """Bytes of a user's sessions."""
        return sum(size for _, size, _ in self._weighed(tag))

    def _weighed(self, tag: int) -> list[tuple[int, int, int]]:
        """The sessions of a user, the latest first: last use, bytes, slot."""
        found = []
        for slot in self.tags.slots_of(tag, LOOKED_THROUGH):
            _, used, length, flags, _, extent, _ = walked(
                self.memory, (self.place[slot] << 3) + DEADLINE
            )
            if flags & HAS_USER and not flags & REPLACED:
                size = (extent << 3) + (allocated(length) if flags & LARGE else 0)
                found.append((used, size, slot))
        return found

    def _of_too_much(self, spare: int) -> int:
        """Of a user above the share the session that was not used for longest, but for ``spare``;
        or NONE."""
        for tag in list(self.heavy):
            sessions = self._weighed(tag)
            if sum(size for _, size, _ in sessions) <= self.share:
                self.heavy.discard(tag)
                continue
            others = [(used, slot) for used, _, slot in reversed(sessions) if slot != spare]
            if others and len(sessions) > 1:
                return min(others, key=lambda pair: pair[0])[1]
        return NONE

    def _let_go(self, slot: int, now: float) -> None:
        """Evict a record."""
        if self.deadline(slot) <= now:
            self._expire(slot)
            return
        if not self.flags(slot) & REPLACED:
            self.evicted += 1
            self._tell("evicted", slot, "memory")
        self._drop(slot)

    def step_down(self, now: float) -> int:
        """One step towards the target: 1 if a session was evicted, NONE when it is reached."""
        if self.used <= self.target:
            return NONE
        if self.give_back_step(now) != NONE:
            return 0
        if not self._is_too_full() and (segment := self.arena.sparsest()) != NONE:
            self._evacuate(segment)
            return 0
        before = self.evicted
        if self.evict(now):
            return self.evicted - before
        return NONE

    def evacuate_step(self, now: float) -> int:
        """Evacuate a segment of which an eighth is dead. NONE if there is none."""
        segment = self.arena.sparsest(CLASSES // 8)
        if segment == NONE:
            return NONE
        self._evacuate(segment)
        return 0

    def compact_step(self, now: float) -> int:
        """Let the tables shrink a little. NONE if there is nothing to do."""
        return 0 if self.compact(2) else NONE

    def _evacuate(self, segment: int) -> None:
        """Move what lives in a sealed segment to the open one, and free it."""
        arena, memory, place, capacity = self.arena, self.memory, self.place, self.slots.capacity
        at, end = arena.bounds(segment)
        soonest = inf
        while at < end:
            deadline, _, length, flags, slot, extent, user = walked(memory, at + DEADLINE)
            if slot < capacity and place[slot] == at >> 3:
                size = BODY[flags] + user
                if not flags & LARGE:
                    size += length
                size = (size + 7) & -8
                if arena.at + size > arena.end:
                    if arena.open != NONE:
                        self.wheel.earlier(arena.open, soonest)
                    self.wheel.place(arena.open_next(), inf)
                to = arena.take(size)
                memory.move(to, at, size)
                if size >> 3 != extent:
                    layout.write_extent(memory, to + layout.EXTENT, size >> 3)
                    self.queues.resize(slot, size - (extent << 3))
                place[slot] = to >> 3
                soonest = min(soonest, deadline)
            at += extent << 3
        arena.vacate(segment)
        self.wheel.remove(segment)
        if segment == self._sweeping:
            self._sweeping = NONE
        self.wheel.earlier(arena.open, soonest)
        self.account()

    def compact(self, budget: int) -> bool:
        """Halve a table of which three quarters are unused, by looking at so many slots. Whether
        there is more to do."""
        slots = self.slots
        if self.readers or (
            slots.edge == slots.capacity
            and (slots.capacity <= FEWEST_SLOTS or self.records * 4 > slots.capacity)
        ):
            return False
        goal = slots.capacity >> 1
        for _ in range(budget):
            if slots.edge <= goal:
                slots.truncate(goal)
                self.account()
                break
            slot = slots.edge - 1
            if slot < slots.fresh and self.queues.tier[slot] != FREE_LIST:
                self._relocate(slot)
            slots.retire(slot)
        return True

    def large_step(self, now: float) -> int:
        """Let a record go whose payload lies outside. NONE if there is none."""
        slot = self.larges.last()
        if slot is None:
            return NONE
        self._drop(slot)
        return 0

    def give_back_step(self, now: float) -> int:
        """Give back a little of what ``clear`` has forgotten. NONE if there is no more."""
        if not self.arena.give_back():
            return NONE
        self.account()
        return 0

    def clear(self) -> None:
        """Forget everything. What it took is given back by ``give_back_step``."""
        self.slots.reset()
        self.queues.reset()
        self.wheel.reset()
        self.tags.reset()
        self.index.reset()
        self.larges.reset()
        self.arena.reset()
        self.records = 0
        self.heavy.clear()
        self._pressed = False
        self._sweeping = NONE
        self.account()
