"""MemoryStore: sessions in the memory of one process, within max_size bytes.

**Storing.** Records are appended to segments of equal size (``arena``). Each record has a slot: a
row of numbers in columns (``slots``). A hash table finds the slot of a key (``index``), another one
the slots of a user (``user_index``).

**Counting.** The ledger adds up all tables and all segments, whatever these contain (``ledger``).
It does so after each change, so the sum is at most max_size at every moment.

**Expiring.** Each record has a deadline: ``idle`` seconds after its last use, and ``life`` seconds
after its start at the latest. The core passes both (``idle_timeout``, ``absolute_timeout``). After
its deadline a record counts as absent: each verb checks it (``verbs``). The sweep then frees its
memory (``sweep``): a few records with each write, the others in the thread. A wheel tells which
segments may hold expired records (``expiry_wheel``).

**Evicting.** If memory is short, a session of the lowest tier that holds more than its floor is
evicted: the least recently used one (``eviction``). If the large sessions of visitors hold more
than their share, they are evicted first. Logged-in users are in the highest tier. In that tier, the
sessions of a user who holds more than a share are evicted first (``user_share``). The tier of an
anonymous visitor depends on how long the visitor has been known (``reputation``). Apart from
memory, a login above the limit evicts the user's oldest session (``user_sessions``). The reasons
are in ``docs/flood.md``.

**Adopting.** The mark of a used legacy cookie is in a table of its own (``marks``). It is never
evicted: if the table is full, no more legacy cookies are accepted (``adoption``).

**Reclaiming.** A write gets room from expired records, then from dead bytes, then from evicted
records (``reclaim``). Dead bytes are the space of removed records. Compaction moves the living
records of a segment elsewhere, and the segment goes back to the system (``compaction``).

| file | content |
|---|---|
| ``store`` | MemoryStore: lock, clock, thread, events, and work in slices |
| ``verbs`` | the six verbs of the contract |
| ``parts`` | makes the parts and connects them |
| ``reclaim`` | makes room for a write |
| ``compaction`` | moves records together and shrinks the tables |
| ``sweep`` | removes expired records from due segments |
| ``user_sessions`` | lists, ends and limits the sessions of a user |
| ``user_share`` | the users who hold more than their share |
| ``adoption`` | adds a session for a legacy cookie, with its mark |
| ``marks`` | the marks of used legacy cookies |
| ``records`` | adds, changes and removes records |
| ``reader`` | reads records |
| ``ledger`` | counts all bytes |
| ``limits`` | the sizes that a record may have |
| ``counters`` | counts what happened, and collects events |
| ``layout`` | the bytes of one record |
| ``arena`` | the segments that records are in |
| ``overflow`` | payloads too large for a segment |
| ``index`` | finds the slot of a key |
| ``user_index`` | finds the slots of a user or a token |
| ``expiry_wheel`` | tells which segments may hold expired records |
| ``eviction`` | the tiers, and which record is evicted next |
| ``reputation`` | how long a visitor has been known |
| ``slots`` | the table of slots |
| ``linked_lists`` | linked lists of slots |
| ``reserved_memory`` | memory that is reserved at once and used page by page |
| ``settings`` | checks of the arguments |
| ``stats`` | the statistics |
| ``clock`` | a clock that never runs backwards |
| ``lock`` | a lock without a queue |
| ``purger`` | the thread that purges |
| ``fork`` | stores in a forked child |
| ``worker_check`` | warns of other worker processes |
| ``resident`` | the memory of the process |
| ``audit`` | the recount, for tests |
"""

from __future__ import annotations

from .stats import Stats
from .store import MemoryStore

__all__ = ["MemoryStore", "Stats"]
