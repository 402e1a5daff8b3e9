"""Run the catalogue on every integration and store, with all logging at DEBUG for row 7."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.support import visits
from tests.support.worlds import CATALOGUE_KINDS, Kind, anyio_backend, build, name_of, world

__all__ = ["anyio_backend", "build", "world"]


@pytest.fixture(params=CATALOGUE_KINDS, ids=name_of)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


class _Reader(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))  # with its traceback


@pytest.fixture(scope="module", autouse=True)
def all_is_logged() -> Iterator[None]:
    """Log at DEBUG. Each module does this once, because a change of a level visits all loggers."""
    loggers = logging.getLogger(), logging.getLogger("lembro")
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(autouse=True)
def no_id_in_any_log(all_is_logged: None) -> Iterator[list[str]]:
    """Row 7, session IDs in logs (CVE-2023-20866): fail if a log line contains an issued ID."""
    visits.issued.clear()
    root, reader = logging.getLogger(), _Reader()
    root.addHandler(reader)
    yield reader.lines
    root.removeHandler(reader)
    text = "\n".join(reader.lines)
    assert not [session_id for session_id in visits.issued if session_id in text]
