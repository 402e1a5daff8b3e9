"""49. Another user's reply (CVE-2023-28859).

Operations are cancelled or time out at random. No verb returns the reply to another verb, and the
store works afterwards.

``LEMBRO_STORM=100000`` sets how many operations there are.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lembro import Record, StoreUnavailable
from lembro.stores import SQLiteStore
from lembro.stores.sql.sqlite_connector import AsyncSQLiteConnector

STORM = int(os.environ.get("LEMBRO_STORM", "3000"))
WORKERS = 8
KEYS = [bytes([number]) * 32 for number in range(16)]
LIVES: dict[str, Any] = {"idle": 1000.0, "life": 1000.0}


def operation(store: Any, rng: random.Random) -> tuple[bytes, Any]:
    """Return a key, and a call of a verb on it."""
    key = rng.choice(KEYS)
    written = Record(key + rng.randbytes(8))
    if rng.random() < 0.5:
        return key, partial(store.get, key)
    if rng.random() < 0.2:
        return key, partial(store.destroy, key)
    if rng.random() < 0.3:
        return key, partial(store.add, key, written, **LIVES)
    return key, partial(store.set, key, written, expected=written.payload, idle=1000.0)


def check(key: bytes, reply: Any) -> None:
    if not isinstance(reply, bool | None):
        assert reply.payload.startswith(key)


def check_that_it_works(store: SQLiteStore) -> None:
    store.clear()
    for key in KEYS:
        assert store.add(key, Record(key), **LIVES)
    for key in KEYS:
        check(key, store.get(key))
    assert store.length() == len(KEYS)


def test_cancelled_tasks_get_no_reply_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SQLiteStore(tmp_path / "sessions.db")
    rng = random.Random(49)
    ended: Counter[str] = Counter()
    # A write in the loop cannot be cancelled, because it never awaits.
    monkeypatch.setattr(AsyncSQLiteConnector, "_is_alone", lambda _: rng.random() < 0.2)

    async def perform() -> None:
        key, call = operation(store.aio, rng)
        try:
            check(key, await call())
            ended["replied"] += 1
        except StoreUnavailable:
            ended["busy"] += 1
        except asyncio.CancelledError:
            ended["cancelled"] += 1
            raise

    async def work() -> None:
        for _ in range(STORM // WORKERS):
            task = asyncio.create_task(perform())
            for _ in range(rng.randrange(6)):
                await asyncio.sleep(0)
            if rng.random() < 0.5:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def storm() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(work())
        assert store.aio is not None
        await store.aio.close()

    asyncio.run(storm())
    assert ended["cancelled"] > STORM / 50
    assert ended["replied"] > STORM / 5
    check_that_it_works(store)
    store.close()


def test_threads_that_time_out_get_no_reply_of_another(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "sessions.db", timeout=0.0005)
    store.open()
    ended: Counter[str] = Counter()
    wrong: list[BaseException] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        try:
            for _ in range(STORM // WORKERS):
                key, call = operation(store, rng)
                try:
                    check(key, call())
                    ended["replied"] += 1
                except StoreUnavailable:
                    ended["timed out"] += 1
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert wrong == []
    assert ended["timed out"]
    assert ended["replied"] > STORM / 5
    check_that_it_works(store)
    store.close()
