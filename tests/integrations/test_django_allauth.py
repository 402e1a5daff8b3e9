"""django-allauth, with usersessions: it stores session keys in a column of 40 characters.

SQLite does not limit the length of a column, and PostgreSQL does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.support.servers import HOST

SCRIPT = Path(__file__).with_name("in_allauth.py")


def sqlite(folder: Path) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "db.sqlite3")}


def postgresql(folder: Path) -> dict[str, Any]:
    server = import_module("tests.support.servers.postgres").shared()
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": server.new_database(),
        "USER": "lembro",
        "HOST": HOST,
        "PORT": server.port,
    }


DATABASES = [sqlite, postgresql] if find_spec("tests.support.servers.postgres") else [sqlite]


@pytest.mark.parametrize("database", DATABASES)
def test_a_user_signs_up_and_changes_the_password(
    database: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, json.dumps(database(tmp_path))],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
