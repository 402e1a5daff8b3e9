"""Mutation testing: check that a test fails when the code is wrong.

    python -m tools.mutants                  # all modules below
    python -m tools.mutants cookie arena     # some
    python -m tools.mutants cookie --list    # its mutants, without running them
    python -m tools.mutants --sample 10      # a tenth of the mutants of each module
    python -m tools.mutants --fresh          # discard the results of earlier runs

The tests of a module run on each of its mutants (tools/mutations.py), in a separate process that
ends at the first failure. The tests are collected once, and the processes are forked from there.
The functions get the code of the mutant. Only the tests that execute the changed line run, the
shortest first. A mutant that takes effect at import runs with all tests of the module. Of the tests
that run on every integration and store, only those on ASGI and WSGI with a MemoryStore run. A
mutant that lives after 20 seconds of tests counts as a survivor, even if a later test would have
noticed it.

A run can be interrupted at any time. The next one continues where it ended, because the results are
in .artifacts/mutants.jsonl (tools/mutant_results.py).

Every survivor must be in tests/mutants/survivors.txt, with the reason. The run fails if one is not,
if a listed one no longer exists, or if fewer than 95 % are killed.

(mutmut 3 and cosmic-ray were tried. mutmut puts a trampoline around every function, which the tests
of memory and of hot paths notice. It names mutants by a number that changes with every edit, and
leaves out constants. cosmic-ray starts pytest for each mutant, which takes hours instead of
minutes.)
"""

from __future__ import annotations

import argparse
import mmap
import os
import sys
import threading
import time
from collections.abc import Iterable
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Final

from tools.mutant_results import ROOT, Results
from tools.mutant_runs import run
from tools.mutations import PACKAGE, Mutant, Result, mutants_of

LISTED: Final = ROOT / "tests" / "mutants" / "survivors.txt"
LAST: Final = ROOT / ".artifacts" / "mutants.jsonl"
KILLED: Final = 95  # per cent, at least, of each module


def _files(folder: Path, pattern: str, but: Iterable[str] = ()) -> list[str]:
    """Return the files of a folder without ``but``, relative to the folder."""
    top = PACKAGE if folder.is_relative_to(PACKAGE) else ROOT
    found = sorted(path for path in folder.glob(pattern) if path.stem not in but)
    return [str(path.relative_to(top)) for path in found]


def _modules(folder: str, but: Iterable[str] = ()) -> list[str]:
    return [name.removesuffix(".py") for name in _files(PACKAGE / folder, "*.py", but)]


# Tests of other modules than those below, or in other processes.
_ELSEWHERE: Final = frozenset(
    {
        "test_cli",
        "test_cli_copy",
        "test_cli_sessions",
        "test_22_a_memory_store_per_worker",
        "test_30_purge_stops_the_program",
        "test_31_timer_immortal_or_dead",
        "test_54_fork_with_open_sockets",
        "test_cookie_end_to_end",
        "test_dashboard",
        "test_demo",
        "test_docs",
        "test_docs_deploy",
        "test_docs_reference",
        "test_docs_security",
        "test_docs_tables",
        "test_every_row",
        "test_faults",
        "test_hatch_readme",
        "test_import_time",
        "test_layers",
        "test_leaves_nothing",
        "test_measured",
        "test_mutations",
        "test_package",
        "test_peers",
        "test_readme",
        "test_scorecard",
        "test_size",
        "test_sizing",
        "test_support",
        "test_uses",
        "test_waits",
    }
)
_CORE_TESTS: Final = (
    *_files(ROOT / "tests" / "unit", "test_*.py", _ELSEWHERE),
    *_files(ROOT / "tests" / "schedules", "test_*.py", ("test_adoption",)),
    *_files(ROOT / "tests" / "failures", "test_*.py", _ELSEWHERE),
    "tests/behaviour/test_decision_table.py",
)
_MIDDLEWARE_TESTS: Final = (
    *_CORE_TESTS,
    "tests/behaviour/test_round_trips.py",
    "tests/behaviour/test_security_claims.py",
    "tests/behaviour/test_store_failures.py",
    "tests/behaviour/test_times.py",
    "tests/behaviour/test_visits.py",
)
_METRICS_TESTS: Final = tuple(_files(ROOT / "tests" / "unit" / "metrics", "test_*.py"))
_MEMORY_TESTS: Final = (
    *_files(ROOT / "tests" / "unit" / "memory", "test_*.py"),
    "tests/contract/test_memory.py",
)
_MIGRATE_TESTS: Final = (
    "tests/unit/test_adoption.py",
    "tests/unit/test_migrate_readers.py",
    "tests/integrations/test_migrate.py",
    "tests/schedules/test_adoption.py",
    *_files(ROOT / "tests" / "failures", "test_7[0-4]_*.py"),
    "tests/behaviour/test_migrate.py",
)
TESTS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(_modules("_core", ("__init__",)), _CORE_TESTS),
    **dict.fromkeys(_modules("_http", ("__init__",)), _CORE_TESTS),
    **dict.fromkeys(_modules("_runtime", ("__init__",)), _CORE_TESTS),
    **dict.fromkeys(
        (
            "manager",
            "options",
            "_cookie_options",
            "_durations",
            "_hints",
            "events",
            "ids",
        ),
        _CORE_TESTS,
    ),
    **dict.fromkeys(("asgi", "wsgi"), _MIDDLEWARE_TESTS),
    "_runtime/watching": _METRICS_TESTS,
    **dict.fromkeys(_modules("migrate", ("__init__",)), _MIGRATE_TESTS),
    # The audit is used by tests: a mutant that checks less is not noticed while the store works.
    **dict.fromkeys(_modules("stores/memory", ("__init__", "audit")), _MEMORY_TESTS),
}
"""The modules and their tests."""

PREPARED: Final = ("anyio", "fastapi", "fasthtml", "flask", "httpx", "starlette.testclient")
"""The imports of every child, without lembro itself, which some import mutated."""


def listed() -> dict[str, str]:
    """Return the known survivors, each with its reason."""
    reasons: dict[str, str] = {}
    if not LISTED.exists():
        return reasons
    for block in LISTED.read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if lines:
            reasons["\n".join(lines[:3])] = " ".join(line.strip() for line in lines[3:])
    return reasons


def sampled(mutants: Iterable[Mutant], percent: float, seed: str) -> list[Mutant]:
    """Return a share of the mutants: the same ones whenever the seed is the same."""
    limit = percent / 100 * 2**32
    return [
        mutant
        for mutant in mutants
        if int.from_bytes(sha256(f"{seed} {mutant.name}".encode()).digest()[:4]) < limit
    ]


def judge(name: str, mutants: list[Mutant], results: list[Result]) -> int:
    """Print the numbers and the problems. Return the number of problems."""
    known = {key: why for key, why in listed().items() if key.startswith(f"{name}.py: ")}
    survivors = [result.mutant.name for result in results if result.survived]
    share = 100 * (1 - len(survivors) / max(1, len(results)))
    tried = "" if len(results) == len(mutants) else f" ({len(results)} tried)"
    print(
        f"{name:28} {len(mutants):5} mutants {len(survivors):4} survived {share:6.1f} % killed"
        f"{tried}"
    )
    wrong = int(share < KILLED and not tried)
    for key in survivors:
        if not known.get(key):
            wrong += 1
            print(f"\nsurvived, and is not listed:\n{key}\n")
    met, all_names = {r.mutant.name for r in results}, {m.name for m in mutants}
    for key in known:
        if key not in all_names:
            wrong += 1
            print(f"\nis listed, and does not exist (any more):\n{key}\n")
        elif key in met and key not in survivors:
            print(f"\nis listed, and was killed; remove it:\n{key}\n")
    sys.stdout.flush()
    return wrong


def run_all(wanted: dict[str, list[Mutant]], results: Results, jobs: int) -> None:
    """Run the mutants that have no result yet. Modules with the same tests share a run."""
    for tests in dict.fromkeys(TESTS[name] for name in wanted):
        waiting = [
            mutant
            for name, mutants in wanted.items()
            if TESTS[name] == tests
            for mutant in mutants
            if results.get(mutant, tests) is None
        ]
        if waiting:
            progress = _Progress(len(waiting), tests, results)
            run(tests, waiting, jobs, progress.note, results.kills())


class _Progress:
    """Store each result, and print the progress. The children print nothing."""

    def __init__(self, total: int, tests: tuple[str, ...], results: Results) -> None:
        # The numbers of mutants and survivors, in memory shared with the child that adds most
        # results.
        self._counts = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")
        self._total = total
        self._tests = tests
        self._results = results
        self._terminal = os.dup(2)
        self._began = time.monotonic()

    def note(self, result: Result) -> None:
        self._results.add(result, self._tests)
        self._counts[0] += 1
        self._counts[1] += result.survived
        if result.survived:
            os.write(self._terminal, f"\n{result.mutant.name}\n".encode())
        done, alive = self._counts[:2]
        spent = time.monotonic() - self._began
        line = f"\r{done} of {self._total}, {alive} survived, {spent:.0f} s "
        os.write(self._terminal, line.encode())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("modules", nargs="*", help=f"of {', '.join(TESTS)}")
    parser.add_argument("--fresh", action="store_true", help="forget the results of earlier runs")
    parser.add_argument("--sample", type=lambda text: float(text.rstrip("%")), metavar="PERCENT")
    parser.add_argument("--seed", default="lembro", help="another sample")
    parser.add_argument("--list", action="store_true", help="print the mutants")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    wanted = arguments.modules
    names = [name for name in TESTS if not wanted or name in wanted or Path(name).name in wanted]
    if not names:
        parser.error(f"no such module: {' '.join(wanted)}")
    mutants = {name: mutants_of(f"{name}.py", PACKAGE / f"{name}.py") for name in names}
    chosen = mutants
    if arguments.sample is not None:
        chosen = {
            name: sampled(each, arguments.sample, arguments.seed) for name, each in mutants.items()
        }
    if arguments.list:
        print("\n\n".join(mutant.name for each in chosen.values() for mutant in each))
        return 0
    os.chdir(ROOT)
    os.nice(max(0, 19 - os.nice(0)))
    for name in PREPARED:
        import_module(name)
    assert "lembro" not in sys.modules
    assert threading.active_count() == 1, "a forked child has no threads"
    results = Results(LAST, fresh=arguments.fresh)
    run_all(chosen, results, arguments.jobs)
    results = Results(LAST)  # including the results of the children
    wrong = 0
    for name in names:
        found = [results.get(mutant, TESTS[name]) for mutant in mutants[name]]
        wrong += judge(name, mutants[name], [result for result in found if result is not None])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
