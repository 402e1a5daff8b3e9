"""DjangoStore against the contract, on SQLite and PostgreSQL, sync and async."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from django.conf import settings
from django.db import DatabaseError, IntegrityError, connections, transaction
from django.db.utils import InterfaceError, OperationalError
from django.utils.functional import empty

from lembro import ConfigError, Record, StoreError, StoreReadOnly
from lembro.stores import DjangoStore, from_url
from lembro.stores.external.backend import Busy, Dropped
from lembro.stores.sql import django_connector
from lembro.stores.sql.django import create_tables
from lembro.stores.sql.django_connector import translate
from lembro.testing import FakeClock, StoreContract, StoreRaces
from tests.support import django_project
from tests.support.servers import HOST
from tests.support.servers.databases import new_table
from tests.support.servers.postgres import shared

assert django_project.FOLDER
LIVES: dict[str, Any] = {"idle": 1000.0, "life": 5000.0}
K, L = b"k" * 32, b"l" * 32

atomic: Any = transaction.atomic

# Django closes the connection of a thread only when a request ends in it.
pytestmark = pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning")


@pytest.fixture(autouse=True, scope="module")
def collect() -> Iterator[None]:
    yield
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        connections.close_all()
        gc.collect()


def database(kind: str) -> str:
    """Add a database to Django's settings, and return its alias."""
    alias, settings = f"sessions_{kind}", cast("dict[str, Any]", connections.settings)
    if alias not in settings:
        if kind == "sqlite":
            folder = tempfile.mkdtemp(prefix="lembro-django-")
            given: dict[str, Any] = {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": Path(folder) / "sessions.sqlite3",
                "OPTIONS": {"timeout": 10},
            }
        else:
            given = {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": "postgres",
                "HOST": HOST,
                "PORT": shared().port,
                "USER": "lembro",
            }
        made = connections.configure_settings({"default": given, alias: given})
        settings[alias] = made[alias]
    return alias


def new_store(kind: str, **options: Any) -> DjangoStore:
    return DjangoStore(database(kind), table=new_table(), **options)


class TestPostgreSQL(StoreContract):
    kind: ClassVar = "postgresql"
    tolerance = 2e-6  # microseconds
    too_large = 300_000
    test_new_reputation = None  # type: ignore[assignment]  # for stores that evict

    def make_store(self) -> Any:
        self.fake = FakeClock()
        return new_store(self.kind, max_session_size=200_000, clock=self.fake)

    def advance(self, store: Any, seconds: float) -> None:
        self.fake.advance(seconds)


class TestSQLite(TestPostgreSQL):
    kind = "sqlite"


class TestInATransaction(TestPostgreSQL):
    """All verbs inside one transaction of the application."""

    @pytest.fixture(autouse=True)
    def in_a_transaction(self) -> Any:
        alias = database(self.kind)
        with atomic(using=alias):
            yield
            transaction.set_rollback(True, using=alias)


class TestRaces(StoreRaces):
    def make_store(self) -> Any:
        return new_store("postgresql")


# -- aliases, transactions and migrations


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_alias_must_exist() -> None:
    with pytest.raises(ConfigError, match=r"alias must be a key of DATABASES .* got 'nowhere'"):
        DjangoStore("nowhere")


@pytest.mark.parametrize("module", [None, "no_such_settings"])
def test_the_settings_must_exist(module: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_wrapped", empty)
    monkeypatch.setattr(connections, "_settings", None)
    monkeypatch.delitem(connections.__dict__, "settings", raising=False)
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    if module is not None:
        monkeypatch.setenv("DJANGO_SETTINGS_MODULE", module)
    with pytest.raises(ConfigError, match="set the environment variable DJANGO_SETTINGS_MODULE"):
        DjangoStore()


def test_a_url_names_the_alias() -> None:
    assert repr(from_url("django://default")) == "<DjangoStore django://default>"
    assert repr(from_url("django:?table=x&interval=60")) == "<DjangoStore django://default>"
    with pytest.raises(ConfigError, match="has no parameter 'timeout'"):
        from_url("django://default?timeout=1")


def test_async_callers_use_the_store_too(kind: str) -> None:
    async def use() -> None:
        aio = new_store(kind).aio
        assert aio is not None
        assert await aio.add(K, Record(b"one", "ana"), **LIVES)
        assert [key for key, _ in await aio.of_user("ana")] == [K]
        assert await aio.destroy_user("ana") == [K]
        await aio.close()
        aio.discard()

    asyncio.run(use())


def test_a_rollback_of_the_application_undoes_a_write(kind: str) -> None:
    store = new_store(kind)
    assert store.add(K, Record(b"one"), **LIVES)
    with atomic(using=database(kind)):
        assert store.set(K, Record(b"two"), expected=b"one", idle=9.0)
        assert store.add(L, Record(b"x", "ana"), per_user=(1, "refuse"), **LIVES)
        # A verb that ends without a commit undoes no more than itself.
        assert not store.add(b"m" * 32, Record(b"y", "ana"), per_user=(1, "refuse"), **LIVES)
        assert store.get(L) is not None
        transaction.set_rollback(True, using=database(kind))
    found = store.get(K)
    assert found is not None
    assert found.payload == b"one"
    assert store.get(L) is None


def test_tables_that_a_rollback_has_removed_are_made_again(kind: str) -> None:
    store = new_store(kind)
    for _ in range(2):
        with atomic(using=database(kind)):
            assert store.add(K, Record(b"one"), **LIVES)
            transaction.set_rollback(True, using=database(kind))
    assert store.get(K) is None


def test_a_table_that_is_dropped_during_use_is_made_again() -> None:
    table = new_table()
    store = DjangoStore(database("postgresql"), table=table)
    assert store.add(K, Record(b"one"), **LIVES)
    shared().execute(f"drop table {table}")
    with pytest.raises(StoreError, match="does not exist"):
        store.get(K)
    assert store.get(K) is None


def test_a_migration_makes_the_tables(kind: str) -> None:
    table, alias = new_table(), database(kind)
    with connections[alias].schema_editor() as editor:
        create_tables(editor, table)
    assert table in connections[alias].introspection.table_names()
    assert DjangoStore(alias, table=table).add(K, Record(b"one"), **LIVES)


def test_a_table_with_other_columns_is_a_config_error(kind: str) -> None:
    table, alias = new_table(), database(kind)
    with connections[alias].cursor() as cursor:
        cursor.execute(f"create table {table} (id integer)")
    with pytest.raises(ConfigError, match=f"no table {table} that this version of lembro can use"):
        DjangoStore(alias, table=table).get(K)


def test_a_database_that_is_read_only_says_so_before_it_has_tables(tmp_path: Path) -> None:
    path = tmp_path / "sessions.sqlite3"
    sqlite3.connect(path).close()
    path.touch()
    alias, known = "sessions_read_only", cast("dict[str, Any]", connections.settings)
    given: dict[str, Any] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"file:{path}?mode=ro",
        "OPTIONS": {"uri": True},
    }
    known[alias] = connections.configure_settings({"default": given, alias: given})[alias]
    with pytest.raises(StoreReadOnly):
        DjangoStore(alias, table=new_table()).add(K, Record(b"one"), **LIVES)


def test_a_connection_that_was_cut_is_replaced() -> None:
    store = new_store("postgresql")
    assert store.add(K, Record(b"one"), **LIVES)
    with connections[database("postgresql")].cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        (pid,) = cursor.fetchone()
    shared().execute(f"select pg_terminate_backend({pid}, 5000)")
    found = store.get(K)
    assert found is not None
    assert found.payload == b"one"


def test_the_purger_closes_its_connection() -> None:
    store = new_store("postgresql")
    store.add(K, Record(b"one"), idle=0.001, life=0.001)
    seen: list[Any] = []

    def purge() -> None:
        seen.append(store.purge())
        seen.append(connections[database("postgresql")].connection)

    thread = threading.Thread(target=purge, name="lembro-purger")
    thread.start()
    thread.join(60)
    assert seen == [1, None]


def caused(error: Exception, cause: Exception, **attributes: Any) -> Exception:
    for name, value in attributes.items():
        setattr(cause, name, value)
    error.__cause__ = cause
    return error


def test_errors_have_types() -> None:
    def kind_of(error: Exception) -> Any:
        return type(translate(error, "django://default"))

    assert kind_of(caused(DatabaseError(), Exception(), sqlstate="25006")) is StoreReadOnly
    assert (
        kind_of(caused(OperationalError(), sqlite3.OperationalError(), sqlite_errorcode=5)) is Busy
    )
    assert kind_of(caused(OperationalError(), Exception(1205, "lock"))) is Busy
    assert kind_of(caused(OperationalError(), Exception(4321, "odd"))) is StoreError
    assert kind_of(caused(OperationalError(), Exception("closed"))) is Dropped
    assert kind_of(caused(InterfaceError(), Exception("closed"))) is Dropped
    assert kind_of(caused(DatabaseError(), Exception("odd"))) is StoreError
    assert translate(ValueError("a bug"), "django://default") is None


class Cursor:
    """A cursor of MySQL, of which Django's driver cannot be installed everywhere."""

    def __init__(self, number: int) -> None:
        self.number = number

    def execute(self, text: str, values: Any) -> None:
        raise caused(IntegrityError(), Exception(self.number, "refused"))


def test_a_duplicate_key_of_mysql_is_no_row() -> None:
    assert django_connector._execute(Cursor(1062), "insert", {}) == 0
    with pytest.raises(IntegrityError):
        django_connector._execute(Cursor(1048), "insert", {})
