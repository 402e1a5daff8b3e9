"""The dashboard as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from inspect import isawaitable
from typing import TypeAlias

from .._core.session import Session
from .._threads import in_thread
from ..asgi import Message, Receive, Scope, Send, is_https
from ..manager import SessionManager
from .handler import MAX_BODY, Handler, Request, check_allow, name_of, not_found
from .listing import Directory

Allow: TypeAlias = Callable[[Scope], bool | str | Awaitable[bool | str | None] | None]
"""Decides whether a request may see the dashboard."""


class ASGIDashboard:
    """A page that lists the sessions of a manager and ends them, as an ASGI application.

    Mount it inside the session middleware, so that ``allow`` can ask who is logged in::

        app.mount("/sessions", ASGIDashboard(manager, allow=is_admin))

    Args:
        manager: The manager of the sessions.
        allow: Called with the ``scope`` of each request, before anything else. It returns True, the
            operator's name for the audit events, or False, which gives a 404. It may be a coroutine
            function. A plain function is called in the event loop, so it must not block. If it
            raises, your application gets the exception, and the request sees nothing.
        show: The keys of the session's data that the page shows. By default it shows none.

    Raises:
        ConfigError: An argument is invalid, or the store cannot list its sessions.
    """

    def __init__(self, manager: SessionManager, *, allow: Allow, show: Sequence[str] = ()) -> None:
        check_allow(allow)
        self._allow = allow
        self._handler = Handler(Directory(manager, show))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the ASGI server."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = self._allow(scope)
        operator = name_of(await allowed if isawaitable(allowed) else allowed)
        if operator is None:
            response = not_found()
        else:
            request = _request(scope, operator, await _body(scope, receive))
            session = scope.get("session")
            if request.path == "/stats" and isinstance(session, Session):
                session.skip_touch()  # an open page polls
            response = await in_thread(partial(self._handler.respond, request))
        headers = [(name.lower().encode(), value.encode()) for name, value in response.headers]
        start = {"type": "http.response.start", "status": response.status, "headers": headers}
        await send(start)
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body})


def _request(scope: Scope, operator: str, body: bytes) -> Request:
    root, path = scope.get("root_path", ""), scope["path"]
    if path == root or path.startswith(root + "/"):
        path = path[len(root) :]
    headers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        if name in headers:
            text = headers[name] + ("; " if name == "cookie" else ", ") + text
        headers[name] = text
    return Request(
        method=scope["method"],
        root=root,
        path=path,
        query=scope["query_string"].decode("ascii", "replace"),
        headers=headers,
        https=is_https(scope),
        body=body,
        operator=operator,
    )


async def _body(scope: Scope, receive: Receive) -> bytes:
    """Return the body of a request, or its first bytes if it is larger than a form can be."""
    body = b""
    while scope["method"] == "POST" and len(body) <= MAX_BODY:
        message: Message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):  # also at a disconnect
            break
    return body


async def _live(receive: Receive, send: Send) -> None:
    """Answer the startup and the shutdown of a server that serves nothing but the dashboard."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
