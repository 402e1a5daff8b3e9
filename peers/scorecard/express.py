"""express-session, in Node: ``peers/node/scorecard.js`` serves it as if over https."""

from __future__ import annotations

import json
import subprocess
from http.client import HTTPConnection
from typing import Any, Final

from peers.express_session import INSTALLED, install
from peers.scorecard.trials import LIFETIME, PREFIXED, Answer, Send

PATIENCE: Final = 20.0  # seconds


class ExpressSession:
    """Its applications are served until ``close``."""

    rolling = False

    def __init__(self) -> None:
        install("scorecard.js")
        self._processes: list[subprocess.Popen[str]] = []

    def default(self) -> Send:
        return self._made({})

    def hardened(self) -> Send:
        return self._made({"name": PREFIXED, "cookie": {"secure": True, "sameSite": "lax"}})

    def short(self) -> Send:
        return self._made({"rolling": True, "cookie": {"maxAge": LIFETIME * 1000}})

    def limited(self) -> None:
        return None

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait(timeout=PATIENCE)

    def _made(self, options: dict[str, Any]) -> Send:
        process = subprocess.Popen(
            ["node", "scorecard.js", json.dumps(options)],
            cwd=INSTALLED,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        assert process.stdout is not None
        port = int(process.stdout.readline())

        def send(path: str, cookie: str) -> Answer:
            connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            headers = {"X-Forwarded-Proto": "https"} | ({"Cookie": cookie} if cookie else {})
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            body = response.read().decode()
            connection.close()
            assert response.status == 200, f"{path}: {response.status} {body}"
            return Answer(body, response.headers.get_all("set-cookie") or [])

        return send
