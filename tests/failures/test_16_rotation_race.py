"""16. Rotation race (express-session #923): 50 parallel requests while the ID is rotated.

One or all of them rotate it. There is one successor, and nobody becomes anonymous within the grace.
After the grace the old ID is stale. A login from an anonymous session makes the old ID stale at
once, and no parallel response changes the new cookie.
"""

from __future__ import annotations

import pytest

from tests.support.messages import Answer
from tests.support.visits import Script, Tab, Visit, World, login, look, rotate, write
from tests.support.worlds import PLAIN_KINDS, each, only

pytestmark = pytest.mark.anyio

MANY = 50
GRACE = 30


async def logged_in(world: World) -> Tab:
    tab = world.tab()
    await tab.login("ada")
    await tab.write(old=0)
    return tab


def meeting(script: Script) -> Script:
    """Run ``script`` after all requests have loaded the session."""

    async def meets(visit: Visit) -> str | None:
        look(visit)
        await visit.meet()
        script(visit)
        return visit.session.user_id

    return meets


def issued(answers: list[Answer]) -> list[str]:
    return [header for answer in answers for header in answer.set_cookies]


async def test_one_of_fifty_parallel_requests_rotates(world: World) -> None:
    tab = await logged_in(world)
    old = tab.cookie
    scripts = [meeting(write(**{f"k{number}": number})) for number in range(MANY - 1)]
    scripts.insert(MANY // 2, meeting(rotate))
    answers = await world.together([(tab, script) for script in scripts])

    assert [answer.status for answer in answers] == [200] * MANY
    assert {answer.result for answer in answers} == {"ada"}
    assert len(issued(answers)) == 1  # by the request that rotates
    assert world.backend.live() == 1
    assert tab.cookie != old
    assert await tab.read() == {"old": 0, **{f"k{number}": number for number in range(MANY - 1)}}

    late = world.tab(old)  # a request that was sent before the new cookie arrived
    assert await late.user() == "ada"
    await late.write(late=1)
    assert late.cookie == old
    assert (await tab.read())["late"] == 1
    world.clock.advance(GRACE + 1)
    assert await late.user() is None
    assert await tab.user() == "ada"


@only(PLAIN_KINDS)
async def test_fifty_parallel_requests_all_rotate(world: World) -> None:
    tab = await logged_in(world)
    old = tab.cookie

    def rotate_and_write(number: int) -> Script:
        def script(visit: Visit) -> None:
            rotate(visit)
            visit.session[f"k{number}"] = number

        return meeting(script)

    answers = await world.together([(tab, rotate_and_write(number)) for number in range(MANY)])
    assert [answer.status for answer in answers] == [200] * MANY
    assert {answer.result for answer in answers} == {"ada"}
    assert len(issued(answers)) == 1
    assert world.backend.live() == 1
    assert len(world.heard("regenerated")) == 1
    assert await tab.read() == {"old": 0, **{f"k{number}": number for number in range(MANY)}}
    world.clock.advance(GRACE + 1)
    assert await world.tab(old).user() is None
    assert await tab.user() == "ada"


@pytest.mark.parametrize("how", ["regenerate_id", "login"])
async def test_a_rotation_after_an_equal_write_keeps_the_session(world: World, how: str) -> None:
    """Both requests encode the session to the same bytes; the new cookie must name a session."""
    tab = await logged_in(world)
    change = write(a=1)

    async def slow(visit: Visit) -> None:
        look(visit)
        await tab.visit(change)
        change(visit)
        if how == "login":
            visit.session.login("ada")
        else:
            rotate(visit)

    answer = await tab.visit(slow)
    assert answer.sets_session
    assert await tab.user() == "ada"
    assert await tab.read() == {"old": 0, "a": 1}


async def test_several_rotations_within_the_grace_are_followed(world: World) -> None:
    """A rotated ID is followed over several rotations, but not beyond its own grace."""
    tab = await logged_in(world)
    oldest = world.tab(tab.cookie)
    for _ in range(5):
        await tab.visit(rotate)
        world.clock.advance(GRACE / 6)
    assert await oldest.user() == "ada"
    world.clock.advance(GRACE / 6 + 1)
    assert await oldest.user() is None
    assert await tab.user() == "ada"


async def test_a_rotated_id_is_not_rotated_again(world: World) -> None:
    """It was rotated a moment ago, and its owner has the new ID."""
    tab = await logged_in(world)
    old = tab.twin()
    await tab.visit(rotate)

    def rotate_and_write(visit: Visit) -> None:
        rotate(visit)
        visit.session["a"] = 1

    for script in (rotate, rotate_and_write):
        answer = await old.visit(script)
        assert not answer.set_cookies
    assert await tab.read() == {"old": 0, "a": 1}
    assert world.backend.live() == 1


async def test_use_does_not_prolong_the_grace(world: World) -> None:
    tab = await logged_in(world)
    old = world.tab(tab.cookie)
    await tab.visit(rotate)
    for number in range(GRACE):
        world.clock.advance(1)
        if number < GRACE - 1:
            assert await old.user() == "ada", number
            await old.write(number=number)
    assert await old.user() is None


async def test_a_renewed_login_is_followed(world: World) -> None:
    tab = await logged_in(world)
    old = world.tab(tab.cookie)

    async def slow(visit: Visit) -> str | None:
        look(visit)
        await tab.login("ada")
        visit.session["slow"] = 1
        return visit.session.user_id

    answer = await old.visit(slow)
    assert answer.result == "ada"
    assert not answer.set_cookies
    assert (await tab.read())["slow"] == 1
    assert await old.user() == "ada"


async def test_a_login_as_another_user_is_not_followed(world: World) -> None:
    tab = await logged_in(world)
    old = world.tab(tab.cookie)

    async def slow(visit: Visit) -> None:
        look(visit)
        await tab.login("bob")
        visit.session["of ada"] = 1

    answer = await old.visit(slow)
    assert not answer.set_cookies
    assert await old.user() is None
    assert await tab.read() == {}
    assert await tab.user() == "bob"


def rotate_and_store_the_user(visit: Visit) -> None:
    """Log in as an application without ``login`` does."""
    rotate(visit)
    visit.session["user_id"] = 7


LOGINS: dict[str, Script] = {"login": login("ada"), "regenerate_id": rotate_and_store_the_user}
PARALLEL: dict[str, Script] = {
    "reads": look,
    "writes": write(a=1),
    "writes within": lambda visit: visit.session["cart"].append(2),
    "touches": lambda visit: visit.session.touch(),
    "rotates": rotate,
    "deletes": lambda visit: visit.session.pop("cart"),
    "logs out": lambda visit: visit.session.logout(),
}


@each(act=PARALLEL, how=LOGINS)
async def test_the_id_from_before_a_login_is_stale(world: World, how: str, act: str) -> None:
    """The login takes place between the load and the commit of the other request."""
    tab = world.tab()
    await tab.write(cart=[1])
    old = tab.twin()

    async def slow(visit: Visit) -> None:
        assert look(visit) == {"cart": [1]}
        assert (await tab.visit(LOGINS[how])).sets_session
        PARALLEL[act](visit)

    answer = await old.visit(slow)
    assert answer.status == 200
    assert not answer.set_cookies
    assert world.backend.live() == 1
    assert (await tab.read())["cart"] == [1]
    assert await old.read() == {}
    answer = await old.visit(PARALLEL[act] if act not in ("writes within", "deletes") else look)
    assert not answer.set_cookies
    assert world.backend.live() == 1


@only(PLAIN_KINDS)
async def test_fifty_requests_in_flight_during_a_login(world: World) -> None:
    """A commit before the login is merged into it; a commit after the login is dropped."""
    tab = world.tab()
    await tab.write(cart=[1])
    old = tab.cookie
    scripts = [meeting(write(**{f"k{number}": number})) for number in range(MANY - 1)]
    scripts.insert(MANY // 2, meeting(login("ada")))
    answers = await world.together([(tab, script) for script in scripts])

    assert [answer.status for answer in answers] == [200] * MANY
    assert len(issued(answers)) == 1  # by the login
    assert world.backend.live() == 1
    assert await tab.user() == "ada"
    data = await tab.read()
    kept = {key for key in data if key != "cart"}
    assert len(kept) + len(world.heard("dropped")) == MANY - 1
    assert await world.tab(old).read() == {}


async def test_ten_parallel_logins_are_one_session(world: World) -> None:
    """The first login takes over the cart, and the others continue its session."""
    tab = world.tab()
    await tab.write(cart=[1])
    old = tab.cookie
    tabs = [tab.twin() for _ in range(10)]
    answers = await world.together([(twin, meeting(login("ada"))) for twin in tabs])
    assert all(answer.sets_session for answer in answers)
    assert len({twin.cookie for twin in tabs}) == 10
    assert len(await world.call("user_sessions", "ada")) == 1
    assert {await twin.user() for twin in tabs} == {"ada"}
    assert await world.tab(old).user() is None
