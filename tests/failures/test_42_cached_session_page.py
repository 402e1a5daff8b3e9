"""42. A page of a session in a cache (CVE-2023-30861): every access to the session adds `Vary:
Cookie`.

A response that sets the cookie is `private, no-store`, even if the application set other
directives.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from lembro import LoginRequired
from tests.support.visits import Script, Visit, World, login, rotate
from tests.support.worlds import FRAMEWORK_KINDS, SESSION_KINDS, each, only

pytestmark = pytest.mark.anyio

ACCESSES: dict[str, Script] = {
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


async def user_sessions(visit: Visit) -> None:
    with suppress(LoginRequired):
        if visit.sync:
            visit.session.user_sessions()
        else:
            await visit.session.auser_sessions()


async def revoke(visit: Visit) -> None:
    with suppress(LoginRequired):
        if visit.sync:
            visit.session.revoke("x" * 12)
        else:
            await visit.session.arevoke("x" * 12)


def require_recent(visit: Visit) -> None:
    with suppress(LoginRequired):
        visit.session.require_recent(60)


@dataclass
class Cart:
    items: list[str] = field(default_factory=list)


ACCESSES |= {
    "edit": edit,
    "user_sessions": user_sessions,
    "revoke": revoke,
    "require_recent": require_recent,
    "typed": lambda visit: visit.session.typed("cart", Cart),
}


@each(SESSION_KINDS, way=ACCESSES, cookie=["logged in", "no cookie"])
async def test_every_access_adds_vary(world: World, way: str, cookie: str) -> None:
    tab = world.tab()
    if cookie == "logged in":
        await tab.login("ada")
    answer = await tab.visit(ACCESSES[way])
    assert answer.error is None
    assert answer.all("vary") == ["Cookie"]


@only(SESSION_KINDS)
@pytest.mark.parametrize("way", ACCESSES)
async def test_a_response_with_a_cookie_is_not_cached(world: World, way: str) -> None:
    public = ("Cache-Control", "public, max-age=3600")
    for tab in (world.tab(), world.tab()):
        answer = await tab.visit(ACCESSES[way], headers=[public])
        if answer.set_cookies:
            assert answer.all("cache-control") == ["private, no-store"]
        else:
            assert answer.all("cache-control") == ["public, max-age=3600"]
        await tab.login("ada")


async def test_an_unused_session_leaves_the_page_cacheable(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    answer = await tab.visit(headers=[("Cache-Control", "public, max-age=3600")])
    assert answer.all("vary") == []
    assert answer.all("cache-control") == ["public, max-age=3600"]
    assert not answer.set_cookies


@only(FRAMEWORK_KINDS)
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
async def test_the_vary_of_the_application_is_kept(
    world: World, given: str, expected: set[str]
) -> None:
    answer = await world.tab().visit(ACCESSES["len"], headers=[("Vary", given)])
    assert answer.tokens("vary") == expected


@only(FRAMEWORK_KINDS)
@pytest.mark.parametrize(
    "given", ["private", "no-store", "no-cache, no-store", "private, max-age=60", "PRIVATE"]
)
async def test_a_private_response_keeps_its_directives(world: World, given: str) -> None:
    answer = await world.tab().visit(login("ada"), headers=[("Cache-Control", given)])
    assert answer.sets_session
    assert answer.all("cache-control") == [given]


@only(FRAMEWORK_KINDS)
@pytest.mark.parametrize(
    "given", ["public", "max-age=3600", "no-cache", "s-maxage=60", "public, no-store", "x-private"]
)
async def test_any_other_directives_are_replaced(world: World, given: str) -> None:
    answer = await world.tab().visit(login("ada"), headers=[("Cache-Control", given)])
    assert answer.all("cache-control") == ["private, no-store"]


@only(FRAMEWORK_KINDS)
async def test_contradictory_headers_are_replaced(world: World) -> None:
    headers = [("Cache-Control", "private"), ("Cache-Control", "public, max-age=60")]
    answer = await world.tab().visit(login("ada"), headers=headers)
    assert "public" not in answer.tokens("cache-control")
    assert {"private", "no-store"} <= answer.tokens("cache-control")


@only(FRAMEWORK_KINDS)
@pytest.mark.parametrize("name", ["CDN-Cache-Control", "Surrogate-Control"])
async def test_a_cdn_gets_the_same_directives(world: World, name: str) -> None:
    """A CDN that has a header of its own ignores ``Cache-Control`` (RFC 9213)."""
    headers = [("Cache-Control", "public"), (name, "max-age=3600")]
    answer = await world.tab().visit(login("ada"), headers=headers)
    assert answer.all(name.lower()) == ["private, no-store"]
    assert answer.all("cache-control") == ["private, no-store"]


async def test_an_error_response_is_not_cached(world: World) -> None:
    tab = world.tab()
    answer = await tab.write(big="x" * 3_000_000)
    assert answer.status == 500
    assert answer.all("cache-control") == ["no-store"]
    assert answer.all("vary") == ["Cookie"]
