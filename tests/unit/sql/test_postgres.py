"""PostgresStore: its arguments, its tables, its connections, and a server that fails."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from weakref import ref

import psycopg
import pytest

from lembro import ConfigError, Record, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from lembro.stores import PostgresStore, from_url
from lembro.stores.external.backend import Busy, Dropped
from lembro.stores.sql import psycopg_connections, psycopg_connector, psycopg_target
from lembro.stores.sql.dialect import Statement
from lembro.stores.sql.postgres_verbs import dialect
from lembro.stores.sql.psycopg_target import translate
from lembro.stores.sql.schema import script
from lembro.testing import Blocking, FakeClock
from tests.support.servers.databases import connector_of, loop_connector_of, new_table
from tests.support.servers.postgres import PostgresServer, for_faults, new_store, shared
from tests.support.servers.proxy import Proxy

LIVES: dict[str, Any] = {"idle": 1000.0, "life": 5000.0}
K, L = b"k" * 32, b"l" * 32
URL = "postgresql://ana:secret@db/app"


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """Return a server that the test may stop or kill."""
    server = for_faults()
    yield server
    server.restore()


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return a function that gives the sync or the async verbs as plain functions."""
    opened: list[Any] = []

    def verbs_of(store: PostgresStore) -> Any:
        opened.append(Blocking(lambda: store.aio) if request.param == "async" else store)
        return opened[-1]

    yield verbs_of
    for each in opened:
        each.close()


def seconds(call: Any) -> tuple[float, BaseException | None]:
    """Return how long a call took, and what it raised."""
    begun = time.monotonic()
    try:
        call()
    except StoreError as error:
        return time.monotonic() - begun, error
    return time.monotonic() - begun, None


# -- arguments


@pytest.mark.parametrize("wrong", ["", "Sessions", "a.b.c", "x; drop table y", None, 'a"b'])
def test_the_table_must_be_a_name(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="table must be a name of small letters"):
        PostgresStore(URL, table=wrong)


@pytest.mark.parametrize("wrong", [0, 1001, True, "10", None])
def test_the_number_of_connections_must_be_sensible(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="max_connections must be an integer from 1 to 1000"):
        PostgresStore(URL, max_connections=wrong)


@pytest.mark.parametrize(
    "wrong", ["postgresql://ana:secret@[db/app", "host", "nonsense", "", 5, None]
)
def test_a_url_that_cannot_be_read_is_an_error_without_the_password(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="URL of the PostgreSQL database cannot be") as caught:
        PostgresStore(wrong)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (URL, "postgresql://db/app"),
        ("postgresql:///app?host=/run/db", "postgresql:///run/db/app"),
        ("postgresql://ana:secret@a:1,b:2/app", "postgresql://a:1,b:2/app"),
        ("postgresql://a,b:5/app", "postgresql://a,b:5/app"),
        ("postgresql:///app", "postgresql://localhost/app"),
        ("host=db dbname=app password=secret", "postgresql://db/app"),
    ],
)
def test_the_name_of_the_database_has_no_password(url: str, place: str) -> None:
    assert repr(PostgresStore(url)) == f"<PostgresStore {place}>"


def test_a_url_has_parameters_of_lembro_and_of_libpq() -> None:
    store = from_url(
        f"{URL}?table=app.s&max_session_size=4K&max_connections=3&timeout=0.5&interval=60"
        "&pgbouncer=true&sslmode=require&options=-c%20search_path%3Dx"
    )
    assert isinstance(store, PostgresStore)
    assert store.max_session_size == 4096
    connector: Any = store._shared.backend.connector()  # type: ignore[misc]
    keywords = connector._pool.kwargs
    assert keywords["sslmode"] == "require"
    assert keywords["options"] == "-c search_path=x"
    assert keywords["prepare_threshold"] is None
    assert (connector._pool.max_size, connector._target.timeout) == (3, 0.5)
    assert connector._target.dialect.table == "app.s"


def test_a_url_with_the_short_scheme_of_hosting_providers() -> None:
    store = from_url("postgres://me:secret@h:1/app?timeout=0.5")
    assert repr(store) == "<PostgresStore postgresql://h:1/app>"
    with pytest.raises(ConfigError) as caught:
        from_url("postgrse://h/app")
    assert str(caught.value).count("postgresql://user:password@localhost/database") == 1


def test_a_url_may_name_a_socket() -> None:
    assert repr(from_url("postgresql:///app?host=/run/db")).endswith("postgresql:///run/db/app>")


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(ConfigError, match="no parameter 'sslmod'"):
        from_url(f"{URL}?sslmod=require")
    with pytest.raises(
        ConfigError, match="'timeout' of a postgresql: URL must be a number, got 'x'"
    ):
        from_url(f"{URL}?timeout=x")


# -- the tables


def test_workers_that_start_at_once_make_the_table_once() -> None:
    table, errors = new_table(), []

    def start() -> None:
        try:
            with new_store(table=table, max_connections=1) as store:
                store.add(threading.current_thread().name.encode().ljust(32), Record(b"x"), **LIVES)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    with new_store(table=table) as store:
        assert store.length() == 8


def limited(table: str, rights: str) -> str:
    """Return the URL of a role with these rights on the table, and none to make one."""
    server = shared()
    if not server.execute("select 1 from pg_roles where rolname = 'limited'"):
        server.execute("create role limited login password 'limited'")
        server.execute("revoke create on schema public from public")
    if rights:
        server.execute(f"grant {rights} on {table} to limited")
    return server.url().replace("lembro:secret", "limited:limited")


def test_if_the_role_may_not_make_the_table_the_error_names_the_command(colour: Any) -> None:
    table = new_table()
    store = PostgresStore(limited(table, ""), table=table)
    for _ in range(2):
        with pytest.raises(
            ConfigError, match=f"lembro schema --dialect postgresql --table {table}"
        ):
            colour(store).get(K)


def test_an_administrator_can_make_the_table() -> None:
    table, server = new_table(), shared()
    for _ in range(2):  # the statements can be repeated
        server.execute(script(dialect(table)))
    rights = "select, insert, update, delete"
    with PostgresStore(limited(table, rights), table=table, timeout=10.0) as store:
        assert store.add(K, Record(b"one", "ana"), **LIVES)
        assert store.destroy_user("ana") == [K]


def test_a_table_may_be_in_a_schema() -> None:
    shared().execute("create schema if not exists other")
    table = f"other.{new_table()}"
    with new_store(table=table) as store:
        assert store.add(K, Record(b"one"), **LIVES)
    assert shared().execute(f"select count(*) from {table}") == [(1,)]


def test_a_table_that_is_dropped_during_use_is_made_again(colour: Any) -> None:
    """A development server may restart with an empty database."""
    table = new_table()
    verbs = colour(new_store(table=table, max_connections=1))
    verbs.add(K, Record(b"one"), **LIVES)
    shared().execute(f"drop table {table}")
    with pytest.raises(StoreError, match="does not exist"):
        verbs.stats()
    assert verbs.get(K) is None
    assert verbs.add(K, Record(b"one"), **LIVES)


def test_a_transaction_that_fails_is_rolled_back_and_its_error_quotes_no_session(
    colour: Any,
) -> None:
    table = new_table()
    store = new_store(table=table, max_connections=1)
    verbs = colour(store)
    verbs.add(K, Record(b"one"), **LIVES)
    shared().execute(f"alter table {table} add check (length(payload) < 5)")
    with pytest.raises(StoreError, match="violates check constraint") as caught:
        verbs.add(L, Record(b"secret", "ana"), per_user=(1, "oldest"), **LIVES)
    assert b"secret".hex() not in str(caught.value)
    assert verbs.get(L) is None
    assert verbs.get(K).payload == b"one"


def test_a_table_with_other_columns_is_a_config_error() -> None:
    table = new_table()
    shared().execute(f"create table {table} (id integer)")
    with pytest.raises(ConfigError, match='"skey" does not exist'):
        new_store(table=table).open()


def test_a_use_of_a_session_changes_no_index() -> None:
    with new_store() as store:
        store.add(K, Record(b"0"), **LIVES)
        table = store._verbs.statements.dialect.table  # type: ignore[attr-defined]
        for number in range(50):
            store.set(K, Record(b"%d" % (number + 1)), expected=b"%d" % number, idle=1000.0)
    updates = hot = 0
    query = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = "
    for _ in range(100):
        shared().execute("select pg_stat_force_next_flush()")
        [(updates, hot)] = shared().execute(f"{query}'{table}'")
        if updates == 50:
            break
        time.sleep(0.05)
    assert updates == 50
    assert hot >= 45  # unless the step of five minutes ends just now


def test_the_purger_finds_expired_sessions_by_the_index() -> None:
    with new_store() as store:
        store.open()
        text = store._verbs.statements.purge.text  # type: ignore[attr-defined]
    with psycopg.connect(shared().url()) as connection:
        connection.execute("set enable_seqscan = off")
        plan = connection.execute(f"explain {text.replace(':count', '10')}".encode()).fetchall()
    assert any("_sweep" in line for (line,) in plan)


def test_the_times_are_those_of_the_databases_clock() -> None:
    with new_store() as store:
        store.add(K, Record(b"one"), idle=1000.0, life=float("inf"))
        found = store.get(K)
        assert found is not None
        assert 999 < found.idle_left <= 1000
        assert found.life_left == float("inf")


def test_expired_sessions_are_removed_in_steps() -> None:
    clock = FakeClock()
    with new_store(clock=clock) as store:
        for number in range(30):
            store.add(bytes([number]) * 32, Record(b"x"), idle=10.0, life=10.0)
        clock.advance(11)
        assert store.purge(10) == 10
        assert store.purge() == 20
        assert store.purge() == 0


def test_statistics_are_estimates() -> None:
    with new_store() as store:
        store.add(K, Record(b"one"), **LIVES)
        assert store.stats().sessions == 1
        table = store._verbs.statements.dialect.table  # type: ignore[attr-defined]
        store.add(L, Record(b"two"), **LIVES)
        shared().execute(f"analyze {table}")
        stats = store.stats()
        assert (stats.available, stats.sessions, stats.evicted) == (True, 2, 0)
        assert stats.used is not None
        assert stats.used > 8192
        assert (stats.connections, stats.max_connections) == (0, 10)


# -- connections


def test_sync_and_async_code_use_the_same_sessions() -> None:
    store = new_store()
    store.add(K, Record(b"one"), **LIVES)

    async def use() -> None:
        aio = store.aio
        assert aio is not None
        found = await aio.get(K)
        assert found is not None
        assert await aio.add(L, Record(b"two"), **LIVES)
        assert store.get(L) is not None
        await aio.close()

    asyncio.run(use())
    asyncio.run(use_again(store))


async def use_again(store: PostgresStore) -> None:
    aio = store.aio
    assert aio is not None
    assert await aio.get(L) is not None
    await aio.close()


def connections_of(name: str) -> int:
    query, count = f"select count(*) from pg_stat_activity where application_name = '{name}'", 1
    for _ in range(100):
        [(count,)] = shared().execute(query)
        if not count:
            break
        time.sleep(0.02)
    return int(count)


async def get_once(store: PostgresStore) -> None:
    aio = store.aio
    assert aio is not None
    await aio.get(K)


def test_a_store_that_nobody_closes_is_collected_with_its_connections() -> None:
    store = PostgresStore(shared().url(application_name="forgotten"), table=new_table())
    store.get(K)
    asyncio.run(get_once(store))
    held = ref(store)
    del store
    gc.collect()
    assert held() is None
    assert connections_of("forgotten") == 0


def test_closing_closes_the_connections_of_loops_that_have_ended() -> None:
    store = PostgresStore(shared().url(application_name="ended"), table=new_table())
    with asyncio.Runner() as runner:
        runner.run(get_once(store))
        store.close()
        assert connections_of("ended") == 0


def table_of(store: PostgresStore) -> str:
    table: str = store._verbs.statements.dialect.table  # type: ignore[attr-defined]
    return table


def test_all_connections_in_use_is_busy_and_leaves_the_breaker_closed() -> None:
    with new_store(timeout=0.1, max_connections=1) as store:
        store.add(K, Record(b"one"), **LIVES)
        connector = connector_of(store)
        connection = connector._take()
        with pytest.raises(StoreUnavailable, match="all connections of this process are in use"):
            store.get(K)
        connector._give_back(connection)
        assert store.get(K) is not None


def test_tasks_wait_for_a_connection() -> None:
    async def use() -> None:
        aio = store.aio
        assert aio is not None
        await aio.add(K, Record(b"one"), **LIVES)
        assert all(await asyncio.gather(*(aio.get(K) for _ in range(30))))
        connector = await loop_connector_of(aio)
        connection = await connector._take()
        connector._target.timeout = 0.1
        with pytest.raises(StoreUnavailable, match="all connections of this process are in use"):
            await aio.get(K)
        await connector._give_back(connection)
        connector._target.timeout = 10.0
        assert await aio.get(K) is not None
        await aio.close()

    store = new_store(max_connections=1)
    asyncio.run(use())
    store.close()


def fork(store: PostgresStore, number: int) -> None:
    for step in range(50):
        key = bytes([number, step]) * 16
        assert store.add(key, Record(key), **LIVES)
        found = store.get(key)
        assert found is not None
        assert found.payload == key


def test_forked_children_have_their_own_connections() -> None:
    """54. Fork with open sockets: no reply crosses over to another process."""
    store = new_store()
    fork(store, 0)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=fork, args=(store, n)) for n in range(1, 4)]
    for child in children:
        child.start()
    fork(store, 4)
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert store.length() == 250
    store.close()


def server_process() -> Any:
    """Return the process of the server that serves a connection. This is a verb."""
    [(pid,)] = yield Statement("select pg_backend_pid()", rows=True), {}
    return pid


def test_a_forked_child_that_frees_a_store_keeps_the_connections_of_its_parent_open() -> None:
    backend = new_store(max_connections=1)._shared.backend
    assert backend.connector is not None
    held = [backend.connector()]
    held[0].open()
    pid = held[0].run(server_process, reads=True)
    free_in_a_child(held)
    assert held[0].run(server_process, reads=True) == pid
    held[0].close()


def test_a_forked_child_that_frees_a_store_keeps_connections_of_the_loop_open() -> None:
    async def use() -> None:
        backend = new_store(max_connections=1)._shared.backend
        assert backend.async_connector is not None
        held = [backend.async_connector()]
        await held[0].open()
        pid = await held[0].run(server_process, reads=True)
        free_in_a_child(held)
        assert await held[0].run(server_process, reads=True) == pid
        await held[0].close()

    asyncio.run(use())


def free_in_a_child(held: list[Any]) -> None:
    def free() -> None:
        held.clear()
        gc.collect()

    child = multiprocessing.get_context("fork").Process(target=free)
    child.start()
    child.join(60)
    assert child.exitcode == 0


def test_behind_a_pooler_the_server_remembers_nothing() -> None:
    with new_store(pgbouncer=True, max_connections=1) as store:
        store.add(K, Record(b"one"), **LIVES)
        for _ in range(20):
            store.get(K)
        connector = connector_of(store)
        connection = connector._take()
        rows = connection.execute("select count(*) from pg_prepared_statements").fetchall()
        assert rows == [(0,)]
        assert connection.execute("show lock_timeout").fetchall() == [("0",)]
        connector._give_back(connection)


def test_the_server_ends_what_a_worker_has_left() -> None:
    with new_store(timeout=0.2, max_connections=1) as store:
        store.open()
        connector = connector_of(store)
        connection = connector._take()
        names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        shown = [connection.execute(f"show {name}").fetchone()[0] for name in names]
        assert shown == ["140ms", "180ms", "1s"]
        connector._give_back(connection)


# -- a server that fails


def lose_reply(proxy: Proxy, after: int) -> None:
    """Lose one of the next replies: the first, if ``after`` is 0."""
    proxy.replies_before, proxy.lose_reply = after, True


def lose_replies(verbs: Any, cut: Callable[[], None], number: int) -> None:
    """Perform each verb once, on a connection that is cut meanwhile."""
    cap, user = {"per_user": (1, "refuse")}, f"user {number}"
    key, new = (bytes([n, number]) * 16 for n in (1, 2))
    cut()
    assert verbs.add(key, Record(b"one", user), **cap, **LIVES)
    cut()
    found = verbs.set(key, Record(b"two"), expected=b"one", idle=9.0)
    assert found.payload == b"two"
    cut()
    rotate = {"expected": b"two", "idle": 9.0, "life": None, "grace": 5.0, **cap}
    found = verbs.replace(key, new, Record(b"three", user), **rotate)
    assert found.payload == b"three"
    cut()
    assert verbs.touch(new, idle=20.0)
    cut()
    assert [each.payload for _, each in verbs.of_user(user)] == [b"three"]
    cut()
    verbs.destroy(new)
    assert verbs.get(new) is None
    cut()
    verbs.destroy_user(user)
    assert verbs.get(key) is None


def test_a_reply_that_is_lost_loses_no_login_and_writes_nothing_twice(colour: Any) -> None:
    """Each verb is repeated on another connection, wherever the first one was cut."""
    with Proxy(shared().port) as proxy:
        url = shared().url().replace(str(shared().port), str(proxy.port))
        store = PostgresStore(url, table=new_table(), timeout=10.0, max_connections=1)
        verbs = colour(store)
        verbs.get(K)
        for after in range(12):
            lose_replies(verbs, partial(lose_reply, proxy, after), after)
        assert proxy.lost > 20
        assert store.length() == 0


def test_a_server_that_hangs_is_unavailable_within_the_deadline(
    server: PostgresServer, colour: Any
) -> None:
    """50. Backend down: a verb fails within its deadline, the next ones fail at once."""
    store = PostgresStore(server.url(), table=new_table())
    verbs = colour(store)
    verbs.add(K, Record(b"one"), **LIVES)
    server.freeze()
    took, error = seconds(lambda: verbs.get(K))
    assert isinstance(error, StoreUnavailable)
    assert "did not answer within 0.2 s" in str(error)
    assert took < 0.3
    took, error = seconds(lambda: verbs.set(K, Record(b"two"), expected=b"one", idle=9.0))
    assert isinstance(error, StoreUnavailable)
    assert took < 0.05
    assert verbs.stats().available is False
    server.thaw()
    begun = time.monotonic()
    while seconds(lambda: verbs.get(K))[1] is not None:
        assert time.monotonic() - begun < 5
        time.sleep(0.01)
    assert time.monotonic() - begun < 2  # one second, on a machine that is not busy


def test_a_server_that_hangs_when_the_application_starts(
    server: PostgresServer, colour: Any
) -> None:
    store = PostgresStore(server.url(), table=new_table())
    verbs = colour(store)
    server.freeze()
    took, error = seconds(lambda: verbs.get(K))
    assert isinstance(error, StoreUnavailable)
    assert took < psycopg_target.CONNECT + 1
    took, error = seconds(lambda: verbs.get(K))
    assert isinstance(error, StoreUnavailable)
    assert took < 0.05


def test_a_killed_server_fails_fast_and_is_used_again_after_its_start(
    server: PostgresServer, colour: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = PostgresStore(server.url(), table=new_table())
    verbs = colour(store)
    verbs.add(K, Record(b"one"), **LIVES)
    server.stop()
    took, error = seconds(lambda: verbs.get(K))
    assert isinstance(error, StoreUnavailable)
    assert took < 0.3
    time.sleep(1.2)  # two probes
    lines = [record for record in caplog.records if "psycopg" in record.name]
    assert lines == []  # the breaker says it once
    server.start()
    begun = time.monotonic()
    while (failed := seconds(lambda: verbs.get(K))[1]) is not None:
        assert time.monotonic() - begun < 5, failed
        time.sleep(0.01)
    assert time.monotonic() - begun < 2
    assert verbs.get(K).payload == b"one"


def test_no_verb_fails_because_of_connections_from_before_a_restart(
    server: PostgresServer, colour: Any
) -> None:
    store = PostgresStore(server.url(), table=new_table(), timeout=5.0)
    verbs = colour(store)
    verbs.add(K, Record(b"one"), **LIVES)
    server.restart()
    assert verbs.get(K).payload == b"one"
    assert verbs.set(K, Record(b"two"), expected=b"one", idle=9.0).payload == b"two"


def test_a_loop_ends_while_its_pool_connects(server: PostgresServer) -> None:
    """psycopg's pool alone would keep ``asyncio.run`` waiting forever."""

    async def use() -> None:
        aio = store.aio
        assert aio is not None
        with pytest.raises(StoreUnavailable):
            await aio.get(K)

    store = PostgresStore(server.url(), table=new_table())
    server.freeze()
    begun = time.monotonic()
    asyncio.run(use())
    assert time.monotonic() - begun < 10
    store.close()


def test_a_failed_task_of_the_pool_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Job:
        async def run(self) -> None:
            raise ValueError("odd")

    async def use() -> None:
        jobs: asyncio.Queue[Any] = asyncio.Queue()
        jobs.put_nowait(Job())
        task = asyncio.ensure_future(psycopg_connections.LoopPool.worker(jobs))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(use())
    assert "failed: odd" in caplog.text


def test_a_wrong_password_is_unavailable_and_named(server: PostgresServer, colour: Any) -> None:
    server.execute("drop role if exists other")
    server.execute("create role other login password 'right'")
    store = PostgresStore(server.url().replace("lembro:secret", "other:wrong"))
    with pytest.raises(StoreUnavailable, match="password authentication failed") as caught:
        colour(store).get(K)
    assert "wrong" not in str(caught.value)


def test_a_server_that_accepts_no_writes_is_read_only(server: PostgresServer, colour: Any) -> None:
    """51. Backend read-only: a write fails visibly, reads succeed."""
    table, database = new_table(), server.new_database()
    with PostgresStore(server.url(database), table=table) as store:
        store.add(K, Record(b"one"), **LIVES)
    server.execute(f"alter database {database} set default_transaction_read_only = on")
    verbs = colour(PostgresStore(server.url(database), table=table))
    for _ in range(3):
        with pytest.raises(StoreReadOnly, match="read-only transaction"):
            verbs.set(K, Record(b"two"), expected=b"one", idle=9.0)
        assert verbs.get(K).payload == b"one"
    with pytest.raises(StoreReadOnly):
        verbs.add(L, Record(b"two", "ana"), per_user=(1, "oldest"), **LIVES)
    server.execute(f"alter database {database} reset default_transaction_read_only")
    for _ in range(100):  # once all earlier connections are closed
        try:
            assert verbs.set(K, Record(b"two"), expected=b"one", idle=9.0).payload == b"two"
            break
        except StoreReadOnly:
            pass
    else:
        raise AssertionError("still read-only")


def test_a_row_that_others_lock_is_busy_and_can_be_read(colour: Any) -> None:
    store = new_store(timeout=0.2)
    verbs = colour(store)
    verbs.add(K, Record(b"one"), **LIVES)
    with psycopg.connect(shared().url()) as other:
        other.execute(f"select 1 from {table_of(store)} for update".encode())
        took, error = seconds(lambda: verbs.set(K, Record(b"two"), expected=b"one", idle=9.0))
        assert isinstance(error, Busy)
        assert took < 0.3
        assert verbs.get(K).payload == b"one"  # the breaker stays closed
    assert verbs.set(K, Record(b"two"), expected=b"one", idle=9.0).payload == b"two"


def test_a_lock_of_the_user_that_others_hold_is_busy(colour: Any) -> None:
    store = new_store(timeout=0.2)
    verbs = colour(store)
    verbs.add(K, Record(b"one", "ana"), **LIVES)
    with psycopg.connect(shared().url()) as other:
        other.execute(f"select 1 from {table_of(store)} for update".encode())
        with pytest.raises(Busy):
            verbs.destroy_user("ana")
    assert verbs.destroy_user("ana") == [K]  # and the transaction was rolled back


def test_a_slow_statement_may_take_longer(colour: Any) -> None:
    store = new_store(timeout=0.3)
    verbs = colour(store)
    verbs.add(K, Record(b"one"), **LIVES)
    other = psycopg.connect(shared().url())
    other.execute(f"select 1 from {table_of(store)} for update".encode())
    thread = threading.Timer(1.0, other.close)
    thread.start()
    verbs.clear()
    thread.join(60)
    assert verbs.get(K) is None


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("25006", StoreReadOnly),
        ("53100", StoreFull),
        ("53300", StoreUnavailable),
        ("40P01", Busy),
        ("57P01", Dropped),
        ("22000", StoreError),
        (None, Dropped),
    ],
)
def test_errors_of_the_server_have_types(state: str | None, kind: type[StoreError]) -> None:
    error = psycopg.OperationalError("it failed")
    error.sqlstate = state
    found = translate(error, "postgresql://db/app")
    assert type(found) is kind
    assert str(found) == "postgresql://db/app: it failed"


def test_errors_of_the_client_have_types() -> None:
    assert type(translate(OSError("gone"), "db")) is StoreError
    assert type(translate(psycopg.DataError("odd"), "db")) is StoreError
    assert translate(ValueError("a bug"), "db") is None


def test_messages_about_other_pools_are_logged() -> None:
    import logging  # noqa: PLC0415

    def passes(*args: Any) -> bool:
        record = logging.LogRecord("psycopg.pool", 30, "x.py", 1, "%s", args, None)
        return bool(logging.getLogger("psycopg.pool").filter(record))

    assert passes("pool-1", "refused")
    assert passes()
    assert not passes(psycopg_connections.NAME, "refused")
    assert not passes(
        psycopg_connections.DeadlineConnection.__new__(psycopg_connections.DeadlineConnection)
    )


def unfinished(*more: str) -> Any:
    """Begin a transaction, and do not end it."""
    for text in ("begin", *more):
        yield Statement(text), {}


def test_a_transaction_that_a_verb_leaves_open_is_rolled_back() -> None:
    with psycopg_connections.DeadlineConnection.connect(shared().url(), autocommit=True) as used:
        psycopg_connector.perform(used, unfinished())
        assert used.pgconn.transaction_status == psycopg_connector.IDLE
        with pytest.raises(psycopg.errors.DivisionByZero):
            psycopg_connector.perform(used, unfinished("select 1 / 0"))
        assert used.pgconn.transaction_status == psycopg_connector.IDLE


def test_a_transaction_that_a_verb_of_a_loop_leaves_open_is_rolled_back() -> None:
    async def run() -> None:
        connect = psycopg_connections.AsyncDeadlineConnection.connect
        async with await connect(shared().url(), autocommit=True) as used:
            await psycopg_connector.aperform(used, unfinished())
            assert used.pgconn.transaction_status == psycopg_connector.IDLE
            with pytest.raises(psycopg.errors.DivisionByZero):
                await psycopg_connector.aperform(used, unfinished("select 1 / 0"))
            assert used.pgconn.transaction_status == psycopg_connector.IDLE

    asyncio.run(run())
