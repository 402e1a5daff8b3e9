"""express-session's own tests, over HTTP, against a Python server with an ExpressManager.

The tests are those of express-session 1.0.0, the only version whose npm package contains them.
``node/suite.js`` runs them, and ``express_server.py`` has their sessions.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

import pytest

from peers.express_session import INSTALLED, install
from peers.fetch import ROOT, NotFetchedError
from peers.outcomes import Outcomes
from peers.peer import Peer
from peers.report import Report, judge
from tests.support.servers.redis import KINDS, RedisServer

LIMIT: Final = 120  # seconds

EMPTY: Final = "lembro does not store an empty session, as with `saveUninitialized: false`"
COOKIE: Final = "a session of lembro has no `cookie`: the attributes are options of the manager"

PATH: Final = "lembro has a session at every path, and its cookie is sent for those below `path`"

_SESSION: Final = "session() "
_PROXY: Final = _SESSION + "proxy option when enabled "
_REQUEST: Final = _SESSION + "req.session "
_COOKIE: Final = _REQUEST + ".cookie "
_PATH: Final = _COOKIE + "when the pathname does not match cookie.path "

PEER = Peer(
    project="express-session",
    part="its own tests, over HTTP",
    how="a Python server with an `ExpressManager` loads and stores the sessions",
    tests=("test/session.js",),
    differs={
        _SESSION + "should export constructors": "lembro has no constructors of Node",
        _PROXY + "should trust X-Forwarded-Proto when string": EMPTY,
        _PROXY + "should trust X-Forwarded-Proto when comma-separated list": EMPTY,
        _SESSION + 'key option should default to "connect.sid"': EMPTY,
        _SESSION + "key option should allow overriding": EMPTY,
        _REQUEST + ".regenerate() should destroy/replace the previous session": EMPTY,
        _COOKIE + ".* should default to a browser-session length cookie": EMPTY,
        _COOKIE + ".* should Set-Cookie only once for browser-session cookies": EMPTY,
        _COOKIE + ".* should serialize as parameters": COOKIE,
        _COOKIE + ".* should override defaults": COOKIE,
        _COOKIE + ".maxAge should modify cookie when changed": COOKIE,
        _COOKIE + ".maxAge should modify cookie when changed to large value": COOKIE,
        _COOKIE + ".expires when given a Date should set absolute": COOKIE,
        _COOKIE + ".expires when null should be a browser-session cookie": COOKIE,
        _PATH + "should not set-cookie": PATH,
        _PATH + "should not set-cookie even for FQDN": PATH,
    },
)


def run() -> Report:
    """Run the tests."""
    report = Report("express_suite", PEER.project, PEER.part, "1.0.0")
    try:
        install("suite.js")
        redis = _redis()
    except NotFetchedError as error:
        report.missing = str(error)
        return report
    try:
        outcomes = _outcomes(redis.url)
    finally:
        redis.remove()
    judge(report, PEER, outcomes, Outcomes())
    return report


def _redis() -> RedisServer:
    for kind in KINDS:
        try:
            return RedisServer(kind)
        except (pytest.skip.Exception, pytest.fail.Exception):  # it is not installed
            continue
    raise NotFetchedError("there is no redis-server")


def _outcomes(redis: str) -> Outcomes:
    command = [sys.executable, "-m", "peers.express_server", redis]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        try:
            done = subprocess.run(
                ["node", "suite.js", port],
                cwd=INSTALLED,
                stdout=subprocess.PIPE,
                text=True,
                timeout=LIMIT,
                check=True,
            )
        finally:
            server.kill()
    outcomes = Outcomes(stored=1)
    for test, (outcome, said) in json.loads(done.stdout.splitlines()[-1]).items():
        outcomes.note(test, outcome, said)
    return outcomes
