"""The stores of express-session in Node, under the same work.

If ``node`` and ``npm`` are on the PATH, they are installed into ``.artifacts/node``. The times are
real times of their only thread: a long call stops the whole program.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from time import monotonic
from typing import Any, Final

from bench.report import Progress, table
from bench.verdicts import ROOT, Verdict, number, save

HERE: Final = Path(__file__).parent / "node"
INSTALLED: Final = ROOT / ".artifacts" / "node"
STORES: Final = ("express-session MemoryStore", "memorystore", "express-lembro")
SESSIONS: Final = {"quick": 50_000, "full": 1_000_000}
CAPS: Final = {"quick": 8_000_000, "full": 100_000_000}


def main(*, quick: bool) -> list[Verdict]:
    mode = "quick" if quick else "full"
    try:
        install()
    except OSError as error:
        print(f"  MISSING: {', '.join(STORES)} ({error})")
        return []
    progress = Progress()
    start = monotonic()
    found: list[Any] = []
    for name in STORES:

        def say(text: str, name: str = name) -> None:
            progress.say(f"node: {name}: {text} ({monotonic() - start:.0f} s)")

        try:
            found.append(measure(name, SESSIONS[mode], CAPS[mode], say))
        except OSError as error:
            progress.done()
            print(f"  MISSING: {name} ({error})")
    progress.done()
    report(found)
    save("node_stores", quick, [], found)
    return []


def install() -> None:
    """Install the stores, once.

    Raises:
        OSError: They cannot be installed, with the reason.
    """
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise OSError(f"there is no {tool} on the PATH")
    if all((INSTALLED / "node_modules" / name.split()[0]).is_dir() for name in STORES):
        return
    INSTALLED.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "package.json", INSTALLED)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"]
    done = subprocess.run(
        command, cwd=INSTALLED, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise OSError(f"npm install failed: {done.stderr.strip()[-300:]}")


def measure(name: str, manager: int, cap: int, say: Any) -> Any:
    memory = ("--expose-gc", "--max-old-space-size=8192")
    command = ["node", *memory, str(HERE / "stores.js"), name, str(manager), str(cap)]
    result = None
    said: list[str] = []
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NODE_PATH": str(INSTALLED / "node_modules")},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sign, _, text = line.rstrip("\n").partition(" ")
            if sign == "~":
                say(text)
            elif sign == "=":
                result = json.loads(text)
            else:
                said.append(line)
    if result is None:
        raise OSError(f"node ended with {process.returncode}: {''.join(said).strip()[-500:]}")
    return result


def report(found: list[Any]) -> None:
    rows: list[list[str] | None] = []
    for it in found:
        cells = []
        for verb in ("get", "overwrite", "new", "touch"):
            speed = it["speed"][verb]
            of = "" if speed["of_a_map"] is None else f" ({speed['of_a_map']:.2f} x)"
            cells.append(f"{speed['microseconds']:.2f}{of}")
        rows.append([it["name"], *cells])
    heads = ["Node, 10,000 sessions, us (of a Map + JSON)", "get", "overwrite", "new", "touch"]
    print(table(heads, rows) + "\n")
    rows = []
    for it in found:
        many, shifting = it["million"], it["shifting"]
        rows.append(
            [
                it["name"],
                f"{many['sessions']:,}",
                f"{many['overhead']:.0f} B",
                f"{many['insert']:.1f} ms",
                f"{many['purge']:.0f} ms {many['purge_is']}",
                "no bound" if shifting is None else f"{number(shifting['most'])} x",
            ]
        )
    heads = ["Node", "sessions", "overhead", "longest insert", "purge step", "resident over cap"]
    print(table(heads, rows))
    for it in found:
        if it["shifting"] and "note" in it["shifting"]:
            print(f"  {it['name']}: {it['shifting']['note']}")
