"""49. Another user's reply (CVE-2023-28859): operations end at random moments, and no verb ever
returns the reply to another one. All connections can be used afterwards.

``LEMBRO_STORM=100000`` sets how many operations there are.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from lembro import Record, StoreUnavailable
from lembro.stores import PostgresStore, SQLAlchemyStore
from lembro.stores.sql.dialect import Statement
from tests.support.servers import mariadb, postgres
from tests.support.servers.databases import connector_of, loop_connector_of, new_table

STORM = int(os.environ.get("LEMBRO_STORM", "3000"))
WORKERS = 16
CONNECTIONS = 6
KEYS = [bytes([number]) * 32 for number in range(64)]
LIVES: dict[str, Any] = {"idle": 1000.0, "life": 1000.0}


def payload_is_of(key: bytes, found: Any) -> bool:
    return found is None or bytes(found.payload).startswith(key)


def operations(verbs: Any, seed: int, count: int) -> Iterator[Any]:
    """Yield calls of verbs, which check that the reply is their own."""
    rng = random.Random(seed)
    for number in range(count):
        key = rng.choice(KEYS)
        write = Record(key + b" %d-%d" % (seed, number))
        choice = rng.random()
        if choice < 0.6:
            yield key, partial(verbs.get, key), rng
        elif choice < 0.9:
            yield key, partial(verbs.set, key, write, expected=key, idle=100.0), rng
        else:
            # A transaction, which is rolled back wherever it was ended.
            replace = partial(
                verbs.replace,
                key,
                bytes(32),
                Record(b"", "ana"),
                expected=b"no payload is this",
                idle=9.0,
                life=9.0,
                grace=0.0,
            )
            yield key, replace, rng


def fill(store: Any) -> None:
    for key in KEYS:
        store.add(key, Record(key), **LIVES)


def make(kind: str) -> Any:
    options: dict[str, Any] = {
        "table": new_table(),
        "timeout": 10.0,
        "max_connections": CONNECTIONS,
    }
    match kind:
        case "PostgresStore":
            return PostgresStore(postgres.shared().url(), **options)
        case "PostgreSQL":
            return SQLAlchemyStore(postgres.shared().url(), **options)
        case _:
            return SQLAlchemyStore(mariadb.shared().url(), **options)


@pytest.fixture(params=["PostgresStore", "PostgreSQL", "MariaDB"])
def store(request: pytest.FixtureRequest) -> Iterator[Any]:
    with make(request.param) as store:
        fill(store)
        yield store


def count_of(store: Any) -> int:
    """Return the number of operations. SQLAlchemy takes longer for each, and for a connection."""
    return STORM if isinstance(store, PostgresStore) else STORM // 4


async def all_at_once(aio: Any) -> None:
    """Use all connections at the same time, so that a lost one would be missed."""

    held = most = 0

    def hold() -> Iterator[Any]:
        nonlocal held, most
        yield Statement("select 1", rows=True), {}
        held += 1
        most = max(most, held)
        yield Statement("select 1", rows=True), {}
        held -= 1

    connector = await loop_connector_of(aio)
    for _ in range(20):
        await asyncio.gather(*(connector.run(hold, reads=True) for _ in range(CONNECTIONS * 4)))
    assert most == CONNECTIONS


def test_no_cancelled_task_leaves_its_reply_to_another(store: Any) -> None:
    async def work(aio: Any, seed: int) -> None:
        for key, call, rng in operations(aio, seed, count_of(store) // WORKERS):
            task = asyncio.ensure_future(call())
            if rng.random() < 0.15:
                for _ in range(rng.randrange(12)):
                    await asyncio.sleep(0)
                if rng.random() < 0.7:
                    await asyncio.sleep(rng.random() * 0.002)
                task.cancel()
            with suppress(asyncio.CancelledError):
                assert payload_is_of(key, await task)

    async def use() -> None:
        aio = store.aio
        await asyncio.gather(*(work(aio, seed) for seed in range(WORKERS)))
        await all_at_once(aio)
        await aio.close()

    asyncio.run(use())


def test_no_verb_that_timed_out_leaves_its_reply_to_another(store: Any) -> None:
    failed: list[BaseException] = []
    held, barrier = [], threading.Barrier(CONNECTIONS)
    connector = connector_of(store)
    target = connector._target

    def work(seed: int) -> None:
        try:
            for key, call, rng in operations(store._verbs, seed, count_of(store) // WORKERS):
                target.timeout = rng.random() * 0.002 if rng.random() < 0.15 else 10.0
                with suppress(StoreUnavailable):
                    assert payload_is_of(key, run(call))
        except BaseException as error:
            failed.append(error)

    def run(call: Any) -> Any:
        try:
            return connector.run(call, reads=False)
        except Exception as error:
            failure = store._shared.failure_of(error)
            if failure is None:
                raise
            raise failure from error

    def hold() -> None:
        def verb() -> Iterator[Any]:
            yield Statement("select 1", rows=True), {}
            barrier.wait(10.0)  # all connections are in use now
            yield Statement("select 1", rows=True), {}

        connector.run(verb, reads=True)
        held.append(1)

    def at_once(target: Any, arguments: list[Any]) -> None:
        threads = [threading.Thread(target=target, args=each) for each in arguments]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    at_once(work, [(seed,) for seed in range(WORKERS)])
    assert failed == []
    target.timeout = 10.0
    at_once(hold, [()] * CONNECTIONS)
    assert len(held) == CONNECTIONS
