"""51 and 52. The disk is full, or the file became read-only.

Each failure has its own error type. A login fails visibly, reads succeed, and nothing is lost.
Failure 50 covers the locked file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from lembro import Record, StoreError, StoreFull, StoreReadOnly
from lembro.stores.sql import sqlite_connector
from lembro.testing import Blocking
from tests.support.stores import SQLiteBackend
from tests.support.visits import Visit, World, write
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio

FAULTS: dict[str, tuple[str, str, type[StoreError]]] = {
    # SQLite reports its own limit like a full disk. It never sets the limit below the file's size.
    "full": ("max_page_count = 1", "max_page_count = 1000000", StoreFull),
    "read-only": ("query_only = 1", "query_only = 0", StoreReadOnly),
}


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that begins the fault, or ends it, and the error that it causes."""
    begin, end, error = FAULTS[request.param]
    pragma, perform = [end], sqlite_connector.perform

    def faulty(connection: sqlite3.Connection, steps: Any, setup: Any = None) -> Any:
        connection.execute(f"pragma {pragma[0]}")
        return perform(connection, steps, setup)

    monkeypatch.setattr(sqlite_connector, "perform", faulty)

    def switch(*, on: bool) -> None:
        pragma[0] = begin if on else end

    return switch, error


Fault = tuple[Callable[..., None], type[StoreError]]


async def test_requests_fail_visibly_and_lose_nothing(build: Build, fault: Fault) -> None:
    world: World = build(store={"max_size": None})
    switch, _ = fault
    known, new = world.tab(), world.tab()
    await known.login("ada")
    await known.write(a=1)
    cookie = known.cookie
    switch(on=True)
    large = "x" * 100_000

    def login_with_much(visit: Visit) -> None:
        visit.session["cart"] = large
        visit.session.login("bob")

    for tab, script in ((known, write(a=large)), (new, write(a=large)), (new, login_with_much)):
        answer = await tab.visit(script)
        assert (answer.status, answer.set_cookies, answer.error) == (503, [], None)
    assert await known.read() == {"a": 1}
    switch(on=False)
    assert known.cookie == cookie
    assert await known.user() == "ada"
    assert (await known.write(a=large)).status == 200
    world.backend.check()


@pytest.mark.parametrize("kind_of_verbs", ["sync", "async"])
def test_each_write_raises_the_error_of_the_failure(fault: Fault, kind_of_verbs: str) -> None:
    switch, error = fault
    backend = SQLiteBackend(max_size=None)
    verbs: Any = backend.file if kind_of_verbs == "sync" else Blocking(lambda: backend.file.aio)
    lives = {"idle": 1000.0, "life": 1000.0}
    key, other, large = b"k" * 32, b"l" * 32, Record(b"x" * 100_000)
    verbs.add(key, Record(b"one"), **lives)
    switch(on=True)
    writes: list[Callable[[], Any]] = [
        lambda: verbs.add(other, large, **lives),
        lambda: verbs.set(key, large, expected=b"one", idle=1000.0),
        lambda: verbs.replace(key, other, large, expected=b"one", idle=10.0, life=None, grace=9.0),
    ]
    for call in writes:
        with pytest.raises(error):
            call()
        assert verbs.get(key).payload == b"one"
        assert verbs.get(other) is None
    switch(on=False)
    assert verbs.set(key, large, expected=b"one", idle=1000.0).payload == large.payload
    verbs.close()
    backend.check()
    backend.close()
