"""The layers of the package: the contract of import-linter, and its picture in CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support import ROOT

PACKAGE = ROOT / "src" / "lembro"
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]
LONGEST = 410  # lines


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_the_picture_in_contributing_is_the_contract() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    match = re.search(r"<!-- layers: .*? -->\n(.*?)<!-- /layers -->", text, re.DOTALL)
    assert match is not None
    drawn = [line.split() for line in match[1].splitlines()]
    layers: list[str] = LINTER["contracts"][0]["layers"]
    assert drawn == [sorted(layer.split(" : ")) for layer in layers]


def test_every_module_is_in_a_layer() -> None:
    layers = {name for layer in LINTER["contracts"][0]["layers"] for name in layer.split(" : ")}
    top = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert top - {"__init__"} == layers


def test_type_only_imports_count() -> None:
    assert LINTER["exclude_type_checking_imports"] is False


def test_no_module_is_long() -> None:
    long = {
        str(path.relative_to(PACKAGE)): lines
        for path in modules()
        if (lines := path.read_text(encoding="utf-8").count("\n")) > LONGEST
    }
    assert not long


def test_no_module_imports_a_private_name_of_another() -> None:
    taken = [
        f"{path.relative_to(PACKAGE)}: {alias.name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__") and node.module
    ]
    assert not taken


def test_only_stores_are_lazy_attributes() -> None:
    # Each store has up to 30 modules, and an application uses one store (docs/adr/0020).
    lazy = [
        str(path.relative_to(PACKAGE))
        for path in modules()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"
    ]
    assert sorted(lazy) == ["__init__.py", "stores/__init__.py"]


def test_a_wrong_import_is_noticed(tmp_path: Path) -> None:
    package = tmp_path / "lembro"
    package.mkdir()
    layers = [name for layer in LINTER["contracts"][0]["layers"] for name in layer.split(" : ")]
    for name in layers:
        (package / f"{name}.py").write_text("", encoding="utf-8")
    (package / "__init__.py").write_text("", encoding="utf-8")
    upward = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import manager\n"
    (package / "errors.py").write_text(upward, encoding="utf-8")
    linter = [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; "
              "sys.path.insert(0, '.'); sys.exit(lint_imports(no_cache=True))"]  # fmt: skip
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    done = subprocess.run(
        linter, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode != 0
    assert "lembro.errors -> lembro.manager" in done.stdout
