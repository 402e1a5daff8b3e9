"""56. Default or weak secret (CVE-2023-27524): a weak secret is refused at the start.

Weak are "", "changeme", fewer than 32 bytes and one letter repeated. Running without a secret is
safe: the cookie holds a random ID.
"""

from __future__ import annotations

from typing import Any

import pytest

from lembro import ConfigError, MemoryStore, SessionManager, SessionOptions, asgi, wsgi
from lembro.integrations import starlette
from tests.support.visits import World
from tests.support.worlds import MEMORY_KINDS, Build, only

GOOD = "kSmQ2b8vXr4t7w!z%C*F-JaNdRgUkXp2"
WEAK: list[Any] = [
    "",
    "changeme",
    "secret",
    "x" * 31,
    "x" * 64,
    "abcabcabcabcabcabcabcabcabcabcabcabc",
    " " * 40,
    GOOD[:-1],
    [],
    [""],
    [GOOD, "changeme"],
    ["changeme", GOOD],
    b"bytes that are long enough to be a secret",
    [None],
]


async def _asgi(scope: Any, receive: Any, send: Any) -> None: ...


def _wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


@pytest.mark.parametrize("weak", WEAK, ids=lambda weak: repr(weak)[:20])
def test_a_weak_secret_is_refused_at_the_start(weak: Any) -> None:
    with pytest.raises(ConfigError, match=r"secrets\.token_urlsafe"):
        SessionOptions(secret=weak)
    with pytest.raises(ConfigError):
        SessionManager(MemoryStore(), secret=weak)
    with pytest.raises(ConfigError):
        asgi.SessionMiddleware(_asgi, secret=weak)
    with pytest.raises(ConfigError):
        wsgi.SessionMiddleware(_wsgi, secret=weak)
    with pytest.raises(ConfigError):
        starlette.SessionMiddleware(_asgi, secret=weak)


def test_the_error_does_not_show_the_secret() -> None:
    for weak in ("changeme", GOOD[:-1], "x" * 31):
        with pytest.raises(ConfigError) as caught:
            SessionOptions(secret=weak)
        assert weak not in str(caught.value)


@pytest.mark.parametrize("weak", ["", "changeme", "x" * 64])
def test_starlettes_weak_secret_key_is_ignored_with_a_warning(
    weak: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Every Starlette application passes `secret_key`, so a weak one is ignored, not refused."""
    middleware = starlette.SessionMiddleware(_asgi, secret_key=weak)
    assert not middleware.manager.options.secret
    assert "secret_key is weak" in caplog.text
    assert len(weak) < 6 or weak not in caplog.text


@pytest.mark.anyio
async def test_a_strong_secret_is_accepted(build: Build) -> None:
    world: World = build(secret=GOOD)
    tab = world.tab()
    await tab.login("ada")
    assert await tab.user() == "ada"


@only(MEMORY_KINDS)
@pytest.mark.anyio
async def test_with_a_secret_a_forged_id_never_reaches_the_store(build: Build) -> None:
    world: World = build(secret=GOOD)
    tab = world.tab()
    await tab.login("ada")
    assert tab.cookie is not None
    signed, _, mac = tab.cookie.rpartition(".")
    session_id = signed.partition(".")[0]
    other = ("B" if session_id[0] != "B" else "C") + session_id[1:]
    reached: list[bytes] = []

    def get(real: Any, key: bytes) -> Any:
        reached.append(key)
        return real(key)

    world.backend.intercept("get", get)
    unsigned = signed.replace(session_id, other)
    for forged in (unsigned, f"{signed}.", f"{signed}.{mac[::-1]}", other, other[:40]):
        assert await world.tab(forged).user() is None
    assert reached == []
    assert await tab.user() == "ada"
    assert len(reached) == 1
