"""Break a promise on purpose, and see whether a test fails.

    python -m tools.faults                   # all faults of tests/mutants/faults.txt
    python -m tools.faults ledger vary       # those with one of these words in their first lines
    python -m tools.faults --jobs 1 --fresh  # forget earlier results

Each block of the list is one fault: the promise and what breaks it, the file below ``src/lembro``,
the text (``-``), what replaces it (``+``), and the tests that must notice. A fault is applied to a
copy of the repository, never to the working tree. Its tests then run in the copy and end at the
first failure. A run that takes too long counts as not noticed: a test must fail, not hang.

The results are in ``.artifacts/faults.json``. A fault that was noticed is not tried again until its
source or its tests change. Exits with 1 if a fault is not noticed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent
PACKAGE: Final = Path("src") / "lembro"
LISTED: Final = ROOT / "tests" / "mutants" / "faults.txt"
RESULTS: Final = ROOT / ".artifacts" / "faults.json"
LIMIT: Final = 300  # seconds for the tests of one fault
ONE_TEST: Final = 60  # seconds for one test

NOTICED: Final = "noticed"
_LEFT_OUT: Final = (".*", "node_modules", "build", "dist", "site")
# Only the plugins that the tests need: loading all installed ones takes three seconds.
_PLUGINS: Final = ("-p", "timeout", "-p", "anyio", "-p", "hypothesispytest")
_OPTIONS: Final = ("-x", "-q", "-p", "no:cacheprovider", *_PLUGINS, f"--timeout={ONE_TEST}")


class Fault(NamedTuple):
    """A text of the source that breaks a promise if another text replaces it."""

    promise: str
    """A promise of the README or a row of the scorecard, a colon, and what the fault does."""
    module: str
    """The path below ``src/lembro``."""
    text: str
    instead: str
    tests: tuple[str, ...]
    """Below ``tests/``: files, or tests in them."""

    @property
    def words(self) -> str:
        return f"{self.promise} {self.module}".lower()

    def changed(self, source: str) -> str:
        """Return the source with the fault.

        Raises:
            ValueError: the text is not in the source exactly once.
        """
        count = source.count(self.text)
        if count != 1:
            raise ValueError(
                f"the text of a fault must be in {self.module} once, found {count} times: "
                f"{self.text!r}. Adjust tests/mutants/faults.txt"
            )
        return source.replace(self.text, self.instead)

    def digest(self, root: Path) -> str:
        """Return a digest of the fault, its module and its tests."""
        whole = sha256(repr(self).encode())
        files = [root / PACKAGE / self.module]
        files += [root / "tests" / test.partition("::")[0] for test in self.tests]
        for file in files:
            whole.update(file.read_bytes())
        return whole.hexdigest()


def parse(text: str) -> list[Fault]:
    """Parse the list. Lines that begin with ``#`` are comments.

    Raises:
        ValueError: a block lacks a part.
    """
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if not lines:
            continue
        before = [line[2:] for line in lines if line[:1] == "-"]
        after = [line[2:] for line in lines if line[:1] == "+"]
        rest = [line for line in lines if line[:1] not in "-+"]
        if len(rest) < 3 or not before:
            raise ValueError(f"a fault has a promise, a file, a text and tests, got:\n{block}")
        tests = tuple(" ".join(rest[2:]).split())
        found.append(Fault(rest[0], rest[1], "\n".join(before), "\n".join(after), tests))
    return found


def listed() -> list[Fault]:
    """Return the faults of the list."""
    return parse(LISTED.read_text(encoding="utf-8"))


def attempt(fault: Fault | None, tests: Iterable[str], limit: float = LIMIT) -> str:
    """Run tests in a copy of the repository with the fault in it.

    Args:
        fault: The fault. None: none, so the tests must pass.
        tests: The tests, below ``tests/``.
        limit: Seconds.

    Returns:
        ``NOTICED`` if a test failed, otherwise what happened.
    """
    with tempfile.TemporaryDirectory(prefix="lembro-fault-") as folder:
        copy = Path(folder) / "lembro"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
        if fault is not None:
            module = copy / PACKAGE / fault.module
            module.write_text(fault.changed(module.read_text("utf-8")), "utf-8")
        environment = {
            **os.environ,
            "PYTHONPATH": str(copy / "src"),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "TMPDIR": folder,
            "HYPOTHESIS_STORAGE_DIRECTORY": str(Path(folder) / "hypothesis"),
        }
        command = [sys.executable, "-m", "pytest", *_OPTIONS, *(f"tests/{one}" for one in tests)]
        process = subprocess.Popen(
            command,
            cwd=copy,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate(timeout=60)
            return f"hung: ran longer than {limit:.0f} s"
    if process.returncode == 1 and "Timeout (>" not in output:
        return NOTICED
    if process.returncode == 0:
        return "passed"
    if process.returncode in (2, 3) and fault is not None and "rror" in output:
        return NOTICED  # the faulty module cannot even be imported
    return f"pytest ended with {process.returncode}:\n{output[-2000:]}"


def main() -> int:
    """Try the faults. Return 1 if one is not noticed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("words", nargs="*", help="only faults with one of these words")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--without", action="store_true", help="the tests without a fault: pass?")
    parser.add_argument("--list", action="store_true", help="print the faults")
    arguments = parser.parse_args()
    chosen = [
        fault
        for fault in listed()
        if not arguments.words or any(word.lower() in fault.words for word in arguments.words)
    ]
    if not chosen:
        parser.error(f"no fault has these words: {' '.join(arguments.words)}")
    if arguments.list:
        print("\n".join(f"{fault.promise}  ({fault.module})" for fault in chosen))
        return 0
    os.nice(max(0, 19 - os.nice(0)))
    if arguments.without:
        tests = dict.fromkeys(test for fault in chosen for test in fault.tests)
        outcome = attempt(None, tests, LIMIT * len(chosen))
        print(outcome)
        return int(outcome != "passed")
    return try_all(chosen, arguments.jobs, fresh=arguments.fresh)


def try_all(chosen: list[Fault], jobs: int, *, fresh: bool) -> int:
    """Try the faults that were not noticed before. Return 1 if one is not noticed."""
    known: dict[str, str] = {}  # digests of faults that were noticed
    if RESULTS.exists() and not fresh:
        known = json.loads(RESULTS.read_text())
    digests = {fault: fault.digest(ROOT) for fault in chosen}
    waiting = [fault for fault in chosen if digests[fault] not in known]
    missed = 0
    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(attempt, fault, fault.tests): fault for fault in waiting}
        for number, done in enumerate(as_completed(running), 1):
            fault, outcome = running[done], done.result()
            if outcome == NOTICED:
                known[digests[fault]] = fault.promise
                RESULTS.parent.mkdir(exist_ok=True)
                RESULTS.write_text(json.dumps(known, indent=1))
            else:
                missed += 1
            word = NOTICED if outcome == NOTICED else f"NOT NOTICED ({outcome})"
            print(f"{number:3} of {len(waiting)}  {word}: {fault.promise}", flush=True)
    print(f"{len(chosen)} faults, {len(chosen) - missed} noticed, {missed} not noticed")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
