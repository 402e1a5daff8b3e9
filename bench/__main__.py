"""``python -m bench [names] [--docs] [--quick]``."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from typing import Final

from bench.record import SOURCES
from bench.verdicts import Verdict, verdict_table

BENCHES: Final = {
    "requests": "the time that a session adds to a request, compared with other libraries",
    "served": "the same under uvicorn, with 16 connections",
    "frameworks": "the same in each framework, compared with its own sessions",
    "speed": "the cost of a verb of the store, compared with a bare dict and the peers",
    "memory": "the real memory of sessions, compared with the peers",
    "pauses": "the longest pause of a store, compared with the peers",
    "threads": "32 threads at one store, compared with one",
    "stores": "lembro and other libraries on one server, and SQLite compared with memory",
    "workers": "how the throughput over a store grows with the workers of a server",
    "express": "a session of Express in Redis, compared with one in RedisStore",
    "node_stores": "the stores of express-session under the same work",
    "survivors": "a thousand logged-in users, while ten million new visitors write",
    "flood": "who keeps their session during a flood of bots, compared with other policies",
}

SHOWN: Final = [name for name in SOURCES if name in BENCHES]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="The measurements behind lembro's claims.",
        epilog="; ".join(f"{name}: {what}" for name, what in BENCHES.items()),
    )
    parser.add_argument("names", nargs="*", metavar="name", help="the benches; all by default")
    parser.add_argument(
        "--docs", action="store_true", help="the benches that the documentation shows"
    )
    parser.add_argument("--quick", action="store_true", help="shorter and less exact runs")
    parser.add_argument(
        "--whole", action="store_true", help="the flood at 2.5 times its usual size (25 minutes)"
    )
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHES]
    if unknown:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    if given.docs and given.names:
        parser.error("--docs names the benches itself")
    verdicts: list[Verdict] = []
    for name in given.names or (SHOWN if given.docs else BENCHES):
        start = time.monotonic()
        print(f"\n=== {name}: {BENCHES[name]}\n", flush=True)
        bench = importlib.import_module(f"bench.{name}")
        more = {"whole": True} if given.whole and name == "flood" else {}
        verdicts += bench.main(quick=given.quick, **more) or []
        print(f"\n({name}: {time.monotonic() - start:.0f} s)", flush=True)
    if given.docs:
        print("\nNow `python -m tools.measured` writes the numbers into the documentation.")
    if verdicts and len(given.names) != 1:
        print(f"\n=== all targets\n\n{verdict_table(verdicts)}", flush=True)
    if verdicts and given.quick:
        print("  (--quick: too few sessions to judge the targets)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
