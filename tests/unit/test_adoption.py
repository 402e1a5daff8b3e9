"""Store failures during the adoption of a legacy session."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any, Final

import pytest

from lembro import CookieOptions, Session
from lembro._http.cookie import DUPLICATE, MOST_VALUES
from lembro._runtime.exchange import session_by_id
from lembro.migrate import LegacySession, Reader
from lembro.migrate.lifecycle import Adoption
from lembro.migrate.source import CookieWithLegacy, Source
from lembro.stores.base import MARK, NO_ROOM, Found, Record
from tests.support.recording import Recorder
from tests.support.site import Site

GRACE: Final = 30.0
OLD: Final = "ada's legacy cookie"


class Before(Reader):
    def read(self, value: str) -> LegacySession:
        return self.session({"user": "ada", "cart": [1]}, value)


READER: Final = Before(cookie="before", lifetime=10**6, user="user")


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site(migrate_from=READER)
    yield site
    site.close()


def arrive(site: Site) -> Session:
    """Make a request with the legacy cookie."""
    header = f"before={OLD}".encode()
    return session_by_id(site.runner, site.runner.cookie.read([header], https=False))


def adopt(site: Site) -> str:
    """Return the ID of the session that it was adopted as."""
    session = arrive(site)
    assert session.user_id == "ada"
    reply = site.commit(session)
    assert reply.id is not None
    return reply.id


def test_an_adoption_takes_one_write(site: Site) -> None:
    session = arrive(site)
    assert session["cart"] == [1]
    assert site.commit(session).verbs == ["get", "replace"]


class Full(Recorder):
    """A store without room for marks."""

    full = True

    def get(self, key: bytes) -> Found | None:
        if self.full and key.startswith(MARK):
            return Found(NO_ROOM, age=inf)
        return super().get(key)

    def replace(self, old: bytes, *args: Any, **options: Any) -> Found | None:
        if self.full and options["expected"] is None:
            return Found(NO_ROOM, age=inf)
        return super().replace(old, *args, **options)


@pytest.fixture
def full() -> Iterator[Site]:
    site = Site(store=Full(), migrate_from=READER)
    yield site
    site.close()


def test_without_room_for_a_mark_a_legacy_cookie_is_not_accepted(full: Site) -> None:
    session = arrive(full)
    assert (session.user_id, dict(session)) == (None, {})
    session["a"] = 1
    reply = full.commit(session)
    assert reply.happened == ["rejected", "created"]
    assert "no room to remember" in reply.events[0].reason
    assert reply.id is not None
    assert full.user(reply.id) is None


@pytest.mark.parametrize("act", [Session.logout, lambda session: session.update(a=1), len])
def test_a_store_that_becomes_full_during_a_request_adopts_nothing(
    full: Site, act: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(full.store, Full)
    full.store.full = False
    sessions = [arrive(full), arrive(full)]
    for session in sessions:
        assert session.user_id == "ada"
        act(session)
    full.store.full = True
    for session in sessions:
        reply = full.commit(session)
        assert (reply.cookie, full.count) == ("", 0)
        assert reply.happened[0] == "rejected"
    assert caplog.text.count("has no room to remember more used legacy cookies") == 1


def test_a_logout_needs_no_room_within_the_cap() -> None:
    site = Site(migrate_from=READER, max_sessions_per_user=1, at_max_sessions="refuse")
    site.new("ada")
    session = arrive(site)
    session.logout()
    assert site.commit(session).cookie == "clear"
    assert arrive(site).user_id is None
    site.close()


def test_a_store_failure_sends_no_second_cookie(site: Site) -> None:
    """The page is served, and the next request gets the cookie."""
    lost = adopt(site)
    site.store.fail = {"touch"}
    session = arrive(site)
    assert session["cart"] == [1]
    assert site.commit(session).cookie == ""
    site.store.fail = set()
    assert adopt(site) == lost


@pytest.mark.parametrize("later", [0.0, GRACE + 1], ids=["at once", "after the grace"])
def test_an_adopted_session_that_cannot_be_read_is_not_adopted_again(
    site: Site, later: float
) -> None:
    """The session then counts as absent, and the legacy cookie does not restore it."""
    site.store.corrupt(adopt(site))
    site.clock.advance(later)
    session = arrive(site)
    assert (session.user_id, dict(session)) == (None, {})
    reply = site.commit(session)
    assert (reply.cookie, reply.happened) == ("", ["rejected"])


def test_a_mark_of_an_unknown_format_means_that_the_cookie_was_used(site: Site) -> None:
    old = READER.read(OLD)
    mark = Adoption(Source(READER), old).key
    site.store.add(mark, Record(b"?"), idle=100, life=100)
    session = arrive(site)
    assert (session.user_id, dict(session)) == (None, {})
    (event,) = site.commit(session).events
    assert event.reason == "the legacy cookie 'before': the legacy cookie was used before"


def test_an_identity_may_be_bytes() -> None:
    source = Source(READER)
    text, raw = (LegacySession({}, identity=each) for each in ("é", "é".encode()))
    assert Adoption(source, text).key == Adoption(source, raw).key


def test_too_many_cookies_are_refused_before_a_legacy_cookie_is_read() -> None:
    cookie = CookieWithLegacy(CookieOptions(), (), (Source(READER),))
    header = b"; ".join(b"sid=%d" % n for n in range(MOST_VALUES + 1))
    assert cookie.read([header], https=False) is DUPLICATE
