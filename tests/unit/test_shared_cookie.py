"""Two managers of one process that set the same cookie."""

from __future__ import annotations

from typing import Any

import pytest

from lembro import CookieOptions, MemoryStore, SessionManager
from lembro._http import headers
from lembro._runtime import issued
from lembro.integrations._adapter import respond
from tests.support.exchanges import PlainExchange, PlainResponse


@pytest.fixture(autouse=True)
def _unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "_warned", set())


def cookie_of(manager: SessionManager) -> str:
    exchange = PlainExchange(manager)
    exchange.session["n"] = 1
    response = PlainResponse()
    respond(exchange, response)
    return response.cookie


def test_an_id_of_the_other_manager_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    first, second = SessionManager(MemoryStore("64K")), SessionManager(MemoryStore("64K"))
    cookie = cookie_of(first)
    assert PlainExchange(first, cookie).session["n"] == 1
    assert "n" not in PlainExchange(SessionManager(first.store), cookie.replace("sid", "x")).session
    assert caplog.text == ""
    assert "n" not in PlainExchange(second, cookie).session
    assert "two session managers both set the cookie 'sid'" in caplog.text


def test_the_newest_ids_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: Any = type(issued._issued)()
    monkeypatch.setattr(issued, "MOST", 2)
    monkeypatch.setattr(issued, "_issued", noted)
    manager = SessionManager(MemoryStore("64K"), cookie=CookieOptions(name="noted"))
    for count, kept in ((1, [0]), (2, [0, 1]), (3, [1, 2])):
        issued.note_issued(bytes([count - 1]), manager)
        assert list(noted) == [bytes([number]) for number in kept]
