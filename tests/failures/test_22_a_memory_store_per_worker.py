"""22. A memory store per worker: four worker processes have a MemoryStore each.

Every worker but the first logs one warning that says what to do. ``tests/servers`` has the same
test on real servers.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support import ROOT
from tests.support.processes import read_line

WORKER = """
import logging, sys
logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
from lembro import MemoryStore, SessionManager
from lembro.wsgi import SessionMiddleware

SessionMiddleware(lambda environ, start: [], store=MemoryStore("64K"))
SessionMiddleware(lambda environ, start: [], store=MemoryStore("64K"))  # says nothing a second time
print("ready", flush=True)
sys.stdin.readline()
"""


def workers(folder: Path, count: int, source: str = WORKER) -> list[str]:
    """Start ``count`` workers that run at the same time, and return what each has printed."""
    script = folder / "app.py"
    script.write_text(source)
    processes = [
        subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(folder)},
        )
        for _ in range(count)
    ]
    for process in processes:
        assert process.stdout is not None
        assert read_line(process.stdout) == "ready\n"
    return [process.communicate("\n", timeout=20)[1] for process in processes]


def test_three_of_four_workers_warn(tmp_path: Path) -> None:
    printed = workers(tmp_path, 4)
    assert printed.count("") == 1
    for text in printed:
        if text:
            (line,) = text.splitlines()
            assert line.startswith("WARNING lembro lembro: another worker process")
            assert "NOT shared" in line
            assert "Use one worker process" in line
            assert "SQLiteStore or RedisStore" in line


def test_a_worker_without_logging_prints_the_warning(tmp_path: Path) -> None:
    """Most servers do not configure logging."""
    quiet = "\n".join(line for line in WORKER.splitlines() if "basicConfig" not in line)
    printed = workers(tmp_path, 2, quiet)
    assert printed.count("") == 1
    assert max(printed).startswith("lembro: another worker process of this application has its own")
    assert max(printed).count("\n") == 1


def test_a_worker_that_follows_another_does_not_warn(tmp_path: Path) -> None:
    """A reloader starts them this way."""
    assert workers(tmp_path, 1) == workers(tmp_path, 1) == [""]


FORKING = """
import logging, os, sys
logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
from lembro import MemoryStore, SessionManager
sessions = SessionManager(MemoryStore("64K"))
if "used" in sys.argv:
    sessions.create({"a": 1})
for _ in range(4):
    if os.fork() == 0:
        sessions.length()
        sys.stdin.readline()
        os._exit(0)
print("ready", flush=True)
"""


def test_forks_of_a_used_store_warn(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text(FORKING)
    done = subprocess.run(
        [sys.executable, str(script), "used"],
        input="",
        capture_output=True,
        text=True,
        timeout=20,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(tmp_path)},
        check=True,
    )
    assert done.stderr.count("this process was forked after its MemoryStore had been used") == 4
