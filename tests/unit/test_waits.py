"""Every wait in the tests and the bench has a limit, so that a fault fails a test within seconds.

A line with ``# no limit: why`` is left out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

WAITS = frozenset(
    {"accept", "acquire", "communicate", "get", "join", "readline", "recv", "result", "wait"}
)
RUNS = frozenset({"call", "check_call", "check_output", "run"})  # of subprocess
FILES = sorted(path for part in ("tests", "bench") for path in (ROOT / part).rglob("*.py"))


def waits_without_limit(source: str) -> Iterator[str]:
    """Yield the calls that may wait forever, as ``line: code``."""
    tree, lines = ast.parse(source), source.splitlines()
    awaited = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Await)}
    limited = {id(part) for node in ast.walk(tree) if _is_limit(node) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, owner = node.func.attr, node.func.value
        keywords = {keyword.arg for keyword in node.keywords}
        if isinstance(owner, ast.Name) and owner.id == "subprocess" and name in RUNS:
            found = "timeout" not in keywords
        else:
            found = name in WAITS and not node.args and not keywords and id(node) not in limited
            # a method of a WebSocket, which sends a message
            if name == "accept" and id(node) in awaited:
                found = False
            if isinstance(owner, ast.Attribute) and owner.attr == "objects":  # a class of Django's
                found = False
        if found and "# no limit: " not in lines[(node.end_lineno or node.lineno) - 1]:
            yield f"{node.lineno}: {ast.unparse(node)}"


def _is_limit(node: ast.AST) -> bool:
    """Return whether everything within a node has a limit: ``with fail_after(5)``, ``wait_for``."""
    if isinstance(node, ast.With | ast.AsyncWith):
        calls = [item.context_expr for item in node.items]
    elif isinstance(node, ast.Call):
        calls = [node]
    else:
        return False
    names = {"fail_after", "move_on_after", "timeout", "wait_for"}
    return any(
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in names
        for call in calls
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_wait_has_a_limit(path: Path) -> None:
    assert list(waits_without_limit(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("thread.join()", True),
        ("thread.join(5)", False),
        ("', '.join(names)", False),
        ("process.wait(timeout=5)", False),
        ("process.communicate()", True),
        ("queue.get()", True),
        ("options.get('a')", False),
        ("User.objects.get()", False),
        ("subprocess.run(command)", True),
        ("subprocess.run(command, timeout=5)", False),
        ("asyncio.run(main())", False),
        ("listener.accept()", True),
        ("async def f():\n    await websocket.accept()", False),
        ("async def f():\n    await event.wait()", True),
        ("async def f():\n    await asyncio.wait_for(event.wait(), 5)", False),
        ("async def f():\n    with anyio.fail_after(5):\n        await event.wait()", False),
        ("async def f():\n    async with asyncio.timeout(5):\n        await event.wait()", False),
        ("event.wait()  # no limit: it is set", False),
        ("with open(path) as file:\n    file.readline()", True),
    ],
)
def test_waits_without_a_limit_are_found(code: str, found: bool) -> None:
    assert bool(list(waits_without_limit(code))) == found
