"""41. Header injection (CVE-2026-0672): CR, LF, NUL, `;` and the like in a cookie option are
refused.

No text of a request becomes part of the header.
"""

from __future__ import annotations

from typing import Any

import pytest

from lembro import ConfigError, CookieOptions
from lembro.integrations import starlette
from tests.support.messages import parse_set_cookie
from tests.support.visits import COOKIE, World
from tests.support.worlds import Build

BAD = [
    "\r",
    "\n",
    "\r\nX-Evil: 1",
    "\0",
    ";",
    "; Domain=evil",
    "\x7f",
    "\x1b",
    "\x85",
    "\u2028",
    "é",
]
STARTS = {"name": "sid", "prefix": "auto", "path": "/a", "domain": "example.com", "samesite": "lax"}


@pytest.mark.parametrize("bad", BAD, ids=repr)
@pytest.mark.parametrize("option", STARTS)
@pytest.mark.parametrize("where", ["before", "within", "after"])
def test_a_cookie_option_with_control_characters_is_refused(
    option: str, bad: str, where: str
) -> None:
    good = STARTS[option]
    value: Any = {"before": bad + good, "within": good[:2] + bad + good[2:], "after": good + bad}[
        where
    ]
    with pytest.raises(ConfigError):
        CookieOptions(**{option: value})


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_a_keyword_of_starlettes_middleware_with_control_characters_is_refused(bad: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    keywords: list[dict[str, Any]] = [
        {"session_cookie": "sid" + bad},
        {"path": "/" + bad},
        {"domain": "example.com" + bad},
        {"same_site": "lax" + bad},
    ]
    for keyword in keywords:
        with pytest.raises(ConfigError):
            starlette.SessionMiddleware(app, **keyword)


@pytest.mark.parametrize(
    "value", ["", "a b", "a=b", "a,b", "a;b", "[a]", '"a"', "a/b", "@", "x" * 129]
)
def test_a_cookie_name_that_is_no_token_is_refused(value: str) -> None:
    with pytest.raises(ConfigError):
        CookieOptions(name=value)


@pytest.mark.anyio
async def test_a_cookie_of_the_client_is_not_echoed(world: World) -> None:
    hostile = b"x\r\nSet-Cookie: evil=1; Path=/"
    tab = world.tab()
    answer = await tab.visit(
        lambda visit: visit.session.update(a=1), cookies=[COOKIE.encode() + b"=" + hostile]
    )
    if isinstance(answer.error, ValueError):  # the framework refuses such a header itself
        assert not answer.set_cookies
        return
    (header,) = answer.set_cookies
    assert "evil" not in header
    assert "\r" not in header
    assert "\n" not in header


@pytest.mark.anyio
async def test_a_user_and_data_do_not_become_part_of_a_header(build: Build) -> None:
    world: World = build()
    tab = world.tab()
    user = "ada\r\nX-Evil: 1; é\0"
    answer = await tab.login(user)
    await tab.write(**{"k\r\nX-Evil": "v\r\nX-Evil: 1"})
    (header,) = answer.set_cookies
    name, _, attributes = parse_set_cookie(header)
    assert name == COOKIE
    assert set(attributes) == {"path", "httponly", "samesite"}
    assert not answer.all("x-evil")
    assert await tab.user() == user
