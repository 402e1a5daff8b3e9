"""express-session: not its tests, but what it leaves behind. Where ``node`` and ``npm`` are on the
PATH it signs cookies and stores sessions through connect-redis, and ``ExpressSession`` has to let
each of them in."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from lembro import MemoryStore, SessionManager
from lembro.integrations import _adapter
from lembro.migrate import ExpressSessionReader
from peers.fetch import PEERS, NotFetchedError
from peers.report import Report

NAME: Final = "express_session"
HERE: Final = Path(__file__).parent / "node"
INSTALLED: Final = PEERS / "node"
PACKAGES: Final = INSTALLED / "node_modules"
SECRETS: Final = ("the first of the secrets that there are", "another one, which signed before")
WAYS: Final[list[dict[str, Any]]] = [
    {"secret": SECRETS[0], "cookie": {}},
    {"secret": list(SECRETS), "cookie": {"maxAge": 3_600_000}},
    {"secret": list(reversed(SECRETS)), "cookie": {"maxAge": None}},
]


def run() -> Report:
    report = Report(NAME, "express-session")
    try:
        made = _made()
    except NotFetchedError as error:
        report.missing = str(error)
        return report
    about = json.loads((PACKAGES / report.project / "package.json").read_text(encoding="utf-8"))
    report.version = about["version"]
    for number, one in enumerate(made):
        problems = problems_of(one)
        report.problems += [f"cookie {number}: {problem}" for problem in problems]
        report.passed += not problems
    return report


def problems_of(made: dict[str, Any]) -> list[str]:
    """What is wrong with the way in of one cookie."""
    remember = made["cookie"].get("maxAge") is not None
    manager = _manager(made, SECRETS)
    session = _adapter.begin(manager, made["set"], https=False)
    if session.user_id != "7" or dict(session) != made["data"]:
        return [f"it is not let in, or not as it was: {session.user_id!r}, {dict(session)!r}"]
    problems = []
    if _adapter.commit(session, 200) is not None:
        problems.append("it is not stored")
    cookie = manager.set_cookie(session, None, https=False) or b""
    if (b"Max-Age" in cookie) != remember:
        problems.append(f"it lasts otherwise than until then: {cookie.partition(b';')[2]!r}")
    for forged, secrets in (
        (made["set"], ["not one of them"]),
        (made["set"].replace("s%3A", "s%3AA"), SECRETS),
    ):
        if _adapter.begin(_manager(made, secrets), forged, https=False):
            problems.append("it is let in without the signature")
    return problems


def _manager(made: dict[str, Any], secrets: Any) -> SessionManager:
    reader = ExpressSessionReader(made["held"].get, secrets, user="user_id", blocking=False)
    return SessionManager(MemoryStore("1M"), migrate_from=reader)


def _made() -> list[dict[str, Any]]:
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise NotFetchedError(f"there is no {tool} on the PATH")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "express.js"):
        shutil.copy(HERE / name, INSTALLED)
    if not all((PACKAGES / name).is_dir() for name in ("express-session", "connect-redis")):
        # connect-redis wants a client of Redis beside it, whose place express.js takes.
        options = "--no-audit --no-fund --no-package-lock --legacy-peer-deps --silent"
        done = _called("npm", "install", *options.split())
        if done.returncode:
            raise NotFetchedError("npm could not fetch it")
    done = _called("node", "express.js", json.dumps(WAYS))
    done.check_returncode()
    made: list[dict[str, Any]] = json.loads(done.stdout)
    return made


def _called(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=INSTALLED, stdout=subprocess.PIPE, text=True, timeout=120, check=False
    )
