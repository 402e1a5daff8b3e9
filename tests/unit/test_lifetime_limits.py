"""The limits of lifetimes: the longest one, equal ones, and those that are warned of."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from lembro import MemoryStore, SessionManager, SessionOptions, _durations
from lembro._core.lifetimes import Lifetimes, keep_idle, own_idle
from lembro.stores.base import Found
from tests.support.site import Site

DAY = 24 * 60 * 60


def test_a_session_may_have_the_longest_duration_as_its_idle_timeout() -> None:
    meta: dict[str, Any] = {}
    keep_idle(meta, float(_durations.LONGEST))
    assert own_idle(meta) == _durations.LONGEST


@pytest.mark.parametrize(("life_left", "expected"), [(50.0, 51.0), (50.5, 0.0)])
def test_an_absolute_timeout_a_second_above_the_idle_timeout_counts_as_equal_to_it(
    life_left: float, expected: float
) -> None:
    """Stores round. If they are equal, no use extends the session, so it is idle since its
    beginning."""
    lifetimes = Lifetimes(SessionOptions(idle_timeout=100))
    found = Found(b"", "ada", None, None, 51.0, life_left, life_left)
    assert lifetimes.idle_for({}, found) == expected


def test_without_a_grace_an_emptied_session_stays_for_the_default_one() -> None:
    without, usual = Lifetimes(SessionOptions(rotation_grace=0)), Lifetimes(SessionOptions())
    assert without.emptied_idle == usual.emptied_idle


@pytest.mark.options(idle_timeout=1000, anonymous_idle_timeout=100)
def test_a_user_extends_after_a_tenth_if_visitors_have_a_shorter_timeout(site: Site) -> None:
    cookie = site.new("ada")
    site.clock.advance(200)
    with site.request(cookie) as r:
        r.session.get("n")
    assert "touch" in r.reply.verbs


def test_a_cookie_that_lasts_as_long_as_its_session_is_not_sent_again(site: Site) -> None:
    with site.request() as r:
        r.session.login("ada", remember=True)
    with site.request(r.reply.id) as r:
        r.session.touch()
    assert r.reply.cookie == ""


def test_a_long_duration_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_durations, "_warned", set())
    long = {
        "idle_timeout": 401 * DAY,
        "anonymous_idle_timeout": 402 * DAY,
        "absolute_timeout": 403 * DAY,
        "remember_timeout": 404 * DAY,
        "rotation_grace": 405 * DAY,
    }
    options: dict[str, Any] = {name: float(value) for name, value in long.items()}
    store = MemoryStore("64K")
    with caplog.at_level(logging.WARNING, "lembro"):
        SessionManager(store, **options)
    warned = [record.getMessage().partition("=")[0] for record in caplog.records]
    assert sorted(warned) == sorted(f"lembro: {name}" for name in long)
    store.close()
