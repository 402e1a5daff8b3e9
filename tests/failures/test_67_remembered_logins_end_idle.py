"""67. Remembered logins end with the idle timeout of others: they have a limit of their own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.visits import World
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio

DAY = 86400


@pytest.fixture
def world(build: Build) -> World:
    return build(idle_timeout=8 * 3600, anonymous_idle_timeout=3600)


@pytest.mark.parametrize(
    ("keywords", "days"), [({"remember": True}, 30), ({"remember": timedelta(days=7)}, 7)]
)
async def test_a_remembered_login_lasts_without_a_visit(
    world: World, keywords: Any, days: int
) -> None:
    tab = world.tab()
    answer = await tab.login("ada", **keywords)
    assert f"Max-Age={days * DAY};" in answer.set_cookies[0]
    world.clock.advance(days * DAY - 60)
    assert await tab.user() == "ada"
    world.clock.advance(61)
    assert await tab.user() is None


async def test_others_end_after_their_idle_timeouts(world: World) -> None:
    ada, kiosk, visitor = world.tab(), world.tab(), world.tab()
    await ada.login("ada")
    await kiosk.login("ada", idle_timeout=600, absolute_timeout=900)
    await visitor.write(cart=[1])
    for seconds, kiosk_lives, visitor_lives, ada_lives in (
        (500, True, True, True),
        (500, False, True, True),
        (3601, False, False, True),
        (8 * 3600 + 1, False, False, False),
    ):
        world.clock.advance(seconds)
        assert (await kiosk.user() == "ada") is kiosk_lives
        assert (await visitor.read() != {}) is visitor_lives
        assert (await ada.user() == "ada") is ada_lives
