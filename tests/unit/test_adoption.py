"""What may go wrong in the store while a legacy session is adopted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from lembro import Session, StoreError
from lembro._runtime.exchange import session_by_id
from lembro.migrate import LegacySession, Reader
from lembro.migrate.lifecycle import Adoption
from lembro.migrate.source import Source
from lembro.stores.base import Found, Record
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


def test_a_mark_that_was_evicted_is_made_again(site: Site) -> None:
    session = arrive(site)
    assert session["cart"] == [1]
    site.store.before["replace"] = site.store.clear
    reply = site.commit(session)
    assert reply.verbs == ["get", *["add", "replace"] * 2]
    assert reply.id is not None
    assert (site.user(reply.id), site.count) == ("ada", 1)


class Forgetful(Recorder):
    def replace(self, *args: Any, **options: Any) -> Found | None:
        self.clear()
        return super().replace(*args, **options)


def test_a_store_that_keeps_no_mark_is_an_error() -> None:
    site = Site(store=Forgetful(), migrate_from=READER)
    session = arrive(site)
    assert session.user_id == "ada"
    with pytest.raises(StoreError, match="refused 1000 writes of one session in a row"):
        site.commit(session)
    assert site.count == 0
    site.close()


def test_the_same_cookie_is_not_sent_if_the_store_fails(site: Site) -> None:
    """The page is answered all the same, and the next request gets the cookie."""
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
    """Then it is as if there were nothing, and the old cookie does not bring it back."""
    site.store.corrupt(adopt(site))
    site.clock.advance(later)
    session = arrive(site)
    assert (session.user_id, dict(session)) == (None, {})
    reply = site.commit(session)
    assert (reply.cookie, reply.happened) == ("", ["rejected"])


def test_a_mark_of_an_unknown_format_means_that_the_cookie_was_used(site: Site) -> None:
    old = READER.read(OLD)
    mark = Adoption(Source(READER), old, Source(READER).identity(old, OLD.encode())).key
    site.store.add(mark, Record(b"?"), idle=100, life=100)
    session = arrive(site)
    assert (session.user_id, dict(session)) == (None, {})
    (event,) = site.commit(session).events
    assert event.reason == "the legacy cookie 'before': the legacy cookie was used before"
