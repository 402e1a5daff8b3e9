"""8. The ID in the URL (ASVS): an ID in the query or in the path is ignored."""

from __future__ import annotations

import pytest

from tests.support.visits import COOKIE, SECURE_COOKIE, World, look

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("https", [False, True])
async def test_an_id_outside_of_the_cookie_is_ignored(world: World, https: bool) -> None:
    tab = world.tab(https=https)
    await tab.write(a=1)
    assert tab.cookie is not None
    name = SECURE_COOKIE if https else COOKIE
    stranger = world.tab(https=https)
    query = f"{name}={tab.cookie}&{COOKIE}={tab.cookie}&sid={tab.cookie}"
    assert (await stranger.visit(look, query=query)).result == {}
    path = f"/;{name}={tab.cookie}"
    assert (await stranger.visit(look, path=path)).result == {}
    assert not stranger.jar


async def test_a_response_contains_the_id_only_in_the_cookie(world: World) -> None:
    tab = world.tab()
    answer = await tab.login("ada")
    assert tab.cookie is not None
    session_id = tab.cookie.partition(".")[0]
    elsewhere = [v for name, v in answer.headers if name.lower() != b"set-cookie"]
    assert not any(session_id.encode() in value for value in [*elsewhere, answer.body])
