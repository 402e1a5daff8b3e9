"""90. A script outside of a running server opens a MemoryStore of its own, and finds no session.

``revoke_user`` then seems to have worked. So lembro warns once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lembro import MemoryStore, SessionManager
from lembro._runtime import store_check
from lembro.ids import new_id
from lembro.stores import SQLiteStore
from tests.support.django_site import database, running
from tests.support.exchanges import PlainExchange

pytestmark = pytest.mark.anyio

QUESTIONS: dict[str, Callable[[SessionManager], Any]] = {
    "all": lambda manager: manager.all(),
    "length": lambda manager: manager.length(),
    "clear": lambda manager: manager.clear(),
    "purge": lambda manager: manager.purge(),
    "user_sessions": lambda manager: manager.user_sessions("ada"),
    "revoke": lambda manager: manager.revoke("handle"),
    "revoke_user": lambda manager: manager.revoke_user("ada"),
    "get": lambda manager: manager.get(new_id()),
    "destroy": lambda manager: manager.destroy(new_id()),
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_check, "_warned", set())


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], int]:
    return lambda: sum(
        record.levelno == logging.WARNING and "has served no request" in record.getMessage()
        for record in caplog.records
    )


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_call_that_finds_no_sessions_is_warned_of_once(
    question: str, warnings: Callable[[], int]
) -> None:
    manager = SessionManager(MemoryStore())
    QUESTIONS[question](manager)
    QUESTIONS[question](manager)
    assert warnings() == 1


async def test_an_async_call_that_finds_no_sessions_is_warned_of(
    warnings: Callable[[], int],
) -> None:
    assert await SessionManager(MemoryStore()).arevoke_user("ada") == 0
    assert warnings() == 1


def test_a_store_with_sessions_is_not_warned_of(warnings: Callable[[], int]) -> None:
    manager = SessionManager(MemoryStore())
    manager.create({"a": 1})
    assert manager.revoke_user("ada") == 0
    assert warnings() == 0


def test_a_process_that_serves_requests_is_not_warned_of(warnings: Callable[[], int]) -> None:
    manager = SessionManager(MemoryStore())
    assert PlainExchange(manager).session.user_id is None
    assert manager.revoke_user("ada") == 0
    assert warnings() == 0


def test_an_external_store_is_not_warned_of(tmp_path: Path, warnings: Callable[[], int]) -> None:
    with SessionManager(SQLiteStore(tmp_path / "sessions.db")) as manager:
        assert manager.all() == []
    assert warnings() == 0


def test_the_statistics_are_not_warned_of(warnings: Callable[[], int]) -> None:
    with SessionManager(MemoryStore()) as manager:
        manager.stats()
    assert warnings() == 0


def test_a_session_by_its_key_in_the_shell_of_django_is_warned_of(
    warnings: Callable[[], int],
) -> None:
    from lembro.integrations.django.engine import SessionStore  # noqa: PLC0415 - needs settings

    database()
    with running():
        assert SessionStore(new_id()).load() == {}
    assert warnings() == 1
