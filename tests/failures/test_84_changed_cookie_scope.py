"""84. A cookie from another domain or path stays in the browser, which then sends two values.

The value of a live session is used. If there is no such value, a login works from the next request
on. A value that an attacker planted gains nothing that it would not gain alone.
"""

from __future__ import annotations

import logging

import pytest

from lembro import CookieOptions
from lembro._http import headers
from lembro.ids import new_id
from tests.support.messages import parse_set_cookie
from tests.support.visits import (
    COOKIE,
    SECURE_COOKIE,
    Tab,
    Visit,
    World,
    login,
    look,
    rotate,
    write,
)
from tests.support.worlds import CODEC_KINDS, PARSER_KINDS, Build, only

pytestmark = pytest.mark.anyio

each_path = only(CODEC_KINDS)


def header(*values: str | None, name: str = COOKIE) -> list[bytes]:
    return ["; ".join(f"{name}={value}" for value in values).encode()]


def user(visit: Visit) -> str | None:
    return visit.session.user_id


async def test_the_cookie_of_the_live_session_counts(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    for cookies in (header(new_id(), tab.cookie), header(tab.cookie, new_id(), "planted")):
        answer = await world.tab().visit(user, cookies=cookies)
        assert answer.result == "ada"
        assert not (await world.tab().visit(write(a=1), cookies=cookies)).set_cookies
    assert await tab.read() == {"a": 1}
    assert not world.heard("rejected")


async def test_a_login_with_stale_cookies_works_from_the_next_request_on(world: World) -> None:
    stale = [new_id(), new_id()]
    tab = world.tab()
    assert (await tab.visit(user, cookies=header(*stale))).result is None
    assert (await tab.visit(login("ada"), cookies=header(*stale))).sets_session
    answer = await world.tab().visit(user, cookies=header(*stale, tab.cookie))
    assert answer.result == "ada"
    assert world.backend.live() == 1


@each_path
async def test_an_anonymous_visitor_with_stale_cookies_gets_a_session(world: World) -> None:
    tab = world.tab()
    assert (await tab.visit(write(a=1), cookies=header(new_id(), new_id()))).sets_session
    assert await tab.read() == {"a": 1}


@each_path
async def test_a_rotated_id_and_its_successor_are_one_session(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    old = tab.cookie
    await tab.visit(rotate)
    for cookies in (header(old, tab.cookie), header(tab.cookie, old)):
        assert (await world.tab().visit(user, cookies=cookies)).result == "ada"
    assert (await world.tab().visit(user, cookies=header(old, new_id()))).result == "ada"
    assert not world.heard("rejected")


@each_path
async def test_an_id_from_before_a_login_still_sets_no_cookie(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    old = tab.cookie
    await tab.login("ada")
    answer = await world.tab().visit(write(a=1), cookies=header(new_id(), old))
    assert not answer.set_cookies  # it would replace the cookie of the login
    assert world.heard("dropped")


@each_path
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "with a stale one"])
async def test_a_planted_cookie_gains_no_more_than_alone(world: World, alone: bool) -> None:
    attacker = world.tab()
    await attacker.write(planted=1)
    planted = attacker.cookie
    victim = world.tab()
    cookies = header(planted) if alone else header(new_id(), planted)
    assert (await victim.visit(look, cookies=cookies)).result == {"planted": 1}
    await victim.visit(login("ada", remember=True), cookies=cookies)
    await victim.write(card="4111")
    assert await world.tab(planted).user() is None
    assert await world.tab(planted).read() == {}
    assert await victim.user() == "ada"


@each_path
async def test_too_many_values_are_ignored(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    cookies = header(tab.cookie, *(new_id() for _ in range(8)))
    assert (await world.tab().visit(user, cookies=cookies)).result is None
    assert "several cookies" in world.heard("rejected")[0].reason


@only(PARSER_KINDS)
@pytest.mark.parametrize("https", [False, True], ids=["http", "https"])
async def test_a_login_removes_the_cookie_from_its_previous_scopes(
    build: Build, https: bool
) -> None:
    previous = [CookieOptions(domain="example.com"), CookieOptions(path="/shop")]
    world = build(cookie=CookieOptions(previous=previous))
    first, second = world.tab(https=https), world.tab(https=https)
    await first.login("ada")
    await second.login("eve")
    name = SECURE_COOKIE if https else COOKIE
    both = header(first.cookie, second.cookie, name=name)
    tab = Tab(world, https=https)
    assert (await tab.visit(user, cookies=both)).result is None
    answer = await tab.visit(login("ada"), cookies=both)
    *cleared, issued = [parse_set_cookie(line) for line in answer.set_cookies]
    old = "__Secure-sid" if https else COOKIE
    assert [(name, value, more["path"]) for name, value, more in cleared] == [
        (old, "", "/"),
        (old, "", "/shop"),
    ]
    assert cleared[0][2]["domain"] == "example.com"
    assert {more["max-age"] for _, _, more in cleared} == {"0"}
    assert issued[0] == name
    assert await tab.user() == "ada"
    assert not (await tab.visit(write(a=1))).set_cookies


@each_path
async def test_a_logout_removes_the_cookie_from_its_previous_scopes(build: Build) -> None:
    world = build(cookie=CookieOptions(previous=CookieOptions(path="/shop")))
    tab = world.tab()
    await tab.login("ada")
    answer = await tab.logout()
    assert [parse_set_cookie(line)[1] for line in answer.set_cookies] == ["", ""]
    assert await tab.user() is None


@each_path
async def test_refused_cookies_are_warned_of_once(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headers, "_warned", set())
    first, second = world.tab(), world.tab()
    await first.login("ada")
    await second.login("eve")
    for _ in range(2):
        await world.tab().visit(look, cookies=header(first.cookie, second.cookie))
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "CookieOptions(previous=" in warnings[0].getMessage()
