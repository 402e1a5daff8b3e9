"""Compare the CPU time of a request in two checkouts of lembro, in one run.

    python -m bench.compare ../before [--rounds 200] [--kinds asgi,wsgi,store] [--frameworks flask]

Two processes, one for each checkout, serve batches of requests, or of calls of the store's verbs,
in turns, so that both meet the same load of the machine. Prints the median CPU time of one, and the
ratio. A ratio above 1.05 is marked.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.report import table

WORKER: Final = """
import gc, json, sys, time
from bench import requests
contenders = {}
if "asgi" in sys.argv[1]:
    for c in requests.asgi_contenders():
        if "lembro" in c.library or c.library == "bare":
            contenders["asgi " + c.library + " " + c.action] = c.batch
if "wsgi" in sys.argv[1]:
    for c in requests.wsgi_contenders():
        if "lembro" in c.library or c.library == "bare":
            contenders["wsgi " + c.library + " " + c.action] = c.batch
if "store" in sys.argv[1]:
    from bench.contenders import Lembro
    from bench.data import encode, key, session
    number = 10_000
    ids = [key(n) for n in range(2 * number)]
    fresh, ids = ids[number:], ids[:number]
    datas = [session(n) for n in range(number)]
    held = Lembro(None, 4 * number)
    held.fill(ids, [encode(data) for data in datas])
    def overwrite(count):
        held.overwrite_all(ids[:count], datas[-count:], held.payloads(ids[:count]))
    def new(count):
        held.new_all(fresh[:count], datas[:count])
        held.remove_all(fresh[:count])
    contenders["store get"] = lambda count: held.get_all(ids[:count])
    contenders["store get and set"] = overwrite
    contenders["store add and destroy"] = new
    contenders["store touch"] = lambda count: held.touch_all(ids[:count])
for name in sys.argv[2].split(","):
    if name:
        from importlib import import_module
        module = import_module("bench.frameworks." + name)
        for c in module.contenders():
            if "lembro" in c.library or c.library == "bare":
                contenders[name + " " + c.library + " " + c.action] = c.batch
print(json.dumps(list(contenders)), flush=True)
for line in sys.stdin:
    name, count = line.rsplit(" ", 1)
    gc.collect()
    contenders[name](int(count) // 4)  # fill caches that the collection has emptied
    began = time.process_time()
    contenders[name](int(count))
    print(time.process_time() - began, flush=True)
"""

LIMIT: Final = 300  # seconds until a worker must respond


def worker(root: Path, kinds: str, frameworks: str) -> Any:
    """Start a process that serves batches with the code of a checkout and this bench."""
    here = Path(__file__).parent.parent
    paths = os.pathsep.join([str(root / "src"), str(here)])
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, kinds, frameworks],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=here,
        env={**os.environ, "PYTHONPATH": paths},
    )


def _line(process: subprocess.Popen[str]) -> str:
    """Return the next line that a worker writes."""
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], LIMIT)[0]:
        raise TimeoutError(f"a worker wrote nothing for {LIMIT} seconds")
    return process.stdout.readline()  # no limit: there is something to read


def main() -> None:
    """Run the comparison that the command line asks for."""
    parser = argparse.ArgumentParser(description="Compare two checkouts of lembro.")
    parser.add_argument("before", type=Path, help="path of the other checkout")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--kinds", default="asgi,wsgi")
    parser.add_argument("--frameworks", default="")
    arguments = parser.parse_args()
    here = Path(__file__).parent.parent
    roots = {"before": arguments.before.resolve(), "now": here}
    workers = {
        name: worker(root, arguments.kinds, arguments.frameworks) for name, root in roots.items()
    }
    known = {name: json.loads(_line(each)) for name, each in workers.items()}
    names = [name for name in known["now"] if name in known["before"]]

    def serve(which: str, name: str, count: int) -> float:
        process = workers[which]
        process.stdin.write(f"{name} {count}\n")
        process.stdin.flush()
        return float(_line(process)) / count * 1e6

    counts = {}
    for name in names:
        took = max(serve(which, name, 50) for which in roots)
        counts[name] = max(20, int(8000 / took))
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for turn in range(arguments.rounds):
        for name in names:
            for which in sorted(roots, reverse=bool(turn % 2)):
                times[which, name].append(serve(which, name, counts[name]))
    for process in workers.values():
        process.stdin.close()
        process.wait(timeout=30)
    rows = []
    for name in names:
        before, now = (median(times[which, name]) for which in ("before", "now"))
        mark = "  slower" if now / before > 1.05 else ""
        rows.append([name, f"{before:.2f}", f"{now:.2f}", f"{now / before:.3f}{mark}"])
    print(table(["CPU us", "before", "now", "ratio"], rows))


if __name__ == "__main__":
    main()
