"""Express with its real stores, started once; ``world`` is one of them, shared with Python."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.express import Express, express
from tests.support.express.world import STORES, PostgresWorld, RedisWorld, Visitor, World


@pytest.fixture(scope="session")
def node() -> Iterator[Express]:
    with express() as running:
        yield running


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session", params=STORES, ids=[store.name for store in STORES])
def world(request: pytest.FixtureRequest, node: Express, runner: asyncio.Runner) -> Iterator[World]:
    world = World(request.param(), node, runner)
    yield world
    world.close()
    world.store.close()


@pytest.fixture(scope="session")
def rolling(world: World, node: Express, runner: asyncio.Runner) -> Iterator[World]:
    """The store of ``world``, with sites that have the option ``rolling``."""
    rolling = World(world.store, node, runner, rolling=True)
    yield rolling
    rolling.close()


@pytest.fixture(scope="session")
def redis_world(node: Express, runner: asyncio.Runner) -> Iterator[World]:
    """Redis alone, for tests in which the store makes no difference."""
    world = World(RedisWorld(), node, runner)
    yield world
    world.close()


@pytest.fixture(scope="session")
def tokyo(node: Express, runner: asyncio.Runner) -> Iterator[World]:
    """PostgreSQL with a database that has a time zone."""
    world = World(PostgresWorld("Asia/Tokyo"), node, runner)
    yield world
    world.close()


@pytest.fixture
def visitor() -> Visitor:
    return Visitor()
