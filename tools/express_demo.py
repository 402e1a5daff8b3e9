"""Start the example of Express and FastAPI with a Redis of its own: ``make express-demo``.

Run ``python -m tools.express_demo --port 8000``. ``REDIS_URL`` names another Redis.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from tests.support import ROOT
from tests.support.servers import serve
from tests.support.servers.redis import KINDS, RedisServer

EXAMPLE = ROOT / "examples" / "express"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make express-demo", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that the servers are ended too
    with ExitStack() as running:
        env = {
            "REDIS_URL": os.environ.get("REDIS_URL") or redis(running),
            "SESSION_SECRET": secrets.token_urlsafe(),
        }
        uvicorn = [sys.executable, "-m", "uvicorn", "--port={port}", "examples.express.app:app"]
        python = running.enter_context(serve(uvicorn, env=env, ready="/python/me"))
        env |= {"PORT": str(port), "PYTHON_PORT": str(python.port)}
        command = [node(), str(EXAMPLE / "app.js")]
        express = running.enter_context(serve(command, env=env, ready="/me", port=port))
        print(f"lembro: Express and FastAPI run at {express.url} (Ctrl-C ends them)", flush=True)
        try:
            while express.running and python.running:
                time.sleep(0.2)
        except KeyboardInterrupt:
            return
        sys.exit(f"lembro: a server has ended\n{express.log}\n{python.log}")


def node() -> str:
    command = ["sh", str(ROOT / "tools" / "express.sh"), "find"]
    found = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return found.stdout.strip() or sys.exit("lembro: the example needs Node 20.19 or newer")


def redis(running: ExitStack) -> str:
    """Start a server of Redis, or of Valkey, and return its URL."""
    for kind in KINDS:
        try:
            server = RedisServer(kind)
        except (pytest.skip.Exception, pytest.fail.Exception):  # it is not installed
            continue
        running.callback(server.remove)
        return server.url
    sys.exit("lembro: the example needs redis-server, or REDIS_URL")


if __name__ == "__main__":
    main()
