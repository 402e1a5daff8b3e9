"""43. Insecure defaults: over https the cookie is `__Host-`, Secure, HttpOnly, SameSite=Lax,
Path=/.

It has no Domain. The plain name is not read over https, and the prefixed name not over http.
"""

from __future__ import annotations

from typing import Any

import pytest

from lembro import CookieOptions
from tests.support.messages import parse_set_cookie
from tests.support.visits import COOKIE, SECURE_COOKIE, World, look
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio


async def test_the_cookie_over_https_is_secure(world: World) -> None:
    tab = world.tab(https=True)
    answer = await tab.login("ada")
    (header,) = answer.set_cookies
    value = parse_set_cookie(header)[1]
    pair, *attributes = header.split("; ")
    assert pair == f"__Host-sid={value}"
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]
    assert await tab.user() == "ada"


async def test_the_cookie_over_http_has_no_prefix(world: World) -> None:
    answer = await world.tab().login("ada")
    (header,) = answer.set_cookies
    value = parse_set_cookie(header)[1]
    pair, *attributes = header.split("; ")
    assert pair == f"sid={value}"
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Lax"]


async def test_the_name_of_the_other_scheme_is_not_read(world: World) -> None:
    plain, secure = world.tab(), world.tab(https=True)
    await plain.write(a=1)
    await secure.write(b=1)
    answer = await secure.visit(look, cookies=[f"{COOKIE}={plain.cookie}".encode()])
    assert answer.result == {}
    answer = await plain.visit(look, cookies=[f"{SECURE_COOKIE}={secure.cookie}".encode()])
    assert answer.result == {}


async def test_secure_true_always_sets_a_secure_cookie(build: Build) -> None:
    """With `secure=True` the cookie is never sent in clear, and has the prefix over any scheme."""
    world: World = build(cookie=CookieOptions(secure=True))
    for https in (True, False):
        answer = await world.tab(https=https).login("ada")
        (header,) = answer.set_cookies
        assert header.startswith("__Host-sid=")
        assert "; Secure" in header


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        ({"path": "/shop"}, "__Secure-sid", {"path": "/shop", "secure": ""}),
        ({"domain": "example.com"}, "__Secure-sid", {"domain": "example.com", "secure": ""}),
        ({"name": "shop"}, "__Host-shop", {"path": "/", "secure": ""}),
        ({"name": "shop", "path": "/a"}, "__Secure-shop", {"path": "/a", "secure": ""}),
        ({"prefix": None}, "sid", {"path": "/", "secure": ""}),
        ({"prefix": "secure", "secure": True}, "__Secure-sid", {"path": "/", "secure": ""}),
        ({"samesite": "strict"}, "__Host-sid", {"samesite": "Strict"}),
    ],
)
async def test_cookie_options_change_the_attributes(
    build: Build, options: dict[str, Any], name: str, expected: dict[str, str]
) -> None:
    world: World = build(cookie=CookieOptions(**options))
    answer = await world.tab(https=True).login("ada")
    given, _, attributes = parse_set_cookie(answer.set_cookies[0])
    assert given == name
    assert expected.items() <= attributes.items()
    assert "httponly" in attributes
