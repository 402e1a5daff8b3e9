"""How the throughput over a shared store grows with the workers of uvicorn.

The same 16 connections ask 1, 2 and 4 workers in turns. The client and the store need processors
too. So each growth is compared with that of the bare application, which needs no store.
"""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any, Final

from bench import peers, served, store_apps
from bench.peers import ACTIONS, ASGIApp
from bench.report import Progress, table
from bench.requests import take_turns
from bench.served import BARE, serving
from bench.serving import Contender
from bench.verdicts import Verdict, save, verdict_table
from tests.support.servers import postgres
from tests.support.servers.redis import serve

WORKERS: Final = (1, 2, 4)
ROUNDS: Final = {"quick": 6, "full": 30}
LEAST: Final = 0.8
"""The minimum growth from one worker to four, as a part of the bare application's."""

Rates = dict[str, dict[str, dict[int, float]]]
"""store -> action -> number of workers -> requests a second"""


def main(*, quick: bool) -> list[Verdict]:
    rounds = ROUNDS["quick" if quick else "full"]
    with serve("redis") as redis, tempfile.TemporaryDirectory() as folder:
        urls = {
            "SQLite": f"sqlite:///{folder}/sessions.db",
            "Redis": redis.url,
            "PostgreSQL": postgres.shared().url(),
        }
        rates = measure({BARE: "", **urls}, rounds)
    rows = [
        [f"{store}, {action}", *(f"{by_workers[n]:,.0f}" for n in WORKERS)]
        for store, by_action in rates.items()
        for action, by_workers in by_action.items()
    ]
    print(f"{os.cpu_count()} processors, {platform.python_version()}; requests a second\n")
    print(table(["", *(f"{n} workers" for n in WORKERS)], rows) + "\n")
    verdicts = judge(rates)
    print(verdict_table(verdicts))
    save("workers", quick, verdicts, {"rounds": rounds, "rates": rates})
    return verdicts


def judge(rates: Rates) -> list[Verdict]:
    few, many = WORKERS[0], WORKERS[-1]
    of_bare = rates[BARE]["unused"][many] / rates[BARE]["unused"][few]
    return [
        Verdict(
            f"{store}, {action}: growth from {few} to {many} workers, of the bare application's",
            LEAST,
            1.0,
            by_workers[many] / by_workers[few] / of_bare,
            at_least=True,
        )
        for store, by_action in rates.items()
        for action, by_workers in by_action.items()
        if store != BARE
    ]


def measure(urls: dict[str, str], rounds: int) -> Rates:
    """Return the median rates. All servers take turns."""
    progress = Progress()
    with ExitStack() as stack:
        contenders: list[Contender] = []
        found: list[tuple[str, str, int]] = []
        for name, url in urls.items():
            for count in WORKERS:
                progress.say(f"starting {count} workers: {name}")
                server = stack.enter_context(serving(name, "bench.workers", str(count), url))
                for action in ACTIONS if name != BARE else ACTIONS[:1]:
                    batch = partial(server.burst, action, clock=perf_counter)
                    contenders.append(Contender(name, action, batch))
                    found.append((name, action, count))
        times = take_turns(contenders, rounds, progress.say, served.BATCH_SECONDS)
    progress.done()
    rates: Rates = {}
    for (name, action, count), its in zip(found, times, strict=True):
        rates.setdefault(name, {}).setdefault(action, {})[count] = 1e6 / median(its)
    return rates


# -- in the server process -------------------------------------------------------------------------


def app() -> ASGIApp:
    """Return the application of a worker."""
    url = os.environ["LEMBRO_STORE"]
    apps = store_apps.lembro_asgi(url, asyncio.run) if url else {"unused": peers.bare_asgi}
    return served.site(apps)


def serve_with(workers: int, url: str) -> None:
    """Serve with this number of workers on a free port. The first line of the output names the
    port."""
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    os.environ["LEMBRO_STORE"] = url
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    options: dict[str, Any] = {**served.UVICORN, "factory": True, "workers": workers}
    config = uvicorn.Config("bench.workers:app", **options)
    Multiprocess(config, sockets=[listener]).run()


if __name__ == "__main__":
    serve_with(int(sys.argv[2]), sys.argv[3])
