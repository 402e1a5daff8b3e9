"""Adoption of legacy sessions: each is adopted once, users stay logged in, and a logout holds.

On every integration and store. The legacy sessions are in a signed cookie, and in a store that
blocks.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final

import pytest
from itsdangerous import TimestampSigner

from lembro import CookieOptions, LoginRequired, StoreError
from lembro.ids import new_id
from lembro.migrate import LegacySession, Reader, StarletteCookieReader, StoreReader
from tests.support.messages import Answer, parse_set_cookie
from tests.support.visits import Script, Tab, Visit, World, login, logout, look, rotate, write
from tests.support.worlds import CATALOGUE_KINDS, KINDS, SOCKET_KINDS, Build, Kind, name_of

pytestmark = pytest.mark.anyio

OLD: Final = "session"
SECRET: Final = "the secret of the application before"
COOKIE: Final = CookieOptions(name=OLD, path="/app", domain="example.com")
DATA: Final = {"uid": "ada", "cart": [1]}
GRACE: Final = 30.0
WEEK: Final = 7 * 24 * 3600.0


@pytest.fixture(params=[kind for kind in CATALOGUE_KINDS if kind in KINDS], ids=name_of)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


class Before:
    """The legacy application: its reader, and the cookies that it has set."""

    def __init__(self, stored: bool) -> None:
        self.held: dict[str, Any] = {}
        self.broken: Exception | None = None
        self.reader: Reader
        if stored:
            self.reader = StoreReader(self._load, cookie=COOKIE, lifetime=WEEK, user="uid")
        else:
            self.reader = StarletteCookieReader(
                SECRET, cookie=COOKIE, max_age=int(WEEK), user="uid"
            )
        self.stored = stored

    def _load(self, session_id: str) -> Any:
        if self.broken is not None:
            raise self.broken
        return self.held.get(session_id)

    def cookie(self, data: Any = DATA) -> str:
        if self.stored:
            session_id = new_id()
            self.held[session_id] = json.dumps(data)
            return session_id
        return TimestampSigner(SECRET).sign(b64encode(json.dumps(data).encode())).decode()


@pytest.fixture(params=[False, True], ids=["signed", "stored"])
def before(request: pytest.FixtureRequest) -> Before:
    return Before(request.param)


@pytest.fixture
def world(build: Build, before: Before) -> World:
    return build(migrate_from=before.reader)


def browser(world: World, cookie: str) -> Tab:
    """A browser that has only a legacy cookie."""
    tab = world.tab()
    tab.jar[OLD] = cookie
    return tab


def changes(answer: Answer) -> dict[str, bool]:
    """Return each cookie that the response changes, and whether it is set."""
    return {name: bool(value) for name, value, _ in map(parse_set_cookie, answer.set_cookies)}


ADOPTS: Final = {"sid": True, OLD: False}


# -- adoption --------------------------------------------------------------------------------------


async def test_a_read_adopts_the_legacy_session(world: World, before: Before) -> None:
    tab = browser(world, before.cookie())
    answer = await tab.visit(look)
    assert (answer.status, answer.error, answer.result) == (200, None, DATA)
    assert changes(answer) == ADOPTS
    assert answer.tokens("cache-control") == {"private", "no-store"}
    (cleared,) = [p for p in map(parse_set_cookie, answer.set_cookies) if p[0] == OLD]
    assert (cleared[2]["path"], cleared[2]["domain"]) == ("/app", "example.com")
    assert (await tab.user(), await tab.read()) == ("ada", DATA)
    assert world.backend.live() == 1
    assert [event.user_id for event in world.heard("created")] == ["ada"]


async def test_an_unused_legacy_session_is_not_adopted(world: World, before: Before) -> None:
    tab = browser(world, before.cookie())
    answer = await tab.visit()
    assert not answer.set_cookies
    assert not answer.all("vary")
    assert world.backend.records() == 0
    assert not world.events


async def test_a_change_of_the_first_request_is_stored(world: World, before: Before) -> None:
    tab = browser(world, before.cookie())

    def change(visit: Visit) -> None:
        visit.session["cart"].append(2)
        visit.session["a"] = 1

    await tab.visit(change)
    assert await tab.read() == {**DATA, "cart": [1, 2], "a": 1}


async def test_a_cookie_of_lembro_takes_precedence(world: World, before: Before) -> None:
    tab = world.tab()
    await tab.write(a=1)
    tab.jar[OLD] = before.cookie()
    assert await tab.read() == {"a": 1}
    assert changes(await tab.logout()) == {"sid": False, OLD: False}  # or it would be adopted now
    assert await tab.user() is None


@pytest.mark.parametrize("value", ["not-one-of-lembros", new_id()], ids=["malformed", "unknown"])
async def test_a_cookie_of_lembro_without_a_session_takes_precedence(
    world: World, before: Before, value: str
) -> None:
    tab = browser(world, before.cookie())
    tab.jar["sid"] = value
    assert (await tab.user(), await tab.read()) == (None, {})
    assert world.backend.records() == 0


async def test_ambiguous_cookies_of_lembro_take_precedence(world: World, before: Before) -> None:
    pairs = f"sid={new_id()}; sid={new_id()}; {OLD}={before.cookie()}"
    answer = await world.tab().visit(look, cookies=[pairs.encode()])
    assert (answer.result, answer.set_cookies) == ({}, [])
    assert world.backend.records() == 0


async def test_an_anonymous_legacy_session_is_adopted(world: World, before: Before) -> None:
    tab = browser(world, before.cookie({"cart": [1]}))
    assert await tab.read() == {"cart": [1]}
    assert tab.jar.keys() == {"sid"}
    assert (await tab.user(), await tab.read()) == (None, {"cart": [1]})


async def test_an_empty_legacy_session_is_not_adopted(world: World, before: Before) -> None:
    tab = browser(world, before.cookie({}))
    answer = await tab.visit(look)
    assert not answer.set_cookies
    assert world.backend.records() == 0


async def test_one_new_id_is_issued(world: World, before: Before) -> None:
    tab = browser(world, before.cookie())
    assert changes(await tab.visit(rotate)) == ADOPTS
    assert (await tab.user(), world.backend.records()) == ("ada", 2)  # itself, and the mark


@pytest.mark.parametrize("user", ["ada", "bob"])
async def test_a_login_in_the_first_request(world: World, before: Before, user: str) -> None:
    old = before.cookie()
    tab = browser(world, old)
    assert changes(await tab.login(user)) == ADOPTS
    assert (await tab.user(), await tab.read()) == (user, DATA if user == "ada" else {})
    world.clock.advance(GRACE + 1)
    assert await browser(world, old).user() is None


async def test_save_reload_and_atomic_in_the_first_request(world: World, before: Before) -> None:
    async def script(visit: Visit) -> list[Any]:
        visit.session["a"] = 1
        await visit.reload()
        seen = [dict(visit.session)]
        await visit.atomic(lambda data: data.update(b=2))
        await visit.save()
        visit.session["c"] = 3
        return seen

    tab = browser(world, before.cookie())
    answer = await tab.visit(script)
    assert answer.result == [DATA]
    assert changes(answer) == ADOPTS
    assert await tab.read() == {**DATA, "b": 2, "c": 3}


async def test_the_age_of_a_legacy_login_is_unknown(world: World, before: Before) -> None:
    def ask(visit: Visit) -> Any:
        with pytest.raises(LoginRequired, match="its age is unknown"):
            visit.session.require_recent(3600)
        return visit.session.authenticated_at

    tab = browser(world, before.cookie())
    for _ in range(3):
        answer = await tab.visit(ask)
        assert (answer.error, answer.result) == (None, None)
    await tab.visit(rotate)
    assert (await tab.visit(ask)).error is None
    await tab.login("ada")
    assert (await tab.visit(lambda visit: visit.session.require_recent(3600))).error is None


async def test_a_persistent_legacy_cookie_makes_a_persistent_one(
    build: Build, before: Before
) -> None:
    class Lasting(Reader):
        def read(self, value: str) -> LegacySession:
            return self.session(DATA, value, remember=value == "lasting")

    world = build(migrate_from=Lasting(cookie=OLD, lifetime=WEEK))
    for value in ("lasting", "until-closed"):
        answer = await browser(world, value).visit(look)
        _, _, attributes = parse_set_cookie(answer.set_cookies[0])
        assert ("max-age" in attributes) == (value == "lasting")


@pytest.mark.parametrize("kind", SOCKET_KINDS, indirect=True, ids=name_of)
async def test_a_websocket_adopts_the_legacy_session(world: World, before: Before) -> None:
    tab = browser(world, before.cookie())

    async def script(visit: Visit) -> Any:
        seen = dict(visit.session)
        await visit.accept()
        return seen

    answer = await tab.visit(script, websocket=True)
    assert answer.result == DATA
    assert changes(answer) == ADOPTS
    assert await tab.user() == "ada"


# -- once ------------------------------------------------------------------------------------------


async def test_a_logout_ends_the_legacy_cookie(world: World, before: Before) -> None:
    old = before.cookie()
    tab = browser(world, old)
    await tab.read()
    await tab.logout()
    for later in (0.0, GRACE + 1, WEEK / 2):
        world.clock.advance(later)
        replay = browser(world, old)
        assert (await replay.user(), await replay.read()) == (None, {})
        assert replay.jar == {OLD: old}
    assert world.backend.live() == 0
    assert any("the session has ended" in event.reason for event in world.heard("rejected"))


async def test_a_logout_in_the_first_request(world: World, before: Before) -> None:
    old = before.cookie()
    tab = browser(world, old)
    assert changes(await tab.logout()) == {"sid": False, OLD: False}
    assert await browser(world, old).user() is None
    assert world.backend.live() == 0


async def test_a_revoked_user_stays_logged_out_with_the_legacy_cookie(
    world: World, before: Before
) -> None:
    old = before.cookie()
    tab = browser(world, old)
    await tab.read()
    assert await world.revoke_user("ada") == 1
    assert await browser(world, old).user() is None
    assert await tab.user() is None


async def test_logout_others_in_the_first_request(world: World, before: Before) -> None:
    other = world.tab()
    await other.login("ada")
    tab = browser(world, before.cookie())
    await tab.visit(lambda visit: visit.session.logout_others())
    assert (await tab.user(), await other.user()) == ("ada", None)


async def test_the_legacy_cookie_ends_once_the_new_one_has_come_back(
    world: World, before: Before
) -> None:
    old = before.cookie()
    tab = browser(world, old)
    await tab.read()
    await tab.read()
    world.clock.advance(GRACE - 1)
    assert await browser(world, old).user() == "ada"  # the request may have been in flight
    world.clock.advance(2)
    replay = browser(world, old)
    assert await replay.user() is None
    assert world.heard("rejected")[-1].reason == (
        f"the legacy cookie {OLD!r}: the legacy cookie was used before"
    )
    assert await tab.user() == "ada"
    assert changes(await replay.write(a=1)) == ADOPTS  # like any other visitor
    assert await replay.read() == {"a": 1}


async def test_a_lost_response_logs_nobody_out(world: World, before: Before) -> None:
    old = before.cookie()
    lost = browser(world, old)
    await lost.write(a=1)
    world.clock.advance(3600)
    tab = browser(world, old)
    answer = await tab.visit(look)
    assert answer.result == {**DATA, "a": 1}
    assert changes(answer) == ADOPTS
    assert tab.cookie == lost.cookie
    assert world.backend.live() == 1
    await tab.read()
    world.clock.advance(GRACE + 1)
    assert await browser(world, old).user() is None


async def test_a_legacy_cookie_from_before_a_login_is_stale(world: World, before: Before) -> None:
    planted = before.cookie({"theme": "dark"})
    victim = browser(world, planted)
    await victim.login("ada")
    for later in (0.0, GRACE + 1):
        world.clock.advance(later)
        attacker = browser(world, planted)
        assert (await attacker.user(), await attacker.read()) == (None, {})
    assert await victim.user() == "ada"


async def test_a_legacy_cookie_is_followed_to_the_same_user_only(
    world: World, before: Before
) -> None:
    old = before.cookie()
    await browser(world, old).read()
    before.reader._user = lambda data: "eve"  # as after a mistake in the configuration
    again = browser(world, old)
    assert (await again.user(), await again.read()) == (None, {})


# -- parallel requests -----------------------------------------------------------------------------


async def test_two_parallel_first_requests_adopt_once(world: World, before: Before) -> None:
    tab = browser(world, before.cookie())
    second = tab.twin()

    async def slow(visit: Visit) -> None:
        visit.session["a"] = 1
        await second.write(b=2)

    answer = await tab.visit(slow)
    assert changes(answer) == ADOPTS
    assert tab.cookie == second.cookie
    assert await tab.read() == {**DATA, "a": 1, "b": 2}
    assert world.backend.live() == 1


async def test_twenty_parallel_first_requests_adopt_once(world: World, before: Before) -> None:
    tab = browser(world, before.cookie())
    tabs = [tab.twin() for _ in range(20)]

    def script(number: int) -> Script:
        async def add(visit: Visit) -> str | None:
            visit.session[f"n{number}"] = number
            await visit.meet()
            return visit.session.user_id

        return add

    answers = await world.together([(tab, script(n)) for n, tab in enumerate(tabs)])
    assert {answer.result for answer in answers} == {"ada"}
    assert {answer.error for answer in answers} == {None}
    assert len({tab.cookie for tab in tabs}) == 1
    assert world.backend.live() == 1
    assert (await tabs[7].read()).keys() == {*DATA, *(f"n{n}" for n in range(20))}


@pytest.mark.parametrize("acts", [look, write(a=1), rotate], ids=["look", "write", "rotate"])
async def test_a_logout_wins_over_a_first_request_in_flight(
    world: World, before: Before, acts: Script
) -> None:
    old = before.cookie()
    tab = browser(world, old)
    second = tab.twin()

    async def slow(visit: Visit) -> None:
        acts(visit)
        await second.logout()

    answer = await tab.visit(slow)
    assert (answer.status, changes(answer)) == (200, {})
    assert world.backend.live() == 0
    assert await browser(world, old).user() is None


async def test_a_write_after_a_second_logout_begins_a_new_session(
    world: World, before: Before
) -> None:
    tab = browser(world, before.cookie())
    second = tab.twin()

    async def slow(visit: Visit) -> None:
        visit.session.logout()
        visit.session["said"] = "goodbye"
        await second.logout()

    assert changes(await tab.visit(slow)) == ADOPTS
    assert (await tab.user(), await tab.read()) == (None, {"said": "goodbye"})


async def test_a_login_as_another_user_wins_over_a_first_request_in_flight(
    world: World, before: Before
) -> None:
    tab = browser(world, before.cookie())
    second = tab.twin()

    async def slow(visit: Visit) -> None:
        visit.session["a"] = 1
        await second.login("bob")

    assert not changes(await tab.visit(slow))
    assert (await second.user(), await second.read()) == ("bob", {})


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [look, write(a=1), login("bob")], ids=["look", "write", "login"])
async def test_a_failed_handler_adopts_nothing(world: World, before: Before, act: Script) -> None:
    tab = browser(world, before.cookie())
    answer = await tab.visit(act, status=500)
    assert not answer.set_cookies
    assert world.backend.records() == 0
    assert (await tab.user(), await tab.read()) == ("ada", DATA)


async def test_a_failed_handler_keeps_its_logout(world: World, before: Before) -> None:
    old = before.cookie()
    tab = browser(world, old)
    await tab.visit(logout, status=500)
    assert await browser(world, old).user() is None


def _no_json(before: Before) -> str:
    if not before.stored:
        return TimestampSigner(SECRET).sign(b64encode(b"\x80\x04K\x05.")).decode()
    before.held["i" * 32] = b"\x80\x04K\x05."
    return "i" * 32


BAD: Final[dict[str, Callable[[Before], str]]] = {
    "forged": lambda before: new_id() if before.stored else before.cookie()[:-2] + "xx",
    "64 kB": lambda before: "a" * 65536,
    "not UTF-8": lambda before: "\xff\xfe" * 20,
    "empty": lambda before: "",
    "no dict": lambda before: before.cookie([1, 2]),
    "a user that is none": lambda before: before.cookie({"uid": ["ada"]}),
    "a user that is too long": lambda before: before.cookie({"uid": "a" * 300}),
    "what a session cannot store": lambda before: before.cookie({"a": "\ud800"}),
    "no JSON": _no_json,
}


@pytest.mark.parametrize("kind_of_bad", BAD)
async def test_an_invalid_legacy_cookie_is_an_anonymous_session(
    world: World, before: Before, kind_of_bad: str
) -> None:
    tab = browser(world, BAD[kind_of_bad](before))
    answer = await tab.visit(look)
    assert (answer.status, answer.error, answer.result) == (200, None, {})
    assert not answer.set_cookies
    assert len(world.heard("rejected")) == 1
    assert world.backend.records() == 0
    await tab.write(a=1)
    assert await tab.read() == {"a": 1}


async def test_two_different_legacy_cookies_are_ambiguous(world: World, before: Before) -> None:
    pairs = f"{OLD}={before.cookie()}; {OLD}={before.cookie({'uid': 'eve'})}"
    answer = await world.tab().visit(look, cookies=[pairs.encode()])
    assert answer.result == {}
    assert "several" in world.heard("rejected")[0].reason


async def test_a_legacy_session_that_is_too_large_is_not_adopted(
    build: Build, before: Before
) -> None:
    world = build(store={"max_session_size": 1024}, migrate_from=before.reader)
    old = before.cookie({"uid": "ada", "text": "x" * 2000})
    tab = browser(world, old)
    answer = await tab.visit(look)
    assert (answer.status, answer.error, answer.set_cookies) == (200, None, [])
    assert "bytes" in world.heard("rejected")[0].reason
    await tab.logout()
    assert await browser(world, old).user() is None


async def test_the_limit_of_sessions_holds_for_legacy_sessions(
    build: Build, before: Before
) -> None:
    world = build(max_sessions_per_user=1, at_max_sessions="refuse", migrate_from=before.reader)
    first = world.tab()
    await first.login("ada")
    tab = browser(world, before.cookie())
    assert (await tab.visit(look)).status == 403
    await first.logout()
    assert await tab.user() == "ada"


@pytest.mark.parametrize("before", [True], indirect=True, ids=["stored"])
@pytest.mark.parametrize("error", [StoreError("down"), OSError("down"), RuntimeError("down")])
async def test_a_failure_of_the_legacy_store_is_a_503(
    world: World, before: Before, error: Exception
) -> None:
    tab = browser(world, before.cookie())
    before.broken = error
    answer = await tab.visit(look)
    assert (answer.status, answer.error, answer.set_cookies) == (503, None, [])
    assert (await tab.visit()).status == 200
    before.broken = None
    assert await tab.user() == "ada"


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if not kind[1].in_process], indirect=True, ids=name_of
)
async def test_a_store_failure_during_the_adoption_is_a_503(world: World, before: Before) -> None:
    tab = browser(world, before.cookie())

    def breaks(visit: Visit) -> None:
        look(visit)
        world.backend.breaks()

    answer = await tab.visit(breaks)
    assert (answer.status, answer.set_cookies) == (503, [])
    world.backend.breaks("")
    assert (await tab.user(), await tab.read()) == ("ada", DATA)


async def test_the_store_does_not_contain_the_cookies(world: World, before: Before) -> None:
    old = before.cookie()
    tab = browser(world, old)
    await tab.read()
    assert tab.cookie is not None
    for secret in (old, tab.cookie.partition(".")[0]):
        assert secret.encode() not in world.backend.dump()
    world.backend.check()


@pytest.mark.parametrize("kind", KINDS[:1], indirect=True, ids=name_of)
async def test_a_flood_does_not_revive_a_used_legacy_cookie(build: Build, before: Before) -> None:
    world = build(store={"max_size": "128K"}, migrate_from=before.reader)
    old = before.cookie()
    tab = browser(world, old)
    await tab.read()
    await tab.logout()
    for number in range(2000):
        await world.tab().write(n="x" * 100, number=number)
    assert world.heard("evicted")
    assert await browser(world, old).user() is None
