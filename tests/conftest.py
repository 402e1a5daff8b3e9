"""Settings for all tests: in CI a skipped test is a failed one."""

from __future__ import annotations

import gc
import logging
from collections.abc import Generator, Iterator

import hypothesis
import pytest

from tests.support import in_ci

# The time of an example depends on the machine only.
hypothesis.settings.register_profile("lembro", deadline=None)
hypothesis.settings.load_profile("lembro")


def pytest_collection_finish() -> None:
    """Hide the collected tests from the garbage collector, whose runs would visit all of them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def root_logger_stays_as_it_is() -> Iterator[None]:
    """Restore the root logger, which an application of Litestar's configures."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    ours = logging.getLogger("lembro")
    own, limit = (ours.level, ours.disabled, ours.propagate), root.manager.disable
    yield
    if root.manager.disable != limit:  # the fuzzer disables all logging
        logging.disable(limit)
    ours.disabled, ours.propagate = own[1:]
    for logger, before in ((ours, own[0]), (root, level)):
        if logger.level != before:  # each change of a level visits all loggers
            logger.setLevel(before)
    for handler in set(root.handlers).difference(handlers):
        root.removeHandler(handler)


def _reason(longrepr: object) -> str:
    return str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and in_ci() and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not accept: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped and in_ci():
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not accept: {_reason(report.longrepr)}"
    return report
