"""36. Unsafe deserialisation (CVE-2013-7489): a pickle or other program in the store is not
executed.

The visitor gets a new session, and an event reports the record.
"""

from __future__ import annotations

import ast
import marshal
import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest

import lembro
from lembro._core.codec import MARK
from tests.support.visits import World
from tests.support.worlds import PLAIN_KINDS, only

pytestmark = pytest.mark.anyio

executed: list[str] = []


def execute(what: str) -> dict[str, Any]:
    executed.append(what)
    return {"user": "eve"}


class Bomb:
    def __reduce__(self) -> Any:
        return execute, ("pickle",)


def in_our_format(value: object) -> bytes:
    return b"\x01" + msgspec.msgpack.encode(({}, {"user": value})) + bytes(MARK)


def planted() -> dict[str, bytes]:
    bombs = {f"pickle {protocol}": pickle.dumps(Bomb(), protocol) for protocol in range(6)}
    bombs["marshal"] = marshal.dumps(compile("execute('marshal')", "x", "exec"))
    bombs["text"] = b"__import__('tests').execute('text')"
    bombs["json"] = b'{"__reduce__": ["tests.execute", "json"], "py/object": "os.system"}'
    for name, bomb in list(bombs.items()):
        bombs[f"{name} behind our version"] = b"\x01" + bomb
        bombs[f"{name} behind our version, marked"] = b"\x01" + bomb + bytes(MARK)
        bombs[f"{name} within our format"] = in_our_format(bomb)
        for code in (1, 4, 9, 10, 11, 42):
            extension = msgspec.msgpack.Ext(code, bomb)
            bombs[f"{name} as extension {code}"] = in_our_format(extension)
    return bombs


PLANTED = planted()


@only(PLAIN_KINDS)
async def test_a_planted_program_is_never_executed(world: World) -> None:
    for name, bomb in PLANTED.items():
        tab = world.tab()
        await tab.login("ada")
        (key,) = world.backend.payloads()
        world.backend.plant(key, bomb)
        answer = await tab.visit(lambda visit: dict(visit.session))
        assert answer.status == 200, name
        assert executed == [], name
        if "within our format" in name:  # it is decoded as bytes
            assert type(answer.result["user"]) is bytes
        elif name.endswith("as extension 10"):  # any bytes form an integer
            assert type(answer.result["user"]) is int
        else:
            assert answer.result == {}, name
            assert world.heard("rejected"), name
        world.events.clear()
        world.backend.memory.clear()


def test_the_planted_programs_execute_if_unpickled() -> None:
    pickle.loads(PLANTED["pickle 4"])
    assert executed == ["pickle"]
    executed.clear()


def test_no_deserialiser_that_executes_code_is_imported() -> None:
    forbidden = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "yaml"}
    for path in Path(lembro.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "__import__"), path
            assert not forbidden & {name.split(".")[0] for name in names}, path
