"""9. Key collision (CVE-2011-4136, CVE-2026-25480): two different IDs never name one session.

This includes IDs that differ in case, look-alikes, prefixes, and application keys that equal an ID.
"""

from __future__ import annotations

import pytest

from tests.support.visits import COOKIE, World, look

pytestmark = pytest.mark.anyio


async def test_similar_ids_are_different_ids(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    assert tab.cookie is not None
    session_id = tab.cookie.partition(".")[0]
    rest = tab.cookie.removeprefix(session_id)
    other = "B" if session_id[0] != "B" else "C"
    variants = {
        session_id.upper(),
        session_id.lower(),
        session_id.swapcase(),
        session_id[:-1],
        session_id[:-3],
        session_id[:22],
        session_id + "A",
        session_id + "=",
        other + session_id[1:],
        f'"{session_id}"',
        f"%{ord(session_id[0]):02X}{session_id[1:]}",
        session_id.replace("k", "\u212a").replace("K", "\u212a") + "\u212a",  # the Kelvin sign
        session_id + "\0",
    } - {session_id}
    for variant in variants:
        for suffix in {"", rest}:
            raw = f"{COOKIE}={variant}{suffix}".encode()
            stranger = world.tab()
            answer = await stranger.visit(lambda visit: visit.session.user_id, cookies=[raw])
            assert answer.result is None, variant


async def test_the_cookie_name_is_compared_exactly(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    for name in ("Lembro", "LEMBRO", "lembro ", "lembro\u00a0", "xlembro", "lembrox", "lembro[]"):
        raw = f"{name}={tab.cookie}".encode()
        user = (await world.tab().visit(lambda visit: visit.session.user_id, cookies=[raw])).result
        # Spaces around a name do not belong to it (RFC 6265, 5.4).
        assert user == ("ada" if name.strip(" ") == COOKIE else None), name


async def test_an_application_key_that_equals_an_id_is_plain_data(world: World) -> None:
    tab, other = world.tab(), world.tab()
    await tab.write(a=1)
    assert tab.cookie is not None
    session_id = tab.cookie.partition(".")[0]
    await other.write(**{session_id: "mine", "a": 2})
    await other.visit(lambda visit: visit.session.pop(session_id))
    assert (await tab.visit(look)).result == {"a": 1}
    assert await other.read() == {"a": 2}
