"""``SessionInfo.device`` and ``.address``, through the ASGI and the WSGI middleware."""

from __future__ import annotations

from typing import Any

import pytest

from lembro import LoginRequired, MemoryStore, Record, Session, SessionInfo, SessionManager, Visitor
from lembro._core import codec
from tests.support.middlewares import KINDS, Browser, Kind

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Safari/604.1"
ADDRESS = "203.0.113.7"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def log_in(session: Session) -> None:
    session.login("ada")


def only(manager: SessionManager) -> SessionInfo:
    (info,) = manager.all()
    return info


def browser_of(kind: Kind, **options: Any) -> Browser:
    manager = SessionManager(MemoryStore("64K"), **options)
    return Browser(kind, manager, client=ADDRESS, user_agent=FIREFOX)


def test_a_login_describes_the_device_and_keeps_no_address(kind: Kind) -> None:
    browser = browser_of(kind)
    browser.visit(log_in)
    info = only(browser.manager)
    assert (info.user_id, info.device, info.address) == ("ada", "Firefox on Windows", "")
    assert info.data == {}
    ((_, found),) = browser.manager.store.all()  # type: ignore[union-attr]
    assert ADDRESS.encode() not in found.payload


def test_an_anonymous_session_has_no_device(kind: Kind) -> None:
    browser = browser_of(kind, store_address=True)
    browser.visit(lambda session: session.update(n=1))
    info = only(browser.manager)
    assert (info.device, info.address) == ("", "")


def test_the_page_of_a_users_sessions_shows_each_device(kind: Kind) -> None:
    first = browser_of(kind, store_address=True)
    second = Browser(kind, first.manager, client="2001:db8::1", user_agent=SAFARI)
    first.visit(log_in)
    second.visit(log_in)
    infos = second.visit(lambda session: session.user_sessions())
    assert [(info.device, info.address, info.current) for info in infos] == [
        ("Firefox on Windows", ADDRESS, False),
        ("Safari on iPhone", "2001:db8::1", True),
    ]


def test_without_describe_nothing_is_stored(kind: Kind) -> None:
    browser = browser_of(kind, describe=None)
    browser.visit(log_in)
    info = only(browser.manager)
    assert (info.device, info.address) == ("", "")
    ((_, found),) = browser.manager.store.all()  # type: ignore[union-attr]
    assert codec.decode(found.payload) == ({}, {})


def test_the_address_can_be_stored_without_the_device(kind: Kind) -> None:
    browser = browser_of(kind, describe=None, store_address=True)
    browser.visit(log_in)
    info = only(browser.manager)
    assert (info.device, info.address) == ("", ADDRESS)


def test_describe_gets_the_visitor(kind: Kind) -> None:
    visitors: list[Visitor] = []

    def describe(visitor: Visitor) -> str:
        visitors.append(visitor)
        return "é" * 300

    browser = browser_of(kind, describe=describe)
    browser.visit(log_in)
    assert visitors == [Visitor(FIREFOX, ADDRESS)]
    assert only(browser.manager).device == "é" * 200


@pytest.mark.parametrize("text", ["\ud800 broken", "🙂", "a\nb"])
def test_any_text_from_describe_can_be_stored(kind: Kind, text: str) -> None:
    browser = browser_of(kind, describe=lambda visitor: text)
    browser.visit(log_in)
    assert only(browser.manager).device == text.encode("utf-8", "replace").decode()


def test_a_visitor_without_user_agent_and_address_has_none(kind: Kind) -> None:
    browser = browser_of(kind, store_address=True)
    browser.user_agent = browser.client = None
    browser.visit(log_in)
    info = only(browser.manager)
    assert (info.device, info.address) == ("", "")


def test_an_error_in_describe_is_logged_and_the_login_succeeds(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    def describe(visitor: Visitor) -> str:
        raise LookupError("no such browser")

    browser = browser_of(kind, describe=describe, store_address=True)
    browser.visit(log_in)
    info = only(browser.manager)
    assert (info.user_id, info.device, info.address) == ("ada", "", ADDRESS)
    (record,) = [r for r in caplog.records if "describe" in r.getMessage()]
    assert record.getMessage() == (
        "lembro: the function describe= failed; the device is not described"
    )
    assert "no such browser" in caplog.text


def test_the_description_stays_until_the_next_login(kind: Kind) -> None:
    browser = browser_of(kind, store_address=True)
    browser.visit(log_in)
    browser.user_agent, browser.client = SAFARI, "198.51.100.1"
    browser.visit(lambda session: session.update(n=1))
    browser.visit(lambda session: session.regenerate_id())
    info = only(browser.manager)
    assert (info.device, info.address) == ("Firefox on Windows", ADDRESS)
    browser.visit(log_in)
    info = only(browser.manager)
    assert (info.device, info.address) == ("Safari on iPhone", "198.51.100.1")
    assert info.data == {"n": 1}


def test_a_remembered_login_is_described_too(kind: Kind) -> None:
    browser = browser_of(kind)
    browser.visit(lambda session: session.login("ada", remember=True))
    assert "Max-Age=" in browser.set_cookies[0]
    assert only(browser.manager).device == "Firefox on Windows"


def test_a_concurrent_write_keeps_the_description(kind: Kind) -> None:
    browser = browser_of(kind)
    browser.visit(log_in)
    manager = browser.manager
    session_id = next(iter(browser.jar.values()))[:43]
    other = manager.load(session_id)
    other["theirs"] = 1

    def write(session: Session) -> None:
        session["ours"] = 1
        other.save()

    browser.visit(write)
    info = only(manager)
    assert (info.data, info.device) == ({"theirs": 1, "ours": 1}, "Firefox on Windows")


def test_a_login_without_a_request_has_no_device() -> None:
    manager = SessionManager(MemoryStore("64K"), store_address=True)
    manager.create(user_id="ada")
    assert (only(manager).device, only(manager).address) == ("", "")


def test_the_list_right_after_a_login_has_the_new_session(kind: Kind) -> None:
    browser = browser_of(kind)

    def log_in_and_list(session: Any) -> Any:
        session.login("ada")
        return session.user_sessions()

    infos = browser.visit(log_in_and_list)
    assert [(info.user_id, info.current) for info in infos] == [("ada", True)]


def test_after_a_logout_in_the_same_request_listing_raises(kind: Kind) -> None:
    browser = browser_of(kind)
    browser.visit(log_in)

    def log_out_and_list(session: Any) -> Any:
        session.logout()
        with pytest.raises(LoginRequired):
            session.user_sessions()

    browser.visit(log_out_and_list)
    assert list(browser.manager.all()) == []


def test_a_device_that_is_no_utf8_is_shown_with_replacements() -> None:
    store = MemoryStore("64K")
    manager = SessionManager(store)
    payload = codec.encode({"device": b"Fire\xfffox", "ip": True}, {"n": 1})
    assert store.add(b"k" * 32, Record(payload), idle=60, life=60)
    assert (only(manager).device, only(manager).address) == ("Fire\ufffdfox", "")
