"""The time that a session has left, requests that are no activity, and ``touch``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lembro import CookieOptions, Session, SessionCommitted, SessionGone, UsageError
from lembro._core.lifetimes import was_empty
from lembro._runtime.exchange import NoRequest
from lembro.stores.base import Found
from tests.support.site import Site

IDLE, LIFE = 1000, 5000
OPTIONS: dict[str, Any] = {"idle_timeout": IDLE, "absolute_timeout": LIFE}
LIMITED: pytest.MarkDecorator = pytest.mark.options(**OPTIONS)


def stored(site: Site) -> tuple[float, float]:
    ((_, found),) = site.store.all()
    return found.idle_left, found.life_left


def both(session: Session) -> tuple[float | None, float | None]:
    return session.expires_in, session.ends_in


def passive(act: Callable[[Session], object]) -> Callable[[Session], None]:
    """Return an action that follows ``skip_touch``."""

    def run(session: Session) -> None:
        session.skip_touch()
        act(session)

    return run


def both_acts(*names: str) -> Callable[[Session], None]:
    """Return an action that consists of several."""
    acts: dict[str, Callable[[Session], object]] = {
        "touch": lambda session: session.touch(),
        "change": lambda session: session.update(n=2),
        "rotate": lambda session: session.regenerate_id(),
    }

    def run(session: Session) -> None:
        for name in names:
            acts[name](session)

    return run


# -- expires_in, ends_in ---------------------------------------------------------------------------

ACTS: dict[str, tuple[Callable[[Session], object], float]] = {
    "a read": (lambda session: None, 950),
    "a change": (lambda session: session.update(n=2), IDLE),
    "a change to the same value": (lambda session: session.update(n=1), 950),
    "touch": (lambda session: session.touch(), IDLE),
    "skip_touch": (lambda session: session.skip_touch(), 950),
    "skip_touch and a change": (passive(lambda session: session.update(n=2)), 950),
    "skip_touch and a rotation": (passive(lambda session: session.regenerate_id()), 950),
    "skip_touch and touch": (passive(lambda session: session.touch()), IDLE),
    "skip_touch and a login": (passive(lambda session: session.login("ada")), IDLE),
    "touch and a change": (both_acts("touch", "change"), IDLE),
    "skip_touch, touch and a change": (passive(both_acts("change", "touch")), IDLE),
    "skip_touch, touch and a rotation": (passive(both_acts("touch", "rotate")), IDLE),
    "a rotation": (lambda session: session.regenerate_id(), IDLE),
    "a login": (lambda session: session.login("ada"), IDLE),
    "an own login": (lambda session: session.login("ada", idle_timeout=7), 7),
    "an emptied session": (lambda session: session.pop("n"), 30),
}


@LIMITED
@pytest.mark.parametrize("act", ACTS)
def test_the_time_left_is_what_the_store_has_after_the_request(site: Site, act: str) -> None:
    cookie = site.new()
    site.clock.advance(50)
    with site.request(cookie) as r:
        ACTS[act][0](r.session)
        left = both(r.session)
    assert left == stored(site)
    assert left[0] == ACTS[act][1]


@pytest.mark.options(**OPTIONS, cookie=CookieOptions(max_age=IDLE))
def test_touch_with_a_change_renews_the_cookie_too(site: Site) -> None:
    cookie = site.new()
    site.clock.advance(50)
    with site.request(cookie) as r:
        both_acts("change", "touch")(r.session)
    assert stored(site)[0] == IDLE
    assert "; Max-Age=1000;" in r.reply.header


@LIMITED
@pytest.mark.parametrize(("after", "left"), [(100, IDLE - 100), (101, IDLE)])
def test_a_read_extends_the_time_left_after_a_tenth(site: Site, after: float, left: float) -> None:
    cookie = site.new()
    site.clock.advance(after)
    with site.request(cookie) as r:
        assert r.session.expires_in == left
    assert stored(site)[0] == left


@LIMITED
def test_the_time_left_never_exceeds_the_absolute_timeout(site: Site) -> None:
    cookie = site.new()
    for _ in range(5):
        site.clock.advance(900)
        with site.request(cookie) as r:
            r.session.get("n")
    assert both(site.open(cookie)) == (500, 500)


@LIMITED
def test_a_new_session_has_time_left_as_soon_as_it_has_data(site: Site) -> None:
    session = site.open()
    assert both(session) == (None, None)
    assert session.expires_at is None
    session["n"] = 1
    assert both(session) == (IDLE, LIFE)
    session.login("ada", absolute_timeout=10)
    assert both(session) == (10, 10)


@LIMITED
def test_an_ended_session_has_no_time_left(site: Site) -> None:
    with site.request(site.new()) as r:
        r.session.logout()
        assert both(r.session) == (None, None)


@pytest.mark.options(absolute_timeout=None)
def test_without_an_absolute_timeout_a_session_need_not_end(site: Site) -> None:
    assert site.open(site.new()).ends_in == float("inf")


@LIMITED
def test_after_the_response_has_begun_the_time_left_is_that_of_the_store(site: Site) -> None:
    session = site.open(site.new())
    assert session["n"] == 1
    site.clock.advance(200)
    site.commit(session)
    site.reload(session)
    assert both(session) == (IDLE - 200, LIFE - 200)


@LIMITED
def test_an_extension_is_seen_after_the_response_has_begun(site: Site) -> None:
    cookie = site.new()
    site.clock.advance(200)
    session = site.open(cookie)
    assert session["n"] == 1
    site.commit(session)
    assert both(session) == (IDLE, LIFE - 200)


@LIMITED
def test_the_wall_clock_time_of_the_end_follows(site: Site) -> None:
    expected = datetime.now(UTC) + timedelta(seconds=IDLE)
    at = site.open(site.new()).expires_at
    assert at is not None
    assert abs(at - expected) < timedelta(seconds=30)


def test_the_list_of_sessions_has_the_time_left() -> None:
    site = Site(**OPTIONS, anonymous_idle_timeout=300)
    site.new()
    site.new("ada")
    site.clock.advance(10)
    infos = sorted(site.manager.all(), key=lambda info: info.expires_in)
    assert [(info.idle_for, info.expires_in, info.ends_in) for info in infos] == [
        (10, 290, LIFE - 10),
        (10, IDLE - 10, LIFE - 10),
    ]
    site.close()


def test_a_session_that_no_use_extends_is_idle_since_its_beginning() -> None:
    """The deadlines of a remembered login do not show when it was last used."""
    site = Site(**OPTIONS, remember_timeout=9000)
    with site.request() as r:
        r.session.login("ada", remember=True)
    for _ in range(2):
        site.clock.advance(1500)
        assert site.user(r.reply.id or "") == "ada"
    assert [info.idle_for for info in site.manager.all()] == [3000]
    site.close()


# -- requests that are no activity -----------------------------------------------------------------


@LIMITED
def test_passive_requests_do_not_keep_a_session_alive(site: Site) -> None:
    cookie = site.new(n=0)
    for turn in range(9):
        site.clock.advance(110)
        with site.request(cookie) as r:
            r.session.skip_touch()
            assert r.session.expires_in == IDLE - 110 * (turn + 1)
            if turn % 2:
                r.session["n"] = turn
        assert "touch" not in r.reply.verbs
    site.clock.advance(10)
    assert site.data(cookie) is None


@LIMITED
def test_an_edit_in_a_passive_request_does_not_extend(site: Site) -> None:
    session = site.open(site.new())
    session.skip_touch()
    site.commit(session)
    site.clock.advance(300)
    with site.edit(session):
        session["n"] = 2
    assert stored(site)[0] == IDLE - 300


@LIMITED
def test_a_passive_request_that_fills_an_emptied_session_keeps_it(site: Site) -> None:
    """An emptied session stays for the grace only, and what is written now must last."""
    cookie = site.new()
    with site.request(cookie) as r:
        del r.session["n"]
    site.clock.advance(10)
    with site.request(cookie) as r:
        passive(lambda session: session.update(n=2))(r.session)
        assert r.session.expires_in == IDLE
    assert stored(site)[0] == IDLE


def test_a_record_that_cannot_be_read_is_not_an_emptied_one() -> None:
    """A passive request that writes over it does not extend it."""
    assert not was_empty(Found(b"?"))


@LIMITED
def test_after_the_response_has_begun_it_is_too_late_to_skip_the_touch(site: Site) -> None:
    session = site.open(site.new())
    session.get("n")
    site.commit(session)
    with pytest.raises(SessionCommitted):
        session.skip_touch()


@pytest.mark.options(**OPTIONS, cookie=CookieOptions(max_age=IDLE))
def test_a_passive_request_sends_no_cookie(site: Site) -> None:
    cookie = site.new()
    site.clock.advance(500)
    with site.request(cookie) as r:
        r.session.skip_touch()
        r.session["n"] = 2
    assert r.reply.cookie == ""


@pytest.mark.options(**OPTIONS, passive=["/poll", "/health"])
@pytest.mark.parametrize(("path", "extends"), [("/poll/3", False), ("/", True), ("/pol", True)])
def test_the_paths_of_the_option_are_passive(
    site: Site, monkeypatch: pytest.MonkeyPatch, path: str, extends: bool
) -> None:
    cookie = site.new()
    site.clock.advance(500)
    monkeypatch.setattr(NoRequest, "path", lambda self: path)
    with site.request(cookie) as r:
        r.session.get("n")
    assert ("touch" in r.reply.verbs) is extends


# -- touch -----------------------------------------------------------------------------------------


def touch(site: Site, session: Session) -> None:
    if site.driver == "sync":
        session.touch()
    else:
        site.wait(session.atouch())


@LIMITED
def test_touch_extends_after_the_response_has_begun(site: Site) -> None:
    session = site.open(site.new())
    session.get("n")
    site.commit(session)
    site.clock.advance(50)
    touch(site, session)
    assert stored(site) == (IDLE, LIFE - 50)
    assert session._cookie is None


@LIMITED
def test_touch_before_the_response_extends_with_it(site: Site) -> None:
    cookie = site.new()
    site.clock.advance(50)
    with site.request(cookie) as r:
        touch(site, r.session)
        assert stored(site)[0] == IDLE - 50
    assert stored(site)[0] == IDLE


@LIMITED
def test_touch_after_the_response_follows_a_new_lifetime(site: Site) -> None:
    """A WebSocket must not extend a session for longer than its last login allows."""
    cookie = site.new("ada")
    session = site.open(cookie)
    session.get("n")
    site.commit(session)
    with site.request(cookie) as r:
        r.session.login("ada", idle_timeout=60)
    touch(site, session)
    assert stored(site)[0] == 60


@LIMITED
def test_touch_after_the_response_does_not_keep_an_emptied_session(site: Site) -> None:
    cookie = site.new()
    session = site.open(cookie)
    session.get("n")
    site.commit(session)
    with site.request(cookie) as r:
        del r.session["n"]
    touch(site, session)
    assert stored(site)[0] == 30


@LIMITED
def test_touch_follows_a_rotated_id(site: Site) -> None:
    cookie = site.new("ada")
    session = site.open(cookie)
    session.get("n")
    site.commit(session)
    site.rotate(cookie)
    site.clock.advance(20)
    touch(site, session)
    assert stored(site)[0] == IDLE


@LIMITED
@pytest.mark.parametrize("moment", ["before", "meanwhile"])
def test_touch_of_an_ended_session_raises(site: Site, moment: str) -> None:
    cookie = site.new()
    session = site.open(cookie)
    session.get("n")
    site.commit(session)
    if moment == "before":
        site.logout(cookie)
    else:
        site.store.before["touch"] = lambda: site.elsewhere.destroy(cookie)
    with pytest.raises(SessionGone):
        touch(site, session)


def test_touch_without_a_session_does_nothing(site: Site) -> None:
    session = site.open()
    site.commit(session)
    touch(site, session)
    assert site.count == 0


def test_touch_names_the_async_form_where_it_would_block() -> None:
    site = Site("blocking")

    async def late() -> None:
        session.touch()

    session = site.open(site.new())
    session.get("n")
    site.commit(session)
    with pytest.raises(UsageError, match=r"await session\.atouch\(\)"):
        site.wait(late())
    site.close()
