"""Mutation testing: does a test fail when the code is wrong?

    python -m tools.mutants                  # all modules below
    python -m tools.mutants cookie arena     # some
    python -m tools.mutants cookie --list    # its mutants, without running them

Each mutant of a module (tools/mutations.py) meets the tests of that module, in a process of its own
that ends at the first failure. The tests are collected once, and the processes forked from there;
the functions get the code of the mutant, and only those tests run that come through the line that
was changed, the shortest first. What takes effect at import runs with all tests of the module.

Every survivor must be in tests/mutants/survivors.txt, with the reason; fails if one is not, if one
of the list no longer exists, or if fewer than 95 % are killed.

(mutmut 3 and cosmic-ray were looked at. The first puts a trampoline around every function, which
the tests of memory and of hot paths see, names mutants by a number that moves with every edit, and
leaves out constants; the second starts pytest anew for each mutant: hours instead of minutes.)
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Final

from tools.mutant_runs import PACKAGE, Result, run
from tools.mutations import Mutant, mutants_of

ROOT: Final = Path(__file__).parent.parent
LISTED: Final = ROOT / "tests" / "mutants" / "survivors.txt"
LAST: Final = ROOT / ".artifacts" / "mutants"
KILLED: Final = 95  # per cent, at least, of each module

_SESSION: Final = (
    "unit/test_decision_table.py unit/test_login.py unit/test_rotated_ids.py "
    "unit/test_session.py unit/test_changes.py unit/test_failures.py unit/test_lifetimes.py "
    "unit/test_edits.py unit/test_actions.py unit/test_events.py unit/test_events_carry.py "
    "unit/test_fast_paths.py unit/test_merge.py unit/test_after_the_headers.py "
    "unit/test_manager.py unit/test_reload_in_a_stream.py"
)
_STORE: Final = (
    "unit/memory/test_compaction.py unit/memory/test_eviction.py unit/memory/test_ledger.py "
    "unit/memory/test_limits.py unit/memory/test_parts.py unit/memory/test_reclaim.py "
    "unit/memory/test_records.py unit/memory/test_reputation.py unit/memory/test_stats.py "
    "unit/memory/test_store.py unit/memory/test_sweep.py unit/memory/test_user_sessions.py "
    "unit/memory/test_user_share.py unit/memory/test_verbs.py contract/test_memory.py"
)
TESTS: Final = {
    "_core/lifecycle": _SESSION,
    "_core/load": f"{_SESSION} unit/test_adapter.py",
    "_core/commit": _SESSION,
    "_core/session": _SESSION,
    "_http/cookie": "unit/test_cookie.py unit/test_fast_paths.py unit/test_options.py "
    "unit/test_login.py",
    "_core/codec": "unit/test_codec.py unit/test_codec_corrupt.py unit/test_codec_zones.py "
    "unit/test_changes.py unit/test_session.py unit/test_decision_table.py",
    "migrate/lifecycle": "unit/test_adoption.py schedules/test_adoption.py "
    "behaviour/test_migrate.py",
    "stores/memory/ledger": _STORE,
    "stores/memory/limits": _STORE,
    "stores/memory/reader": f"unit/memory/test_reader.py {_STORE}",
    "stores/memory/parts": _STORE,
    "stores/memory/records": _STORE,
    "stores/memory/reclaim": _STORE,
    "stores/memory/compaction": _STORE,
    "stores/memory/sweep": _STORE,
    "stores/memory/user_share": _STORE,
    "stores/memory/arena": f"unit/memory/test_arena.py {_STORE}",
    "stores/memory/expiry_wheel": f"unit/memory/test_expiry_wheel.py {_STORE}",
}
"""The modules, and the tests that are to notice."""

PREPARED: Final = ("anyio", "fastapi", "fasthtml", "flask", "httpx", "starlette.testclient")
"""What every child needs; not lembro itself, which some import mutated."""


def listed() -> dict[str, str]:
    """The survivors that are known, and why they may live."""
    reasons: dict[str, str] = {}
    if not LISTED.exists():
        return reasons
    for block in LISTED.read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if lines:
            reasons["\n".join(lines[:3])] = " ".join(line.strip() for line in lines[3:])
    return reasons


def judge(name: str, mutants: list[Mutant], results: list[Result]) -> int:
    """Print the numbers, and what is wrong: how much."""
    known = {key: why for key, why in listed().items() if key.startswith(f"{name}.py: ")}
    survivors = [result.mutant.name for result in results if result.survived]
    share = 100 * (1 - len(survivors) / len(mutants))
    print(f"{name:24} {len(mutants):5} mutants {len(survivors):4} survived {share:6.1f} % killed")
    wrong = int(share < KILLED)
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
            print(f"\nis listed, and was killed; strike it out:\n{key}\n")
    sys.stdout.flush()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("modules", nargs="*", help=f"of {', '.join(TESTS)}")
    parser.add_argument("--again", action="store_true", help="only what survived the last time")
    parser.add_argument("--list", action="store_true", help="print the mutants")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    wanted = arguments.modules
    names = [name for name in TESTS if not wanted or name in wanted or Path(name).name in wanted]
    if not names:
        parser.error(f"no such module: {' '.join(wanted)}")
    os.chdir(ROOT)
    os.nice(max(0, 19 - os.nice(0)))
    LAST.mkdir(parents=True, exist_ok=True)
    for name in PREPARED:
        import_module(name)
    assert "lembro" not in sys.modules
    assert threading.active_count() == 1, "a child of a fork has no threads"
    wrong = 0
    for name in names:
        mutants = mutants_of(f"{name}.py", PACKAGE / f"{name}.py")
        if arguments.list:
            print("\n\n".join(mutant.name for mutant in mutants), end="\n\n")
            continue
        last = LAST / f"{Path(name).name}.json"
        chosen = mutants
        if arguments.again and last.exists():
            before = json.loads(last.read_text())
            chosen = [mutant for mutant in mutants if mutant.name in before]
        tests = [f"tests/{test}" for test in TESTS[name].split()]
        results = run(name, tests, chosen, arguments.jobs)
        last.write_text(json.dumps([r.mutant.name for r in results if r.survived], indent=1))
        wrong += judge(name, mutants, results)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
