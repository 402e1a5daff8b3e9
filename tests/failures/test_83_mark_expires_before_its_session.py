"""83. The mark of a used legacy cookie expires before the legacy session does.

"Remember me" gives one session a longer lifetime than the reader's. Then a logged-out legacy cookie
works again.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from itsdangerous import TimestampSigner

from fuzz import legacy_cookies
from lembro import MemoryStore, Session, SessionManager
from lembro._runtime.exchange import session_by_id
from lembro.manager import runner_of
from lembro.migrate import (
    DjangoSessionReader,
    ExpressSessionReader,
    LegacySession,
    Reader,
    StarletteCookieReader,
)
from lembro.testing import FakeClock

DAY: Final = 24 * 3600.0
ID: Final = "0123456789abcdef" * 2


class Visitor:
    """A visitor who has kept a legacy cookie after a logout."""

    def __init__(self, reader: Reader, cookie: str) -> None:
        self.clock = FakeClock()
        self._cookie = f"{reader.cookie.name}={cookie}".encode()
        manager = SessionManager(MemoryStore("256K", clock=self.clock), migrate_from=reader)
        self._runner = runner_of(manager)
        session = self._visit()
        assert session.user_id == "ada"
        session.logout()
        self._runner.commit(session)

    def _visit(self) -> Session:
        presented = self._runner.cookie.read([self._cookie], https=False)
        return session_by_id(self._runner, presented)

    def is_refused(self) -> bool:
        return self._visit().user_id is None


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


EXPRESS: Final[dict[str, tuple[float, dict[str, Any], bool]]] = {
    "a date": (30, {}, False),
    "an age": (1, {"originalMaxAge": 30 * DAY * 1000}, False),
    "rolling": (-1, {"originalMaxAge": 30 * DAY * 1000}, True),
}
"""The days until ``expires``, the other fields of ``cookie``, and whether the cookie is rolling."""


@pytest.mark.parametrize("case", EXPRESS)
def test_express_session(case: str) -> None:
    days, fields, rolling = EXPRESS[case]
    held = {"cookie": {"expires": in_days(days), **fields}, "user": "ada"}
    reader = ExpressSessionReader(
        lambda key: held, legacy_cookies.KEY, user="user", rolling=rolling, blocking=False
    )
    visitor = Visitor(reader, legacy_cookies._by_express(ID.encode()).decode())
    visitor.clock.advance(30 * DAY - 60)
    assert visitor.is_refused()


@pytest.mark.parametrize(
    ("expiry", "days"),
    [(None, 14), (0, 14), (60, 14), (30 * DAY, 30), ("30", 30), ("-1", 14)],
    ids=["none", "browser", "a minute", "seconds", "date", "date ago"],
)
def test_django(expiry: Any, days: float) -> None:
    from tests.support import django_project  # noqa: PLC0415

    assert django_project
    if isinstance(expiry, str):
        expiry = in_days(int(expiry))
    data = {"_auth_user_id": "ada", "_session_expiry": expiry}
    reader = DjangoSessionReader(lifetime=60)
    legacy = reader.made_of(data, ID)
    assert legacy.lifetime == pytest.approx(days * DAY, abs=60)


class Before(Reader):
    def read(self, value: str) -> LegacySession:
        return self.session({"user": "ada"}, value, lifetime=60)


@pytest.mark.parametrize("usual", [1.0, 60.0, 3600.0])
def test_the_longer_lifetime_counts(usual: float) -> None:
    visitor = Visitor(Before(cookie="before", lifetime=usual, user="user"), "ada.1")
    visitor.clock.advance(max(usual, 60))
    assert visitor.is_refused()
    visitor.clock.advance(1)
    assert not visitor.is_refused()


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> float:
    """The system's time, at the beginning of a second."""
    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    return now


def test_a_signature_is_checked_in_whole_seconds(
    noon: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signature is accepted until its age in whole seconds exceeds the lifetime."""
    cookie = TimestampSigner(legacy_cookies.KEY).sign(b"eyJ1IjogImFkYSJ9").decode()
    reader = StarletteCookieReader(legacy_cookies.KEY, max_age=3600, user="u")
    visitor = Visitor(reader, cookie)
    for after in (0.5, 3600.5, 3601.5):
        monkeypatch.setattr(time, "time", lambda after=after: noon + after)
        visitor.clock.now = 1000.0 + after
        assert visitor.is_refused(), after
