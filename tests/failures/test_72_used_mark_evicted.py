"""72. The mark of a used legacy cookie is evicted, so a logged-out legacy cookie works again.

A mark stays under any flood. If there is no room for it, no legacy cookie is accepted.
"""

from __future__ import annotations

from typing import Final

import pytest

from lembro import MemoryStore, Session, SessionManager
from lembro._runtime.exchange import session_by_id
from lembro.manager import runner_of
from lembro.migrate import LegacySession, Reader
from lembro.stores.memory.audit import recount
from lembro.testing import FakeClock

DAY: Final = 24 * 3600.0


class Before(Reader):
    """Read cookies such as ``ada.1``: each is a session of the user ada."""

    def read(self, value: str) -> LegacySession:
        return self.session({"user": value.partition(".")[0] or None}, value)


READER: Final = Before(cookie="before", lifetime=7 * DAY, user="user")


def visit(manager: SessionManager, cookie: str) -> Session:
    runner = runner_of(manager)
    presented = runner.cookie.read([f"before={cookie}".encode()], https=False)
    return session_by_id(runner, presented)


def adopt(manager: SessionManager, cookie: str, *, logout: bool = False) -> str | None:
    """Visit with a legacy cookie. Return the user who is logged in."""
    session = visit(manager, cookie)
    user = session.user_id
    if logout:
        session.logout()
    runner_of(manager).commit(session)
    return user


@pytest.mark.parametrize("cookie", ["ada.1", ".anonymous"])
def test_a_flood_evicts_no_mark(cookie: str) -> None:
    store = MemoryStore("256K", clock=FakeClock())
    manager = SessionManager(store, migrate_from=READER)
    used = visit(manager, cookie)
    assert used
    used.logout()
    runner_of(manager).commit(used)
    for number in range(2000):  # visitors, users, and their other legacy cookies
        manager.create({"n": "x" * 100})
        manager.create({"n": number}, f"u{number}")
        if number < 300:
            adopt(manager, f"bot{number}.1")
    assert store.stats().evicted > 1000
    assert not visit(manager, cookie)
    recount(store._parts)


def test_clear_removes_no_mark() -> None:
    manager = SessionManager(MemoryStore("256K"), migrate_from=READER)
    assert adopt(manager, "ada.1") == "ada"
    manager.clear()
    assert adopt(manager, "ada.1") is None
    assert adopt(manager, "ada.2") == "ada"


def test_without_room_for_marks_no_legacy_cookie_is_accepted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    store = MemoryStore("64K", clock=clock)
    manager = SessionManager(store, migrate_from=READER)
    room = store._parts.adoption.marks.capacity
    for number in range(room):
        assert adopt(manager, f"ada.{number}", logout=True) == "ada"
    rejected = []
    manager.on("rejected", lambda event: rejected.append(event.reason))
    assert "no room" not in caplog.text
    last = visit(manager, "eve.last")  # it began before the store was full
    assert last.user_id == "eve"
    assert adopt(manager, "eve.1") == "eve"  # the first without room for its mark
    last.logout()
    runner_of(manager).commit(last)
    for cookie in ("eve.1", "eve.2", "eve.last", "ada.0", f"ada.{room - 1}"):
        assert adopt(manager, cookie) is None
    assert caplog.text.count("has no room to remember more used legacy cookies") == 1
    assert sum("has no room to remember" in reason for reason in rejected) == 5
    clock.advance(7 * DAY - 1)
    assert adopt(manager, "eve.last") is None
    clock.advance(2)  # the browsers have dropped these cookies
    assert adopt(manager, "bob.1") == "bob"
    recount(store._parts)


def test_the_other_verbs_do_not_reach_a_mark() -> None:
    store = MemoryStore("256K")
    manager = SessionManager(store, migrate_from=READER)
    assert adopt(manager, "ada.1") == "ada"
    assert manager.revoke_user("ada") == 1
    store.reduce()
    assert adopt(manager, "ada.1") is None
    assert manager.length() == 0
