"""A MemoryStore whose steps are called one by one."""

from __future__ import annotations

from lembro.events import Event
from lembro.stores.base import Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.audit import recount
from lembro.stores.memory.layout import HEADER, LINKS
from lembro.stores.memory.parts import Parts
from lembro.testing import FakeClock
from tests.support.memory import key

SEGMENT = 8192
RECORD = 128  # bytes; 63 of them leave 120 bytes of a segment
FULL = 63
PLENTY = 1 << 40
IDLE = 1e6


class Place:
    """A store of 1 MB without its thread. Tests call every step."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore("1M", interval=10, clock=self.clock)
        self.store.close()
        self.heard: list[tuple[str, str]] = []
        for name in ("evicted", "expired"):
            self.store.on(name, self._listen)

    def _listen(self, event: Event) -> None:
        self.heard.append((event.name, event.reason))

    @property
    def parts(self) -> Parts:
        return self.store._parts

    @property
    def now(self) -> float:
        return self.clock()

    def add(self, n: int, size: int = RECORD, user: str | None = None, idle: float = IDLE) -> None:
        """Add a record that takes this number of bytes: in its segment, or its payload outside."""
        head = HEADER if user is None else HEADER + LINKS + len(user)
        record = Record(b"x" * (size - head), user)
        assert self.store.add(key(n), record, idle=idle, life=1e7)

    def fill(self, start: int, count: int, size: int = RECORD, idle: float = IDLE) -> None:
        for n in range(start, start + count):
            self.add(n, size, idle=idle)

    def destroy(self, numbers: range) -> None:
        for n in numbers:
            assert self.store.destroy(key(n)) is not None

    def there(self, numbers: range) -> list[int]:
        known = {k for k, _ in self.store.all()}
        return [n for n in numbers if key(n) in known]

    def is_due(self, seconds: float) -> None:
        """Advance the clock, so that everything that may have expired is due for a check."""
        self.clock.advance(seconds)
        self.parts.wheel.collect(self.now)

    def bound(self, spare: int) -> None:
        """Set the size of the store so that ``spare`` bytes are free."""
        parts = self.parts
        parts.ledger.max_size = (
            parts.ledger.used + parts.ledger.max_size - parts.ledger.limit + spare
        )
        parts.ledger.update()
        assert parts.ledger.limit == parts.ledger.used + spare

    def check(self) -> None:
        self.parts.ledger.max_size = PLENTY
        self.parts.ledger.update()
        recount(self.parts)
