"""express-session: its sessions are tested instead of its tests, which are for Node.

If ``node`` and ``npm`` are on the PATH, express-session signs cookies and stores sessions through
connect-redis, and ``ExpressSessionReader`` must adopt each of them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from lembro import MemoryStore, SessionManager
from lembro._core.session import Session
from lembro._runtime.exchange import Exchange
from lembro.manager import runner_of
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
    """Return the problems of the adoption of one legacy session."""
    remember = made["cookie"].get("maxAge") is not None
    request = _Request(_manager(made, SECRETS), made["set"])
    session = request.session
    if session.user_id != "7" or dict(session) != made["data"]:
        return [f"it is not adopted, or not unchanged: {session.user_id!r}, {dict(session)!r}"]
    problems = []
    if request.commit(200) is not None:
        problems.append("it is not stored")
    cookie = next(iter(request.set_cookies()), b"")
    if (b"Max-Age" in cookie) != remember:
        problems.append(f"its cookie has another lifetime: {cookie.partition(b';')[2]!r}")
    for forged, secrets in (
        (made["set"], ["not one of them"]),
        (made["set"].replace("s%3A", "s%3AA"), SECRETS),
    ):
        if _Request(_manager(made, secrets), forged).session:
            problems.append("it is adopted without the signature")
    return problems


class _Request(Exchange):
    """A request over plain http with one cookie header."""

    __slots__ = ("_cookies",)

    def __init__(self, manager: SessionManager, cookies: str) -> None:
        self.runner = runner_of(manager)
        self._cookies = cookies
        self.session = Session(self)

    def cookie_headers(self) -> list[bytes]:
        return [self._cookies.encode()]

    def https(self) -> bool:
        return False


def _manager(made: dict[str, Any], secrets: Any) -> SessionManager:
    reader = ExpressSessionReader(made["held"].get, secrets, user="user_id", blocking=False)
    return SessionManager(MemoryStore("1M"), migrate_from=reader)


def _made() -> list[dict[str, Any]]:
    install("express.js")
    done = _called("node", "express.js", json.dumps(WAYS))
    done.check_returncode()
    made: list[dict[str, Any]] = json.loads(done.stdout)
    return made


def install(script: str) -> None:
    """Install express-session and a script into ``.peers/node``. Raises NotFetchedError."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise NotFetchedError(f"there is no {tool} on the PATH")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", script):
        shutil.copy(HERE / name, INSTALLED)
    wanted = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    if not all((PACKAGES / name).is_dir() for name in wanted):
        # connect-redis requires a client of Redis, which express.js replaces.
        options = "--no-audit --no-fund --no-package-lock --legacy-peer-deps --silent"
        done = _called("npm", "install", *options.split())
        if done.returncode:
            raise NotFetchedError("npm could not fetch it")


def _called(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=INSTALLED, stdout=subprocess.PIPE, text=True, timeout=120, check=False
    )
