"""Ways to choose which session goes when there are too many, each written from its description.

Sessions are counted as equally large. A session is known by a key that never comes again: who has
lost it gets another. ``login`` gives a session a new key.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Final

Queue = OrderedDict[int, None]


class Policy:
    """What the simulator asks; ``_use``, ``_add`` and ``_remove`` are each policy's own."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.keys: dict[int, int] = {}  # visitor -> the session it has a cookie for
        self._next = 0

    def visit(self, visitor: int, now: float, *, first: bool, last: bool) -> bool:
        """A request; whether its session was there. If not, there is one now."""
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
        """A login; False if the session that the form was sent from is gone."""
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
        """A new session for a bot that shows the one old cookie."""
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
    """The least recently used goes."""

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
    """A full store goes down to 75 %, what expires first goes first. Every use puts the expiry
    off, so that is the order of use."""

    def _make_room(self) -> None:
        while len(self.queue) > self.capacity * 0.75:
            self.queue.popitem(last=False)


class Sieve(Policy):
    """SIEVE (NSDI 24): a queue that nothing is moved in; a hand goes from the oldest to the newest
    and round again, spares once what was used since it last came by, and removes the first that
    was not."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.used: dict[int, bool] = {}
        self.newer: dict[int, int] = {0: 0}  # a ring through the sentinel 0
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
    """S3-FIFO (SOSP 23): newcomers pass through a small queue (10 %); what was used there goes on
    to the main one, where what was used goes round again. What left the small queue unused is
    remembered for a while: should it come back, it goes straight to the main one."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.uses: dict[int, int] = {}
        self.small: deque[int] = deque()
        self.main: deque[int] = deque()
        self.in_small = 0
        self.gone: set[int] = set()  # removed by a login; still in a queue
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
    """Segmented LRU: newcomers are on probation (20 %); what is used again is protected, and
    goes back on probation when others push it out."""

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
    """W-TinyLFU (Caffeine): a window (1 %) before an SLRU; what leaves the window gets in unless it
    was used less often than what it would push out. Uses are counted to 15, and halved after ten
    times as many as there is room for sessions (exactly, instead of in a sketch)."""

    def __init__(self, capacity: int) -> None:
        self.window_size = max(1, capacity // 100)
        super().__init__(capacity)
        self.main_size = capacity - self.window_size
        self.window: Queue = OrderedDict()
        self.counts: Counter[int] = Counter()
        self.counted = 0

    def _count(self, key: int) -> None:
        if self.counts[key] < 15:
            self.counts[key] += 1
        self.counted += 1
        if self.counted >= 10 * self.capacity:
            self.counted //= 2
            halved = {key: count // 2 for key, count in self.counts.items() if count > 1}
            self.counts = Counter(halved)

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
            if self.counts[candidate] < self.counts[victim]:
                return
            del queue[victim]
        self.probation[candidate] = None

    def _remove(self, key: int) -> None:
        if key in self.window:
            del self.window[key]
        else:
            super()._remove(key)


class AgeLevels(Policy):
    """Queues by how long a visitor has been known (the birth is in the signed cookie, and so
    outlives the session): 0, 10, 60, 600 s, and the logged in. The lowest that holds more than its
    floor (5 %) gives up its least recently used. One old cookie serves one session: the next one
    takes it over."""

    ages: Final = (10.0, 60.0, 600.0)
    floors: tuple[float, ...] = (0.05,) * 5
    logins: bool = True

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.queues: list[Queue] = [OrderedDict() for _ in range(5)]
        self.tier: dict[int, int] = {}
        self.born: dict[int, float] = {}
        self.bearer: int | None = None  # of the one old cookie

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
        age = now - self.born.get(visitor, now)
        return sum(age >= limit for limit in self.ages)

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
        for queue, floor in zip(self.queues, self.floors, strict=True):
            if len(queue) > floor * self.capacity:
                return queue
        return next(queue for queue in self.queues if queue)

    def _remove(self, key: int) -> None:
        del self.queues[self.tier.pop(key)][key]


class RoomForNewcomers(AgeLevels):
    """The same, but 20 % for who has been known for less than 10 s: what lembro's store does."""

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
