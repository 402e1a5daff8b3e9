"""A thousand users are logged in, while ten million new visitors write: who keeps their session.

The store has the default of 4 MB. Each write has a new reputation token. None of the thousand
returns meanwhile, so their sessions are the least recently used of all.
"""

from __future__ import annotations

from typing import Any, Final

from bench import child
from bench.data import key
from bench.report import Progress, table
from bench.verdicts import Verdict, save, verdict_table
from lembro import MemoryStore, Record, SessionManager
from lembro._core import codec
from lembro.testing import FakeClock

USERS: Final = 1_000
WRITES: Final = {"quick": 200_000, "full": 10_000_000}
APART: Final = 0.0005  # seconds between two writes: an hour and 23 minutes for all
SOME: Final = 20_000
DAY: Final = 86_400


def main(*, quick: bool) -> list[Verdict]:
    progress = Progress()
    writes = WRITES["quick" if quick else "full"]

    def say(text: str) -> None:
        progress.say(f"survivors: {text}")

    found = child.run("bench.survivors:measure", {"writes": writes}, say)
    progress.done()
    verdicts = judge(found)
    rows = [
        ["written by new visitors", f"{found['writes']:,}"],
        ["evicted of them", f"{found['evicted']:,}"],
        ["remaining sessions of new visitors", f"{found['left']:,}"],
    ]
    print(table(["", "sessions"], rows) + "\n")
    print(verdict_table(verdicts))
    save("survivors", quick, verdicts, found)
    return verdicts


def measure(writes: int, say: child.Say) -> dict[str, Any]:
    clock = FakeClock()
    store = MemoryStore("4M", clock=clock)
    manager = SessionManager(store)
    users = [
        manager.create({"name": f"user {number}", "cart": [number]}, user_id=f"user-{number}")
        for number in range(USERS)
    ]
    before, most, grown = 0, 0, 0
    for number in range(writes):
        clock.advance(APART)
        payload = codec.encode({}, {"landing": "/welcome?from=somewhere", "visits": number})
        record = Record(payload, reputation=store.new_reputation())
        store.add(key(number), record, idle=DAY, life=30 * DAY)
        if not number % SOME:
            say(f"{number:,} of {writes:,} writes")
            most = max(most, store.stats().used)
            if number == SOME:
                before = child.settled()
            elif number:
                grown = max(grown, child.resident() - before)
    stats = store.stats()
    alive = sum(
        manager.get(session_id) == {"name": f"user {number}", "cart": [number]}
        for number, session_id in enumerate(users)
    )
    return {
        "writes": writes,
        "alive": alive,
        "used": max(most, stats.used),
        "max_size": store.max_size,
        "grown": grown,
        "evicted": stats.evicted,
        "left": stats.sessions - alive,
    }


def judge(found: dict[str, Any]) -> list[Verdict]:
    writes = f"{found['writes']:,} writes"
    share = 100 * found["used"] / found["max_size"]
    grown = max(0.0, found["grown"] / 2**20)
    return [
        Verdict(f"logged in after {writes}", USERS, USERS, found["alive"], at_least=True),
        Verdict(f"counted bytes of max_size, {writes}", 100.0, 100.0, share, " %"),
        Verdict("resident memory that the last of them added", 2.0, 1.0, grown, " MiB"),
    ]
