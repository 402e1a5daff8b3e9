"""39. Magic keys: `__class__`, `__proto__`, `_permanent`, `__metadata__`, `user`, `cookie` are
plain data.

They come back as they were stored, and change neither the user nor a lifetime.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.visits import Visit, World
from tests.support.worlds import CODEC_KINDS, only

pytestmark = pytest.mark.anyio

MAGIC = [
    "__class__",
    "__dict__",
    "__init__",
    "__proto__",
    "constructor",
    "prototype",
    "_permanent",
    "__metadata__",
    "_data",
    "_user",
    "_key",
    "user",
    "user_id",
    "cookie",
    "id",
    "sid",
    "expires",
    "expiry",
    "_session_expiry",
    "max_age",
    "remember",
    "authenticated_at",
    "reputation",
    "successor",
    "payload",
    "lembro",
    "py/object",
    "$type",
    "",
    " ",
    "\0",
    "..",
    "../../etc/passwd",
    "a.b",
    "a[0]",
    "É",
]
VALUES: list[Any] = [
    "eve",
    0,
    -1,
    True,
    None,
    {"maxAge": 0, "expires": 0, "_permanent": True},
    {"__class__": "os.system", "__reduce__": ["x"]},
]


@only(CODEC_KINDS)
@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_a_magic_key_is_plain_data(world: World, value: Any) -> None:
    for key in MAGIC:
        if key in getattr(world.app, "own_keys", ()):  # reserved by the framework
            continue
        tab = world.tab()
        await tab.login("ada")
        lifetimes = [(f.idle_left, f.life_left) for _, f in world.backend.memory.all()]
        answer = await tab.write(**{key: value})
        assert (answer.status, answer.set_cookies) == (200, [])
        data = await tab.read()
        assert data == {key: value}
        assert type(data[key]) is type(value)
        assert await tab.user() == "ada"
        assert [(f.idle_left, f.life_left) for _, f in world.backend.memory.all()] == lifetimes
        await tab.logout()


async def test_all_magic_keys_in_an_anonymous_session_are_plain_data(world: World) -> None:
    tab = world.tab()
    everything = {key: {key: "eve"} for key in MAGIC}

    def write(visit: Visit) -> None:
        visit.session.update(everything)

    answer = await tab.visit(write)
    assert "Max-Age" not in answer.set_cookies[0]
    assert await tab.read() == everything
    assert await tab.user() is None
    world.clock.advance(86400)
    assert await tab.read() == {}
