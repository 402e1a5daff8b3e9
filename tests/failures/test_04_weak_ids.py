"""4. Weak IDs (CVE-2013-1900): IDs come from the system's random source and have 256 bits.

Seeding ``random`` has no effect on them, and forked processes issue different IDs.
"""

from __future__ import annotations

import os
import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import pytest

from lembro import MemoryStore, SessionManager
from lembro.ids import new_id
from tests.support.processes import in_fork
from tests.support.visits import World

A_MILLION = 1_000_000


def test_a_million_ids_are_unique() -> None:
    assert len({new_id() for _ in range(A_MILLION)}) == A_MILLION


def test_every_bit_of_an_id_is_random() -> None:
    """Each bit of the 43 characters is 1 in about half of the IDs."""
    drawn = 4000
    ones = [0] * 256
    for _ in range(drawn):
        number = int.from_bytes(urlsafe_b64decode(new_id() + "="), "big")
        for bit in range(256):
            ones[bit] += number >> bit & 1
    # A tolerance of ten standard deviations fails once in 10^23 runs.
    assert all(abs(count - drawn / 2) < 10 * (drawn**0.5 / 2) for count in ones)


def test_a_seed_has_no_effect() -> None:
    def ids() -> list[str]:
        random.seed(0)
        return [new_id() for _ in range(10)]

    assert not set(ids()) & set(ids())


@pytest.mark.anyio
async def test_a_seed_has_no_effect_on_the_cookie(world: World) -> None:
    cookies = []
    for _ in range(3):
        random.seed(0)
        tab = world.tab()
        await tab.write(a=1)
        cookies.append(tab.cookie)
    assert len(set(cookies)) == 3


def drawn(count: int) -> bytes:
    """Replace the system's source of random bytes."""
    return bytes(range(100, 100 + count))


DRAWN: Final = urlsafe_b64encode(drawn(32)).rstrip(b"=").decode()


@pytest.fixture
def known_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the system's source of random bytes return known ones, in every importing module."""
    monkeypatch.setattr(os, "urandom", drawn)
    monkeypatch.setattr(random, "_urandom", drawn)  # what ``secrets`` uses


@pytest.mark.usefixtures("known_source")
def test_an_id_comes_from_the_systems_random_source() -> None:
    """All 256 bits come from the system, without a generator in between."""
    assert new_id() == DRAWN
    assert SessionManager(MemoryStore()).create({"a": 1}) == DRAWN


@pytest.mark.anyio
@pytest.mark.usefixtures("known_source")
async def test_the_id_in_the_cookie_comes_from_the_systems_random_source(world: World) -> None:
    tab = world.tab()
    await tab.write(a=1)
    assert tab.cookie is not None
    session_id = tab.cookie.partition(".")[0]
    assert DRAWN.startswith(session_id)
    assert len(session_id) in (40, 43)  # in Django 240 bits are enough


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.usefixtures("known_source")
def test_a_fork_uses_the_systems_random_source_too() -> None:
    """A generator that is seeded again after a fork would not be enough."""
    assert in_fork(lambda: new_id().encode()).decode() == DRAWN


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_two_forks_issue_different_ids() -> None:
    manager = SessionManager(MemoryStore())
    new_id()  # a source that buffers has filled its buffer now
    issued = [in_fork(lambda: manager.create({"a": 1}).encode()).decode() for _ in range(2)]
    issued.append(manager.create({"a": 1}))
    assert len(set(issued)) == 3
    assert all(len(session_id) == 43 for session_id in issued)
