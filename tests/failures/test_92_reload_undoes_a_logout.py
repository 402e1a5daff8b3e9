"""92. ``reload()`` after ``logout()`` drops the logout together with the changes.

A logout stays. Changes after it are dropped.
"""

from __future__ import annotations

import pytest

from tests.support.visits import Script, Visit, World, login, write
from tests.support.worlds import CODEC_KINDS, only

pytestmark = [pytest.mark.anyio, only(CODEC_KINDS)]

ENDS: dict[str, Script] = {
    "logout": lambda visit: visit.session.logout(),
    "clear": lambda visit: visit.session.clear(),
    "logout_everywhere": lambda visit: visit.session.logout_everywhere(),
}


@pytest.mark.parametrize("end", ENDS)
async def test_the_logout_stays(world: World, end: str) -> None:
    tab, other = world.tab(), world.tab()
    await tab.login("ada")
    await other.login("ada")

    async def script(visit: Visit) -> None:
        ENDS[end](visit)
        write(dropped=1)(visit)
        login("bob")(visit)
        await visit.reload()
        assert visit.session.user_id is None
        assert "dropped" not in visit.session
        visit.session["kept"] = 1

    before = tab.cookie
    await tab.visit(script)
    assert await world.tab(before).user() is None
    assert await tab.user() is None
    assert await tab.read() == {"kept": 1}
    assert (await other.user() is None) == (end == "logout_everywhere")
