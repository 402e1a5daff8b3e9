"""45. The handler fails: it raises, or responds with 5xx.

Its changes are not saved, and no cookie is issued. A logout still ends the session.
"""

from __future__ import annotations

import pytest

from tests.support.messages import Answer
from tests.support.visits import Script, Tab, Visit, World, login, rotate, write
from tests.support.worlds import FRAMEWORK_KINDS, each, only

pytestmark = pytest.mark.anyio

CHANGES: dict[str, Script] = {
    "write": write(a=1),
    "within": lambda visit: visit.session.setdefault("cart", []).append(2),
    "delete": lambda visit: visit.session.pop("cart", None),
    "login": login("bob"),
    "regenerate_id": rotate,
}
FAILURES = ["raises", "answers 500", "answers 503"]


async def failing(tab: Tab, script: Script, how: str) -> Answer:
    if how.startswith("answers"):
        return await tab.visit(script, status=int(how.rsplit(maxsplit=1)[-1]))

    def fails(visit: Visit) -> None:
        script(visit)
        raise ZeroDivisionError

    answer = await tab.visit(fails)
    assert isinstance(answer.error, ZeroDivisionError)
    return answer


@each(case=[*CHANGES, "write of a visitor", "login of a visitor"], how=FAILURES)
async def test_changes_of_a_failed_handler_are_not_saved(world: World, case: str, how: str) -> None:
    change, _, visitor = case.partition(" of ")
    logged_in = not visitor
    tab = world.tab()
    if logged_in:
        await tab.login("ada")
    await tab.write(cart=[1])
    before = world.backend.payloads()
    answer = await failing(tab, CHANGES[change], how)
    assert answer.status in (500, 503)
    assert not answer.set_cookies
    assert world.backend.payloads() == before
    assert await tab.read() == {"cart": [1]}
    assert await tab.user() == ("ada" if logged_in else None)


@each(change=CHANGES, how=FAILURES)
async def test_a_new_session_of_a_failed_handler_is_not_stored(
    world: World, change: str, how: str
) -> None:
    answer = await failing(world.tab(), CHANGES[change], how)
    assert not answer.set_cookies
    assert world.backend.records() == 0


@pytest.mark.parametrize("how", FAILURES)
async def test_a_logout_in_a_failed_handler_ends_the_session(world: World, how: str) -> None:
    tab = world.tab()
    await tab.login("ada")
    copy = world.tab(tab.cookie)
    answer = await failing(tab, lambda visit: visit.session.logout(), how)
    if how.startswith("answers"):
        assert answer.clears_session
    assert await copy.user() is None
    assert world.backend.records() == 0


@pytest.mark.parametrize("how", FAILURES)
async def test_a_write_after_a_logout_in_a_failed_handler_is_not_stored(
    world: World, how: str
) -> None:
    tab = world.tab()
    await tab.login("ada")

    def out_and_write(visit: Visit) -> None:
        visit.session.logout()
        visit.session["a"] = 1

    answer = await failing(tab, out_and_write, how)
    assert not answer.sets_session
    assert world.backend.records() == 0


@pytest.mark.parametrize("how", FAILURES)
async def test_data_saved_explicitly_before_the_failure_stay(world: World, how: str) -> None:
    tab = world.tab()
    await tab.write(cart=[1])

    async def save_then_fail(visit: Visit) -> None:
        visit.session["paid"] = True
        await visit.save()
        visit.session["thanks"] = True
        if how == "raises":
            raise ZeroDivisionError

    await tab.visit(save_then_fail, status=500)
    assert await tab.read() == {"cart": [1], "paid": True}


@only(FRAMEWORK_KINDS)
@pytest.mark.parametrize("status", [200, 204, 302, 400, 403, 404, 422, 499])
async def test_a_status_below_500_saves_the_changes(world: World, status: int) -> None:
    tab = world.tab()
    answer = await tab.visit(write(a=1), status=status)
    assert answer.status == status
    assert await tab.read() == {"a": 1}


async def test_other_requests_do_not_see_changes_of_a_failing_handler(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])

    async def fails(visit: Visit) -> dict[str, object]:
        visit.session["a"] = 1
        return await tab.read()

    answer = await tab.visit(fails, status=500)
    assert answer.result == {"cart": [1]}
