"""32 threads at one store with mixed verbs: their throughput against one thread, and lost
operations.

Every written value names its writer and the value that was read before. So each must be found
exactly as often as it was reported as stored. A counter in each shared session ends at the number
of successful writes. An added session is added once and destroyed once.
"""

from __future__ import annotations

import gc
import random
import threading
from collections.abc import Sequence
from statistics import median
from time import monotonic, perf_counter
from typing import Any, Final

from bench import child
from bench.contenders import IDLE
from bench.data import encode, key, session
from bench.report import Progress, table
from bench.verdicts import Verdict, save, verdict_table
from lembro import MemoryStore, Record

THREADS: Final = 32
SESSIONS: Final = 2_000
OPERATIONS: Final = {"quick": 32_000, "full": 96_000}  # in each round
ROUNDS: Final = {"quick": 5, "full": 9}


def main(*, quick: bool) -> list[Verdict]:
    progress = Progress()
    start = monotonic()
    mode = "quick" if quick else "full"

    def say(text: str) -> None:
        progress.say(f"threads: {text} ({monotonic() - start:.0f} s)")

    arguments = {"operations": OPERATIONS[mode], "rounds": ROUNDS[mode]}
    found = child.run("bench.threads:measure", arguments, say)
    progress.done()
    one, many = median(found["one"]), median(found["many"])
    rows: list[list[str] | None] = [
        ["1 thread", f"{one:,.0f}", "1.00"],
        [f"{THREADS} threads", f"{many:,.0f}", f"{found['quotient']:.2f}"],
    ]
    print(table(["mixed verbs", "operations a second", "of one thread"], rows))
    print(f"  {found['checked']:,} operations checked, {found['lost']} of them lost\n")
    verdicts = [
        Verdict(
            f"throughput of {THREADS} threads, of one",
            0.9,
            1.0,
            found["quotient"],
            " x",
            at_least=True,
        ),
        Verdict("operations lost among them", 0, 0, found["lost"]),
    ]
    print(verdict_table(verdicts))
    save("threads", quick, verdicts, found)
    return verdicts


# -- in the process that measures ------------------------------------------------------------------


class Worker:
    """One thread's part of a round, and the results that it got."""

    def __init__(self, store: MemoryStore, number: int, operations: int) -> None:
        self.store = store
        self.number = number
        self.operations = operations
        self.wins: dict[int, int] = {}  # session -> writes that were stored
        self.lost = 0

    def run(self) -> None:
        store, number = self.store, self.number
        rng = random.Random(number)
        padding = encode(session(number))
        get, set_, touch = store.get, store.set, store.touch
        own = 0
        for turn in range(self.operations):
            dice = rng.random()
            n = int(rng.random() * SESSIONS)
            at = KEYS[n]
            if dice < 0.60:
                if get(at) is None:
                    self.lost += 1
            elif dice < 0.75:
                if not touch(at, idle=IDLE):
                    self.lost += 1
            elif dice < 0.90:
                found = get(at)
                if found is None:
                    self.lost += 1
                    continue
                count = int.from_bytes(found.payload[:8])
                mine = b"%b%8d%8d%b" % ((count + 1).to_bytes(8), number, turn, padding)
                after = set_(at, Record(mine), expected=found.payload, idle=IDLE)
                if after is not None and after.payload == mine:
                    self.wins[n] = self.wins.get(n, 0) + 1
            else:  # its own session: it exists once, and ends once
                own += 1
                mine_at = key(-1 - number * 10_000_000 - own)
                record = Record(padding)
                added = store.add(mine_at, record, idle=IDLE, life=IDLE)
                again = store.add(mine_at, record, idle=IDLE, life=IDLE)
                gone, twice = store.destroy(mine_at), store.destroy(mine_at)
                if not added or again or gone is None or twice is not None:
                    self.lost += 1


KEYS: Final[list[bytes]] = []


def measure(operations: int, rounds: int, say: child.Say) -> dict[str, Any]:
    KEYS[:] = [key(n) for n in range(SESSIONS)]
    store = MemoryStore("64M")
    for at in KEYS:
        store.add(at, Record(bytes(8)), idle=IDLE, life=IDLE)
    counts = [0] * SESSIONS
    speeds: dict[str, list[float]] = {"one": [], "many": []}
    lost = checked = 0
    gc.collect()
    gc.freeze()
    for turn in range(2 * rounds):
        name = "many" if turn % 2 else "one"
        say(f"round {turn // 2 + 1} of {rounds}, {name}")
        threads = THREADS if name == "many" else 1
        workers = [Worker(store, turn * THREADS + n, operations // threads) for n in range(threads)]
        taken = together(workers)
        speeds[name].append(operations / taken)
        lost += sum(worker.lost for worker in workers)
        for worker in workers:
            for n, wins in worker.wins.items():
                counts[n] += wins
        checked += operations
        for n, at in enumerate(KEYS):
            found = store.get(at)
            held = -1 if found is None else int.from_bytes(found.payload[:8])
            lost += abs(held - counts[n])
            counts[n] = held
    gc.unfreeze()
    left = store.length() - SESSIONS
    store.close()
    pairs = zip(speeds["one"], speeds["many"], strict=True)
    quotient = median(many / one for one, many in pairs)
    return {**speeds, "quotient": quotient, "checked": checked, "lost": lost + abs(left)}


def together(workers: Sequence[Worker]) -> float:
    """Start all at the same moment. Return the seconds until the last has ended."""
    barrier = threading.Barrier(len(workers) + 1, timeout=60)

    def begin(worker: Worker) -> None:
        barrier.wait(60)
        worker.run()

    threads = [threading.Thread(target=begin, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    barrier.wait(60)
    start = perf_counter()
    for thread in threads:
        thread.join(600)
    return perf_counter() - start
