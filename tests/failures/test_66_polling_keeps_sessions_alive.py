"""66. A page that polls keeps an idle session alive: a passive request does not extend it.

The application marks them by ``session.skip_touch()``, or by the option ``passive``.
"""

from __future__ import annotations

import pytest

from tests.support.visits import Visit, World
from tests.support.worlds import PARSER_KINDS, Build, only

pytestmark = [pytest.mark.anyio, only(PARSER_KINDS)]  # each reads the path in its own way

IDLE = 3600


@pytest.fixture
def world(build: Build) -> World:
    return build(idle_timeout=IDLE, passive=["/poll"])


@pytest.mark.parametrize("writes", [False, True], ids=["reads", "writes"])
@pytest.mark.parametrize("path", ["/poll/news", "/page"])
async def test_a_passive_request_does_not_extend_the_session(
    world: World, path: str, writes: bool
) -> None:
    tab = world.tab()
    await tab.login("ada")

    def poll(visit: Visit) -> float | None:
        if path == "/page":
            visit.session.skip_touch()
        if writes:
            visit.session["polls"] = visit.session.get("polls", 0) + 1
        return visit.session.expires_in

    for minutes in range(10, 60, 10):
        world.clock.advance(600)
        left = (await tab.visit(poll, path=path)).result
        assert left == pytest.approx(IDLE - 60 * minutes, abs=1)
    world.clock.advance(601)
    assert await tab.user() is None


async def test_other_requests_and_touch_extend_the_session(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    for _ in range(3):
        world.clock.advance(IDLE - 60)
        assert await tab.user() == "ada"
    world.clock.advance(IDLE - 60)
    await tab.visit(lambda visit: visit.session.touch(), path="/poll")
    world.clock.advance(IDLE - 60)
    assert await tab.user() == "ada"
