"""Run tests with pytest, in the folder of a source distribution: ``python -m peers.pytest_child``.

The arguments are pytest's.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest
from _pytest import monkeypatch
from _pytest.compat import NOTSET

from peers.outcomes import FAILED, PASSED, SKIPPED, Outcomes, count_what_is_stored, peer_here

OPTIONS: Final = ("-q", "--tb=short", "--continue-on-collection-errors", "--rootdir=.")


class Plugin:
    """Put lembro in place, and record the outcome of each test."""

    def __init__(self) -> None:
        self.peer = peer_here()
        self.outcomes = Outcomes()

    def pytest_configure(self, config: pytest.Config) -> None:
        _restore_what_pytest_had()
        count_what_is_stored(self.outcomes)
        if self.peer is not None:
            self.peer.install()

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        if self.peer is not None and isinstance(collector, pytest.Module):
            try:
                module = collector.obj
            except Exception:  # pytest reports it
                return (yield)
            self.peer.prepare(module)
        return (yield)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.outcomes.note(report.nodeid, FAILED, str(report.longrepr))

    def pytest_runtest_logreport(self, report: Any) -> None:
        if hasattr(report, "wasxfail"):
            self.outcomes.note(report.nodeid, SKIPPED)
        elif report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            said = getattr(crash, "message", str(report.longrepr)).strip().partition("\n")[0]
            self.outcomes.note(report.nodeid, FAILED, said)
        elif report.skipped:
            self.outcomes.note(report.nodeid, SKIPPED)
        elif report.when == "call":
            self.outcomes.note(report.nodeid, PASSED)

    def pytest_sessionfinish(self) -> None:
        self.outcomes.write()


def _configuration() -> str:
    """Return the project's configuration or none, because pytest would search the folders above."""
    for name in ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"):
        path = Path(name)
        if path.exists() and re.search(r"^\[(tool[.:])?pytest", path.read_text("utf-8"), re.M):
            return name
    return os.devnull


def _restore_what_pytest_had() -> None:
    """Restore features that the tests of a project use, and that current pytest has removed."""
    if not hasattr(monkeypatch, "notset"):  # Flask 3.1.3
        monkeypatch.notset = NOTSET  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.path.insert(0, "")  # the tests of the project, not lembro's
    sys.exit(pytest.main([*OPTIONS, "-c", _configuration(), *sys.argv[1:]], plugins=[Plugin()]))
