"""The option ``poll`` of ``wait_ended()`` and ``on_ended()``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

import pytest

from lembro import ConfigError, Session, _durations
from tests.support.site import Site

WATCHES: dict[str, Callable[[Session, float], object]] = {
    "wait_ended": lambda session, poll: asyncio.run(session.wait_ended(poll=poll)),
    "on_ended": lambda session, poll: session.on_ended(lambda reason: None, poll=poll)(),
}


@pytest.fixture
def ended() -> Iterator[Session]:
    """Return a session that another request has ended since its response began."""
    site = Site()
    cookie = site.new("ada")
    session = site.open(cookie)
    session.get("n")
    site.commit(session)
    site.logout(cookie)
    yield session
    site.close()


@pytest.mark.parametrize("watch", WATCHES)
def test_an_interval_that_cannot_work_is_refused(ended: Session, watch: str) -> None:
    with pytest.raises(ConfigError, match=r"^poll must be more than 0"):
        WATCHES[watch](ended, 0)


@pytest.mark.parametrize("watch", WATCHES)
def test_an_interval_above_an_hour_is_warned_of(
    ended: Session, watch: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is probably in milliseconds."""
    monkeypatch.setattr(_durations, "_warned", set())
    with caplog.at_level(logging.WARNING, "lembro"):
        WATCHES[watch](ended, 3600)
        assert caplog.messages == []
        WATCHES[watch](ended, 3601)
    (warning,) = caplog.messages
    assert warning.startswith("lembro: poll=3601 is in seconds")
