"""85. The login button is clicked twice: the second request sends the ID from before the login.

The login of the same user continues the session of the first, with its data. For any other user
the ID from before the login is not accepted.
"""

from __future__ import annotations

import pytest

from lembro.migrate import LegacySession, Reader
from tests.support.visits import Script, Tab, Visit, World, login, logout, look, rotate, write
from tests.support.worlds import CODEC_KINDS, Build, only

pytestmark = pytest.mark.anyio


def log_in_and_write(user: str, **values: object) -> Script:
    def script(visit: Visit) -> None:
        visit.session.login(user)
        visit.session.update(values)

    return script


async def clicked(world: World, user: str = "ada") -> tuple[Tab, Tab]:
    """Return a browser after its login, and one with the cookie from before."""
    tab = world.tab()
    await tab.write(cart=[1])
    before = tab.twin()
    await tab.login(user)
    await tab.write(after=1)
    return tab, before


async def test_the_second_click_continues_the_session(world: World) -> None:
    tab, before = await clicked(world)
    answer = await before.visit(log_in_and_write("ada", second=1))
    assert answer.sets_session
    assert await before.user() == "ada"
    assert await before.read() == {"cart": [1], "after": 1, "second": 1}
    assert world.backend.live() == 1
    assert await tab.user() == "ada"  # within the grace, its ID works too


async def test_two_clicks_at_the_same_time_make_one_session(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])

    async def click(visit: Visit) -> None:
        look(visit)
        await visit.meet()
        visit.session.login("ada")

    answers = await world.together([(tab, click), (tab, click)])
    assert [answer.status for answer in answers] == [200, 200]
    assert world.backend.live() == 1
    assert await tab.user() == "ada"
    assert await tab.read() == {"cart": [1]}


@only(CODEC_KINDS)
async def test_the_login_of_another_user_begins_another_session(world: World) -> None:
    tab, before = await clicked(world)
    await before.visit(log_in_and_write("bob", second=1))
    assert await before.user() == "bob"
    assert await before.read() == {"second": 1}
    assert await tab.user() == "ada"
    assert await tab.read() == {"cart": [1], "after": 1}


@only(CODEC_KINDS)
async def test_without_a_login_the_old_id_is_still_not_accepted(world: World) -> None:
    tab, before = await clicked(world)
    assert await before.read() == {}
    await before.write(stolen=1)
    await before.visit(rotate)
    assert await tab.read() == {"cart": [1], "after": 1}


@only(CODEC_KINDS)
async def test_a_session_that_has_ended_is_not_continued(world: World) -> None:
    tab, before = await clicked(world)
    await tab.logout()
    await before.login("ada")
    assert await before.user() == "ada"
    assert await before.read() == {}


@only(CODEC_KINDS)
async def test_a_second_login_as_another_user_than_before_continues_the_first(
    world: World,
) -> None:
    tab = world.tab()
    await tab.login("eve")
    await tab.write(eves=1)
    before = tab.twin()
    await tab.visit(log_in_and_write("ada", first=1))
    await before.visit(log_in_and_write("ada", second=1))
    assert await before.read() == {"first": 1, "second": 1}
    assert world.backend.live() == 1


@only(CODEC_KINDS)
async def test_a_login_during_the_same_login_merges_its_data(world: World) -> None:
    tab = world.tab()
    await tab.login("eve")
    await tab.write(eves=1)
    other = tab.twin()

    async def slow(visit: Visit) -> None:
        look(visit)
        await other.visit(log_in_and_write("ada", first=1))
        log_in_and_write("ada", second=1)(visit)

    await tab.visit(slow)
    assert await tab.user() == "ada"
    assert await tab.read() == {"first": 1, "second": 1}
    assert world.backend.live() == 1


class Before(Reader):
    def read(self, value: str) -> LegacySession:
        return self.session({"cart": [1]}, value)


@only(CODEC_KINDS)
async def test_a_second_click_with_a_legacy_cookie_continues_the_session(build: Build) -> None:
    world = build(migrate_from=Before(cookie="before", lifetime=1000))
    tab, twin = world.tab(), world.tab()
    cookies = [b"before=legacy"]
    await tab.visit(log_in_and_write("ada", first=1), cookies=cookies)
    await twin.visit(log_in_and_write("ada", second=1), cookies=cookies)
    assert await twin.read() == {"cart": [1], "first": 1, "second": 1}
    assert world.backend.live() == 1


@only(CODEC_KINDS)
async def test_a_logout_after_the_second_click_ends_the_session(world: World) -> None:
    tab, before = await clicked(world)
    await before.visit(login("ada"))
    await before.visit(logout)
    assert await tab.user() is None
    assert world.backend.live() == 0


@only(CODEC_KINDS)
async def test_the_data_of_the_first_click_can_be_read_after_save(world: World) -> None:
    _, before = await clicked(world)

    async def log_in_and_look(visit: Visit) -> dict[str, object]:
        visit.session.login("ada")
        await visit.save()
        write(more=1)(visit)
        return look(visit)

    answer = await before.visit(log_in_and_look)
    assert answer.result == {"cart": [1], "after": 1, "more": 1}
    assert await before.read() == answer.result
