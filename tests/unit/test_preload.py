"""A session that was loaded before the handler was called."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from lembro import SessionGone
from lembro._core.session import Session
from lembro.migrate import StoreReader
from tests.support.site import Site


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site("blocking")
    yield site
    site.close()


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """The session of each load that an access begins."""
    found: list[Session] = []
    load = Session._load

    def counted(self: Session) -> None:
        found.append(self)
        load(self)

    monkeypatch.setattr(Session, "_load", counted)
    return found


def test_a_preloaded_session_is_loaded_at_its_first_access_only(
    site: Site, loads: list[Session]
) -> None:
    session = site.open(site.new(n=1))
    loads.clear()
    assert [session["n"], session["n"]] == [1, 1]
    assert loads == [session]


def test_a_session_of_this_process_is_loaded_at_its_first_access_only(
    loads: list[Session],
) -> None:
    site = Site()
    session = site.open(site.new(n=1))
    loads.clear()
    assert [session["n"], session["n"], len(session)] == [1, 1, 1]
    assert loads == [session]
    site.close()


def test_a_save_in_a_thread_is_an_access(site: Site) -> None:
    """It counts for the Vary header, though the session was preloaded."""
    session = site.open(site.new(n=1))
    asyncio.run(site.runner.preload(session))
    assert session._preloaded
    session.save()
    assert not session._preloaded


def test_the_end_of_a_preloaded_session_is_noticed_after_the_response_has_begun() -> None:
    """A session in this process is preloaded if its legacy sessions are in a slow store."""
    legacy = StoreReader(lambda session_id: None, cookie="old", lifetime=60, blocking=True)
    site = Site(migrate_from=legacy)
    cookie = site.new(n=1)
    session = site.open(cookie)
    asyncio.run(site.runner.preload(session))
    site.commit(session)
    assert session["n"] == 1
    site.logout(cookie)
    with pytest.raises(SessionGone):
        session["n"]
    site.close()
