"""34. Quadratic cookie parsing (CVE-2024-7592): the work grows linearly with the length of the
header.

The tests send 64 kB of backslashes and ten thousand pairs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from lembro._http.cookie import SessionCookie
from lembro.options import CookieOptions
from tests.support.visits import COOKIE, World, look
from tests.support.worlds import PARSER_KINDS, only

NAME = COOKIE.encode()

HOSTILE: dict[str, Callable[[int], bytes]] = {
    "backslashes": lambda n: NAME + b'="' + b"\\" * (6 * n) + b'"',
    "escapes": lambda n: NAME + b'="' + b"\\012" * n + b'"',
    "pairs": lambda n: b"; ".join(b"k%d=v" % i for i in range(n)) + b"; " + NAME + b"=x",
    "the name many times": lambda n: (NAME + b"=x;") * n,
    "the name with other values": lambda n: b";".join(NAME + b"=%d" % i for i in range(n)),
    "semicolons": lambda n: NAME + b"=x" + b";" * (6 * n),
    "blanks": lambda n: NAME + b"=" + b" " * (6 * n) + b"x",
    "blanks before": lambda n: b" " * (6 * n) + NAME + b"=x",
    "equals": lambda n: NAME + b"=" * (6 * n),
    "almost the name": lambda n: (NAME[:-1] + b"=") * n + NAME + b"=x",
    "dots": lambda n: NAME + b"=" + b"." * (6 * n),
    "almost an id": lambda n: NAME + b"=" + (b"A" * 43 + b".") * (n // 8),
}


def _lines(function: Callable[[], Any]) -> int:
    """Count the lines of Python that a call executes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("hostile", HOSTILE)
def test_the_work_for_one_header_is_linear(hostile: str) -> None:
    cookie = SessionCookie(CookieOptions())
    make = HOSTILE[hostile]
    one, two = make(5_000), make(10_000)
    cookie.read([one], https=False)
    single = _lines(lambda: cookie.read([one], https=False))
    double = _lines(lambda: cookie.read([two], https=False))
    assert double <= 2.1 * single + 100
    assert double <= 5 * len(two) + 100


@pytest.mark.parametrize("headers", [1, 100, 10_000])
def test_the_work_for_many_headers_is_linear(headers: int) -> None:
    cookie = SessionCookie(CookieOptions())
    lines = _lines(lambda: cookie.read([NAME + b"=x"] * headers, https=False))
    assert lines <= 20 * headers + 100


@only(PARSER_KINDS)
@pytest.mark.anyio
@pytest.mark.parametrize("hostile", HOSTILE)
async def test_the_cookie_is_found_in_a_long_header(world: World, hostile: str) -> None:
    answer = await world.tab().visit(look, cookies=[HOSTILE[hostile](10_000)])
    assert (answer.status, answer.result, answer.error) == (200, {}, None)
    assert not answer.set_cookies
    assert world.backend.records() == 0
