"""How long the session of a login lives, and that of a visitor without one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lembro import ConfigError, CookieOptions, MemoryStore, Record, SessionManager, SessionOptions
from lembro._core import codec
from tests.support.site import Site

HOUR = 3600.0
DAY = 24 * HOUR
OFFICE = pytest.mark.options(idle_timeout=8 * HOUR, absolute_timeout=7 * DAY)


def left(site: Site) -> tuple[float, float]:
    """Return how long the only session lives without use, and in any case."""
    ((_, found),) = site.store.all()
    return found.idle_left, found.life_left


def log_in(site: Site, **keywords: Any) -> str:
    """Log ada in. Return the Max-Age of the cookie, or an empty str."""
    with site.request() as r:
        r.session.login("ada", **keywords)
    return r.reply.header.partition("Max-Age=")[2].partition(";")[0]


@OFFICE
@pytest.mark.parametrize(
    ("keywords", "expected", "max_age"),
    [
        ({}, (8 * HOUR, 7 * DAY), ""),
        ({"remember": True}, (30 * DAY, 30 * DAY), str(30 * 86400)),
        ({"remember": timedelta(days=3)}, (3 * DAY, 3 * DAY), str(3 * 86400)),
        ({"idle_timeout": 600}, (600, 7 * DAY), ""),
        ({"idle_timeout": 0.5}, (0.5, 7 * DAY), ""),
        ({"absolute_timeout": timedelta(hours=1)}, (HOUR, HOUR), ""),
        ({"idle_timeout": 60, "absolute_timeout": 90 * DAY}, (60, 90 * DAY), ""),
        ({"remember": True, "idle_timeout": DAY}, (DAY, 30 * DAY), "86400"),
        ({"remember": True, "absolute_timeout": DAY}, (DAY, DAY), "86400"),
    ],
)
def test_a_login_may_have_its_own_lifetime(
    site: Site, keywords: Any, expected: Any, max_age: str
) -> None:
    assert log_in(site, **keywords) == max_age
    assert left(site) == expected


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"remember": 7}, "remember must be True, False or a timedelta, got 7"),
        ({"remember": timedelta(0)}, "remember must be more than 0"),
        ({"idle_timeout": 0}, "idle_timeout must be more than 0"),
        ({"absolute_timeout": "1d"}, "absolute_timeout must be seconds"),
        (
            {"idle_timeout": 60, "absolute_timeout": 30},
            r"idle_timeout must be at most the absolute timeout \(30 s\), got 60",
        ),
        (
            {"idle_timeout": 31 * DAY, "remember": True},
            r"idle_timeout must be at most the absolute timeout \(2.592e\+06 s\)",
        ),
    ],
)
def test_a_lifetime_that_cannot_work_is_refused(site: Site, keywords: Any, error: str) -> None:
    session = site.open()
    with pytest.raises(ConfigError, match=f"^{error}"):
        session.login("ada", **keywords)
    assert session.user_id is None


def test_a_login_may_end_at_its_idle_timeout_in_any_case(site: Site) -> None:
    with site.request() as r:
        r.session.login("ada", idle_timeout=60, absolute_timeout=60)
    site.clock.advance(59)
    assert site.user(r.reply.id or "") == "ada"
    site.clock.advance(2)
    assert site.data(r.reply.id) is None


@pytest.mark.options(idle_timeout=8 * HOUR, absolute_timeout=None, remember_timeout=None)
def test_without_a_remember_timeout_only_the_cookie_is_remembered(site: Site) -> None:
    assert log_in(site, remember=True) == str(400 * 86400)
    assert left(site) == (8 * HOUR, float("inf"))


@OFFICE
def test_a_longer_lifetime_is_extended_after_a_tenth(site: Site) -> None:
    """A tenth of its own idle timeout, which is more than the usual one."""
    with site.request() as r:
        r.session.login("ada", idle_timeout=4 * DAY)
    cookie = r.reply.id
    idle, _ = left(site)
    for share, extended in ((0.09, False), (0.02, True)):
        site.clock.advance(idle * share)
        with site.request(cookie) as r:
            assert r.session.user_id == "ada"
        assert ("touch" in r.reply.verbs) is extended


@OFFICE
def test_a_shorter_lifetime_is_extended_by_itself(site: Site) -> None:
    with site.request() as r:
        r.session.login("ada", idle_timeout=600)
    cookie = r.reply.id
    for verb, change in (("touch", False), ("set", True), ("set", False)):
        site.clock.advance(599)
        with site.request(cookie) as r:
            if verb == "touch":
                assert r.session.user_id == "ada"
            elif change:
                r.session["n"] = 1
            else:
                site.atomic(r.session, lambda data: data.update(n=2))
        assert verb in r.reply.verbs
        assert left(site)[0] == 600
    site.clock.advance(601)
    assert site.data(cookie) is None


@OFFICE
def test_a_rotation_keeps_the_lifetime_and_the_next_login_does_not(site: Site) -> None:
    with site.request() as r:
        r.session.login("ada", idle_timeout=600, absolute_timeout=DAY)
    with site.request(site.rotate(r.reply.id or "")) as r:
        assert left(site) == (600, DAY)
        r.session.login("ada")
    assert left(site) == (8 * HOUR, 7 * DAY)


@OFFICE
def test_a_session_after_a_logout_has_the_usual_lifetime(site: Site) -> None:
    with site.request() as r:
        r.session.login("ada", remember=True)
    with site.request(r.reply.id) as r:
        r.session.logout()
        r.session["n"] = 1
    assert left(site) == (8 * HOUR, 7 * DAY)


@OFFICE
def test_a_login_keeps_its_lifetime_in_a_merge(site: Site) -> None:
    cookie = site.new("ada")
    late = site.open(cookie)
    late["n"] = 2
    with site.request(cookie) as r:
        r.session.login("ada", idle_timeout=600)
    site.commit(late)
    assert site.data(r.reply.id) == {"n": 2}
    assert left(site)[0] == 600


@pytest.mark.options(idle_timeout=1000, cookie=CookieOptions(max_age=1000))
def test_a_cookie_with_max_age_follows_the_lifetime(site: Site) -> None:
    with site.request() as r:
        r.session.login("ada", idle_timeout=200)
    assert "Max-Age=200;" in r.reply.header
    site.clock.advance(30)
    with site.request(r.reply.id) as r:
        assert r.session.user_id == "ada"
    assert "Max-Age=200;" in r.reply.header


def test_a_remembered_login_with_a_short_idle_timeout_renews_its_cookie(site: Site) -> None:
    with site.request() as r:
        r.session.login("ada", remember=True, idle_timeout=1000)
    cookie = r.reply.id
    for after, expected in ((90, ""), (20, "set")):
        site.clock.advance(after)
        with site.request(cookie) as r:
            assert r.session.user_id == "ada"
        assert r.reply.cookie == expected
    assert "Max-Age=1000;" in r.reply.header


def test_a_remembered_login_sends_its_cookie_once(site: Site) -> None:
    """The cookie lasts as long as the session can."""
    with site.request() as r:
        r.session.login("ada", remember=True)
    site.clock.advance(10 * DAY)
    with site.request(r.reply.id) as r:
        r.session["n"] = 1
    assert r.reply.cookie == ""
    assert left(site) == (20 * DAY, 20 * DAY)


@pytest.mark.options(idle_timeout=HOUR, anonymous_idle_timeout=600)
def test_visitors_have_their_own_idle_timeout(site: Site) -> None:
    cookie = site.new()
    assert left(site)[0] == 600
    site.clock.advance(61)
    with site.request(cookie) as r:
        r.session.get("n")
    assert "touch" in r.reply.verbs
    assert left(site)[0] == 600
    site.login(cookie, "ada")
    assert left(site)[0] == HOUR


@pytest.mark.options(idle_timeout=90 * DAY, absolute_timeout=365 * DAY)
def test_a_remembered_login_never_lives_shorter_than_the_idle_timeout(site: Site) -> None:
    """The default of remember_timeout is 30 days."""
    log_in(site, remember=True)
    assert left(site) == (90 * DAY, 90 * DAY)


@pytest.mark.options(idle_timeout=600, anonymous_idle_timeout=HOUR)
def test_visitors_may_have_the_longer_idle_timeout(site: Site) -> None:
    site.new()
    assert left(site)[0] == HOUR


@pytest.mark.parametrize("stored", [b"", b"ten", b"nan", b"0", b"-1", b"inf", b"1e99", True])
def test_an_idle_timeout_that_cannot_be_is_ignored(stored: Any) -> None:
    store = MemoryStore("64K")
    manager = SessionManager(store, idle_timeout=600)
    store.add(b"k" * 32, Record(codec.encode({"idle": stored}, {}), "ada"), idle=300, life=HOUR)
    (info,) = manager.all()
    assert info.idle_for == pytest.approx(300, abs=5)
    store.close()


@pytest.mark.parametrize("preset", [SessionOptions.aal2, SessionOptions.aal3])
def test_the_presets_limit_remembered_logins_too(preset: Any) -> None:
    site = Site(remember_timeout=preset().remember_timeout, idle_timeout=HOUR)
    log_in(site, remember=True)
    assert left(site)[0] == HOUR
    assert preset(remember_timeout=DAY).remember_timeout == DAY
    site.close()
