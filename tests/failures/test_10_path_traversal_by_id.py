"""10. Path traversal by ID (CVE-2025-61686): no value of a client becomes part of a file path.

No ID, reputation or handle causes a file to be opened, listed, created or removed. The only file is
the advisory lock of a process, and no client has an influence on its name.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lembro import MemoryStore, SessionManager
from lembro.stores.memory import worker_check
from tests.support.visits import COOKIE, World, look, write

PATHS = {
    "relative": "../../../../../../etc/passwd",
    "absolute": "/etc/passwd",
    "backslash": "..\\..\\..\\windows\\win.ini",
    "drive": "C:\\windows\\win.ini",
    "share": "\\\\host\\share\\file",
    "nul": "id\0.json",
    "nul and path": "../../etc/passwd\0",
    "percent": "..%2f..%2fetc%2fpasswd",
    "percent twice": "..%252f..%252fetc%252fpasswd",
    "overlong": "..\xc0\xaf..\xc0\xafetc\xc0\xafpasswd",
    "url": "file:///etc/passwd",
    "home": "~/.ssh/id_rsa",
    "device": "/dev/zero",
    "descriptor": "/proc/self/fd/0",
    "dot": ".",
    "dots": "..",
    "empty": "",
    "as long as an ID": "/" + "a" * 42,
    "with a reputation": "../" + "a" * 40 + "." + "/" * 32,
}

_touched: list[str] | None = None
_FILES = ("open", "os.", "shutil.", "tempfile.", "glob.", "pathlib.")


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if _touched is not None and event.startswith(_FILES):
        _touched.append(f"{event} {args!r}")


sys.addaudithook(_hear)  # the interpreter's own, which cannot be removed or avoided


@contextmanager
def no_file_is_touched() -> Iterator[None]:
    global _touched  # noqa: PLW0603
    _touched = []
    try:
        yield
        assert _touched == []
    finally:
        _touched = None


def test_the_audit_hook_reports_file_access(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="listdir"), no_file_is_touched():
        os.listdir(tmp_path)
    with pytest.raises(AssertionError, match=r"open .*victim"), no_file_is_touched():
        (tmp_path / "victim").write_bytes(b"")


@pytest.mark.anyio
async def test_a_path_as_a_cookie_touches_no_file(world: World) -> None:
    await world.tab().write(a=1)  # load what is imported lazily
    await world.tab("x").write(a=1)
    stored = world.backend.live()
    for path in PATHS.values():
        raw = f"{COOKIE}={path}".encode("latin-1")
        with no_file_is_touched():
            assert (await world.tab().visit(look, cookies=[raw])).result == {}
            answer = await world.tab().visit(write(a=1), cookies=[raw])
        assert answer.status == 200
        assert answer.sets_session, "under an ID that lembro issued"
        stored += 1
    assert world.backend.live() == stored


@pytest.mark.anyio
async def test_a_path_as_a_user_or_a_key_touches_no_file(world: World) -> None:
    await world.tab().login("ada")
    for path in PATHS.values():
        if not path:
            continue
        tab = world.tab()
        with no_file_is_touched():
            await tab.login(path)
            await tab.write(**{path: path})
            assert await tab.user() == path
            assert await tab.read() == {path: path}
            await tab.logout()


def test_a_path_as_an_id_or_a_handle_of_a_manager_touches_no_file() -> None:
    manager = SessionManager(MemoryStore())
    session_id = manager.create({"a": 1})
    for path in PATHS.values():
        with no_file_is_touched():
            assert manager.get(path) is None
            assert not manager.set(path, {"a": 2})
            assert not manager.touch(path)
            assert not manager.destroy(path)
            assert manager.regenerate(path) is None
            assert not manager.revoke(path)
            assert manager.load(path).is_new
    assert manager.get(session_id) == {"a": 1}


@pytest.mark.parametrize("path", PATHS)
def test_the_lock_file_is_in_the_temporary_folder(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line and the working folder make no difference."""
    monkeypatch.setattr(sys, "argv", [PATHS[path]])
    monkeypatch.setattr(os, "getcwd", lambda: PATHS[path])
    name = Path(worker_check._name())
    assert str(name.parent) == tempfile.gettempdir()
    assert re.fullmatch(r"lembro-[0-9a-f]{32}\.lock", name.name)
