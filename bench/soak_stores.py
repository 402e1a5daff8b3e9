"""The stores of ``bench.soak``: what each may take, and how its contents are counted again."""

from __future__ import annotations

import os
import select
import signal
import sqlite3
import tempfile
import time
import warnings
from contextlib import closing
from pathlib import Path
from typing import ClassVar, Final

from bench.store_pages import Pages
from lembro import Found, MemoryStore
from lembro.stores import SQLiteStore
from lembro.stores.memory.audit import recount

OVER: Final = 1.2  # limit of resident memory, in times of max_size
OWN: Final = 4 << 20  # bytes for the soak itself, in addition to its notes
BESIDE: Final = 1 << 20  # bytes that the pages of a MemoryStore may take beyond max_size
CACHES: Final = 24 << 20  # bytes for the caches of SQLite: 2 MB for each connection
RECOUNT: Final = 120.0  # seconds that a recount may take
COUNT: Final = "select count(*) from lembro_sessions where successor is null and expires > ?"


class MemoryPlace:
    """A MemoryStore and its pages."""

    name: ClassVar[str] = "MemoryStore"
    holds: ClassVar[str] = "pages of the store"

    def __init__(self, max_size: str, interval: float = 2) -> None:
        self.store: Final = MemoryStore(max_size, interval=interval)
        self.max_size: Final = self.store.max_size
        self.pages: Final = Pages(self.store)
        self.most_resident: Final[float] = OVER * self.max_size + OWN
        self.most_held: Final = self.max_size + BESIDE

    def held(self) -> int:
        """Return the bytes that the store takes."""
        return self.pages.present()

    def recount(self) -> str:
        """Count the contents again. Return the fault, or an empty text."""
        return recount_in_child(self.store)

    async def get(self, key: bytes) -> Found | None:
        return self.store.get(key)

    async def touch(self, key: bytes, idle: float) -> None:
        self.store.touch(key, idle=idle)

    async def aclose(self) -> None:
        """Close what the loop has opened: nothing."""

    def close(self) -> None:
        self.store.close()


class SQLitePlace:
    """A SQLiteStore and its file in a temporary folder."""

    name: ClassVar[str] = "SQLiteStore"
    holds: ClassVar[str] = "file and its log"

    def __init__(self, max_size: str, interval: float = 2) -> None:
        self._folder: Final = tempfile.TemporaryDirectory(prefix="lembro-soak-")
        self.file: Final = Path(self._folder.name) / "sessions.db"
        self.store: Final = SQLiteStore(self.file, max_size, interval=interval, timeout=5)
        self.store.open()
        assert self.store.aio is not None
        assert self.store.max_size is not None
        self._aio = self.store.aio
        self.max_size: Final = self.store.max_size
        self.most_resident: Final[float] = OWN + CACHES
        self.most_held: Final = self.max_size

    def held(self) -> int:
        """Return the bytes of the file, its log and the index of the log."""
        return sum(path.stat().st_size for path in self.file.parent.iterdir())

    def recount(self) -> str:
        """Check the file, and count its sessions again. Return the fault, or an empty text."""
        with closing(sqlite3.connect(self.file)) as connection:
            [(fault,)] = connection.execute("pragma integrity_check(1)")
            if fault != "ok":
                return str(fault)
            # No session is added meanwhile, but some may expire.
            [(most,)] = connection.execute(COUNT, (time.time() * 1e6,))
            told = self.store.stats().sessions
            [(least,)] = connection.execute(COUNT, (time.time() * 1e6,))
        if told is not None and least <= told <= most:
            return ""
        return f"stats() says {told} sessions, the file has {least} to {most}"

    async def get(self, key: bytes) -> Found | None:
        return await self._aio.get(key)

    async def touch(self, key: bytes, idle: float) -> None:
        await self._aio.touch(key, idle=idle)

    async def aclose(self) -> None:
        """Close the connection of the loop."""
        await self._aio.close()

    def close(self) -> None:
        self.store.close()
        self._folder.cleanup()


Place = MemoryPlace | SQLitePlace
PLACES: Final[dict[str, type[Place]]] = {"memory": MemoryPlace, "sqlite": SQLitePlace}


def recount_in_child(store: MemoryStore) -> str:
    """Recount a store in a forked child. Return the fault, or an empty text."""
    reads, writes = os.pipe()
    with warnings.catch_warnings():
        # Python warns that a child may wait forever for a lock of another thread. The only lock
        # that the child needs is that of the store, and the store takes it for the fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        fault = "the recount ended too early"
        try:
            recount(store._parts)
            fault = ""
        except AssertionError as error:
            fault = str(error) or "a part contradicts another"
        except BaseException as error:
            fault = repr(error)
        finally:
            os.write(writes, f"{fault}\n".encode())
            os._exit(0)
    os.close(writes)
    try:
        if not select.select([reads], [], [], RECOUNT)[0]:
            os.kill(pid, signal.SIGKILL)
            return f"not finished within {RECOUNT:.0f} seconds"
        return os.read(reads, 65536).decode().strip()
    finally:
        os.close(reads)
        os.waitpid(pid, 0)
