"""21. Session cap race (ASVS 7.1.2): 50 parallel logins, cap 2: at most 2 sessions remain."""

from __future__ import annotations

import pytest

from tests.support.visits import Script, Visit, World, look
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio

MANY = 51
"""Odd. A limit that is one too high evicts two sessions at every second login, so an even number of
logins would end with the right number of sessions."""


def login_together(user: str) -> Script:
    async def script(visit: Visit) -> None:
        look(visit)
        await visit.meet()
        visit.session.login(user)

    return script


async def test_parallel_logins_end_the_oldest_sessions(build: Build) -> None:
    world: World = build(max_sessions_per_user=2)
    tabs = [world.tab() for _ in range(MANY)]
    for tab in tabs[::2]:
        await tab.write(cart=[1])  # half of the logins replace a session, and half add one
    answers = await world.together([(tab, login_together("ada")) for tab in tabs])
    assert all(answer.sets_session for answer in answers)
    assert world.backend.live() == 2
    assert [await tab.user() for tab in tabs].count("ada") == 2


async def test_parallel_logins_above_the_cap_are_refused(build: Build) -> None:
    world: World = build(max_sessions_per_user=2, at_max_sessions="refuse")
    tabs = [world.tab() for _ in range(MANY)]
    for tab in tabs[::2]:
        await tab.write(cart=[1])
    answers = await world.together([(tab, login_together("ada")) for tab in tabs])
    statuses = [answer.status for answer in answers]
    assert statuses.count(200) == 2
    assert statuses.count(403) == MANY - 2
    assert sum(answer.sets_session for answer in answers) == 2
    assert [await tab.user() for tab in tabs].count("ada") == 2
    for tab, status in zip(tabs[::2], statuses[::2], strict=True):
        assert await tab.read() == {"cart": [1]}, status  # refused without loss of the cart


async def test_each_user_has_their_own_cap(build: Build) -> None:
    world: World = build(max_sessions_per_user=1)
    ada, bob = world.tab(), world.tab()
    await ada.login("ada")
    await bob.login("bob")
    assert await ada.user() == "ada"
    assert await bob.user() == "bob"


async def test_a_login_in_the_same_session_does_not_count_twice(build: Build) -> None:
    world: World = build(max_sessions_per_user=1, at_max_sessions="refuse")
    tab = world.tab()
    await tab.login("ada")
    assert (await tab.login("ada")).status == 200
    await tab.visit(lambda visit: visit.session.regenerate_id())
    assert await tab.user() == "ada"
    assert (await world.tab().login("ada")).status == 403
