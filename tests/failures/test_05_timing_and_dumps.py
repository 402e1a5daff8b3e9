"""5. Timing of look-ups, ids in dumps (CVE-2019-16782): no store holds an id, only its hash; so who
steals a store has no session, and a hash sent as cookie is unknown."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest

from lembro.ids import handle_for, key_for
from tests.support.visits import Visit, World

pytestmark = pytest.mark.anyio


async def test_the_cookie_is_nowhere_in_the_store(world: World) -> None:
    tab = world.tab()
    cookies = []
    await tab.write(cart=[1])
    cookies.append(tab.cookie)
    await tab.login("ada")
    cookies.append(tab.cookie)
    await tab.visit(lambda visit: visit.session.regenerate_id())
    cookies.append(tab.cookie)
    dump = world.backend.dump()
    assert b"ada" in dump
    for cookie in cookies:
        assert cookie is not None
        session_id = cookie[:43].encode()
        assert key_for(session_id.decode()) in dump  # the old ones lead to the new one
        assert not any(session_id[at : at + 8] in dump for at in range(36))  # not even a part


async def test_a_stored_key_is_no_cookie(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    (key,) = world.backend.payloads()
    stolen = urlsafe_b64encode(key).decode().rstrip("=")
    assert len(stolen) == 43
    for value in (stolen, key.hex(), key.decode("latin-1"), handle_for(key)):
        assert await world.tab(value).user() is None


async def test_the_handle_is_public_and_worthless(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    def handle(visit: Visit) -> str | None:
        return visit.session.handle

    shown = (await tab.visit(handle)).result
    assert await world.tab(shown).user() is None
    assert tab.cookie is not None
    assert shown not in tab.cookie
