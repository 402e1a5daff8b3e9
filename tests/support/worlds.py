"""Fixtures: every integration over every store that it can use.

Import them in a conftest: ``from tests.support.worlds import anyio_backend, build, world``.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import pytest

from tests.support.apps import INTEGRATIONS
from tests.support.database_stores import MariaDBBackend, MongoBackend, PostgresBackend
from tests.support.stores import BACKENDS, Backend, BlockingBackend, RedisBackend, SQLiteBackend
from tests.support.visits import Integration, World

Kind = tuple[type[Integration], type[Backend]]
Build = Callable[..., World]
"""``build(store={"max_size": "1M"}, idle_timeout=60)``: a world with options."""

MEMORY_KINDS: Final[list[Kind]] = [
    (integration, backend)
    for integration in INTEGRATIONS
    for backend in BACKENDS
    if backend.sync_drivers or not integration.sync
    if backend is not BlockingBackend or integration.own_driver
]
"""The integrations over a MemoryStore, and over one behind the code paths of a networked store.
Tests of its limit or its clock, and tests that replace a verb, run only on these."""

KINDS: Final[list[Kind]] = [
    *MEMORY_KINDS,
    *((each, RedisBackend) for each in INTEGRATIONS if each.name in ("asgi", "wsgi")),
]

_SOME: Final = ("asgi", "wsgi", "fastapi", "flask", "django")

FILE_KINDS: Final[list[Kind]] = [
    (integration, SQLiteBackend) for integration in INTEGRATIONS if integration.name in _SOME
]

EXTERNAL_KINDS: Final[list[Kind]] = [
    *FILE_KINDS,
    *(
        (integration, RedisBackend)
        for integration in INTEGRATIONS
        if integration.name in _SOME and (integration, RedisBackend) not in KINDS
    ),
    *(
        (integration, backend)
        for integration in INTEGRATIONS
        if integration.name in ("asgi", "wsgi")
        for backend in (PostgresBackend, MariaDBBackend, MongoBackend)
        # A connection of asyncmy would outlive the event loop of its test.
        if backend is not MariaDBBackend or integration.sync
    ),
]
"""Real external stores, on some integrations of each kind, because each one takes more time.

A sync and an async integration are enough for the databases."""

_EVERY_ROW: Final = "LEMBRO_EVERY_ROW" in os.environ
_SAME: Final = () if _EVERY_ROW else ("starlette", "falcon-asgi", "bottle")
"""Integrations whose requests take the same path as those of asgi, fastapi, falcon and wsgi."""

CATALOGUE_KINDS: Final[list[Kind]] = [
    kind
    for kind in [*KINDS, *(EXTERNAL_KINDS if _EVERY_ROW else FILE_KINDS)]
    if kind[0].name not in _SAME
    if kind[1].name == "memory" or kind[0].name in ("asgi", "wsgi")
]
"""Each integration with a path of its own over a MemoryStore, and a sync and an async one over each
other store.

How the other integrations reach another store is tested in tests/behaviour. ``LEMBRO_EVERY_ROW=1``
adds all integrations, and PostgreSQL, MariaDB and MongoDB, which the contract and the races test
too.
"""

CORE_KINDS: Final = [
    kind
    for kind in MEMORY_KINDS
    if (kind[0].name, kind[1].name) in {("asgi", "memory"), ("asgi", "async"), ("wsgi", "memory")}
]
"""One kind for each way through the core: called directly, awaited, and in sync code."""

PLAIN_KINDS: Final = [
    kind for kind in CATALOGUE_KINDS if _EVERY_ROW or kind[0].name in ("asgi", "wsgi")
]
"""A sync and an async integration over each store, for what the frameworks do not change."""

FRAMEWORK_KINDS: Final = [
    kind for kind in CATALOGUE_KINDS if _EVERY_ROW or kind[1].name == "memory"
]
"""One kind for each integration, for what the store does not change."""

SESSION_KINDS: Final = [
    kind
    for kind in MEMORY_KINDS
    if kind[0].name == "asgi"
    or (
        kind[0].name in ("wsgi", "flask", "quart", "django", "pyramid", "litestar")
        and kind[1].name == "memory"
    )
]
"""One kind for each class of the session object. The others hand out the session itself."""

SOCKET_KINDS: Final = [kind for kind in KINDS if kind[0].websockets]

CODEC_KINDS: Final = [
    kind
    for kind in KINDS
    if kind[0].name == "asgi" or (kind[0].name, kind[1].name) == ("wsgi", "memory")
]
"""One kind for each path to the codec: called directly, awaited, in a thread, and in WSGI.

The values of a session are the same in every framework.
"""

PARSER_KINDS: Final = [kind for kind in KINDS if kind[1].name == "memory"]
"""One kind for each integration, because each reads the cookie headers from its own request.

The store makes no difference.
"""


def name_of(kind: Kind) -> str:
    integration, backend = kind
    return f"{integration.name}-{backend.name}"


def only(kinds: list[Kind]) -> pytest.MarkDecorator:
    """Run a test on these kinds instead of all."""
    return pytest.mark.parametrize("kind", kinds, ids=name_of, indirect=True)


def each(
    kinds: Sequence[Kind] = CATALOGUE_KINDS,
    complete: Sequence[Kind] = CORE_KINDS,
    **axes: Iterable[Any],
) -> pytest.MarkDecorator:
    """Run a test with every combination of parameters on some kinds, and with fewer on the others.

    The core sees no difference between the other kinds, so each of these meets every value of
    every axis, but not every combination. Their combinations differ from kind to kind.
    ``LEMBRO_EVERY_ROW=1`` runs all combinations on all kinds.

    Args:
        kinds: The kinds of the test.
        complete: The kinds that meet every combination.
        axes: The values of each parameter of the test.
    """
    values = [list(axis) for axis in axes.values()]
    cases = []
    for number, kind in enumerate(kinds):
        rows: Iterable[tuple[Any, ...]] = itertools.product(*values)
        if kind not in complete and not _EVERY_ROW:
            longest = max(map(len, values))
            rows = [
                tuple(axis[(row + number * place) % len(axis)] for place, axis in enumerate(values))
                for row in range(longest)
            ]
        for row in rows:
            names = [str(getattr(value, "__name__", value)) for value in row]
            cases.append(pytest.param(kind, *row, id="-".join([name_of(kind), *names])))
    return pytest.mark.parametrize(("kind", *axes), cases, indirect=["kind"])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=KINDS, ids=name_of)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def build(kind: Kind) -> Iterator[Build]:
    worlds: list[World] = []

    def build(**options: Any) -> World:
        worlds.append(World(*kind, **options))
        return worlds[-1]

    yield build
    for world in worlds:
        world.backend.close()


@pytest.fixture
def world(build: Build) -> World:
    return build()
