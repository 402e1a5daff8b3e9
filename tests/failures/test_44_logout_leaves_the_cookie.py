"""44. A logout leaves the cookie: it is cleared with the same name, path and flags, and Max-Age=0.

Only the request that ended the session clears it.
"""

from __future__ import annotations

import pytest

from lembro import CookieOptions
from tests.support.messages import parse_set_cookie
from tests.support.visits import Script, Visit, World, look
from tests.support.worlds import FRAMEWORK_KINDS, Build, each

pytestmark = pytest.mark.anyio

OPTIONS: dict[str, CookieOptions] = {
    "default": CookieOptions(),
    "path": CookieOptions(path="/shop"),
    "domain": CookieOptions(domain="example.com"),
    "name": CookieOptions(name="shop"),
    "no prefix": CookieOptions(prefix=None),
    "host": CookieOptions(prefix="host", secure=True),
    "secure": CookieOptions(prefix="secure", secure=True),
    "none": CookieOptions(samesite="none", secure=True, partitioned=True),
    "strict": CookieOptions(samesite="strict"),
    "with an age": CookieOptions(max_age=3600),
    "for scripts": CookieOptions(httponly=False),
}


def clear(visit: Visit) -> None:
    visit.session.clear()


LOGOUTS: dict[str, Script] = {
    "logout": lambda visit: visit.session.logout(),
    "destroy": lambda visit: visit.session.destroy(),
    "clear": clear,
    "logout_everywhere": lambda visit: visit.session.logout_everywhere(),
}


@each(FRAMEWORK_KINDS, option=OPTIONS, scheme=["https", "http"])
async def test_a_logout_clears_the_cookie_with_the_same_attributes(
    build: Build, option: str, scheme: str
) -> None:
    world: World = build(cookie=OPTIONS[option])
    tab = world.tab(https=scheme == "https")
    for how, script in LOGOUTS.items():
        (issued,) = (await tab.login("ada")).set_cookies
        (cleared,) = (await tab.visit(script)).set_cookies
        name, _, attributes = parse_set_cookie(issued)
        cleared_name, value, cleared_attributes = parse_set_cookie(cleared)
        assert (cleared_name, value) == (name, ""), how
        assert cleared_attributes.pop("max-age") == "0", how
        assert "1970" in cleared_attributes.pop("expires"), how
        attributes.pop("max-age", None)
        assert cleared_attributes == attributes, how
        assert not tab.jar, how


async def test_a_request_that_ends_no_session_clears_no_cookie(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    old = tab.twin()
    await tab.logout()
    for script in (look, *LOGOUTS.values()):
        answer = await old.visit(script)
        assert not answer.set_cookies


async def test_only_the_first_of_two_logouts_clears_the_cookie(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    async def slow(visit: Visit) -> bool:
        look(visit)
        inner = await tab.logout()
        visit.session.logout()
        return inner.clears_session

    answer = await tab.twin().visit(slow)
    assert answer.result is True
    assert not answer.clears_session


async def test_a_write_after_a_logout_gets_a_new_cookie(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    old = tab.cookie

    def out_and_write(visit: Visit) -> None:
        visit.session.logout()
        visit.session["message"] = "You are logged out."

    answer = await tab.visit(out_and_write)
    assert len(answer.set_cookies) == 1
    assert tab.cookie not in (None, old)
    assert await tab.read() == {"message": "You are logged out."}
    assert await tab.user() is None
    assert await world.tab(old).read() == {}
