"""The package as it is installed: its public names, and the contents of the wheel and the sdist."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import hatchling.build
import pytest

import lembro
from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCES = {
    path.relative_to(ROOT / "src").as_posix()
    for path in (ROOT / "src" / "lembro").rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}


def build(make: Callable[[str], str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ROOT)
    return folder / make(str(folder))


def test_the_public_names_exist() -> None:
    names: list[str] = list(getattr(lembro, "__all__", ()))
    assert len(names) == len(set(names))
    missing = [name for name in names if not hasattr(lembro, name)]
    assert not missing


def test_a_star_import_brings_the_public_names() -> None:
    scope: dict[str, object] = {}
    exec("from lembro import *", scope)
    assert set(getattr(lembro, "__all__", ())) <= set(scope)


def test_the_version_is_the_installed_one() -> None:
    assert importlib.metadata.version("lembro") == PROJECT["version"]


def test_the_wheel_has_the_expected_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = build(hatchling.build.build_wheel, tmp_path, monkeypatch)
    assert wheel.name == f"lembro-{PROJECT['version']}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"lembro-{PROJECT['version']}.dist-info/METADATA").decode()
    package = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert package == SOURCES
    assert "lembro/py.typed" in package
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    assert [line for line in required if "extra ==" not in line] == [
        f"Requires-Dist: {requirement}" for requirement in PROJECT["dependencies"]
    ]


def test_the_sdist_has_the_expected_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sdist = build(hatchling.build.build_sdist, tmp_path, monkeypatch)
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{source}" for source in SOURCES} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile"} <= names
    assert "tests/unit/test_package.py" in names
    assert not {name for name in names if name.startswith((".venv", "site/", "build/", ".git/"))}


def test_no_dependency_has_an_upper_cap() -> None:
    groups: dict[str, list[str]] = tomllib.loads(
        (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )["dependency-groups"]
    extras: dict[str, list[str]] = PROJECT["optional-dependencies"]
    listed = [*PROJECT["dependencies"]]
    for requirements in [*groups.values(), *extras.values()]:
        listed += requirements
    bounds = [line.partition(";")[0] for line in listed]
    assert not [line for line in bounds if any(sign in line for sign in ("<", "==", "~=", " @ "))]
    assert not [line for line in bounds if ">=" not in line]


def test_the_makefile_installs_every_extra() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    line = next(line for line in makefile.splitlines() if line.startswith("EXTRAS :="))
    assert set(line.partition(":=")[2].strip().split(",")) == set(PROJECT["optional-dependencies"])


def test_the_wheel_works_in_a_fresh_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = build(hatchling.build.build_wheel, tmp_path, monkeypatch)
    venv.create(tmp_path / "venv", with_pip=False)  # takes seconds otherwise
    scripts = "Scripts" if sys.platform == "win32" else "bin"
    python = tmp_path / "venv" / scripts / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    options = ["--quiet", "--no-deps", "--no-index"]  # there may be no network
    run([*pip, "install", *options, str(wheel)])
    folder = Path(run([str(python), "-c", "import sysconfig as s; print(s.get_path('purelib'))"]))
    msgspec = Path(str(importlib.metadata.distribution("msgspec").locate_file("msgspec")))
    shutil.copytree(msgspec, folder / "msgspec")

    found = Path(run([str(python), "-c", "import lembro; print(lembro.__file__)"]))
    assert found == folder / "lembro" / "__init__.py"
    assert (folder / "lembro" / "py.typed").is_file()
    command = str(python.with_name("lembro"))
    assert run([command, "--version"]) == f"lembro {PROJECT['version']}"
    assert run([command]).startswith("usage: lembro")


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_twine_accepts_the_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twine = pytest.importorskip("twine.commands.check")
    wheel = build(hatchling.build.build_wheel, tmp_path, monkeypatch)
    sdist = build(hatchling.build.build_sdist, tmp_path, monkeypatch)
    assert twine.check([str(wheel), str(sdist)], strict=True) is False  # without a warning
