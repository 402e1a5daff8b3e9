"""The requests of a visitor to an application, on every integration and store."""

from __future__ import annotations

import pytest

from lembro import CookieOptions
from tests.support.messages import parse_set_cookie
from tests.support.visits import BODY, COOKIE, FIRST, LAST, Visit, World, login, look, write
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio


async def test_a_session_from_the_first_request_to_the_logout(world: World) -> None:
    tab = world.tab()
    assert await tab.read() == {}
    assert tab.cookie is None

    answer = await tab.write(cart=["apple"])
    assert (answer.status, answer.body) == (200, BODY)
    anonymous = tab.cookie
    assert anonymous is not None

    answer = await tab.visit(lambda visit: visit.session["cart"].append("pear"))
    assert not answer.set_cookies

    await tab.login("ada")
    assert tab.cookie not in (None, anonymous)
    assert await tab.read() == {"cart": ["apple", "pear"]}

    answer = await tab.logout()
    assert answer.clears_session
    assert tab.cookie is None
    assert await tab.read() == {}
    assert world.backend.live() == 0
    assert [event.name for event in world.events if event.name in ("created", "destroyed")] == [
        "created",
        "destroyed",
    ]


async def test_two_visitors_share_nothing(world: World) -> None:
    one, two = world.tab(), world.tab()
    await one.write(a=1)
    await two.write(a=2)
    assert (await one.read(), await two.read()) == ({"a": 1}, {"a": 2})


async def test_a_remembered_login_stays_after_the_browser_is_closed(build: Build) -> None:
    world = build(idle_timeout=3600, remember_timeout=7200)
    tab = world.tab()
    (header,) = (await tab.visit(login("ada", remember=True))).set_cookies
    assert parse_set_cookie(header)[2]["max-age"] == "7200"
    (header,) = (await tab.visit(login("ada"))).set_cookies
    assert "max-age" not in parse_set_cookie(header)[2]


async def test_the_commit_comes_before_the_first_byte(world: World) -> None:
    """A browser that follows a redirect at once finds its login."""
    tab = world.tab()
    seen: list[str | None] = []

    async def at_once(visit: Visit) -> None:
        seen.append(await tab.user())

    # The jar gets the cookie only when the response is complete, so the store is checked.
    async def later(visit: Visit) -> None:
        seen.append("ada" if world.backend.live() else None)

    await tab.visit(login("ada"), later=later)
    await tab.visit(later=at_once)
    assert seen == ["ada", "ada"]


async def test_a_stream_sends_all_its_chunks(world: World) -> None:
    answer = await world.tab().visit(write(a=1), later=look)
    assert answer.body == FIRST + LAST
    assert answer.sets_session
    assert answer.result == {"a": 1}


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_failed_response_changes_nothing(world: World, status: int) -> None:
    tab = world.tab()
    answer = await tab.visit(write(a=1), status=status)
    assert (answer.status, answer.set_cookies) == (status, [])
    assert world.backend.records() == 0


async def test_an_unstorable_value_is_logged_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    tab = world.tab()
    await tab.write(cart=[])
    caplog.clear()
    answer = await tab.visit(lambda visit: visit.session["cart"].append(object()))
    assert (answer.status, answer.set_cookies) == (500, [])
    (message,) = [record.getMessage() for record in caplog.records if record.name == "lembro"]
    assert message.startswith("lembro: the session could not be stored: cart[0]: ")
    assert [event.name for event in world.events] == ["created"]
    assert await tab.read() == {"cart": []}


async def test_other_headers_are_not_changed(world: World) -> None:
    headers = [("Set-Cookie", "other=1"), ("X-One", "1"), ("X-One", "2")]
    answer = await world.tab().visit(write(a=1), headers=headers)
    assert ", ".join(answer.all("x-one")) == "1, 2"  # in one header or in two
    assert len(answer.set_cookies) == 2
    assert answer.set_cookies[0] == "other=1"


async def test_other_cookies_are_not_changed(world: World) -> None:
    tab = world.tab()
    tab.jar.update(theme="dark", id="x" * 43, sid2="y")
    await tab.write(a=1)
    assert await tab.read() == {"a": 1}
    await tab.logout()
    assert set(tab.jar) == {"theme", "id", "sid2"}


async def test_an_untrusted_proxy_is_reported_once(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its header is logged, and does not change the cookie."""
    monkeypatch.setattr("lembro._http.headers._warned", set())
    tab = world.tab()
    await tab.write(a=1)
    assert not messages_about_plain_http(caplog)

    for header in ((b"x-forwarded-proto", b"https"), (b"forwarded", b"for=192.0.2.1;proto=https")):
        monkeypatch.setattr("lembro._http.headers._warned", set())
        caplog.clear()
        await tab.visit(look, sent=[header])  # no cookie is set
        await world.tab(https=True).visit(write(a=1), sent=[header])
        assert not messages_about_plain_http(caplog)
        for _ in range(2):
            answer = await world.tab().visit(write(a=1), sent=[header])
            name, _, attributes = parse_set_cookie(answer.set_cookies[0])
            assert (name, "secure" in attributes) == (COOKIE, False)
        (message,) = messages_about_plain_http(caplog)
        assert "terminates TLS" in message


async def test_a_cookie_that_is_always_secure_needs_no_trusted_proxy(
    build: Build, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lembro._http.headers._warned", set())
    tab = build(cookie=CookieOptions(secure=True)).tab()
    answer = await tab.visit(write(a=1), sent=[(b"x-forwarded-proto", b"https")])
    assert "secure" in parse_set_cookie(answer.set_cookies[0])[2]
    assert not messages_about_plain_http(caplog)


def messages_about_plain_http(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [record.getMessage() for record in caplog.records if record.name == "lembro"]
    return [message for message in messages if "plain http" in message]


async def test_a_recent_login_is_required(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    world.clock.advance(301)
    answer = await tab.visit(lambda visit: visit.session.require_recent(300))
    assert (answer.status, answer.error, answer.result) == (401, None, None)
    assert answer.all("www-authenticate") == ["Cookie"]
    await tab.login("ada")
    assert (await tab.visit(lambda visit: visit.session.require_recent(300))).error is None


async def test_a_user_lists_their_sessions(world: World) -> None:
    laptop, phone = world.tab(), world.tab()
    await laptop.login("ada")
    await phone.login("ada")

    async def mine(visit: Visit) -> list[bool]:
        session = visit.session
        infos = session.user_sessions() if visit.sync else await session.auser_sessions()
        return [info.current for info in infos]

    assert (await laptop.visit(mine)).result == [True, False]
    assert (await phone.visit(mine)).result == [False, True]
