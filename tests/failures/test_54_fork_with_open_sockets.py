"""54. A fork with open connections (gunicorn #1953): parent and child read each other's replies."""

from __future__ import annotations

import multiprocessing
import threading
from typing import Any

from lembro import Record
from lembro.stores import RedisStore
from tests.support.servers.redis import new_store

LIVES: dict[str, Any] = {"idle": 10_000.0, "life": 10_000.0}


def hammer(store: RedisStore, first: int) -> None:
    """Read sessions in threads, and fail if one is another's."""
    errors: list[BaseException] = []

    def read(number: int) -> None:
        try:
            key = number.to_bytes(32, "big")
            for _ in range(100):
                found = store.get(key)
                assert found is not None
                assert found.payload == b"%d" % number
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read, args=(first + n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]


def test_forked_workers_read_their_own_replies() -> None:
    store = new_store()
    for number in range(16):
        store.add(number.to_bytes(32, "big"), Record(b"%d" % number), **LIVES)
    hammer(store, 0)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=hammer, args=(store, 4 * n)) for n in range(1, 4)]
    for child in children:
        child.start()
    hammer(store, 0)
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    hammer(store, 0)
    store.close()
