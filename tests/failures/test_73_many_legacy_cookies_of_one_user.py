"""73. Many legacy cookies of one user evict the sessions of all other users."""

from __future__ import annotations

import logging

from lembro import MemoryStore, SessionManager
from lembro.stores.memory.audit import recount
from lembro.testing import FakeClock
from tests.failures.test_72_used_mark_evicted import READER, adopt


def test_thirty_thousand_legacy_cookies_of_one_user_evict_nobody_else() -> None:
    logging.getLogger("lembro").setLevel(logging.WARNING)
    store = MemoryStore("24M", clock=FakeClock())
    manager = SessionManager(store, migrate_from=READER, max_sessions_per_user=2)
    evicted: list[str | None] = []
    store.on("evicted", lambda event: evicted.append(event.user_id))
    others: dict[str, str] = {}
    while store._parts.ledger.used < store.max_size * 0.9:
        user = f"user {len(others)}"
        others[user] = manager.create({"cart": "x" * 2000}, user)
    for number in range(30_000):
        assert adopt(manager, f"eve.{number}") == "eve"
    assert set(evicted) == {"eve"}  # of her own sessions, above her cap
    assert all(manager.get(session_id) is not None for session_id in others.values())
    assert manager.length() == len(others) + 2
    assert adopt(manager, "eve.0") is None
    recount(store._parts)
