"""``Runner.with_lifetime``: sessions with another lifetime than that of the options."""

from __future__ import annotations

import pytest

from lembro import CookieOptions, MemoryStore, SessionManager
from lembro._runtime.exchange import session_by_id
from lembro._runtime.runner import Runner
from lembro.manager import runner_of
from lembro.testing import FakeClock
from tests.support.site import cookies_of

DAY = 86400


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def runner(clock: FakeClock) -> Runner:
    cookie = CookieOptions(max_age=DAY)
    store = MemoryStore("1M", clock=clock)
    return runner_of(SessionManager(store, idle_timeout=DAY, cookie=cookie))


def idle_left(runner: Runner) -> float:
    ((_, found),) = runner.store.all()
    idle: float = found.idle_left
    return idle


def visit(runner: Runner, cookie: str | None, **values: int) -> tuple[str | None, str]:
    """Return the cookie after a visit, and the header that set it."""
    headers = [] if cookie is None else [cookie.encode()]
    session = session_by_id(runner, runner.cookie.read(headers, https=False))
    session.update(values)
    runner.commit(session)
    header = b"".join(cookies_of(session, https=False)).decode()
    return header.partition(";")[0] or cookie, header


def test_the_store_and_the_secret_are_shared(runner: Runner) -> None:
    cookie, header = visit(runner.with_lifetime(300, 60), None, a=1)
    assert "; Max-Age=60;" in header
    assert idle_left(runner) == 300
    cookie, header = visit(runner, cookie, a=2)
    assert "; Max-Age=86400;" in header
    assert idle_left(runner) == DAY


def test_a_shorter_lifetime_holds_from_the_next_write(runner: Runner) -> None:
    cookie, _ = visit(runner, None, a=1)
    visit(runner.with_lifetime(300, 300), cookie, a=2)
    assert idle_left(runner) == 300


def test_the_reputation_stays_the_same(runner: Runner) -> None:
    """Without a secret, a random key of the process signs it."""
    cookie, _ = visit(runner, None, a=1)
    assert cookie is not None
    value = cookie.partition("=")[2].encode()
    reputation = runner.cookie.reputation(value)
    assert reputation is not None
    assert runner.with_lifetime(300, None).cookie.reputation(value) == reputation


def test_the_absolute_timeout_holds(runner: Runner) -> None:
    _, header = visit(runner.with_lifetime(365 * DAY, 365 * DAY), None, a=1)
    assert f"; Max-Age={30 * DAY};" in header
    assert idle_left(runner) == 30 * DAY


def test_without_a_max_age_the_cookie_ends_with_the_browser(runner: Runner) -> None:
    _, header = visit(runner.with_lifetime(300, None), None, a=1)
    assert header
    assert "Max-Age" not in header


def test_the_secret_of_the_options_is_kept() -> None:
    secret = "0123456789abcdefghijklmnopqrstuvwxyz"
    runner = runner_of(SessionManager(MemoryStore("1M"), secret=[secret]))
    cookie, _ = visit(runner.with_lifetime(300, None), None, a=1)
    assert visit(runner, cookie, a=1) == (cookie, "")
