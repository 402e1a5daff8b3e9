"""The tables of the SQL stores: the command that prints them, and the migrations in the docs."""

from __future__ import annotations

import re
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lembro.cli import main
from lembro.stores.sql import settings
from lembro.stores.sql.other_dialects import DIALECTS
from tests.support import ROOT, django_project
from tests.support.servers import mariadb, postgres
from tests.support.servers.databases import new_table

assert django_project.FOLDER


def blocks(page: str) -> list[str]:
    """Return the Python examples of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_dialects_of_the_command_are_those_that_exist() -> None:
    assert tuple(DIALECTS) == settings.DIALECTS


@pytest.mark.parametrize("name", settings.DIALECTS)
def test_the_command_prints_the_tables(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--dialect", name, "--table", "app.web"]) == 0
    printed = capsys.readouterr().out
    assert "create table if not exists app.web (" in printed
    assert printed.endswith(";\n")
    assert "begin" not in printed


def test_the_table_of_the_command_must_be_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["schema", "--dialect", "mysql", "--table", "x; drop table y"])
    assert "table must be a name" in capsys.readouterr().err


def test_the_documented_migration_of_postgresql_makes_the_table() -> None:
    _, migration = blocks("postgresql.md")
    migrate(migration, postgres.shared(), new_table())


def test_the_documented_migration_of_mysql_makes_the_tables() -> None:
    _, _, migration, _, _ = blocks("sql.md")
    migrate(migration, mariadb.shared(), new_table())


def migrate(example: str, server: Any, table: str) -> None:
    """Run a migration of Alembic, which only calls its function ``execute``."""
    alembic: Any = ModuleType("alembic")
    alembic.op = SimpleNamespace(execute=server.execute)
    sys.modules["alembic"] = alembic
    try:
        names: dict[str, Any] = {}
        exec(example.replace("lembro_sessions", table), names)
        names["upgrade"]()
    finally:
        del sys.modules["alembic"]
    assert server.execute(f"select count(*) from {table}")[0][0] == 0


def test_the_documented_migration_of_django_makes_the_tables() -> None:
    from django.db import connection  # noqa: PLC0415 - its settings are those of the tests

    *_, setting, migration = blocks("sql.md")
    assert "django://default" in setting
    names: dict[str, Any] = {"__name__": "migrations"}
    exec(migration, names)
    with connection.schema_editor() as editor:
        names["forwards"](None, editor)
    assert "lembro_sessions" in connection.introspection.table_names()
