"""SQLAlchemyStore: its arguments, its tables, its engines, and a server that fails."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import sqlite3
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy import NullPool, create_engine, exc
from sqlalchemy.ext.asyncio import create_async_engine

from lembro import ConfigError, Record, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from lembro.stores import SQLAlchemyStore, from_url
from lembro.stores.external.backend import Busy, Dropped
from lembro.stores.sql.dialect import Statement
from lembro.stores.sql.other_dialects import mysql_dialect, sqlite_dialect
from lembro.stores.sql.schema import statements
from lembro.stores.sql.sqlalchemy_target import translate
from lembro.testing import Blocking
from tests.support.servers import mariadb as mariadb_server
from tests.support.servers import postgres as postgres_server
from tests.support.servers.databases import (
    DatabaseServer,
    connector_of,
    loop_connector_of,
    new_table,
)
from tests.support.servers.proxy import Proxy
from tests.unit.sql.test_postgres import free_in_a_child, lose_replies, lose_reply, seconds

LIVES: dict[str, Any] = {"idle": 1000.0, "life": 5000.0}
K, L = b"k" * 32, b"l" * 32
URL = "mysql://ana:secret@db/app"


def new_store(**options: Any) -> SQLAlchemyStore:
    url = mariadb_server.shared().url()
    return SQLAlchemyStore(url, **{"table": new_table(), "timeout": 10.0, **options})


@pytest.fixture(params=[mariadb_server, postgres_server], ids=["mariadb", "postgres"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return a server that the test may stop or kill."""
    server: DatabaseServer = request.param.for_faults()
    yield server
    server.restore()


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return a function that gives the sync or the async verbs as plain functions."""
    opened: list[Any] = []

    def verbs_of(store: SQLAlchemyStore) -> Any:
        opened.append(Blocking(lambda: store.aio) if request.param == "async" else store)
        return opened[-1]

    yield verbs_of
    for each in opened:
        each.close()


# -- arguments


@pytest.mark.parametrize("wrong", ["nonsense", "", None, 5, "mysql://ana:secret@db:x/app"])
def test_the_database_must_be_a_url_or_an_engine(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="needs a URL of SQLAlchemy, an Engine") as caught:
        SQLAlchemyStore(wrong)
    assert "secret" not in str(caught.value)


def test_other_databases_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"must be one of postgresql, .* got 'oracle'"):
        SQLAlchemyStore("oracle://ana@db/app")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (f"{URL}?table=s&timeout=0.5&max_connections=3&charset=utf8mb4", "mysql://db/app"),
        ("mariadb://ana:secret@db:99/app?ssl_ca=x.pem", "mariadb://db:99/app"),
        ("sqlalchemy+postgresql+asyncpg://ana:secret@db/app?ssl=true", "postgresql://db/app"),
        ("sqlalchemy+mysql+asyncmy://ana:secret@db/app", "mysql://db/app"),
        ("sqlalchemy+sqlite:///x.db?table=s", "sqlite:///x.db"),
    ],
)
def test_the_place_of_a_url_has_no_password(url: str, place: str) -> None:
    assert repr(from_url(url)) == f"<SQLAlchemyStore {place}>"


@pytest.mark.parametrize("url", [f"{URL}?tabel=s", "mariadb://db/app?tabel=s"])
def test_an_unknown_parameter_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match="has no parameter 'tabel'; did you mean table"):
        from_url(url)


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pymysql", None)
    with pytest.raises(ConfigError, match=r"pip install 'lembro\[sql\]'"):
        SQLAlchemyStore(URL)
    monkeypatch.setitem(__import__("sys").modules, "asyncmy", None)
    monkeypatch.undo()
    store = SQLAlchemyStore(URL)
    monkeypatch.setitem(__import__("sys").modules, "asyncmy", None)
    twin = Blocking(lambda: store.aio)
    with pytest.raises(ConfigError, match="this store needs asyncmy"):
        twin.get(K)
    twin.close()


# -- the tables


def test_workers_that_start_at_once_make_the_tables_once() -> None:
    mariadb_server.shared()
    table, errors = new_table(), []

    def start(number: int) -> None:
        try:
            with new_store(table=table, max_connections=1) as store:
                store.add(bytes([number]) * 32, Record(b"x"), **LIVES)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    with new_store(table=table) as store:
        assert store.length() == 8


def limited(rights: str, table: str) -> str:
    """Return the URL of a user with these rights on the tables, and none to make one."""
    server = mariadb_server.shared()
    server.execute("create user if not exists limited@'%' identified by 'limited'")
    server.execute("grant select on mysql.help_topic to limited@'%'")
    server.execute("grant usage on *.* to limited@'%'")
    for name in (table, f"{table}_locks"):
        if rights:
            server.execute(f"grant {rights} on test.{name} to limited@'%'")
    if not rights:  # it must be able to use the database at all
        server.execute("create table if not exists anything (n int)")
        server.execute("grant select on test.anything to limited@'%'")
    return server.url().replace("lembro:secret", "limited:limited")


def test_if_the_user_may_not_make_the_tables_the_error_names_the_command(colour: Any) -> None:
    table = new_table()
    verbs = colour(SQLAlchemyStore(limited("", table), table=table, timeout=5.0))
    for _ in range(2):
        with pytest.raises(ConfigError, match=f"lembro schema --dialect mysql --table {table}"):
            verbs.get(K)


def test_an_administrator_can_make_the_tables() -> None:
    table = new_table()
    for _ in range(2):  # the statements can be repeated
        for text in statements(mysql_dialect(table)):
            mariadb_server.shared().execute(text)
    rights = "select, insert, update, delete"
    with SQLAlchemyStore(limited(rights, table), table=table, timeout=10.0) as store:
        assert store.add(K, Record(b"one", "ana"), per_user=(1, "refuse"), **LIVES)
        assert store.destroy_user("ana") == [K]


def test_the_tables_of_another_schema() -> None:
    mariadb_server.shared().execute("create database if not exists other")
    table = f"other.{new_table()}"
    with new_store(table=table) as store:
        assert store.add(K, Record(b"one"), **LIVES)
    assert mariadb_server.shared().execute(f"select count(*) from {table}") == [(1,)]
    assert "from main.sqlite_master" in sqlite_dialect("main.sessions").exists


def test_a_user_id_that_is_too_long_is_refused_and_not_cut(colour: Any) -> None:
    verbs = colour(new_store())
    with pytest.raises(StoreError, match="Data too long"):
        verbs.add(K, Record(b"one", "x" * 1025), **LIVES)
    assert verbs.get(K) is None


# -- engines


def test_an_engine_of_the_application_stays_open_and_is_only_sync(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/x.db")
    store = SQLAlchemyStore(engine)
    assert store.aio is None
    assert store.add(K, Record(b"one"), **LIVES)
    store.close()
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("select count(*) from lembro_sessions").fetchall()
    assert [tuple(row) for row in rows] == [(1,)]
    assert store.stats().connections is not None
    assert store.stats().max_connections is None
    engine.dispose()


def test_the_connections_of_an_engine_without_a_pool_are_not_counted(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/x.db", poolclass=NullPool)
    assert SQLAlchemyStore(engine).stats().connections is None
    engine.dispose()


def test_an_async_engine_is_only_async(tmp_path: Path) -> None:
    async def use() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/x.db")
        store = SQLAlchemyStore(engine, timeout=5.0)
        assert store.sync is None
        aio = store.aio
        assert aio is not None
        assert await aio.add(K, Record(b"one"), **LIVES)
        await aio.close()
        assert await aio.get(K) is not None  # it connects again
        connector = await loop_connector_of(aio)
        connector.discard()  # the engine of the application stays
        assert await aio.get(K) is not None
        await engine.dispose()

    asyncio.run(use())


def work(store: SQLAlchemyStore, number: int) -> None:
    for step in range(30):
        key = bytes([number, step]) * 16
        assert store.add(key, Record(key), **LIVES)
        found = store.get(key)
        assert found is not None
        assert found.payload == key


@pytest.mark.parametrize("given", ["url", "engine"])
def test_forked_children_have_their_own_connections(given: str) -> None:
    url: Any = mariadb_server.shared().url("mysql+pymysql")
    database = create_engine(url) if given == "engine" else url
    store = SQLAlchemyStore(database, table=new_table(), timeout=10.0)
    work(store, 0)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=work, args=(store, n)) for n in range(1, 4)]
    for child in children:
        child.start()
    work(store, 4)
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert store.length() == 150
    store.close()
    if given == "engine":
        database.dispose()


def server_process() -> Any:
    """Return the number of a connection on the server. This is a verb."""
    [(number,)] = yield Statement("select connection_id()", rows=True), {}
    return number


def test_a_forked_child_that_frees_a_store_keeps_the_connections_of_its_parent_open() -> None:
    backend = new_store(max_connections=1)._shared.backend
    assert backend.connector is not None
    held = [backend.connector()]
    number = held[0].run(server_process, reads=True)
    free_in_a_child(held)
    assert held[0].run(server_process, reads=True) == number
    held[0].close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the driver cannot close without its loop
def test_connections_of_a_loop_that_has_ended_are_dropped() -> None:
    async def use() -> None:
        aio = store.aio
        assert aio is not None
        assert await aio.get(K) is None

    store = new_store()
    asyncio.run(use())
    store.close()
    gc.collect()
    asyncio.run(use())
    store.close()
    gc.collect()


def test_all_connections_in_use_is_busy() -> None:
    with new_store(timeout=0.2, max_connections=1) as store:
        store.add(K, Record(b"one"), **LIVES)
        connector = connector_of(store)
        with connector._connect(), pytest.raises(Busy, match="all connections"):
            store.get(K)
        assert store.get(K) is not None
        with connector._connect():
            assert store._shared.stats_of(None).connections == 1
        assert (store.stats().connections, store.stats().max_connections) == (0, 1)


def test_a_table_that_is_dropped_during_use_is_made_again(colour: Any) -> None:
    table = new_table()
    verbs = colour(new_store(table=table))
    verbs.add(K, Record(b"one"), **LIVES)
    mariadb_server.shared().execute(f"drop table {table}")
    with pytest.raises(StoreError, match="doesn't exist"):
        verbs.get(K)
    assert verbs.get(K) is None


# -- a server that fails


def wait_until_it_works(call: Any) -> float:
    begun = time.monotonic()
    while (error := seconds(call)[1]) is not None:
        assert time.monotonic() - begun < 10, error
        time.sleep(0.01)
    return time.monotonic() - begun


def test_a_server_that_hangs_is_unavailable_within_the_deadline(server: Any, colour: Any) -> None:
    verbs = colour(SQLAlchemyStore(server.url(), table=new_table()))
    verbs.add(K, Record(b"one"), **LIVES)
    server.freeze()
    took, error = seconds(lambda: verbs.get(K))
    assert isinstance(error, StoreUnavailable)
    assert "did not answer within 0.2 s" in str(error)
    assert took < 0.35
    took, error = seconds(lambda: verbs.get(K))
    assert isinstance(error, StoreUnavailable)
    assert took < 0.05
    server.thaw()
    assert wait_until_it_works(lambda: verbs.get(K)) < 4


def test_a_server_that_hangs_when_the_application_starts(server: Any, colour: Any) -> None:
    verbs = colour(SQLAlchemyStore(server.url(), table=new_table()))
    server.freeze()
    took, error = seconds(lambda: verbs.get(K))
    assert isinstance(error, StoreUnavailable)
    assert took < 5.5
    server.thaw()


def test_a_killed_server_fails_fast_and_is_used_again(server: Any, colour: Any) -> None:
    verbs = colour(SQLAlchemyStore(server.url(), table=new_table()))
    verbs.add(K, Record(b"one"), **LIVES)
    server.stop()
    took, error = seconds(lambda: verbs.get(K))
    assert isinstance(error, StoreUnavailable)
    assert took < 0.5
    server.start()
    wait_until_it_works(lambda: verbs.get(K))
    assert verbs.get(K).payload == b"one"


def test_no_verb_fails_because_of_connections_from_before_a_restart(
    server: Any, colour: Any
) -> None:
    verbs = colour(SQLAlchemyStore(server.url(), table=new_table(), timeout=5.0))
    verbs.add(K, Record(b"one"), **LIVES)
    server.restart()
    assert verbs.get(K).payload == b"one"
    assert verbs.set(K, Record(b"two"), expected=b"one", idle=9.0).payload == b"two"


def test_a_reply_that_is_lost_loses_no_login_and_writes_nothing_twice(colour: Any) -> None:
    port = mariadb_server.shared().port
    with Proxy(port) as proxy:
        url = mariadb_server.shared().url().replace(str(port), str(proxy.port))
        store = SQLAlchemyStore(url, table=new_table(), timeout=10.0, max_connections=1)
        verbs = colour(store)
        verbs.get(K)
        for after in range(12):
            lose_replies(verbs, partial(lose_reply, proxy, after), after)
        assert proxy.lost > 20
        assert store.length() == 0


def test_a_row_that_others_lock_is_busy_and_can_be_read(colour: Any) -> None:
    # The server gives up after a second, so the client must wait longer on a busy machine.
    table = new_table()
    verbs = colour(new_store(table=table, timeout=3.0))
    verbs.add(K, Record(b"one", "ana"), **LIVES)
    other = mariadb_server.shared().connect()
    cursor = other.cursor()
    cursor.execute("begin")
    cursor.execute(f"select * from {table} for update")
    with pytest.raises(Busy):
        verbs.set(K, Record(b"two"), expected=b"one", idle=9.0)
    with pytest.raises(Busy):
        verbs.destroy_user("ana")
    assert verbs.get(K).payload == b"one"  # the breaker stays closed
    hasty = colour(new_store(table=table, timeout=0.3))
    assert hasty.get(K) is not None
    threading.Timer(0.6, other.close).start()
    hasty.clear()  # which may take longer than a request
    assert verbs.get(K) is None
    cursor.close()


def test_a_server_that_accepts_no_writes_is_read_only(colour: Any) -> None:
    table, own_mariadb = new_table(), mariadb_server.for_faults()
    with SQLAlchemyStore(own_mariadb.url(), table=table, timeout=5.0) as store:
        store.add(K, Record(b"one"), **LIVES)
    own_mariadb.execute("create user if not exists plain@'%' identified by 'plain'")
    own_mariadb.execute("grant all on test.* to plain@'%'")
    own_mariadb.execute("set global read_only = 1")
    try:
        url = own_mariadb.url().replace("lembro:secret", "plain:plain")
        verbs = colour(SQLAlchemyStore(url, table=table, timeout=5.0))
        with pytest.raises(StoreReadOnly, match="read-only"):
            verbs.set(K, Record(b"two"), expected=b"one", idle=9.0)
        assert verbs.get(K).payload == b"one"
        with pytest.raises(StoreReadOnly, match="read-only"):  # while it makes the tables
            colour(SQLAlchemyStore(url, table=new_table(), timeout=5.0)).get(K)
    finally:
        own_mariadb.execute("set global read_only = 0")
    assert verbs.set(K, Record(b"two"), expected=b"one", idle=9.0).payload == b"two"


def test_a_locked_sqlite_file_is_busy(tmp_path: Path, colour: Any) -> None:
    verbs = colour(SQLAlchemyStore(f"sqlite:///{tmp_path}/x.db", timeout=1.0))
    verbs.add(K, Record(b"one"), **LIVES)
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(Busy):
        verbs.add(L, Record(b"two"), **LIVES)
    other.execute("rollback")
    other.close()
    assert verbs.add(L, Record(b"two"), **LIVES)


def error_of(orig: BaseException, *, invalidated: bool = False) -> exc.DBAPIError:
    return exc.OperationalError("select 1", {}, orig, connection_invalidated=invalidated)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (error_of(pymysql.err.OperationalError(1205, "waited")), Busy),
        (error_of(pymysql.err.OperationalError(1114, "full")), StoreFull),
        (error_of(pymysql.err.OperationalError(4321, "odd")), StoreError),
        (error_of(pymysql.err.OperationalError(2013, "lost"), invalidated=True), Dropped),
        (error_of(Exception("odd")), StoreError),
        (exc.TimeoutError(), Busy),
        (TimeoutError(), StoreUnavailable),
        (ConnectionRefusedError("refused"), StoreUnavailable),
        (OSError("no such host"), StoreError),
    ],
)
def test_errors_have_types(error: Exception, kind: type[StoreError]) -> None:
    assert type(translate(error, "mysql://db/app")) is kind


def test_a_bug_is_not_translated() -> None:
    assert translate(ValueError("a bug"), "mysql://db/app") is None


def test_a_verb_that_a_deadlock_has_ended_is_performed_again(
    colour: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store()
    verbs = colour(store)
    verbs.add(K, Record(b"one", "ana"), **LIVES)
    deadlock = error_of(pymysql.err.OperationalError(1213, "Deadlock found"))
    of_user, errors = store._verbs.of_user, [deadlock]

    def ended(user: str) -> Any:
        if errors:
            raise errors.pop()
        return (yield from of_user(user))

    monkeypatch.setattr(store._verbs, "of_user", ended)
    assert [key for key, _ in verbs.of_user("ana")] == [K]
    errors += [deadlock] * 3
    with pytest.raises(Busy, match="Deadlock found"):
        verbs.of_user("ana")


def test_an_error_of_lembro_in_a_verb_rolls_back(
    tmp_path: Path, colour: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(user: str) -> Any:
        yield Statement("begin immediate"), {}
        raise ValueError("a bug")

    store = SQLAlchemyStore(f"sqlite:///{tmp_path}/x.db", timeout=5.0)
    verbs = colour(store)
    monkeypatch.setattr(store._verbs, "of_user", broken)
    with pytest.raises(ValueError, match="a bug"):
        verbs.of_user("ana")
    assert verbs.add(K, Record(b"one"), **LIVES)


def test_a_url_may_name_another_driver() -> None:
    url = postgres_server.shared().url().replace("postgresql:", "postgresql+asyncpg:")
    store = SQLAlchemyStore(url, table=new_table(), timeout=10.0)
    twin = Blocking(lambda: store.aio)
    assert twin.add(K, Record(b"one"), **LIVES)
    assert twin.get(K).payload == b"one"
    twin.close()


def test_a_row_that_breaks_another_rule_is_an_error(
    tmp_path: Path, colour: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(user: str) -> Any:
        yield Statement("begin immediate"), {}
        yield Statement("insert into lembro_sessions (skey) values (:key)"), {"key": K}

    store = SQLAlchemyStore(f"sqlite:///{tmp_path}/x.db", timeout=5.0)
    verbs = colour(store)
    monkeypatch.setattr(store._verbs, "of_user", broken)
    with pytest.raises(StoreError, match="NOT NULL"):
        verbs.of_user("ana")
    assert verbs.add(K, Record(b"one"), **LIVES)  # it was rolled back
