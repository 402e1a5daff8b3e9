"""The verbs and requests of external stores, measured for ``python -m bench stores``.

Each function is called in a child process.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from hashlib import sha256
from itertools import count, pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

from bench import peers, serving
from bench.requests import take_turns
from bench.serving import Batch, Contender, Run, asgi_actions, wsgi_actions
from lembro import MemoryStore, Record, SessionManager, asgi
from lembro.stores import RedisStore, SQLiteStore

VISITORS: Final = 100
VERBS: Final = ("get", "set")

Times = dict[str, dict[str, float]]
"""Library -> action -> microseconds."""


@contextmanager
def event_loop() -> Iterator[Run]:
    """Yield a function that runs coroutines in one loop, so that connections stay open."""
    with closing(asyncio.new_event_loop()) as loop:
        yield loop.run_until_complete


def verbs(url: str, rounds: int, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Return the time of each verb, sync and async, as a multiple of the client's command."""
    import redis
    import redis.asyncio

    store, client = RedisStore(url, timeout=10), redis.Redis.from_url(url)
    key, payload = os.urandom(32), os.urandom(300)
    store.add(key, Record(b"0" + payload), idle=3600.0, life=3600.0)
    client.set("plain", payload, ex=3600)
    aio, aclient = store.aio, redis.asyncio.Redis.from_url(url)
    assert aio is not None

    def payloads() -> Iterator[tuple[bytes, bytes]]:
        """Yield what the store holds, and what to write next."""
        held = b"0" + payload
        for number in count(1):
            new = b"%d" % number + payload
            yield held, new
            held = new

    pairs = payloads()

    def set_() -> Any:
        held, new = next(pairs)
        return store.set(key, Record(new), expected=held, idle=3600.0)

    async def aset() -> Any:
        held, new = next(pairs)
        return await aio.set(key, Record(new), expected=held, idle=3600.0)

    calls: dict[tuple[str, str], Callable[[], Any]] = {
        ("plain", "get"): partial(client.get, "plain"),
        ("sync", "get"): partial(store.get, key),
        ("plain", "set"): partial(client.set, "plain", payload, ex=3600),
        ("sync", "set"): set_,
        ("async plain", "get"): partial(aclient.get, "plain"),
        ("async", "get"): partial(aio.get, key),
        ("async plain", "set"): partial(aclient.set, "plain", payload, ex=3600),
        ("async", "set"): aset,
    }
    with event_loop() as run:

        def batch_of_calls(call: Callable[[], Any], is_async: bool) -> Batch:
            async def await_all(number: int) -> float:
                start = perf_counter()
                for _ in range(number):
                    await call()
                return perf_counter() - start

            def call_all(number: int) -> float:
                start = perf_counter()
                for _ in range(number):
                    call()
                return perf_counter() - start

            return (lambda number: run(await_all(number))) if is_async else call_all

        contenders = [
            Contender(colour, verb, batch_of_calls(call, colour.startswith("async")))
            for (colour, verb), call in calls.items()
        ]
        times = take_turns(contenders, rounds, say)
    took = dict(zip(calls, map(median, times), strict=True))
    return {
        verb: {
            "sync": took["sync", verb] / took["plain", verb],
            "async": took["async", verb] / took["async plain", verb],
        }
        for verb in VERBS
    }


def sqlite(colour: str, rounds: int, say: Callable[[str], None]) -> Times:
    """Measure whole requests over memory and over SQLite."""
    serving.VISITORS = min(VISITORS, serving.VISITORS)
    contenders: list[Contender] = []
    with event_loop() as run, tempfile.TemporaryDirectory() as folder:
        for store in (MemoryStore(), SQLiteStore(Path(folder, "sessions.db"), timeout=10)):
            manager = SessionManager(store)
            name = type(store).__name__
            if colour == "asgi":
                apps = peers.each(partial(asgi.SessionMiddleware, manager=manager))
                contenders += asgi_actions(name, apps, run)
            else:
                contenders += wsgi_actions(name, peers.lembro_wsgi(manager))
        times = take_turns(contenders, rounds, say)
    found: Times = {}
    for contender, its in zip(contenders, times, strict=True):
        found.setdefault(contender.library, {})[contender.action] = median(its)
    return found


def sizes(url: str, held: Sequence[int], rounds: int, say: Callable[[str], None]) -> Times:
    """Measure the verbs of a store while it holds a number of sessions: sizes -> verb -> time."""
    payload, numbers = os.urandom(300), random.Random(1)
    written: dict[int, bytes] = {}
    found: Times = {}

    def key(number: int) -> bytes:
        return sha256(b"%d" % number).digest()

    with tempfile.TemporaryDirectory() as folder:
        store: Any
        if url == "sqlite:":
            store = SQLiteStore(Path(folder, "sessions.db"), None, timeout=10)
        else:
            store = RedisStore(url, prefix="sizes:", timeout=10)

        def get(count: int, size: int) -> float:
            start = perf_counter()
            for _ in range(count):
                assert store.get(key(numbers.randrange(size))) is not None
            return perf_counter() - start

        def set_(count: int, size: int) -> float:
            start = perf_counter()
            for _ in range(count):
                number = numbers.randrange(size)
                old, new = written.get(number, payload), os.urandom(16) + payload
                store.set(key(number), Record(new), expected=old, idle=36000.0)
                written[number] = new
            return perf_counter() - start

        with store:
            for before, size in pairwise((0, *held)):
                for number in range(before, size):
                    store.add(key(number), Record(payload), idle=36000.0, life=36000.0)
                    if number % 1000 == 0:
                        say(f"session {number:,} of {size:,}")
                verbs = {"get": partial(get, size=size), "set": partial(set_, size=size)}
                contenders = [Contender("", verb, batch) for verb, batch in verbs.items()]
                times = take_turns(contenders, rounds, say)
                found[f"{size:,}"] = dict(zip(VERBS, map(median, times), strict=True))
            store.clear()
    return found
