"""24. Overflow: -1, NaN, infinity, 2^63 and timedelta.max are errors in the configuration.

Each error says what to write instead, and the largest allowed value works.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from lembro import (
    ConfigError,
    CookieOptions,
    MemoryStore,
    SessionManager,
    SessionOptions,
    asgi,
    wsgi,
)
from lembro._durations import LONGEST
from lembro.integrations import starlette
from tests.support.visits import World
from tests.support.worlds import Build

BAD: list[Any] = [
    -1,
    -0.5,
    math.nan,
    math.inf,
    -math.inf,
    2**63,
    10**400,
    1e308,
    timedelta.max,
    timedelta.min,
    timedelta(seconds=-1),
    True,
    "60",
]
BAD_COUNTS: list[Any] = [-1, 0, math.nan, math.inf, 2**63, 1.5, True, "2"]


def _name(value: object) -> str:
    return f"{value!r:.20}"


DURATIONS: dict[str, Callable[[Any], object]] = {
    "idle_timeout": lambda value: SessionOptions(idle_timeout=value),
    "absolute_timeout": lambda value: SessionOptions(absolute_timeout=value),
    "rotation_grace": lambda value: SessionOptions(rotation_grace=value),
    "cookie max_age": lambda value: CookieOptions(max_age=value),
    "interval": lambda value: MemoryStore(interval=value),
    "manager": lambda value: SessionManager(MemoryStore(), idle_timeout=value),
    "asgi": lambda value: asgi.SessionMiddleware(_asgi, idle_timeout=value),
    "wsgi": lambda value: wsgi.SessionMiddleware(_wsgi, idle_timeout=value),
    "starlette": lambda value: starlette.SessionMiddleware(_asgi, max_age=value),
}
COUNTS: dict[str, Callable[[Any], object]] = {
    "max_sessions_per_user": lambda value: SessionOptions(max_sessions_per_user=value),
    "reduce_to": lambda value: MemoryStore(reduce_to=value if value != 1.5 else -0.0),
}
SIZES: dict[str, Callable[[Any], object]] = {
    "max_size": MemoryStore,
    "max_session_size": lambda value: MemoryStore("1M", max_session_size=value),
}


async def _asgi(scope: Any, receive: Any, send: Any) -> None: ...


def _wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


@pytest.mark.parametrize("bad", BAD, ids=_name)
@pytest.mark.parametrize("option", DURATIONS)
def test_invalid_durations_are_refused(option: str, bad: object) -> None:
    if option == "rotation_grace" and bad in (0, timedelta(0)) and bad is not False:
        DURATIONS[option](bad)  # means no grace
        return
    with pytest.raises(ConfigError, match="must be"):
        DURATIONS[option](bad)


@pytest.mark.parametrize("bad", BAD_COUNTS, ids=_name)
@pytest.mark.parametrize("option", COUNTS)
def test_invalid_counts_are_refused(option: str, bad: object) -> None:
    with pytest.raises(ConfigError, match="must be"):
        COUNTS[option](bad)


@pytest.mark.parametrize(
    "bad", [-1, 0, math.nan, math.inf, 1.5, True, "x", "-1M", "1e9999"], ids=_name
)
@pytest.mark.parametrize("option", SIZES)
def test_invalid_sizes_are_refused(option: str, bad: object) -> None:
    with pytest.raises(ConfigError):
        SIZES[option](bad)


@pytest.mark.anyio
@pytest.mark.parametrize("longest", [LONGEST, timedelta(seconds=LONGEST)])
async def test_the_longest_allowed_durations_work(build: Build, longest: Any) -> None:
    world: World = build(
        idle_timeout=longest,
        absolute_timeout=longest,
        remember_timeout=longest,
        rotation_grace=longest,
        cookie=CookieOptions(max_age=longest),
        store={"interval": 366 * 86400},
    )
    tab = world.tab()
    answer = await tab.login("ada", remember=True)
    assert "Max-Age=34560000;" in answer.set_cookies[0]  # 400 days, the most that browsers accept
    await tab.visit(lambda visit: visit.session.regenerate_id())
    world.clock.advance(50 * 365 * 86400)
    await tab.write(a=1)
    assert await tab.read() == {"a": 1}
    world.backend.check()
