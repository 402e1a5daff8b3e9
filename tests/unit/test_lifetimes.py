"""The lifetime of a session, and when its cookie is sent again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lembro import CookieOptions, Session, SessionManager
from lembro.manager import runner_of
from lembro.testing._model import NaiveStore
from tests.support.site import Site, cookies_of

# -- the idle timeout ------------------------------------------------------------------------------


def test_a_read_touches_only_after_a_tenth_of_the_idle_timeout(site: Site) -> None:
    cookie = site.new()
    tenth = site.runner.lifecycle.lifetimes.idle / 10
    for after, verbs in ((tenth, ["get"]), (1, ["get", "touch"]), (1, ["get"])):
        site.clock.advance(after)
        with site.request(cookie) as r:
            r.session.get("n")
        assert r.reply.verbs == verbs


@pytest.mark.options(idle_timeout=60, absolute_timeout=100)
def test_reads_keep_a_session_alive_until_the_absolute_timeout(site: Site) -> None:
    cookie = site.new(n=1)
    for _ in range(9):
        site.clock.advance(11)
        with site.request(cookie) as r:
            assert r.session["n"] == 1
    site.clock.advance(1)
    assert site.data(cookie) is None


@pytest.mark.options(idle_timeout=60, absolute_timeout=100)
def test_a_login_starts_the_absolute_timeout_again_and_a_rotation_does_not(site: Site) -> None:
    cookie = site.new(n=1)
    for _ in range(2):
        site.clock.advance(45)
        cookie = site.login(cookie, "ana")
    site.clock.advance(59)
    cookie = site.rotate(cookie)
    site.clock.advance(40)
    assert site.data(cookie) == {"n": 1}
    site.clock.advance(1)
    assert site.data(cookie) is None


@pytest.mark.options(idle_timeout=60, absolute_timeout=60)
def test_a_touch_that_would_extend_nothing_is_skipped(site: Site) -> None:
    cookie = site.new()
    site.clock.advance(50)
    with site.request(cookie) as r:
        r.session.get("n")
    assert r.reply.verbs == ["get"]


def test_touch_touches_at_once(site: Site) -> None:
    cookie = site.new()
    with site.request(cookie) as r:
        r.session.touch()
    assert r.reply.verbs == ["get", "touch"]


@pytest.mark.options(absolute_timeout=None)
def test_without_an_absolute_timeout_a_session_lives_as_long_as_it_is_used(site: Site) -> None:
    cookie = site.new(n=1)
    for _ in range(400):
        site.clock.advance(site.runner.lifecycle.lifetimes.idle - 1)
        with site.request(cookie) as r:
            assert r.session["n"] == 1


def test_a_touch_does_not_restore_an_ended_session(site: Site) -> None:
    cookie = site.new(n=1)
    reader = site.open(cookie)
    site.clock.advance(site.runner.lifecycle.lifetimes.idle / 2)
    assert reader["n"] == 1
    reader.touch()
    site.logout(cookie)
    assert site.commit(reader).cookie == ""
    assert site.count == 0


# -- sending the cookie again ----------------------------------------------------------------------

WITH_AGE = pytest.mark.options(
    idle_timeout=1000, absolute_timeout=5000, cookie=CookieOptions(max_age=1000)
)


USES: dict[str, Callable[[Site, Session], object]] = {
    "looks": lambda site, session: session["n"],
    "writes": lambda site, session: session.update(n=session["n"] + 1),
    "counts": lambda site, session: site.atomic(session, lambda data: data.update(n=data["n"] + 1)),
}


@WITH_AGE
@pytest.mark.parametrize("use", USES)
def test_a_cookie_with_max_age_is_sent_again_when_the_session_is_extended(
    site: Site, use: str
) -> None:
    cookie = site.new()
    for after, expected in ((90, ""), (20, "set"), (90, ""), (20, "set")):
        site.clock.advance(after)
        with site.request(cookie) as r:
            USES[use](site, r.session)
        assert r.reply.cookie == expected
    assert r.reply.id == cookie
    assert "Max-Age=1000;" in r.reply.header


@WITH_AGE
@pytest.mark.parametrize("use", USES)
def test_frequent_requests_keep_both_the_session_and_the_cookie(site: Site, use: str) -> None:
    """The browser drops a cookie at its max age, even if the session lives longer."""
    cookie = site.new()
    dropped = site.clock() + 1000
    for _ in range(60):
        site.clock.advance(60)
        assert site.clock() < dropped
        with site.request(cookie) as r:
            USES[use](site, r.session)
        if r.reply.cookie:
            dropped = site.clock() + 1000


@WITH_AGE
def test_touch_sends_the_cookie_again_at_once(site: Site) -> None:
    with site.request(site.new()) as r:
        r.session.touch()
    assert r.reply.cookie == "set"


@WITH_AGE
def test_an_edit_cannot_send_the_cookie(site: Site) -> None:
    cookie = site.new()
    session = site.open(cookie)
    assert session["n"] == 1
    site.commit(session)
    site.clock.advance(500)
    with site.edit(session):
        session["n"] = 2
    site.clock.advance(900)
    assert site.data(cookie) == {"n": 2}


@WITH_AGE
def test_a_request_with_a_rotated_id_gets_no_renewed_cookie(site: Site) -> None:
    cookie = site.new("alice")
    session = site.open(cookie)
    assert session.user_id == "alice"
    site.clock.advance(500)
    site.rotate(cookie)
    session["n"] = 2
    assert site.commit(session).cookie == ""


def test_a_max_age_is_renewed_over_a_store_without_reputations_too() -> None:
    store = NaiveStore()
    manager = SessionManager(store, idle_timeout=1000, cookie=CookieOptions(max_age=1000))
    cookie = manager.create({"n": 1})
    store.now = 500
    session = manager.load(cookie)
    runner_of(manager).commit(session)
    (header,) = cookies_of(session, https=False)
    assert header.startswith(f"sid={cookie}; Max-Age=1000;".encode())


def test_a_cookie_without_max_age_is_not_sent_again(site: Site) -> None:
    cookie = site.new()
    site.clock.advance(site.runner.lifecycle.lifetimes.idle / 2)
    with site.request(cookie) as r:
        r.session["n"] = 2
    assert r.reply.cookie == ""


@pytest.mark.options(idle_timeout=1000)
@pytest.mark.parametrize(("after", "due"), [(95, False), (100, False), (101, True)])
def test_a_session_is_due_after_exactly_a_tenth(site: Site, after: float, due: bool) -> None:
    cookie = site.new()
    site.clock.advance(after)
    with site.request(cookie) as r:
        r.session.get("n")
    assert ("touch" in r.reply.verbs) is due


@pytest.mark.options(idle_timeout=1000, cookie=CookieOptions(max_age=1000))
@pytest.mark.parametrize(("after", "due"), [(95, False), (100, False), (101, True)])
def test_the_cookie_is_due_after_exactly_a_tenth(site: Site, after: float, due: bool) -> None:
    cookie = site.new(n=1)
    site.clock.advance(after)
    with site.request(cookie) as r:
        r.session["n"] = 2
    assert r.reply.cookie == ("set" if due else "")


@pytest.mark.options(idle_timeout=1000)
def test_a_preloaded_session_that_is_not_accessed_is_not_extended(site: Site) -> None:
    cookie = site.new("alice")
    site.clock.advance(500)
    assert "touch" not in site.commit(site.open(cookie)).verbs


@pytest.mark.options(idle_timeout=1000, rotation_grace=300, cookie=CookieOptions(max_age=1000))
def test_a_rotated_id_extends_the_session_without_a_cookie(site: Site) -> None:
    old = site.new("alice")
    site.rotate(old)
    site.clock.advance(200)
    with site.request(old) as r:
        r.session["n"] = 2
    assert r.reply.verbs[-1] == "set"
    assert r.reply.cookie == ""


@pytest.mark.options(rotation_grace=0)
def test_without_a_grace_the_old_id_is_stale_at_once(site: Site) -> None:
    old = site.new("alice")
    late = site.open(old)
    late["m"] = 2
    new = site.rotate(old)
    assert site.user(old) is None
    assert site.user(new) == "alice"
    assert site.commit(late).id is None, "a request in flight loses its changes"
    assert site.data(new) == {"n": 1}
    assert site.count == 1


@pytest.mark.options(rotation_grace=0, idle_timeout=1000)
def test_without_a_grace_a_request_in_flight_finds_an_emptied_session(
    site: Site,
) -> None:
    cookie = site.new(None, a=1)
    late = site.open(cookie)
    late["m"] = 2
    with site.request(cookie) as r:
        del r.session["a"]
    site.clock.advance(29)
    site.commit(late)
    assert site.data(cookie) == {"m": 2}
