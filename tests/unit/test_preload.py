"""A session that was loaded before the handler was called."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lembro._core.session import Session
from tests.support.site import Site


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site("blocking")
    yield site
    site.close()


def test_a_preloaded_session_is_loaded_at_its_first_access_only(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = site.open(site.new(n=1))
    loads: list[Session] = []
    load = Session._load

    def counted(self: Session) -> None:
        loads.append(self)
        load(self)

    monkeypatch.setattr(Session, "_load", counted)
    assert [session["n"], session["n"]] == [1, 1]
    assert loads == [session]
