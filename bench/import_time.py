"""Compare the CPU time of ``import lembro`` with that of the modules that it needs.

    python -m bench.import_time [--rounds 15]

New interpreters take turns, so that all have the same load of the machine: one imports nothing, one
the modules of ``NEEDED``, one lembro. The time of the first is subtracted from the others. Exits
with 1 if lembro takes more than ``LIMIT`` times what its modules take.
"""

from __future__ import annotations

import argparse
import compileall
import resource
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from statistics import median
from typing import Final

from bench.report import table

NEEDED: Final = (
    "__future__",
    "base64",
    "collections",
    "collections.abc",
    "contextlib",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "functools",
    "hashlib",
    "hmac",
    "logging",
    "math",
    "msgspec",
    "msgspec.inspect",
    "msgspec.msgpack",
    "os",
    "random",
    "re",
    "secrets",
    "sys",
    "threading",
    "typing",
    "uuid",
    "weakref",
)
"""The modules that lembro cannot do without. It imports no others when it is imported."""

LIMIT: Final = 1.6
"""The limit of the ratio of ``import lembro`` to these modules."""

PROGRAMS: Final = {
    "nothing": "",
    "the modules it needs": f"import {', '.join(filter(find_spec, NEEDED))}",
    "lembro": "import lembro",
}


def main() -> int:
    """Run the comparison that the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure import lembro.")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    compile_lembro()
    spent: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(arguments.rounds):
        for name, program in PROGRAMS.items():
            spent[name].append(cpu_time(program))
    rows, ratio = judged({name: median(times) for name, times in spent.items()})
    print(table(["import", "ms", "above nothing"], rows))
    print(f"\nlembro takes {ratio:.2f} times what its modules take (at most {LIMIT})")
    return int(ratio > LIMIT)


def compile_lembro() -> None:
    """Compile lembro's modules, as an installer does. Otherwise each import would compile them."""
    spec = find_spec("lembro")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    for folder in spec.submodule_search_locations:
        compileall.compile_dir(folder, quiet=2)


def cpu_time(program: str) -> float:
    """Run a program in a new interpreter and return its CPU time in seconds.

    The working directory is not on its path, so that lembro is the installed one.
    """
    began = time_of_children()
    subprocess.run([sys.executable, "-P", "-c", program], check=True, timeout=60)
    return time_of_children() - began


def time_of_children() -> float:
    """Return the CPU time of the child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def judged(medians: Mapping[str, float]) -> tuple[list[list[str]], float]:
    """Return the rows of the table, and the ratio of lembro to its modules."""
    nothing, needed, lembro = medians.values()
    rows = [
        [name, f"{seconds * 1e3:.1f}", f"{(seconds - nothing) * 1e3:.1f}"]
        for name, seconds in medians.items()
    ]
    return rows, (lembro - nothing) / (needed - nothing)


if __name__ == "__main__":
    sys.exit(main())
