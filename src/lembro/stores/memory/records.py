"""The records and the ledger: everything that a store holds, entered, moved and let go in one
place, so that every byte is counted at every step.

``Core`` builds the verbs of the contract on it. Times are seconds by the store's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final, NoReturn

from ...errors import SessionTooLarge
from ...events import Event
from ...ids import handle_for
from ..base import Record
from . import blob as b
from .blob import HAS_USER, KEY, REPLACED, allocated, fields
from .chains import NONE
from .eviction import FREE_LIST, LOGGED_IN, Queues, level_for
from .expiry import Wheel
from .index import Index, prefix_of
from .slots import Slots
from .standing import Standings
from .tags import Tags

FIXED: Final = 4096  # bytes of the objects that a store consists of, generously
DRAIN: Final = 4  # due entries that each write looks at
LOOKS: Final = 64  # due entries that a write looks at before it evicts
GRAIN: Final = 1.0  # seconds; within them a second use of a session does not move it
MISSED_AFTER: Final = 60.0  # seconds; who passed by longer ago is evicted ahead of need
FEWEST_SLOTS: Final = 256  # a table of at most so many does not shrink


def user_tag(user: bytes) -> int:
    """The tag that the sessions of a user are found by."""
    return hash(user) & (2**64 - 1)


class Records:
    def __init__(
        self,
        *,
        max_size: int,
        max_session_size: int,
        reduce_to: float,
        interval: float,
        now: float,
        epoch: float,
        heard: Callable[[str], bool],
    ) -> None:
        self.max_size = max_size
        self.max_session_size = max_session_size
        self.target = int(max_size * reduce_to)
        self.news: list[Event] = []  # to be told once the lock is released
        self.expired = self.evicted = self.too_large = 0  # sessions so far
        self.records = 0  # sessions and replaced keys
        self._heard = heard
        self._pressed = False  # a write has had to make room, and used is still above the target

        self.queues = Queues(max_size)
        self.slots = Slots(self.queues.chains, FREE_LIST)
        self.queues.register(self.slots)
        buckets = min(1024, max(64, max_size >> 12))
        self.wheel = Wheel(self.slots, buckets, interval / 2, now)
        self.deadline = self.wheel.deadline
        self.used_at = self.slots.column("d")
        self.prefix = self.slots.column("Q")
        self.tags = Tags(self.slots)
        self.index = Index(1 << (min(64, max(1, max_size >> 14)).bit_length() - 1))
        self.standings = Standings(epoch)
        self.used = self.overhead()  # THE LEDGER: every byte, after every step

    def overhead(self) -> int:
        """Bytes, measured: everything but the blobs."""
        return FIXED + self.index.size + self.slots.size + self.tags.heads_size

    def live(self, key: bytes, now: float) -> bytes | None:
        """The blob of a key, unless it is expired (then it goes)."""
        blob = self.index.find(key)
        if blob is None:
            return None
        slot = fields(blob, KEY)[0]
        if self.deadline[slot] <= now:
            self._expire(slot, blob)
            return None
        return blob

    def blob(self, slot: int) -> bytes:
        return self.index.at(self.prefix[slot], slot)

    def _insert(  # noqa: PLR0917 - the hot path
        self,
        key: bytes,
        user: bytes | None,
        record: Record,
        born: float,
        death: float,
        deadline: float,
        now: float,
    ) -> bytes:
        """Enter a new record, for which there is room; its blob."""
        if not self.slots.has_free():
            self.used += self.slots.grow()
        slot = self.slots.take()
        birth = self.standings.birth(record.standing, now)
        self.tags.leave_out(slot)
        if user is not None:
            self.used += self.tags.add(slot, user_tag(user))
        elif record.standing is not None:
            tag = self.standings.tag(record.standing)
            self._take_over(tag)
            self.used += self.tags.add(slot, tag)
        blob = b.pack(key, slot, born, death, birth, user, record.standing, None, record.payload)
        size = allocated(len(blob))
        self.used += size + self.index.put(key, blob)
        self.prefix[slot] = prefix_of(key)
        self.used_at[slot] = now
        self.wheel.place(slot, deadline)
        self.queues.enter(slot, LOGGED_IN if user is not None else level_for(now - birth), size)
        self.records += 1
        return blob

    def _point(
        self, slot: int, blob: bytes, user: bytes | None, successor: bytes, deadline: float
    ) -> None:
        """Make a session a pointer to its successor. A user stays in the table of users; a
        token is given up."""
        born = fields(blob, KEY)[1]
        before = allocated(len(blob))
        self.queues.leave(slot, before)
        if user is None:
            self.used += self.tags.remove(slot)
        blob = b.pack(blob[:KEY], slot, born, deadline, -inf, user, None, successor, b"")
        size = allocated(len(blob))
        self.index.swap(blob[:KEY], blob)
        self.used += size - before
        self.queues.enter(slot, 0 if user is None else LOGGED_IN, size, replaced=True)
        self.wheel.defer(slot, deadline)

    def _take_over(self, tag: int) -> None:
        """Whoever bears this token already loses its standing for good."""
        for slot in self.tags.slots_of(tag):
            blob = self.blob(slot)
            _, born, death, _, _, flags = fields(blob, KEY)
            if not flags & HAS_USER:
                self.index.swap(blob[:KEY], b.repack(blob, slot, born, death, inf))
                self.used += self.tags.remove(slot)
                self.queues.use(slot, 0, allocated(len(blob)))

    def _use(self, slot: int, blob: bytes, birth: float, flags: int, now: float) -> None:
        level = LOGGED_IN if flags & HAS_USER else level_for(now - birth)
        self.queues.use(slot, level, allocated(len(blob)))
        self.used_at[slot] = now

    def _expire(self, slot: int, blob: bytes) -> None:
        if not fields(blob, KEY)[5] & REPLACED:
            self.expired += 1
            self._tell("expired", blob)
        self._drop(slot, blob)

    def _drop(self, slot: int, blob: bytes) -> None:
        """Take a record out of everything."""
        size = allocated(len(blob))
        self.wheel.remove(slot)
        self.queues.leave(slot, size)
        self.used += self.index.pop(blob[:KEY]) + self.tags.remove(slot) - size
        self.slots.give(slot)
        self.queues.level[slot] = FREE_LIST
        self.records -= 1

    def _relocate(self, old: int) -> None:
        """Move a record to a lower slot, leaving its own free."""
        blob = self.blob(old)
        new = self.slots.take()
        _, born, death, birth, _, _ = fields(blob, KEY)
        self.index.swap(blob[:KEY], b.repack(blob, new, born, death, birth))
        self.prefix[new] = self.prefix[old]
        self.used_at[new] = self.used_at[old]
        self.wheel.rename(old, new)
        self.tags.rename(old, new)
        self.queues.rename(old, new)
        self.slots.give(old)
        self.queues.level[old] = FREE_LIST

    def _refuse(self, size: int) -> NoReturn:
        self.too_large += 1
        raise SessionTooLarge(size, self.max_session_size)

    def _make_room(self, key: bytes | None, size: int, now: float, spare: int = NONE) -> None:
        """Let records go until ``size`` bytes fit, and with a new ``key`` whatever the tables
        need while they grow for it. What they will need some day is made free as well, but a few
        records at a time."""
        looks, gone = LOOKS, 0
        while self.used + size + self._growth(key) > self.max_size:
            if gone >= DRAIN and self.used + size + self._growth(key, now=True) <= self.max_size:
                return
            self._pressed = True
            if looks:
                looked = self.look(now)
                looks = 0 if looked == NONE else looks - 1
                gone += looked == 1
            elif self.evict(now, spare):
                gone += 1
            elif self.used + size + self._growth(key, now=True) <= self.max_size:
                return
            else:
                self._refuse(size)

    def _growth(self, key: bytes | None, *, now: bool = False) -> int:
        """What the tables may need for a new key; with ``now`` if it is put in at once."""
        if key is None:
            return 0
        need = self.index.growth(key, now=now) + self.tags.growth(now=now)
        return need if self.slots.has_free() else need + self.slots.growth()

    def _settle(self, now: float) -> None:
        """After a write: a little of what has to be done anyway."""
        self.drain(now)
        self.compact(DRAIN)
        if not self._pressed:
            return
        for _ in range(DRAIN):
            slot = self.queues.chains.first(0)
            if self.used <= self.target or slot == NONE or now - self.used_at[slot] < MISSED_AFTER:
                self._pressed = False
                return
            self._let_go(slot, now)

    def _tell(self, name: str, blob: bytes, reason: str = "") -> None:
        if self._heard(name):
            user = b.user_of(blob)
            name_of = None if user is None else str(user, *b.UTF8)
            self.news.append(Event(name, handle_for(blob[:KEY]), name_of, reason))

    # --- what goes on beside the verbs, in small pieces

    def look(self, now: float) -> int:
        """Look at one entry that has come round: 1 if it was expired (and went), 0 if not, NONE
        if none is waiting."""
        slot = self.wheel.look(now)
        if slot >= 0:
            self._expire(slot, self.blob(slot))
            return 1
        return NONE if slot == NONE else 0

    def drain(self, now: float) -> None:
        """Look at a few entries."""
        for _ in range(DRAIN):
            if self.look(now) == NONE:
                return

    def evict(self, now: float, spare: int = NONE) -> bool:
        """Let one record go, the next in the order of eviction. False if there is none."""
        slot = self.queues.victim(spare)
        if slot == NONE:
            return False
        self._let_go(slot, now)
        return True

    def _let_go(self, slot: int, now: float) -> None:
        """Evict a record."""
        blob = self.blob(slot)
        if self.deadline[slot] <= now:
            self._expire(slot, blob)
        else:
            if not fields(blob, KEY)[5] & REPLACED:
                self.evicted += 1
                self._tell("evicted", blob, "memory")
            self._drop(slot, blob)
        self.shrink_shard(prefix_of(blob) >> self.index.shift)

    def compact(self, budget: int) -> bool:
        """Halve a table of which three quarters are unused, by looking at so many slots. Whether
        there is more to do."""
        slots = self.slots
        if slots.edge == slots.capacity and (
            slots.capacity <= FEWEST_SLOTS or self.records * 4 > slots.capacity
        ):
            return False
        goal = slots.capacity >> 1
        for _ in range(budget):
            if slots.edge <= goal:
                self.used += slots.truncate(goal)
                break
            slot = slots.edge - 1
            if slot < slots.fresh and self.queues.level[slot] != FREE_LIST:
                self._relocate(slot)
            slots.retire(slot)
        return True

    def shrink_shard(self, number: int) -> bool:
        """Give back what a shard of the index takes beyond its needs. False for NONE."""
        if number == NONE:
            return False
        if self.index.is_sparse(number) and self.used + self.index.rebuilt(number) < self.max_size:
            self.used += self.index.shrink(number)
        return True

    def clear(self) -> list[dict[int, bytes]]:
        """Forget everything; the caller frees what is returned, outside of the lock."""
        self.queues.reset()
        self.wheel.reset()
        self.tags.reset()
        self.slots.truncate(0)
        self.records = 0
        self._pressed = False
        gone = self.index.reset()
        self.used = self.overhead()
        return gone
