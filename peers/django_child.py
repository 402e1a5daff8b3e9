"""Run tests with Django's ``runtests.py``, in its folder: ``python -m peers.django_child``.

The arguments are labels of tests.
"""

from __future__ import annotations

import os
import runpy
import sys
import unittest
from typing import Any

from django.test.runner import DiscoverRunner

from peers.outcomes import FAILED, PASSED, SKIPPED, Outcomes, count_what_is_stored, peer_here

_outcomes = Outcomes()


class Result(unittest.TextTestResult):
    """Record the outcome of each test."""

    def addSuccess(self, test: Any) -> None:  # noqa: N802 - unittest's
        super().addSuccess(test)
        _outcomes.note(test.id(), PASSED)

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        _outcomes.note(test.id(), FAILED, _said(err))

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addError(test, err)
        _outcomes.note(test.id(), FAILED, _said(err))

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        super().addSubTest(test, subtest, err)
        if err is not None:
            _outcomes.note(test.id(), FAILED, _said(err))

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        _outcomes.note(test.id(), SKIPPED)

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addExpectedFailure(test, err)
        _outcomes.note(test.id(), SKIPPED)


class Runner(DiscoverRunner):  # type: ignore[misc]  # Django is not typed
    """``TEST_RUNNER`` of the settings below."""

    def get_resultclass(self) -> Any:
        return Result

    def run_suite(self, suite: Any, **keywords: Any) -> Any:
        try:
            return super().run_suite(suite, **keywords)
        finally:
            _outcomes.write()


def _said(err: Any) -> str:
    return f"{err[0].__name__}: {str(err[1]).strip().partition(chr(10))[0]}"


if __name__ == "__main__":
    sys.modules["peers.django_child"] = sys.modules["__main__"]  # the settings name the runner
    count_what_is_stored(_outcomes)
    peer = peer_here()
    settings = "peers.django_plain" if peer is None else "peers.django_settings"
    os.environ["DJANGO_SETTINGS_MODULE"] = settings
    sys.argv = ["runtests.py", f"--settings={settings}", "--parallel=1", "--noinput", *sys.argv[1:]]
    if peer is not None:
        peer.install()
    runpy.run_path("runtests.py", run_name="__main__")
