"""Policies that choose which session to evict, each written from its description.

Sessions count as equally large. A session has a key that is never reused: a visitor who has lost it
gets another. ``login`` gives a session a new key.
"""

from __future__ import annotations

from bisect import bisect
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

Queue = OrderedDict[int, None]


class Policy:
    """The interface of the simulator. Each policy implements ``_use``, ``_add`` and ``_remove``."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.keys: dict[int, int] = {}  # visitor -> the session of their cookie
        self._next = 0

    def visit(self, visitor: int, now: float, *, first: bool, last: bool) -> bool:
        """Make a request. Return whether its session was found; otherwise a new one is added."""
        if not first:
            key = self.keys.get(visitor) if not last else self.keys.pop(visitor, None)
            if key is not None and self._use(key, visitor, now):
                return True
        self._next += 1
        if not last:
            self.keys[visitor] = self._next
        self._add(self._next, visitor, now)
        return False

    def login(self, visitor: int, now: float) -> bool:
        """Log in. Return False if the session of the form was evicted."""
        key = self.keys.get(visitor)
        if key is None or not self._use(key, visitor, now):
            self.visit(visitor, now, first=True, last=False)
            return False
        self._remove(key)
        self._next += 1
        self.keys[visitor] = self._next
        self._add_logged_in(self._next, visitor, now)
        return True

    def replay(self, visitor: int, now: float) -> None:
        """Add a session for a bot that sends the one old cookie."""
        self.visit(visitor, now, first=True, last=True)

    def _use(self, key: int, visitor: int, now: float) -> bool:
        raise NotImplementedError

    def _add(self, key: int, visitor: int, now: float) -> None:
        raise NotImplementedError

    def _add_logged_in(self, key: int, visitor: int, now: float) -> None:
        self._add(key, visitor, now)

    def _remove(self, key: int) -> None:
        raise NotImplementedError


class LRU(Policy):
    """Evict the least recently used."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.queue: Queue = OrderedDict()

    def _use(self, key: int, visitor: int, now: float) -> bool:
        if key not in self.queue:
            return False
        self.queue.move_to_end(key)
        return True

    def _add(self, key: int, visitor: int, now: float) -> None:
        if len(self.queue) >= self.capacity:
            self._make_room()
        self.queue[key] = None

    def _make_room(self) -> None:
        self.queue.popitem(last=False)

    def _remove(self, key: int) -> None:
        del self.queue[key]


class EarliestExpiry(LRU):
    """Reduce a full store to 75 %, in the order of expiry.

    Every use extends a session, so this is the order of use.
    """

    def _make_room(self) -> None:
        while len(self.queue) > self.capacity * 0.75:
            self.queue.popitem(last=False)


class Sieve(Policy):
    """SIEVE (NSDI 24).

    It is a queue in which nothing moves. A hand goes from the oldest to the newest, in a ring. It
    spares an entry once if that was used since its last pass, and removes the first that was not.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.used: dict[int, bool] = {}
        self.newer: dict[int, int] = {0: 0}  # a ring with the sentinel 0
        self.older: dict[int, int] = {0: 0}
        self.hand = 0

    def _use(self, key: int, visitor: int, now: float) -> bool:
        if key not in self.used:
            return False
        self.used[key] = True
        return True

    def _add(self, key: int, visitor: int, now: float) -> None:
        if len(self.used) >= self.capacity:
            self._evict()
        newest = self.older[0]
        self.newer[newest], self.older[key] = key, newest
        self.newer[key], self.older[0] = 0, key
        self.used[key] = False

    def _evict(self) -> None:
        at = self.hand or self.newer[0]
        while self.used[at]:
            self.used[at] = False
            at = self.newer[at] or self.newer[0]
        self.hand = at
        self._remove(at)

    def _remove(self, key: int) -> None:
        newer, older = self.newer.pop(key), self.older.pop(key)
        self.newer[older], self.older[newer] = newer, older
        if self.hand == key:
            self.hand = newer
        del self.used[key]


class S3Fifo(Policy):
    """S3-FIFO (SOSP 23).

    Newcomers pass through a small queue (10 %). An entry that was used there moves to the main
    queue, where a used entry is queued again. An unused entry that left the small queue is
    remembered for some time: if it returns, it enters the main queue directly.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.uses: dict[int, int] = {}
        self.small: deque[int] = deque()
        self.main: deque[int] = deque()
        self.in_small = 0
        self.gone: set[int] = set()  # removed by a login, but still in a queue
        self.ghosts: Queue = OrderedDict()

    def _use(self, key: int, visitor: int, now: float) -> bool:
        uses = self.uses.get(key)
        if uses is None:
            return False
        if uses < 3:
            self.uses[key] = uses + 1
        return True

    def _add(self, key: int, visitor: int, now: float) -> None:
        while len(self.uses) >= self.capacity:
            self._evict()
        self.uses[key] = 0
        if key in self.ghosts:
            del self.ghosts[key]
            self.main.append(key)
        else:
            self.small.append(key)

    def _evict(self) -> None:
        if len(self.small) > self.capacity // 10 or not self.main:
            self._evict_small()
        else:
            self._evict_main()

    def _evict_small(self) -> None:
        while self.small:
            key = self.small.popleft()
            if self._was_removed(key):
                continue
            if self.uses[key]:
                self.main.append(key)
                if len(self.main) <= self.capacity * 9 // 10:
                    continue
                self._evict_main()
                return
            del self.uses[key]
            self.ghosts[key] = None
            if len(self.ghosts) > self.capacity * 9 // 10:
                self.ghosts.popitem(last=False)
            return

    def _evict_main(self) -> None:
        while self.main:
            key = self.main.popleft()
            if self._was_removed(key):
                continue
            if not self.uses[key]:
                del self.uses[key]
                return
            self.uses[key] -= 1
            self.main.append(key)

    def _was_removed(self, key: int) -> bool:
        if key not in self.gone:
            return False
        self.gone.remove(key)
        return True

    def _remove(self, key: int) -> None:
        del self.uses[key]
        self.gone.add(key)


class SLRU(Policy):
    """Segmented LRU.

    Newcomers are on probation (20 %). An entry that is used again is protected, and returns to
    probation when others push it out.
    """

    protected_share: Final = 0.8

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.probation: Queue = OrderedDict()
        self.protected: Queue = OrderedDict()

    def _use(self, key: int, visitor: int, now: float) -> bool:
        if key in self.protected:
            self.protected.move_to_end(key)
            return True
        if key not in self.probation:
            return False
        del self.probation[key]
        self.protected[key] = None
        if len(self.protected) > self.capacity * self.protected_share:
            demoted, _ = self.protected.popitem(last=False)
            self.probation[demoted] = None
        return True

    def _add(self, key: int, visitor: int, now: float) -> None:
        if len(self.probation) + len(self.protected) >= self.capacity:
            (self.probation or self.protected).popitem(last=False)
        self.probation[key] = None

    def _remove(self, key: int) -> None:
        (self.probation if key in self.probation else self.protected).pop(key)


class WTinyLFU(SLRU):
    """W-TinyLFU (Caffeine).

    A window (1 %) precedes an SLRU. An entry that leaves the window is admitted unless it was used
    less often than the entry that it would replace. Uses are counted to 15, and halved after ten
    times as many as there is room for sessions (exactly, instead of in a sketch).
    """

    def __init__(self, capacity: int) -> None:
        self.window_size = max(1, capacity // 100)
        super().__init__(capacity)
        self.main_size = capacity - self.window_size
        self.window: Queue = OrderedDict()
        self.counts: dict[int, int] = {}
        self.counted = 0

    def _count(self, key: int) -> None:
        count = self.counts.get(key, 0)
        if count < 15:
            self.counts[key] = count + 1
        self.counted += 1
        if self.counted >= 10 * self.capacity:
            self.counted //= 2
            self.counts = {key: count // 2 for key, count in self.counts.items() if count > 1}

    def _use(self, key: int, visitor: int, now: float) -> bool:
        if key in self.window:
            self.window.move_to_end(key)
        elif not super()._use(key, visitor, now):
            return False
        self._count(key)
        return True

    def _add(self, key: int, visitor: int, now: float) -> None:
        self._count(key)
        self.window[key] = None
        if len(self.window) <= self.window_size:
            return
        candidate, _ = self.window.popitem(last=False)
        if len(self.probation) + len(self.protected) >= self.main_size:
            queue = self.probation or self.protected
            victim = next(iter(queue))
            if self.counts.get(candidate, 0) < self.counts.get(victim, 0):
                return
            del queue[victim]
        self.probation[candidate] = None

    def _remove(self, key: int) -> None:
        if key in self.window:
            del self.window[key]
        else:
            super()._remove(key)


class AgeLevels(Policy):
    """Queues by how long a visitor has been known: 0, 10, 60, 600 s, and logged-in users.

    The time of the first visit is in the signed cookie, and so outlives the session. The lowest
    queue above its floor (5 %) evicts its least recently used session. One old cookie serves one
    session: the next session takes it over.
    """

    ages: Final = (10.0, 60.0, 600.0)
    floors: tuple[float, ...] = (0.05,) * 5
    logins: bool = True

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.queues: list[Queue] = [OrderedDict() for _ in range(5)]
        self.floor_sizes = [floor * capacity for floor in self.floors]
        self.tier: dict[int, int] = {}
        self.born: dict[int, float] = {}
        self.bearer: int | None = None  # the one old cookie's

    def visit(self, visitor: int, now: float, *, first: bool, last: bool) -> bool:
        if first and visitor not in self.born and not last:
            self.born[visitor] = now
        found = super().visit(visitor, now, first=first, last=last)
        if last:
            self.born.pop(visitor, None)
        return found

    def replay(self, visitor: int, now: float) -> None:
        if self.bearer is not None and self.bearer in self.tier:
            self._move(self.bearer, 0)
        self._next += 1
        self.bearer = self._next
        self._enter(self.bearer, 3)

    def _age_level(self, visitor: int, now: float) -> int:
        return bisect(self.ages, now - self.born.get(visitor, now))

    def _use(self, key: int, visitor: int, now: float) -> bool:
        tier = self.tier.get(key)
        if tier is None:
            return False
        self._move(key, 4 if tier == 4 else self._age_level(visitor, now))
        return True

    def _move(self, key: int, tier: int) -> None:
        del self.queues[self.tier[key]][key]
        self.queues[tier][key] = None
        self.tier[key] = tier

    def _add(self, key: int, visitor: int, now: float) -> None:
        self._enter(key, self._age_level(visitor, now))

    def _add_logged_in(self, key: int, visitor: int, now: float) -> None:
        self._enter(key, 4 if self.logins else self._age_level(visitor, now))

    def _enter(self, key: int, tier: int) -> None:
        if len(self.tier) >= self.capacity:
            gone, _ = self._lowest().popitem(last=False)
            del self.tier[gone]
        self.queues[tier][key] = None
        self.tier[key] = tier

    def _lowest(self) -> Queue:
        for queue, floor in zip(self.queues, self.floor_sizes, strict=True):
            if len(queue) > floor:
                return queue
        return next(queue for queue in self.queues if queue)

    def _remove(self, key: int) -> None:
        del self.queues[self.tier.pop(key)][key]


class RoomForNewcomers(AgeLevels):
    """The same, with 20 % for visitors known for less than 10 s, as lembro's store does."""

    floors = (0.2, 0.05, 0.05, 0.05, 0.05)


POLICIES: Final[dict[str, Callable[[int], Policy]]] = {
    "earliest expiry to 75 %": EarliestExpiry,
    "LRU": LRU,
    "SIEVE": Sieve,
    "S3-FIFO": S3Fifo,
    "W-TinyLFU": WTinyLFU,
    "SLRU": SLRU,
    "age levels": AgeLevels,
    "age levels, 20 % for new": RoomForNewcomers,
}
