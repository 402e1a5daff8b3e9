"""5. Timing of look-ups, IDs in dumps (CVE-2019-16782): a store holds only hashes of session IDs.

A stolen store contains no usable session ID, and a hash that is sent as a cookie is unknown.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest

from lembro.ids import handle_for, key_for
from tests.support.visits import Visit, World

pytestmark = pytest.mark.anyio


async def test_the_store_does_not_contain_session_ids(world: World) -> None:
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
        session_id = cookie.partition(".")[0].encode()
        assert key_for(session_id.decode()) in dump  # rotated IDs point to the new one
        # nor is a part of the ID
        assert not any(session_id[at : at + 8] in dump for at in range(33))


async def test_a_stored_key_is_not_accepted_as_a_cookie(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    (key,) = world.backend.payloads()
    stolen = urlsafe_b64encode(key).decode().rstrip("=")
    assert len(stolen) == 43
    for value in (stolen, key.hex(), key.decode("latin-1"), handle_for(key)):
        assert await world.tab(value).user() is None


async def test_the_handle_is_not_accepted_as_a_cookie(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    def handle(visit: Visit) -> str | None:
        return visit.session.handle

    shown = (await tab.visit(handle)).result
    assert await world.tab(shown).user() is None
    assert tab.cookie is not None
    assert shown not in tab.cookie
