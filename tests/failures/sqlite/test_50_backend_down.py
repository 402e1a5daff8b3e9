"""50. Backend down (alkem-io #6332): another process holds the lock of the file and is stopped.

Requests that read a session succeed. Requests that write get a 503 soon after the timeout, and the
cookie stays.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.stores import SQLiteBackend
from tests.support.visits import World, login, write
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio

HOLDER = (
    "import sqlite3, sys\n"
    "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
    "database.execute('begin immediate')\n"
    "print('held', flush=True)\n"
    "import time\ntime.sleep(60)\n"
)


@contextmanager
def stopped_holder(world: World) -> Iterator[Callable[[], None]]:
    """Let a process hold the lock of the file, and stop it. Yield a function that ends it."""
    assert isinstance(world.backend, SQLiteBackend)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, world.backend.file.path], stdout=subprocess.PIPE
    )
    with process:

        def end() -> None:
            process.kill()
            process.wait(timeout=60)

        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"  # no limit: the holder ends
            os.kill(process.pid, signal.SIGSTOP)
            yield end
        finally:
            end()


async def test_reads_succeed_and_writes_get_a_503(build: Build) -> None:
    world: World = build(store={"timeout": 0.2})
    known, new = world.tab(), world.tab()
    await known.login("ada")
    cookie = known.cookie
    with stopped_holder(world) as end:
        assert await known.user() == "ada"
        assert (await new.visit()).status == 200
        for tab, script in ((known, write(a=1)), (new, write(a=1)), (new, login("bob"))):
            begun = time.perf_counter()
            answer = await tab.visit(script)
            assert time.perf_counter() - begun < 1  # 0.2 s, and more on a busy machine
            assert (answer.status, answer.set_cookies, answer.error) == (503, [], None)
            assert answer.all("retry-after") == ["1"]
        assert await known.user() == "ada"
        end()
        assert known.cookie == cookie
        assert (await known.write(a=2)).status == 200
        assert await known.read() == {"a": 2}
        await new.login("bob")
        assert await new.user() == "bob"
