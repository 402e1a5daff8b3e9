"""The options of the cookie and of rotation, through the ASGI and the WSGI middleware."""

from __future__ import annotations

from typing import Any

import pytest

from lembro import CookieOptions, MemoryStore, Session, SessionManager
from tests.support.middlewares import KINDS, Browser, Kind


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def browser_of(kind: Kind, *, https: bool = False, **options: Any) -> Browser:
    return Browser(kind, SessionManager(MemoryStore("64K"), **options), https)


def write(session: Session) -> None:
    session["n"] = session.get("n", 0) + 1


# -- the name and its prefix -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "http", "https"),
    [
        ({}, "sid", "__Host-sid"),
        ({"name": "shop"}, "shop", "__Host-shop"),
        ({"name": "shop", "path": "/shop"}, "shop", "__Secure-shop"),
        ({"name": "shop", "domain": "example.com"}, "shop", "__Secure-shop"),
        ({"name": "shop", "prefix": None}, "shop", "shop"),
        ({"name": "shop", "secure": False}, "shop", "shop"),
        ({"name": "shop", "secure": True}, "__Host-shop", "__Host-shop"),
        ({"name": "shop", "secure": True, "prefix": "secure"}, "__Secure-shop", "__Secure-shop"),
    ],
)
def test_the_prefix_follows_from_the_options_and_the_scheme(
    kind: Kind, options: dict[str, Any], http: str, https: str
) -> None:
    for secure, name in ((False, http), (True, https)):
        browser = browser_of(kind, https=secure, cookie=CookieOptions(**options))
        browser.visit(write)
        (header,) = browser.set_cookies
        assert list(browser.jar) == [name]
        assert ("; Secure" in header) is (
            name.startswith("__") or (secure and "secure" not in options)
        )
        browser.visit(write)
        assert browser.visit(lambda session: session["n"]) == 2
        browser.visit(lambda session: session.logout())
        assert browser.jar == {}
        (header,) = browser.set_cookies
        assert header.startswith(f"{name}=;")


def test_over_https_the_plain_http_cookie_is_not_read(kind: Kind) -> None:
    """An attacker in the network can set that cookie, and so cause a session fixation."""
    browser = browser_of(kind, cookie=CookieOptions(name="shop"))
    browser.visit(write)
    assert list(browser.jar) == ["shop"]
    browser.https = True
    assert browser.visit(lambda session: session.is_new)
    assert browser.visit(dict) == {}


# -- rotation_grace=0 ------------------------------------------------------------------------------


def rotated(kind: Kind, **options: Any) -> tuple[Browser, Browser]:
    """Return a browser with the new ID of a login, and one that still has the rotated ID."""
    browser = browser_of(kind, **options)
    browser.visit(lambda session: session.login("ada"))
    browser.visit(write)
    late = Browser(kind, browser.manager, jar=dict(browser.jar))
    browser.visit(lambda session: session.regenerate_id())
    assert late.jar != browser.jar
    return browser, late


def test_without_a_grace_a_rotated_id_is_stale_at_once(kind: Kind) -> None:
    browser, late = rotated(kind, rotation_grace=0)
    assert late.visit(lambda session: (session.user_id, dict(session))) == (None, {})
    assert late.set_cookies == []
    assert browser.visit(lambda session: (session.user_id, dict(session))) == ("ada", {"n": 1})


def test_with_a_grace_a_rotated_id_works(kind: Kind) -> None:
    _, late = rotated(kind)
    assert late.visit(lambda session: (session.user_id, dict(session))) == ("ada", {"n": 1})


def test_without_a_grace_a_rotation_keeps_one_record(kind: Kind) -> None:
    browser, _ = rotated(kind, rotation_grace=0)
    store: Any = browser.manager.store
    assert (store.stats().sessions, browser.manager.length()) == (1, 1)


def test_without_a_grace_a_login_can_follow_a_stale_id(kind: Kind) -> None:
    browser, late = rotated(kind, rotation_grace=0)
    late.visit(lambda session: session.login("bob"))
    assert late.visit(lambda session: session.user_id) == "bob"
    assert browser.visit(lambda session: session.user_id) == "ada"


def test_without_a_grace_a_logout_ends_the_session(kind: Kind) -> None:
    browser, late = rotated(kind, rotation_grace=0)
    late.visit(lambda session: session.logout())
    assert late.set_cookies == [], "it did not end the session of the new ID"
    assert browser.visit(lambda session: session.user_id) == "ada"
    browser.visit(lambda session: session.logout())
    assert browser.manager.length() == 0


def test_without_a_grace_parallel_rotations_leave_one_session() -> None:
    browser = browser_of("wsgi", rotation_grace=0)
    browser.visit(lambda session: session.login("ada"))
    twin = Browser("wsgi", browser.manager, jar=dict(browser.jar))

    def rotate_both(session: Session) -> None:
        assert session.user_id == "ada"
        twin.visit(lambda other: other.regenerate_id())
        session.regenerate_id()

    browser.visit(rotate_both)
    assert browser.set_cookies == []
    assert twin.visit(lambda session: session.user_id) == "ada"
    assert browser.visit(lambda session: session.user_id) is None
    assert browser.manager.length() == 1
