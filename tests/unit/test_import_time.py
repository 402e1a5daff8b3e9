"""The modules that ``import lembro`` loads. ``python -m bench.import_time`` measures the time."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lembro
from bench import import_time
from tests.support import NOT_MEASURED

SCRIPT = """
import sys
sys.modules["typing_extensions"] = None  # msgspec imports it where it is installed; it loads more
{imports}
before = set(sys.modules)
import lembro
added = set(sys.modules) - before
files = [m.__file__ for name, m in sys.modules.items() if name.partition(".")[0] == "lembro"]
print({{"before": sorted(before), "added": sorted(added), "files": files}})
"""


def loaded(imports: str = "") -> dict[str, Any]:
    """Import lembro in a fresh interpreter, after other imports, and return what that loaded."""
    script = SCRIPT.format(imports=imports)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, **NOT_MEASURED},
    )
    found: dict[str, Any] = ast.literal_eval(done.stdout)
    return found


def imports_of(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the modules of other packages that a module imports when it is imported."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert node.module is not None
            yield node.module
        elif isinstance(node, ast.Try):
            yield from imports_of(node.body)


@pytest.mark.parametrize(
    "module",
    [
        "asyncio",
        "concurrent.futures",
        "difflib",
        "email",
        "fractions",
        "http",
        "importlib.metadata",
        "ipaddress",
        "json",
        "lembro.migrate",
        "lembro.stores.external",
        "lembro.stores.memory",
        "lembro.stores.sql",
        "lembro.testing",
        "mmap",
        "multiprocessing",
        "pathlib",
        "socket",
        "ssl",
        "subprocess",
        "tempfile",
        "trio",
        "urllib",
        "zoneinfo",
    ],
)
def test_import_lembro_does_not_load(module: str, loaded_modules: frozenset[str]) -> None:
    assert module not in loaded_modules


def test_a_store_is_loaded_when_it_is_named() -> None:
    assert "lembro.stores.memory" in loaded("from lembro import MemoryStore")["before"]
    connector = "lembro.stores.sql.sqlite_connector"  # it imports sqlite3
    assert connector not in loaded("from lembro.stores import SQLiteStore")["before"]
    assert {"MemoryStore", "SQLiteStore"} <= {*dir(lembro), *dir(lembro.stores)}
    for module in (lembro, lembro.stores):
        with pytest.raises(AttributeError, match="has no attribute 'NoStore'"):
            module.NoStore  # noqa: B018


@pytest.fixture(scope="module")
def loaded_modules() -> frozenset[str]:
    found = loaded()
    return frozenset(found["before"]) | frozenset(found["added"])


def test_import_lembro_loads_no_module_beyond_those_it_needs() -> None:
    needed = "\n".join(
        f"try: import {name}\nexcept ImportError: pass" for name in import_time.NEEDED
    )
    added = loaded(needed)["added"]
    assert [name for name in added if name.partition(".")[0] != "lembro"] == []


def test_only_dataclasses_loads_inspect() -> None:
    assert "inspect" not in loaded("import dataclasses; del sys.modules['inspect']")["added"]


def test_the_needed_modules_are_those_that_lembro_imports_directly() -> None:
    imported = {
        name
        for file in loaded()["files"]
        for name in imports_of(ast.parse(Path(file).read_text(encoding="utf-8")).body)
    }
    assert sorted(imported) == list(import_time.NEEDED)


def test_the_verdict_subtracts_the_interpreter() -> None:
    rows, ratio = import_time.judged({"nothing": 0.02, "needed": 0.06, "lembro": 0.08})
    assert ratio == pytest.approx(1.5)
    assert rows[-1] == ["lembro", "80.0", "60.0"]


def test_the_measurement_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["import_time", "--rounds", "1"])
    import_time.main()  # the verdict needs a quiet machine
    assert "times what its modules take" in capsys.readouterr().out
