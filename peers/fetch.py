"""The source distribution of a project, in the version that is installed."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PEERS: Final = ROOT / ".peers"


class NotFetchedError(Exception):
    """The reason why a project cannot take part."""


def version_of(project: str) -> str:
    try:
        return importlib.metadata.version(project)
    except importlib.metadata.PackageNotFoundError:
        raise NotFetchedError("it is not installed") from None


def fetched(project: str) -> Path:
    """Return the folder with the unpacked source distribution.

    Raises:
        NotFetchedError: It could not be fetched.
    """
    folder = PEERS / f"{project}-{version_of(project)}"
    if folder.is_dir():
        return folder
    archive = _download(project, version_of(project))
    unpacking = PEERS / f"unpacking-{project}"
    shutil.rmtree(unpacking, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(unpacking, filter="data")
    (inner,) = unpacking.iterdir()
    inner.rename(folder)  # in one step, so that an existing folder is complete
    unpacking.rmdir()
    return folder


def _download(project: str, version: str) -> Path:
    wanted = PEERS / "sdists" / project
    shutil.rmtree(wanted, ignore_errors=True)
    command = [
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"),
        *("--no-deps", "--no-binary", project, "--dest", str(wanted), f"{project}=={version}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise NotFetchedError(f"pip could not fetch it: {(said or ['pip gave no reason'])[-1]}")
    for archive in wanted.glob("*.tar.gz"):
        return archive
    raise NotFetchedError("pip fetched another file than a .tar.gz")
