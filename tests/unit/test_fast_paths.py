"""Short cuts of the hot path have the same result as the general path."""

from __future__ import annotations

import asyncio
import gc
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lembro import CookieOptions, MemoryStore, SessionManager, asgi
from lembro._core import codec
from lembro._http.cookie import ABSENT, MALFORMED, SessionCookie, find

FORM = re.compile(
    rb"(?:[A-Za-z0-9_-]{40}|[A-Za-z0-9_-]{43})(?:(?:\.[A-Za-z0-9_-]{22})?\.[A-Za-z0-9_-]{22})?"
)


def found_plainly(headers: list[bytes], name: bytes) -> list[bytes]:
    """Parse every pair separately."""
    values: list[bytes] = []
    for header in headers:
        for pair in header.split(b";"):
            key, equals, value = pair.partition(b"=")
            if equals and key.strip(b" \t") == name and value.strip(b" \t") not in values:
                values.append(value.strip(b" \t"))
    return values[:2]


PIECES = st.sampled_from([b"aa", b"a", b"=", b";", b"; ", b" ", b"\t", b"x", b"aaa", b'"', b"\x80"])
HEADERS = st.lists(st.lists(PIECES, max_size=9).map(b"".join), max_size=3)


@given(HEADERS)
@example([b"xaa=1; aa=2"])
@example([b"aaa=1;aa=2"])
@example([b"x=aa; aa =\t2 "])
@example([b"aa=1", b"aa=2"])
def test_the_quick_search_finds_the_same_cookie(headers: list[bytes]) -> None:
    assert find(headers, b"aa") == found_plainly(headers, b"aa")


ONE, OTHER = b"1" * 43, b"2" * 40
COOKIES = st.sampled_from([b"aa=", b"aa", ONE, OTHER, b";", b"; ", b" ", b"\t", b"x", b"=", b"X~"])


@given(st.lists(st.lists(COOKIES, max_size=9).map(b"".join), max_size=2))
@example([b"aa=" + ONE])
@example([b"aa=" + ONE + b"; x=1"])
@example([b"aa=" + ONE + b"~"])
@example([b"aa=~" + ONE])
@example([b"x=1; aa=" + ONE])
@example([b"x=1;  aa=" + ONE])
@example([b"x=1;aa=" + ONE])
@example([b"; aa=" + ONE])
@example([b";aa=" + ONE])
@example([b"xaa=" + ONE])
@example([b"x aa=" + ONE])
@example([b"aax=" + ONE])
@example([b"aa =" + ONE])
@example([b"aa=" + ONE + b"; aa=" + OTHER])
@example([b"aa=" + ONE, b"aa=" + OTHER])
@example([b"x=1", b"aa=" + OTHER])
@example([b"aa", b"aa=" + OTHER])
def test_the_quick_read_accepts_the_same_cookie(headers: list[bytes]) -> None:
    values = found_plainly(headers, b"aa")
    presented = SessionCookie(CookieOptions(name="aa")).read(headers, https=False)
    if len(values) == 1 and FORM.fullmatch(values[0]):
        assert presented.value == values[0]
    else:
        ids = [value.decode() for value in values if FORM.fullmatch(value)]
        if len(ids) == 1:
            assert presented.id == ids[0]
        elif ids:
            assert [each.id for each in presented.several] == ids
        else:
            assert presented is (MALFORMED if values else ABSENT)


@pytest.mark.parametrize("header", [b"aa=%s", b"a=1; aa=%s", b"aa=%s; a=1"])
def test_the_header_of_a_browser_needs_no_parsing(
    header: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("lembro._http.cookie.find")
    cookie = SessionCookie(CookieOptions(name="aa"))
    assert cookie.read([header % ONE], https=False).value == ONE


LENGTHS = st.sampled_from([21, 22, 23, 39, 40, 41, 42, 43, 44])
PART = st.builds(lambda letters, n: (letters * 44)[:n], st.sampled_from([b"aZ09_-", b"a"]), LENGTHS)


@given(st.lists(PART, min_size=1, max_size=4), st.sampled_from([b"", b"\n", b".", b"!", b"\xff"]))
def test_the_quick_check_accepts_the_same_values(parts: list[bytes], end: bytes) -> None:
    value = b".".join(parts) + end
    presented = SessionCookie(CookieOptions()).read([b"sid=" + value], https=False)
    assert (presented is not MALFORMED) == (FORM.fullmatch(value) is not None)
    assert presented.value == (value if FORM.fullmatch(value) else b"")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param((1, 2), id="a tuple"),
        pytest.param([1, {"a": {2}}], id="a set, nested"),
        pytest.param(2**64, id="a large int"),
        pytest.param({1: "a"}, id="an int as a key"),
    ],
)
def test_a_type_unknown_to_msgpack_is_tagged(value: Any) -> None:
    payload = codec.encode({}, {"a": value})
    assert codec.decode(payload) == ({}, {"a": value})
    assert type(codec.decode(payload)[1]["a"]) is type(value)


async def served(app: asgi.ASGIApp, cookie: str = "") -> dict[str, Any]:
    headers = [(b"cookie", cookie.encode())] if cookie else []
    scope: dict[str, Any] = {"type": "http", "path": "/", "headers": headers}
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return {"scope": scope, "headers": dict(sent[0]["headers"])}


def app_that(use: Any) -> asgi.ASGIApp:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        use(scope["session"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


def logged_in_cookie(manager: SessionManager, **data: Any) -> str:
    def use(session: Any) -> None:
        session.update(data)

    response = asyncio.run(served(asgi.SessionMiddleware(app_that(use), manager)))
    return str(response["headers"][b"set-cookie"].decode()).partition(";")[0]


def test_a_nested_change_is_noticed_by_every_access() -> None:
    manager = SessionManager(MemoryStore())
    cookie = logged_in_cookie(manager, cart=[1], name="Ada")
    ways = [
        lambda s: s["cart"].append(2),
        lambda s: s.get("cart").append(3),
        lambda s: dict(s.items())["cart"].append(4),
        lambda s: next(v for v in s.values() if isinstance(v, list)).append(5),
        lambda s: s.setdefault("cart", []).append(6),
        lambda s: s.copy()["cart"].append(7),
        lambda s: {**s}["cart"].append(8),
    ]
    for way in ways:
        asyncio.run(served(asgi.SessionMiddleware(app_that(way), manager), cookie))
    session_id = cookie.partition("=")[2][:43]
    assert manager.get(session_id) == {"cart": [1, 2, 3, 4, 5, 6, 7, 8], "name": "Ada"}


def test_a_tagged_session_keeps_its_types_when_a_text_changes() -> None:
    manager = SessionManager(MemoryStore())
    cookie = logged_in_cookie(manager, seen=(1, 2), name="Ada")
    change = app_that(lambda s: s.update(name="Grace"))
    asyncio.run(served(asgi.SessionMiddleware(change, manager), cookie))
    assert manager.get(cookie.partition("=")[2][:43]) == {"seen": (1, 2), "name": "Grace"}


def test_a_request_leaves_no_work_for_the_garbage_collector() -> None:
    manager = SessionManager(MemoryStore())
    cookie = logged_in_cookie(manager, cart=[1])
    app = asgi.SessionMiddleware(app_that(lambda s: s["cart"]), manager)

    async def many() -> int:
        await served(app, cookie)
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                await served(app, cookie)
            return gc.collect()
        finally:
            gc.enable()

    assert asyncio.run(many()) == 0
