"""The time that a session has left, activity after the response has begun, and the end."""

from __future__ import annotations

import anyio
import pytest

from tests.support import worlds
from tests.support.visits import Visit, World, look
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio

IDLE = 1000


@pytest.fixture
def world(build: Build) -> World:
    return build(idle_timeout=IDLE, absolute_timeout=5 * IDLE)


def left(visit: Visit) -> tuple[float, float]:
    expires_in, ends_in = visit.session.expires_in, visit.session.ends_in
    assert expires_in is not None
    assert ends_in is not None
    return expires_in, ends_in


async def test_a_page_shows_the_time_left(world: World) -> None:
    tab = world.tab()
    assert (await tab.visit(lambda visit: visit.session.expires_in)).result is None
    await tab.write(a=1)
    for seconds in (50, 900, 990):
        world.clock.advance(seconds)
        before = (await tab.visit(left)).result
        (info,) = await world.call("all")
        assert before == pytest.approx((info.expires_in, info.ends_in), abs=1)


async def test_a_stream_can_extend_the_session(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    async def later(visit: Visit) -> None:
        world.clock.advance(IDLE - 10)
        await visit.touch()

    answer = await tab.visit(look, later=later)
    assert not answer.set_cookies
    world.clock.advance(IDLE - 10)
    assert await tab.user() == "ada"


@worlds.only(worlds.SOCKET_KINDS)
async def test_a_chat_extends_the_session_and_notices_its_end(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    async def chat(visit: Visit) -> str:
        look(visit)
        await visit.accept()
        for _ in range(3):
            world.clock.advance(IDLE - 10)
            await visit.touch()
        reason = ""
        async with anyio.create_task_group() as group:
            group.start_soon(log_out)
            with anyio.fail_after(20):
                reason = await visit.session.wait_ended(poll=3600)
        return reason

    async def log_out() -> None:
        other = tab.twin()
        await other.visit(lambda visit: visit.session.regenerate_id())
        await anyio.sleep(0.05)
        await other.logout()

    assert (await tab.visit(chat, websocket=True)).result == "destroyed"


async def test_a_thread_is_called_back_at_the_end(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    reasons: list[str] = []

    def watch(visit: Visit) -> None:
        visit.session.on_ended(reasons.append, poll=3600)

    await tab.visit(watch)
    assert reasons == []
    await world.revoke_user("ada")
    assert reasons == ["destroyed"]
