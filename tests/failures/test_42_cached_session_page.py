"""42. A page of a session in a cache (CVE-2023-30861): every way of looking at the session says
`Vary: Cookie`; an answer that sets the cookie is `private, no-store`, whatever the application
said."""

from __future__ import annotations

import pytest

from tests.support.visits import Script, Visit, World, login, rotate

pytestmark = pytest.mark.anyio

LOOKS: dict[str, Script] = {
    "in": lambda visit: "a" in visit.session,
    "len": lambda visit: len(visit.session),
    "bool": lambda visit: bool(visit.session),
    "iteration": lambda visit: list(visit.session),
    "item": lambda visit: visit.session.get("a"),
    "keys": lambda visit: list(visit.session.keys()),
    "items": lambda visit: list(visit.session.items()),
    "equality": lambda visit: visit.session == {},
    "copy": lambda visit: visit.session.copy(),
    "pop": lambda visit: visit.session.pop("x", None),
    "user": lambda visit: visit.session.user_id,
    "is_new": lambda visit: visit.session.is_new,
    "handle": lambda visit: visit.session.handle,
    "authenticated_at": lambda visit: visit.session.authenticated_at,
    "touch": lambda visit: visit.session.touch(),
    "save": lambda visit: visit.save(),
    "reload": lambda visit: visit.reload(),
    "atomic": lambda visit: visit.atomic(len),
    "regenerate_id": rotate,
    "write": lambda visit: visit.session.update(a=1),
    "login": login("bob"),
    "logout": lambda visit: visit.session.logout(),
    "clear": lambda visit: visit.session.clear(),
}


async def edit(visit: Visit) -> None:
    async with visit.edit() as session:
        session["a"] = 2


LOOKS["edit"] = edit


@pytest.mark.parametrize("way", LOOKS)
@pytest.mark.parametrize("logged_in", [True, False], ids=["logged in", "no cookie"])
async def test_every_way_of_looking_varies(world: World, way: str, logged_in: bool) -> None:
    tab = world.tab()
    if logged_in:
        await tab.login("ada")
    answer = await tab.visit(LOOKS[way])
    assert answer.error is None
    assert answer.all("vary") == ["Cookie"]


@pytest.mark.parametrize("way", LOOKS)
async def test_a_cookie_is_never_to_be_cached(world: World, way: str) -> None:
    public = ("Cache-Control", "public, max-age=3600")
    for tab in (world.tab(), world.tab()):
        answer = await tab.visit(LOOKS[way], headers=[public])
        if answer.set_cookies:
            assert answer.all("cache-control") == ["private, no-store"]
        else:
            assert answer.all("cache-control") == ["public, max-age=3600"]
        await tab.login("ada")


async def test_without_a_look_the_page_may_be_cached(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    answer = await tab.visit(headers=[("Cache-Control", "public, max-age=3600")])
    assert answer.all("vary") == []
    assert answer.all("cache-control") == ["public, max-age=3600"]
    assert not answer.set_cookies


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Accept-Encoding", {"accept-encoding", "cookie"}),
        ("accept-encoding, COOKIE", {"accept-encoding", "cookie"}),
        ("*", {"*"}),
        ("", {"cookie"}),
        ("X-Cookie", {"x-cookie", "cookie"}),
    ],
)
async def test_the_applications_own_vary(world: World, given: str, expected: set[str]) -> None:
    answer = await world.tab().visit(LOOKS["len"], headers=[("Vary", given)])
    assert answer.tokens("vary") == expected


@pytest.mark.parametrize(
    "given", ["private", "no-store", "no-cache, no-store", "private, max-age=60", "PRIVATE"]
)
async def test_what_is_private_already_stays(world: World, given: str) -> None:
    answer = await world.tab().visit(login("ada"), headers=[("Cache-Control", given)])
    assert answer.sets_session
    assert answer.all("cache-control") == [given]


@pytest.mark.parametrize(
    "given", ["public", "max-age=3600", "no-cache", "s-maxage=60", "public, no-store", "x-private"]
)
async def test_anything_else_is_replaced(world: World, given: str) -> None:
    answer = await world.tab().visit(login("ada"), headers=[("Cache-Control", given)])
    assert answer.all("cache-control") == ["private, no-store"]


async def test_two_headers_that_contradict_each_other(world: World) -> None:
    headers = [("Cache-Control", "private"), ("Cache-Control", "public, max-age=60")]
    answer = await world.tab().visit(login("ada"), headers=headers)
    assert "public" not in answer.tokens("cache-control")
    assert {"private", "no-store"} <= answer.tokens("cache-control")


async def test_what_the_middleware_answers_itself(world: World) -> None:
    tab = world.tab()
    answer = await tab.write(big="x" * 3_000_000)
    assert answer.status == 500
    assert answer.all("cache-control") == ["no-store"]
    assert answer.all("vary") == ["Cookie"]
