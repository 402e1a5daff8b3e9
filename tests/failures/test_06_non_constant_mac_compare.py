"""6. A MAC compared byte by byte (CVE-2013-0263): signatures are compared by ``compare_digest``.

Every secret is tried, so that the time does not tell which one matched.
"""

from __future__ import annotations

import ast
import hmac
from pathlib import Path
from typing import Any

import pytest

import lembro
from tests.support.visits import World
from tests.support.worlds import Build

SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
OLDER = "zyxwvutsrqponmlkjihgfedcba9876543210"


@pytest.mark.anyio
async def test_every_mac_is_compared_in_constant_time(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    world: World = build(secret=[SECRET, OLDER])
    tab = world.tab()
    await tab.login("ada")
    compared: list[tuple[Any, Any]] = []
    real = hmac.compare_digest

    def recorded(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", recorded)
    assert await tab.user() == "ada"
    assert compared
    # A forged signature is compared with the signature by each secret.
    assert tab.cookie is not None
    compared.clear()
    forged = tab.cookie[:-1] + ("A" if tab.cookie[-1] != "A" else "Q")
    assert await world.tab(forged).user() is None
    assert len({made for made, _ in compared}) == 2
    assert {given for _, given in compared} == {forged.rpartition(".")[2].encode()}


def test_the_source_compares_no_digest_by_an_operator() -> None:
    """No operand of == or != in the source is called mac, digest or signature."""
    suspicious = []
    for path in Path(lembro.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Compare):
                continue
            if not any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
                continue
            words = ast.unparse(node).lower()
            if any(word in words for word in ("mac(", "digest", "signature")):
                suspicious.append(f"{path.name}:{node.lineno}: {words}")
    assert suspicious == []
