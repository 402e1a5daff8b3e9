"""A request whose session is one of Express in Redis, compared with one in RedisStore.

    python -m bench express [--quick]

Both managers take turns on one server, with the same data. Each ratio is the median, over the
rounds, of the time of a request divided by that of RedisStore in the same round. Real time includes
the server's work and the waiting for it. CPU time is that of this process alone.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import truediv
from statistics import median
from time import perf_counter, process_time
from typing import Any, Final

from bench import peers, serving
from bench.peers import WSGIApp
from bench.report import Progress, table
from bench.requests import take_turns
from bench.serving import Clock, Contender, Run, asgi_actions, wsgi_actions
from bench.store_apps import asgi_of, patient
from bench.store_verbs import VISITORS, Times, event_loop
from bench.verdicts import Verdict, save, verdict_table
from lembro import SessionManager
from lembro.express import ExpressManager
from tests.support.servers.redis import serve

ROUNDS: Final = {"quick": 30, "full": 300}
ACTIONS: Final = ("read", "modified")
CLOCKS: Final[dict[str, Clock]] = {"real time": perf_counter, "CPU time": process_time}
COLOURS: Final = ("ASGI", "WSGI")
MOST: Final = 1.2
"""The most that a request takes, in real time, as a multiple of one over RedisStore."""
OURS: Final = "RedisStore"
EXPRESS: Final = "ConnectRedis"


def main(*, quick: bool) -> list[Verdict]:
    rounds = ROUNDS["quick" if quick else "full"]
    progress = Progress()
    verdicts: list[Verdict] = []
    details: dict[str, Any] = {}
    with serve() as server:
        for colour in COLOURS:
            for clock in CLOCKS:
                name = f"{colour}, {clock}"

                def say(text: str, name: str = name) -> None:
                    progress.say(f"{name}: {text}")

                times, ratios = measure(server.url, colour, CLOCKS[clock], rounds, say)
                progress.done()
                details[name] = {"times": times, "ratios": ratios}
                rows = [[of, *(f"{us:.0f}" for us in its.values())] for of, its in times.items()]
                rows.append(["ratio", *(f"{ratio:.2f}" for ratio in ratios.values())])
                print(f"{name}, microseconds a request\n{table(['', *ACTIONS], rows)}\n")
                if clock == "real time":
                    verdicts += [
                        Verdict(f"{colour}: {action}, of RedisStore's", MOST, MOST, ratio)
                        for action, ratio in ratios.items()
                    ]
    print(verdict_table(verdicts))
    save("express", quick, verdicts, {"visitors": VISITORS, "rounds": rounds, **details})
    return verdicts


def measure(
    url: str, colour: str, clock: Clock, rounds: int, say: Callable[[str], None]
) -> tuple[Times, dict[str, float]]:
    """Return the times of both managers, and the ratio of each action."""
    serving.VISITORS = min(VISITORS, serving.VISITORS)
    with event_loop() as run:
        given = contenders(url, colour, run, clock)
        taken = take_turns(given, rounds, say)
    found = {(it.library, it.action): of for it, of in zip(given, taken, strict=True)}
    times = {
        library: {action: median(found[library, action]) for action in ACTIONS}
        for library in (OURS, EXPRESS)
    }
    ratios = {
        action: median(map(truediv, found[EXPRESS, action], found[OURS, action]))
        for action in ACTIONS
    }
    return times, ratios


def contenders(url: str, colour: str, run: Run, clock: Clock) -> list[Contender]:
    """Return both managers, with each action."""
    made: dict[str, SessionManager] = {
        OURS: SessionManager(patient(url), load="asked"),
        EXPRESS: ExpressManager(patient(url), secret=peers.SECRET, user="user_id", load="asked"),
    }
    found: list[Contender] = []
    for library, manager in made.items():
        if colour == "ASGI":
            found += asgi_actions(library, asgi_of(manager), run, clock, ACTIONS)
        else:
            apps: dict[str, WSGIApp] = peers.lembro_wsgi(manager)
            found += wsgi_actions(library, apps, clock, ACTIONS)
    return found
