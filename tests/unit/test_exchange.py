"""The cookies that an exchange adds to a response."""

from __future__ import annotations

from typing import Any

import pytest

from lembro import CookieOptions, MemoryStore, SessionManager
from lembro._core.state import SetCookie
from lembro._http import headers
from lembro.ids import new_id
from lembro.integrations._adapter import respond
from tests.support.exchanges import PlainExchange, PlainResponse


class FarExchange(PlainExchange):
    __slots__ = ()

    def client(self) -> str:
        return "203.0.113.7"


def set_cookie_over(*, https: bool, **options: Any) -> None:
    manager = SessionManager(MemoryStore("1M"), cookie=CookieOptions(**options))
    exchange = FarExchange(manager, https=https)
    exchange.session["n"] = 1
    assert respond(exchange, PlainResponse())


def test_a_cookie_over_plain_http_to_another_machine_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(headers, "_warned", set())
    set_cookie_over(https=True)
    set_cookie_over(https=False, secure=False)  # the application has set it
    assert caplog.text == ""
    set_cookie_over(https=False)
    assert "plain http for a client on another machine" in caplog.text


def test_a_cookie_without_a_loaded_session_is_rendered() -> None:
    """As under Django's own middleware, where only the ID is known."""
    exchange = FarExchange(SessionManager(MemoryStore("1M")), https=True)
    assert exchange.session.get("n") is None
    exchange.session._cookie = SetCookie(new_id(), None, None)
    [header] = exchange.set_cookies()
    assert header.startswith(b"__Host-sid=")
