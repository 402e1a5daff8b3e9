"""71. A used legacy cookie is rewritten so that its parser reads the same.

It has the same identity, or is refused. The tests run for each reader.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import legacy_cookies
from lembro import MemoryStore, SessionManager
from lembro._runtime.exchange import session_by_id
from lembro.manager import runner_of
from lembro.migrate import LegacySession, Reader, StoreReader

READERS: Final = range(len(legacy_cookies.readers()))


class Opaque(Reader):
    """A reader whose identity is the whole cookie."""

    def read(self, value: str) -> LegacySession:
        return self.session({"user": "ada"}, value)


@pytest.mark.parametrize("number", READERS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_rewritten_cookie_has_the_same_identity_or_is_refused(
    number: int, data: st.DataObject
) -> None:
    known = legacy_cookies.readers()[number]
    genuine = data.draw(st.sampled_from(sorted(legacy_cookies.genuine(known))))
    rewrites = st.lists(st.sampled_from(legacy_cookies.REWRITES), min_size=1, max_size=3)
    value = genuine
    for rewrite in data.draw(rewrites):
        value = rewrite(value)
    before = known.source.read(genuine)
    assert isinstance(before, LegacySession)
    with legacy_cookies.knowing(known, before):
        after = known.source.read(value)
    if isinstance(after, LegacySession):
        assert after.identity == before.identity


def test_rewritten_cookies_are_accepted_by_each_reader() -> None:
    """Otherwise the property above would hold because no rewritten cookie is accepted."""
    for known in legacy_cookies.readers():
        accepted = {
            rewrite(genuine)
            for genuine, rewrite in product(legacy_cookies.genuine(known), legacy_cookies.REWRITES)
            if isinstance(known.source.read(rewrite(genuine)), LegacySession)
        }
        assert len(accepted) > len(legacy_cookies.genuine(known)), known


@pytest.mark.parametrize("rewrite", [lambda value: f'"{value}"', lambda value: value])
@pytest.mark.parametrize(
    "reader",
    [
        Opaque(cookie="old", lifetime=1000),
        StoreReader(
            lambda session_id: {"a": 1} if session_id.lower() == "0a1b2c3d" else None,
            cookie="old",
            lifetime=1000,
            blocking=False,
        ),
    ],
    ids=["opaque", "from a store without case"],
)
def test_a_used_cookie_in_quotes_is_not_accepted(
    reader: Reader, rewrite: Callable[[str], str]
) -> None:
    runner = runner_of(SessionManager(MemoryStore("1M"), migrate_from=reader))

    def holds_something(value: str) -> bool:
        header = f"old={value}".encode()
        session = session_by_id(runner, runner.cookie.read([header], https=False))
        held = bool(session)
        session.logout()
        runner.commit(session)
        return held

    assert holds_something("0a1b2c3d")
    assert not holds_something(rewrite("0a1b2c3d"))
    if isinstance(reader, StoreReader):
        assert not holds_something(rewrite("0A1B2C3D"))


def test_a_used_cookie_is_not_accepted_under_another_name() -> None:
    """For example with two readers of one store."""
    reader, other = Opaque(cookie="old", lifetime=1000), Opaque(cookie="older", lifetime=1000)
    runner = runner_of(SessionManager(MemoryStore("1M"), migrate_from=[reader, other]))
    for name, held in (("old", True), ("older", False)):
        header = f"{name}=0a1b2c3d".encode()
        session = session_by_id(runner, runner.cookie.read([header], https=False))
        assert bool(session) is held
        session.logout()
        runner.commit(session)
