"""A session that is first used after the response has begun, by ``reload()`` or ``atomic()``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lembro import MemoryStore, Session, SessionGone, SessionManager
from lembro.asgi import Message, Receive, Scope, Send, SessionMiddleware


async def no_messages() -> Message:
    raise AssertionError("the application reads no body")


async def discard(_: Message) -> None:
    pass


@pytest.mark.parametrize(
    "access", [lambda session: session.reload(), lambda session: session.atomic(len)]
)
def test_a_revoked_session_is_noticed_in_a_stream(
    access: Callable[[Session], Any],
) -> None:
    manager = SessionManager(MemoryStore("1M"))
    session_id = manager.create({"a": 1}, user_id="ana")
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session: Session = scope["session"]
        assert session
        await send({"type": "http.response.start", "status": 200, "headers": []})
        access(session)
        seen.append((session.user_id, session["a"]))
        manager.revoke_user("ana")
        with pytest.raises(SessionGone):
            session["a"]
        seen.append("gone")
        await send({"type": "http.response.body"})

    scope: Scope = {
        "type": "http",
        "scheme": "http",
        "path": "/",
        "headers": [(b"cookie", b"sid=" + session_id.encode())],
    }
    asyncio.run(SessionMiddleware(app, manager)(scope, no_messages, discard))
    assert seen == [("ana", 1), "gone"]
