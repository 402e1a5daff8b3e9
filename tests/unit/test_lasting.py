"""A manager for sessions that last otherwise than its options say."""

from __future__ import annotations

import pytest

from lembro import CookieOptions, MemoryStore, SessionManager
from lembro._core.session import Session
from lembro.integrations import _adapter
from lembro.testing import FakeClock

DAY = 86400


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def manager(clock: FakeClock) -> SessionManager:
    cookie = CookieOptions(max_age=DAY)
    return SessionManager(MemoryStore("1M", clock=clock), idle_timeout=DAY, cookie=cookie)


def idle_left(manager: SessionManager) -> float:
    store = manager.store
    assert isinstance(store, MemoryStore)
    ((_, found),) = store.all()
    return found.idle_left


def visit(manager: SessionManager, cookie: str | None, **values: int) -> tuple[str | None, str]:
    """The cookie after a visit, and the header that set it."""
    session: Session = _adapter.begin(manager, cookie, https=False)
    session.update(values)
    manager.commit(session)
    header = (manager.set_cookie(session, None, https=False) or b"").decode()
    return header.partition(";")[0] or cookie, header


def test_it_shares_the_store_and_the_key_of_the_cookie(manager: SessionManager) -> None:
    cookie, header = visit(manager.lasting(300, 60), None, a=1)
    assert "; Max-Age=60;" in header
    assert idle_left(manager) == 300
    cookie, header = visit(manager, cookie, a=2)
    assert "; Max-Age=86400;" in header
    assert idle_left(manager) == DAY


def test_what_is_to_last_shorter_does_from_the_next_write(manager: SessionManager) -> None:
    cookie, _ = visit(manager, None, a=1)
    visit(manager.lasting(300, 300), cookie, a=2)
    assert idle_left(manager) == 300


def test_the_standing_is_the_same(manager: SessionManager, clock: FakeClock) -> None:
    """A random key of the process vouches for it, where there is no secret."""
    cookie, _ = visit(manager, None, a=1)
    assert cookie is not None
    value = cookie.partition("=")[2].encode()
    reputation = manager.cookie.reputation(value)
    assert reputation is not None
    assert manager.lasting(300, None).cookie.reputation(value) == reputation


def test_the_absolute_timeout_holds(manager: SessionManager) -> None:
    _, header = visit(manager.lasting(365 * DAY, 365 * DAY), None, a=1)
    assert f"; Max-Age={30 * DAY};" in header
    assert idle_left(manager) == 30 * DAY


def test_without_a_max_age(manager: SessionManager) -> None:
    _, header = visit(manager.lasting(300, None), None, a=1)
    assert "Max-Age" not in header


def test_a_secret_stays_one() -> None:
    secret = "0123456789abcdefghijklmnopqrstuvwxyz"
    manager = SessionManager(MemoryStore("1M"), secret=[secret])
    cookie, _ = visit(manager.lasting(300, None), None, a=1)
    assert visit(manager, cookie, a=1) == (cookie, "")
