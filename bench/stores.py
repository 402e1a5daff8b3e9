"""lembro's external stores, compared with other libraries on the same server in one run.

    python -m bench stores [--quick]

* The time that a session adds to a request, of each library in turn, in real time, because most of
  it is spent waiting for the server. The result is the median over the rounds.
* The round trips of each request, counted exactly by a proxy.
* The verbs of RedisStore, compared with a plain GET and SET of the client.
* Whole requests over SQLiteStore, compared with MemoryStore.

Each kind of application has its own process. The server is Valkey, because fastapi-redis-sdk needs
fields that expire, which Redis has from version 7.4.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median, median_low
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlsplit

from bench import child, peers, serving
from bench.peers import ACTIONS, LOGIN
from bench.report import Progress, table
from bench.requests import take_turns
from bench.serving import (
    Batch,
    Contender,
    Run,
    asgi_actions,
    asgi_batch,
    strangers,
    wsgi_actions,
    wsgi_batch,
)
from bench.store_apps import KINDS, Apps, Kind
from bench.verdicts import Verdict, save, verdict_table
from lembro import MemoryStore, Record, SessionManager, asgi
from lembro.stores import RedisStore, SQLiteStore
from tests.support.servers.postgres import postgres
from tests.support.servers.proxy import Proxy
from tests.support.servers.redis import serve

SERVER: Final = "valkey"
ROUNDS: Final = {"quick": 30, "full": 300}
VISITORS: Final = 100
COUNTED: Final = 3  # requests of each action whose round trips are counted
ROUND_TRIPS: Final = {"unused": 0, "read": 1, "modified": 2, LOGIN: 2}
"""What a request of lembro costs."""
VERBS: Final = {"get": 1.2, "set": 2.0}
"""The most that a verb takes, as a multiple of the client's plain command."""
SQLITE: Final = {"read": 2.5, "modified": 4.0}
"""The most that a request over SQLite takes, as a multiple of one over memory."""

Times = dict[str, dict[str, float]]
"""Library -> action -> microseconds."""


def main(*, quick: bool) -> list[Verdict]:
    rounds = ROUNDS["quick" if quick else "full"]
    verdicts: list[Verdict] = []
    details: dict[str, Any] = {}
    progress = Progress()

    def measure(title: str, function: str, **arguments: Any) -> Any:
        try:
            result = child.run(
                f"bench.stores:{function}", arguments, lambda text: progress.say(f"{title}: {text}")
            )
        except child.MissingError as error:
            progress.done()
            print(f"  MISSING: {title} can't be measured ({error})\n")
            return None
        progress.done()
        details[title] = result
        return result

    with serve(SERVER) as server, postgres() as database:
        urls = {"Redis": server.url, "PostgreSQL": database.url()}
        for name, kind in KINDS.items():
            url = urls[kind.server]
            found = measure(name, "requests", name=name, url=url, rounds=rounds)
            trips = measure(f"{name}, round trips", "round_trips", name=name, url=url)
            if found is not None:
                report(name, found, trips)
                verdicts += verdicts_of(name, kind, found["added"])
                verdicts += round_trips_of(name, kind, trips)
        found = measure("verbs", "verbs", url=server.url, rounds=rounds)
        verdicts += [
            Verdict(f"{colour} store.{verb}, of the client's", most, most, value)
            for verb, most in VERBS.items()
            for colour, value in found[verb].items()
        ]
    for colour in ("asgi", "wsgi"):
        name = f"SQLite, {colour}"
        found = measure(name, "sqlite", colour=colour, rounds=rounds)
        print(f"{name}, microseconds a request\n{table_of(found)}\n")
        verdicts += [
            Verdict(f"{name}: {action}, of memory's", most, most, ratio(found, action))
            for action, most in SQLITE.items()
        ]
    print(verdict_table(verdicts))
    save("stores", quick, verdicts, {"visitors": VISITORS, "rounds": rounds, **details})
    return verdicts


# -- reporting -------------------------------------------------------------------------------------


def report(name: str, found: dict[str, Any], round_trips: dict[str, dict[str, int]]) -> None:
    print(
        f"{name}, added microseconds a request (the bare application takes {found['bare']:.0f})\n"
        f"{table_of(found['added'])}\n"
    )
    rows = [
        [library, *(str(trips[action]) for action in ROUND_TRIPS)]
        for library, trips in round_trips.items()
    ]
    print(f"{table(['round trips', *ROUND_TRIPS], rows)}\n")
    for library, error in found["missing"].items():
        print(f"  MISSING: {library} can't be measured ({error})\n")


def table_of(times: Times) -> str:
    rows = [
        [library, *(f"{by_action[action]:.0f}" for action in ACTIONS)]
        for library, by_action in times.items()
    ]
    return table(["", *ACTIONS], rows)


def verdicts_of(name: str, kind: Kind, added: Times) -> list[Verdict]:
    return [
        Verdict(
            f"{name}: {action}, of {library}",
            most,
            most,
            added["lembro"][action] / added[library][action],
        )
        for library, bars in kind.bars.items()
        if library in added
        for action, most in bars.items()
    ]


def round_trips_of(name: str, kind: Kind, round_trips: dict[str, dict[str, int]]) -> list[Verdict]:
    most = {**ROUND_TRIPS, "unused": kind.unused}
    if kind.server != "Redis":
        del most[LOGIN]  # a transaction of several statements
    return [
        Verdict(
            f"{name}: round trips, {action}",
            most[action],
            most[action],
            round_trips["lembro"][action],
        )
        for action in most
    ]


def ratio(times: Times, action: str) -> float:
    return times["SQLiteStore"][action] / times["MemoryStore"][action]


# -- measuring, in a child -------------------------------------------------------------------------


@contextmanager
def event_loop() -> Iterator[Run]:
    """Yield a function that runs coroutines in one loop, so that connections stay open."""
    with closing(asyncio.new_event_loop()) as loop:
        yield loop.run_until_complete


def requests(name: str, url: str, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the libraries of one kind."""
    kind = KINDS[name]
    serving.VISITORS = min(VISITORS, serving.VISITORS)
    with event_loop() as run:
        bare = kind.bare(url, run)["unused"]
        contenders = [Contender("bare", "", batch_of(kind, bare, strangers(), run))]
        apps, missing = build_all(kind, url, run)
        for library, of in apps.items():
            contenders += actions_of(kind, library, of, run)
        times = take_turns(contenders, rounds, say)
    added: Times = {}
    for contender, its in zip(contenders[1:], times[1:], strict=True):
        more = [time - bare for time, bare in zip(its, times[0], strict=True)]
        added.setdefault(contender.library, {})[contender.action] = median(more)
    return {"bare": median(times[0]), "added": added, "missing": missing}


def round_trips(name: str, url: str, say: Callable[[str], None]) -> dict[str, dict[str, int]]:
    """Count the round trips of a request of each action."""
    kind = KINDS[name]
    serving.VISITORS = COUNTED + 2  # each logs in once
    port = urlsplit(url).port
    assert port is not None
    found: dict[str, dict[str, int]] = {}
    with event_loop() as run, Proxy(port) as proxy:
        apps, _ = build_all(kind, url.replace(f":{port}/", f":{proxy.port}/"), run)
        for library, of in apps.items():
            found[library] = {}
            for contender in actions_of(kind, library, of, run, tuple(ROUND_TRIPS)):
                contender.batch(2)  # opens connections, and sends the scripts
                counts = []
                for _ in range(COUNTED):
                    before = proxy.round_trips
                    contender.batch(1)
                    counts.append(proxy.round_trips - before)
                # psycopg prepares a statement when it is repeated, which is a round trip too.
                found[library][contender.action] = median_low(counts)
    return found


def build_all(kind: Kind, url: str, run: Run) -> tuple[dict[str, Apps], dict[str, str]]:
    """Return the applications of each library, and those that cannot be imported with the error."""
    found: dict[str, Apps] = {}
    missing: dict[str, str] = {}
    for library, build in kind.libraries.items():
        try:
            found[library] = build(url, run)
        except ImportError as error:
            missing[library] = str(error)
    return found, missing


def batch_of(kind: Kind, app: Any, cookies: list[str], run: Run) -> Batch:
    if kind.is_async:
        return asgi_batch(app, cookies, run, perf_counter)
    return wsgi_batch(app, cookies, perf_counter)


def actions_of(
    kind: Kind, library: str, apps: Any, run: Run, actions: Sequence[str] = ACTIONS
) -> list[Contender]:
    if kind.is_async:
        return asgi_actions(library, apps, run, perf_counter, actions)
    return wsgi_actions(library, apps, perf_counter, actions)


def verbs(url: str, rounds: int, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Return, for each verb and colour, the time as a multiple of the client's command."""
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
