"""The helpers of the tests."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support import ROOT, require_or_skip
from tests.support.servers import ServerFailed, free_port, serve

FILES = [sys.executable, "-m", "http.server", "{port}", "--bind", "127.0.0.1"]

# A server with a child that holds a second port, and which ignores the request to stop.
STUBBORN = """
import http.server, signal, socket, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = "import signal, socket, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);" \
    "s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", child, sys.argv[2]])
http.server.test(
    http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1"
)
"""


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Callable[[], bool], *, within: float = 10.0) -> bool:
    until = time.monotonic() + within
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def test_serve_runs_and_stops_a_server(tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("hello", encoding="utf-8")
    with serve(FILES, cwd=tmp_path) as server:
        assert server.running
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert httpx.get(f"{server.url}/hello.txt").text == "hello"
        assert "GET /hello.txt" in server.log
        pid = server.pid
    assert not server.running
    assert not alive(pid)
    assert not listening(server.port)


def test_serve_passes_the_environment_on() -> None:
    program = "import os, sys; print('value', os.environ['LEMBRO_TEST'], flush=True);" + (
        "import http.server as h;"
        "h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')"
    )
    with serve([sys.executable, "-c", program, "{port}"], env={"LEMBRO_TEST": "{x}"}) as server:
        assert "value {x}" in server.log


def test_serve_can_use_the_same_port_again() -> None:
    with serve(FILES) as first:
        pass
    with serve(FILES, port=first.port) as second:
        assert second.port == first.port
        assert second.pid != first.pid


def test_any_response_counts_as_ready() -> None:
    with serve(FILES, ready="/no/such/page") as server:
        assert httpx.get(f"{server.url}/no/such/page").status_code == 404


def test_a_server_that_ends_at_once_is_an_error() -> None:
    program = "print('the reason', flush=True); raise SystemExit(3)"
    with (
        pytest.raises(ServerFailed, match=r"(?s)code 3.*the reason"),
        serve([sys.executable, "-c", program]),
    ):
        pytest.fail("not reached")


def test_a_server_that_never_responds_is_an_error() -> None:
    began = time.monotonic()
    program = "print('waiting', flush=True); import time; time.sleep(600)"
    with (
        pytest.raises(ServerFailed, match=r"(?s)no answer within 1 s.*waiting"),
        serve([sys.executable, "-c", program], timeout=1),
    ):
        pytest.fail("not reached")
    assert time.monotonic() - began < 10


def test_another_port_is_used_if_the_first_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        ports = iter([squatter.getsockname()[1], free_port()])
        monkeypatch.setattr("tests.support.servers.free_port", lambda: next(ports))
        # A port that the caller names is not replaced.
        with (
            pytest.raises(ServerFailed, match="in use"),
            serve(FILES, port=squatter.getsockname()[1], timeout=3),
        ):
            pytest.fail("not reached")
        with serve(FILES) as server:
            assert server.port != squatter.getsockname()[1]


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_no_process_is_left_over(
    error: type[BaseException] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.servers._GRACE", 0.3)
    other = free_port()

    def run() -> int:
        with serve([sys.executable, "-c", STUBBORN, "{port}", str(other)]) as server:
            assert wait_until(lambda: listening(other))
            if error is not None:
                raise error
            return server.pid

    if error is None:
        assert not alive(run())
    else:
        with pytest.raises(error):
            run()
    assert wait_until(lambda: not listening(other))


def test_a_server_that_has_ended_raises_no_error_at_the_stop() -> None:
    with serve(FILES) as server:
        os.kill(server.pid, signal.SIGKILL)
        assert wait_until(lambda: not server.running)


def test_require_or_skip_skips_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no such thing"):
        require_or_skip("no such thing")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="no such thing"):
        require_or_skip("no such thing")


SKIPS = {
    "test_call.py": "import pytest\ndef test_it(): pytest.skip('the reason')\n",
    "test_mark.py": "import pytest\n@pytest.mark.skip('the reason')\ndef test_it(): pass\n",
    "test_module.py": "import pytest\npytest.skip('the reason', allow_module_level=True)\n",
}


def run_pytest(folder: Path, name: str, source: str, *, ci: str) -> tuple[int, str]:
    """Run one file under this conftest in its own pytest."""
    (folder / "conftest.py").write_text("from tests.conftest import *\n", encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / name).write_text(source, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", name],
        env={
            **os.environ,
            "CI": ci,
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return run.returncode, run.stdout


@pytest.mark.parametrize("name", SKIPS)
@pytest.mark.parametrize("ci", ["true", ""])
def test_in_ci_a_skip_is_a_failure(name: str, ci: str, tmp_path: Path) -> None:
    code, printed = run_pytest(tmp_path, name, SKIPS[name], ci=ci)
    if ci:
        assert code != 0, printed
        assert "CI does not accept: the reason" in printed.replace("Skipped: ", "")
    else:
        assert "1 skipped" in printed
        assert "failed" not in printed


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    source = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n"
    code, printed = run_pytest(tmp_path, "test_it.py", source, ci="true")
    assert code == 0, printed
    assert "1 xfailed" in printed


def test_no_event_loop_is_left_running() -> None:
    async def nothing() -> None: ...

    asyncio.run(nothing())
