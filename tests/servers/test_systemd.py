"""The units of the deployment guide: systemd accepts them, and connections outlast a restart."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx

from tests.support import ROOT, require_or_skip
from tests.support.servers import HOST, free_port

DEPLOY: Final = ROOT / "examples" / "deploy"
TIMEOUT: Final = 60.0


def line_of(unit: str, name: str) -> str:
    """Return the value of a line of a unit."""
    text = (DEPLOY / "systemd" / unit).read_text(encoding="utf-8")
    match = re.search(rf"^{name}=(.*)$", text, re.MULTILINE)
    assert match
    return match[1]


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        require_or_skip("no systemd-analyze on this machine")
    program = shlex.split(line_of("shop.service", "ExecStart"))[0]
    for unit in ("shop.service", "shop.socket"):
        text = (DEPLOY / "systemd" / unit).read_text(encoding="utf-8")
        (tmp_path / unit).write_text(text.replace(program, sys.executable), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_restart_keeps_logins_and_refuses_no_connection(tmp_path: Path) -> None:
    """This process holds the socket, as systemd does, and starts the command of the unit."""
    assert line_of("shop.socket", "ListenStream") == "127.0.0.1:8000"
    program, *arguments = shlex.split(line_of("shop.service", "ExecStart"))
    assert program.endswith("/uvicorn")
    url = line_of("shop.service", "Environment").removeprefix("LEMBRO_STORE=")
    assert url == "sqlite:////var/lib/shop/sessions.db"
    assert line_of("shop.service", "StateDirectory") == "shop"
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "LEMBRO_STORE": f"sqlite:///{tmp_path}/sessions.db",
    }
    port = free_port()
    with socket.create_server((HOST, port)) as listening:
        number = str(listening.fileno())
        command = [number if given == "3" else given for given in arguments]
        assert command.count(number) == 1

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, "-m", "uvicorn", *command],
                cwd=DEPLOY,
                env=env,
                pass_fds=[listening.fileno()],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

        first = start()
        try:
            with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=TIMEOUT) as client:
                assert client.post("/login/heidi").status_code == 303
        finally:
            first.terminate()
            # After its shutdown, uvicorn ends by the signal, which systemd treats as a success.
            assert first.wait(TIMEOUT) == -signal.SIGTERM
        # Nobody accepts connections now. This one waits, and the new process answers it.
        with socket.create_connection((HOST, port), TIMEOUT) as waiting:
            cookie = client.cookies["sid"]
            waiting.sendall(
                f"GET /me HTTP/1.1\r\nHost: shop\r\nCookie: sid={cookie}\r\n"
                "Connection: close\r\n\r\n".encode()
            )
            second = start()
            try:
                answer = b"".join(iter(lambda: waiting.recv(65536), b""))  # its timeout
            finally:
                second.terminate()
                second.wait(TIMEOUT)
        assert b'"user":"heidi"' in answer
        assert HOST.encode() in answer  # the socket of systemd shows the client's address
