"""Try the wheel in a fresh environment of each Python that lembro supports: ``make fresh``.

Builds the wheel, installs it with its dependencies into a new virtual environment, and runs
``tools/fresh_trial.py`` there. A version that this machine lacks is left out, and the last lines
say so.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TRIAL = ROOT / "tools" / "fresh_trial.py"


def versions() -> list[str]:
    """Return the versions of Python that the package names in its classifiers."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)


def find(version: str) -> str | None:
    """Return the path of a Python that runs: from PATH, or of pyenv."""
    on_path = shutil.which(f"python{version}")
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), reverse=True)
    for candidate in [*([on_path] if on_path else []), *map(str, installed)]:
        # A name on PATH may be a shim of pyenv without this version.
        argv = [candidate, "-c", "import venv, ensurepip, sqlite3"]
        if subprocess.run(argv, capture_output=True, check=False, timeout=60).returncode == 0:
            return candidate
    return None


def main() -> int:
    tried, left_out = [], []
    with tempfile.TemporaryDirectory(prefix="lembro-fresh-") as folder:
        run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder)
        [wheel] = Path(folder).glob("*.whl")
        for version in versions():
            python = find(version)
            if python is None:
                left_out.append(version)
                continue
            place = Path(folder) / version
            run(python, "-m", "venv", str(place))
            fresh = str(place / ("Scripts" if sys.platform == "win32" else "bin") / "python")
            run(fresh, "-m", "pip", "--disable-pip-version-check", "install", "-q", str(wheel))
            run(fresh, "-I", "-W", "error", str(TRIAL))
            tried.append(version)
    print(f"fresh: {wheel.name} works on Python {', '.join(tried) or 'no version'}")
    if left_out:
        print(f"fresh: not on this machine, and so not tried: {', '.join(left_out)}")
    return 0 if tried else 1


def run(*argv: str) -> None:
    subprocess.run(argv, cwd=ROOT, check=True, timeout=600)


if __name__ == "__main__":
    sys.exit(main())
