"""49. Another user's reply (CVE-2023-28859): a command that is given up leaves its reply in the
connection, and the next visitor gets it.

``LEMBRO_STORM=100000`` sets how many operations there are.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest

from lembro import Record, StoreUnavailable
from lembro.stores import RedisStore
from lembro.stores.redis.connector import RedisConnector
from tests.support.servers.redis import KINDS, new_prefix, shared

STORM: Final = int(os.environ.get("LEMBRO_STORM", "4000"))
"""Operations of a storm."""
KEYS: Final = [n.to_bytes(32, "big") for n in range(50)]
SIZE: Final = 5
LIVES: Final[dict[str, Any]] = {"idle": 10_000.0, "life": 10_000.0}


class Interrupted(BaseException):
    """Stands for an exception of gevent, a signal or a debugger in the middle of a command."""


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest) -> Iterator[RedisStore]:
    store = RedisStore(
        shared(request.param).url, prefix=new_prefix(), timeout=10.0, max_connections=SIZE
    )
    for key in KEYS:
        store.add(key, Record(b"payload of %b" % key, key.hex()), **LIVES)
    yield store
    store.close()


def test_replies_of_commands_that_were_interrupted_or_late(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(49)
    process: Any = store._process
    connector = process.get()  # no limit: a timeout
    call = RedisConnector._call
    given_up = 0

    def interrupted(connection: Any, command: Any) -> Any:
        nonlocal given_up
        kind = chance.randrange(8)
        if kind < 2:
            given_up += 1
            connection.send_command(*command)
            if kind:
                raise Interrupted
            connection._sock.settimeout(1e-6)  # the reply comes too late
            try:
                return connection.read_response()
            finally:
                if connection._sock is not None:
                    connection._sock.settimeout(10.0)
        return call(connection, command)

    monkeypatch.setattr(RedisConnector, "_call", staticmethod(interrupted))
    done = 0
    for number in range(STORM):
        key = KEYS[number % len(KEYS)]
        try:
            if number % 10 == 0:
                assert connector.run(partial(store._verbs.touch, key, idle=5000.0), reads=False)
            else:
                found = connector.run(partial(store._verbs.get, key), reads=True)
                assert found.payload == b"payload of %b" % key
                assert found.user == key.hex()
        except (Interrupted, *connector._failures.unavailable):
            continue
        done += 1
    assert done > STORM // 2
    assert given_up > STORM // 10
    assert len(connector._idle) <= SIZE
    assert connector._slots._semaphore._value == SIZE


def test_replies_of_commands_that_were_cancelled(store: RedisStore) -> None:
    chance = random.Random(49)

    async def storm() -> None:
        aio = store.aio
        assert aio is not None
        await aio.get(KEYS[0])
        [entry] = aio._loops._entries.values()
        connector: Any = entry.connector
        done = cancelled = 0

        async def ask(number: int) -> None:
            nonlocal done
            key = KEYS[number % len(KEYS)]
            if number % 10 == 0:
                assert await aio.touch(key, idle=5000.0)
            else:
                found = await aio.get(key)
                assert found is not None
                assert found.payload == b"payload of %b" % key
            done += 1

        loop = asyncio.get_running_loop()
        for start in range(0, STORM, 20):
            tasks = [loop.create_task(ask(number)) for number in range(start, start + 20)]
            for task in tasks:
                if chance.random() < 0.5:
                    loop.call_later(chance.random() * 0.002, task.cancel)
                    if chance.random() < 0.2:
                        loop.call_later(chance.random() * 0.002, task.cancel)  # once more
            results = await asyncio.gather(*tasks, return_exceptions=True)
            cancelled += sum(isinstance(each, asyncio.CancelledError) for each in results)
            wrong = [each for each in results if isinstance(each, Exception)]
            assert [each for each in wrong if not isinstance(each, StoreUnavailable)] == []
        assert done > STORM // 4
        assert cancelled > STORM // 100
        assert len(connector._idle) <= SIZE
        assert connector._slots._semaphore._value == SIZE
        await aio.close()

    asyncio.run(storm())
