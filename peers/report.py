"""The report of one suite: its outcome, compared with the expected one."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from peers.fetch import PEERS, ROOT, NotFetchedError, fetched, version_of
from peers.outcomes import FAILED, NAME, OUT, PASSED, PLAIN, SKIPPED, Outcomes, peer_called
from peers.peer import Peer

LIMIT: Final = 1800
"""The limit for one suite, in seconds."""


@dataclass
class Report:
    """The report of one project."""

    name: str
    project: str
    part: str = ""
    version: str = ""
    missing: str = ""
    """The reason why it was not run."""
    passed: int = 0
    skipped: int = 0
    differ: list[str] = field(default_factory=list)
    """Tests that failed as expected."""
    without_too: list[str] = field(default_factory=list)
    """Tests that failed, and fail without lembro as well."""
    problems: list[str] = field(default_factory=list)
    """Unexpected outcomes."""

    @property
    def title(self) -> str:
        title = f"{self.project} {self.version}".rstrip()
        return f"{title}, {self.part}" if self.part else title

    def line(self) -> str:
        head = self.title.ljust(28)
        if self.missing:
            return f"{head} not run: {self.missing}"
        told = f"{self.passed} passed, {len(self.differ)} expected differences"
        if self.without_too:
            told += f", {len(self.without_too)} that fail without lembro too"
        if self.skipped:
            told += f", {self.skipped} skipped"
        return f"{head} {told}, {len(self.problems)} unexpected"


def covering(test: str, differs: Sequence[str] | dict[str, str]) -> str | None:
    """Return the entry that covers a test: its ID, or its ID without parameters."""
    plain = test.partition("[")[0]
    return test if test in differs else plain if plain in differs else None


def judge(report: Report, peer: Peer, run: Outcomes, plain: Outcomes) -> None:
    """Compare the outcome with the expected one.

    Args:
        plain: the unexpected failures, run again without lembro.
    """
    differs = dict(peer.differs)
    seen: set[str] = set()
    for test, outcome in run.tests.items():
        entry = covering(test, differs)
        if entry is not None:
            seen.add(entry)
        if outcome == SKIPPED:
            report.skipped += 1
        elif outcome == PASSED:
            report.passed += 1
            if entry is not None:
                report.problems.append(f"{test}: expected to differ, and passes")
        elif entry is not None:
            report.differ.append(test)
        elif plain.tests.get(test) == FAILED:
            report.without_too.append(test)
        else:
            report.problems.append(f"{test}: {run.said.get(test, 'failed')}")
    report.problems += [
        f"{entry}: expected to differ, and is not there" for entry in differs if entry not in seen
    ]
    if not run.stored:
        report.problems.append("lembro stored nothing, so it was not in place")


def run(name: str) -> Report:
    """Fetch a project and run its tests."""
    module = importlib.import_module(f"peers.{name}")
    if hasattr(module, "run"):  # it is not a Python project
        report: Report = module.run()
        return report
    peer = peer_called(name)
    report = Report(name, peer.project, peer.part)
    try:
        report.version = version_of(peer.project)
        folder = fetched(peer.project)
    except NotFetchedError as error:
        report.missing = str(error)
        return report
    if peer.without:
        report.missing = peer.without
        found = [*folder.rglob("test_*.py"), *folder.rglob("tests.py")]
        if found:
            report.problems.append(f"it has tests now: {found[0].relative_to(folder)}")
        return report
    outcomes, log = _child(name, peer, folder, peer.tests)
    if outcomes is None:
        report.problems.append(f"the tests did not run: see {log}")
        return report
    unexpected = [
        test
        for test, outcome in outcomes.tests.items()
        if outcome == FAILED and covering(test, dict(peer.differs)) is None
    ]
    plain: Outcomes | None = None
    if unexpected and peer.bare:
        plain, _ = _child(name, peer, folder, unexpected, lembro=False)
    judge(report, peer, outcomes, plain or Outcomes())
    return report


def _child(
    name: str, peer: Peer, folder: Path, tests: Sequence[str], *, lembro: bool = True
) -> tuple[Outcomes | None, Path]:
    """Run tests in a separate process, whose output goes into a file."""
    log = PEERS / "logs" / f"{name}{'' if lembro else '-without-lembro'}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, log.open("w", encoding="utf-8") as out:
        outcomes = Path(scratch) / "outcomes.json"
        environ = {name: value for name, value in os.environ.items() if name != "CI"}
        environ |= {NAME: name, OUT: str(outcomes), "PYTHONPATH": str(ROOT)}
        environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        if not lembro:
            environ[PLAIN] = "1"
        try:
            subprocess.run(
                [sys.executable, "-m", peer.child, *peer.options, *tests],
                cwd=folder / peer.folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            print(f"stopped after {LIMIT} s", file=out)
        return (Outcomes.read(outcomes) if outcomes.exists() else None), log
