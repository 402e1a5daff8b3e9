"""33. Oversize cookie: name and value are at most 4096 bytes, whatever the session contains.

Browsers drop a larger cookie silently.
"""

from __future__ import annotations

import pytest

from lembro import ConfigError, CookieOptions
from tests.support.messages import parse_set_cookie
from tests.support.visits import World
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio

MOST = 4096


async def test_the_longest_cookie_fits_into_4096_bytes(build: Build) -> None:
    world: World = build(
        cookie=CookieOptions(name="n" * 128, max_age=100 * 365 * 86400),
        secret=["s" * 500 + "0123456789abcdef", "t" * 500 + "0123456789abcdef"],
        store={"max_size": "16M"},
    )
    tab = world.tab(https=True)
    answers = [
        await tab.write(a="x" * 100_000),
        await tab.login("u" * 256, remember=True),
        await tab.visit(lambda visit: visit.session.regenerate_id()),
        await tab.logout(),
    ]
    for answer in answers:
        for header in answer.set_cookies:
            name, value, _ = parse_set_cookie(header)
            assert len(name) + len(value) <= 512
            assert len(header) <= MOST
    assert sum(len(answer.set_cookies) for answer in answers) >= 3


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(ConfigError):
        CookieOptions(name="n" * 129)
