"""aiohttp-session: ``LembroStorage`` in place of its storages.

Its tests write sessions directly to its storages and read them there. This module uses lembro's
store instead.
"""

from __future__ import annotations

import json
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from peers.peer import Peer

NAME = "AIOHTTP_SESSION"
_storages: list[Any] = []
"""The one that was made last is that of the test."""


def install() -> None:
    import aiohttp_session
    import aiohttp_session.memcached_storage
    import aiohttp_session.redis_storage

    from lembro.integrations.aiohttp.aiohttp_session import LembroStorage

    class Storage(LembroStorage):
        def __init__(
            self, backend: Any = None, *, key_factory: Any = None, **keywords: Any
        ) -> None:
            named: dict[str, Any] = {"cookie_name": NAME, **keywords}
            super().__init__(**named)
            _storages.append(self)

    aiohttp_session.SimpleCookieStorage = Storage  # type: ignore[misc,assignment]
    aiohttp_session.redis_storage.RedisStorage = Storage  # type: ignore[misc,assignment]
    aiohttp_session.memcached_storage.MemcachedStorage = Storage  # type: ignore[misc,assignment]


def prepare(module: ModuleType) -> None:
    import pytest

    def backend() -> SimpleNamespace:
        return SimpleNamespace(exists=_exists, ttl=_ttl, get=_get)

    has_backend = hasattr(module, "load_cookie")
    if has_backend:
        vars(module).update(
            make_cookie=_make_cookie_of_backend,
            make_cookie_with_bad_value=_make_bad_cookie,
            load_cookie=_load_cookie,
            redis=pytest.fixture(name="redis")(backend),
            memcached=pytest.fixture(name="memcached")(backend),
            redis_url=pytest.fixture(name="redis_url")(lambda: "redis://127.0.0.1:1"),
        )
    elif hasattr(module, "make_cookie"):
        # The tests read JSON from the cookie, where lembro has a session ID.
        vars(module).update(
            make_cookie=_make_cookie,
            json=SimpleNamespace(loads=_stored, dumps=json.dumps),
        )


def _make_cookie(
    client: Any, data: Any, path: str | None = None, domain: str | None = None
) -> None:
    from http.cookies import SimpleCookie

    cookie = SimpleCookie({NAME: _storages[-1].manager.create(data)})
    cookie[NAME].update({"path": path or "", "domain": domain or ""})
    client.session.cookie_jar.update_cookies(cookie)


async def _make_cookie_of_backend(client: Any, backend: Any, data: Any) -> None:
    _make_cookie(client, data)


async def _make_bad_cookie(client: Any, backend: Any) -> None:
    from lembro import Record
    from lembro.ids import key_for

    manager = _storages[-1].manager
    session_id = manager.create({"a": 1})
    key = key_for(session_id)
    found = manager.store.get(key)
    manager.store.set(key, Record(b"\xff"), expected=found.payload, idle=60)
    client.session.cookie_jar.update_cookies({NAME: session_id})


async def _load_cookie(client: Any, backend: Any) -> Any:
    cookies = client.session.cookie_jar.filter_cookies(client.make_url("/"))
    return _stored(cookies[NAME].value if NAME in cookies else "")


def _stored(value: str) -> dict[str, Any]:
    """Return the stored record for a cookie's value, in the form of aiohttp-session."""
    session_id = _id_in(value)
    data = None if session_id is None else _storages[-1].manager.get(session_id)
    return {} if data is None else {"session": data, "created": 0}


def _id_in(value: str) -> str | None:
    from lembro.manager import runner_of

    raw = [f"{NAME}={value}".encode()]
    session_id: str | None = runner_of(_storages[-1].manager).cookie.read(raw, https=False).id
    return session_id


async def _exists(key: str) -> bool:
    return bool(_stored(key.removeprefix(f"{NAME}_")))


async def _get(key: bytes) -> bytes | None:
    found = _stored(key.decode().removeprefix(f"{NAME}_"))
    return json.dumps(found).encode() if found else None


async def _ttl(key: str) -> float:
    from lembro.ids import key_for

    session_id = _id_in(key.removeprefix(f"{NAME}_"))
    assert session_id is not None
    left: float = _storages[-1].manager.store.get(key_for(session_id)).idle_left
    return left


REASONS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "the test reads the private `_changed`, which is True here for every session that was "
    "accessed, so that nested changes are found": {
        "cookie_storage": ("create_new_session", "load_existing_session"),
        "memcached_storage": ("create_new_session", "load_existing_session"),
        "redis_storage": ("create_new_session", "load_existing_session"),
    },
    "a record that cannot be read is no session, so a new one begins": {
        "memcached_storage": ("load_bad_session",),
        "redis_storage": ("load_bad_session",),
    },
    "a change sends the cookie again only to renew its `Max-Age`": {
        "abstract_storage": ("max_age_also_returns_expires",),
        "cookie_storage": ("change_session",),
        "memcached_storage": ("change_session",),
        "redis_storage": ("change_session",),
        "path_domain": ("with_same_path_domain",),
    },
    "the test reads the private `_mapping`, which is not a dict here, and looks for `Expires`, and "
    "lembro's cookie has `Max-Age`": {
        "abstract_storage": ("max_age_session_reset",),
    },
    "a cookie is cleared with an empty value, not with `{}`": {
        "cookie_storage": ("clear_cookie_on_session_invalidation",),
    },
    "only lembro makes session IDs, so there is no `key_factory`": {
        "memcached_storage": ("create_storage_with_custom_key_factory",),
        "redis_storage": ("create_storage_with_custom_key_factory",),
    },
    "the test is about the client library of Redis": {
        "redis_storage": (
            "not_redis_provided_to_storage",
            "no_aioredis_installed",
            "old_aioredis_version",
        ),
    },
}

PEER = Peer(
    project="aiohttp-session",
    how="`LembroStorage` instead of the storages in cookies, Redis and memcached",
    tests=(
        "tests/test_abstract_storage.py",
        "tests/test_cookie_storage.py",
        "tests/test_get_session.py",
        "tests/test_http_exception.py",
        "tests/test_memcached_storage.py",
        "tests/test_path_domain.py",
        "tests/test_redis_storage.py",
        "tests/test_response_types.py",
        "tests/test_session_dict.py",
        "tests/test_session_middleware.py",
    ),
    options=(
        *("-p", "pytest_asyncio.plugin", "-p", "pytest_aiohttp.plugin", "-p", "pytest_mock"),
        *("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
    ),
    install=install,
    prepare=prepare,
    bare=False,  # they need a Docker that runs Redis and memcached
    differs={
        f"tests/test_{module}.py::test_{test}": reason
        for reason, modules in REASONS.items()
        for module, tests in modules.items()
        for test in tests
    },
)
