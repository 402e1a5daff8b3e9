"""The same small application, bare and with each session library.

An application responds with a page and does one of three things with its session: nothing
("unused"), ``session["user_id"]`` ("read"), ``session["visits"] += 1`` ("modified").
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from itertools import count
from typing import Any, Final

from lembro import MemoryStore, SessionManager, asgi, wsgi

ACTIONS: Final = ("unused", "read", "modified")
LOGIN: Final = "login"

Scope = Any
Send = Callable[[Any], Awaitable[None]]
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]
WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

SECRET: Final = secrets.token_urlsafe(48)
BODY: Final = b"<!doctype html><title>Shop</title><p>Hello."


_users: Final = count(1000)


def session_data() -> dict[str, Any]:
    """Return what a shop keeps of a logged-in user: 300 bytes of JSON.

    Each call is for another user, because lembro ends the oldest of more than a hundred sessions of
    one user.
    """
    return {
        "user_id": f"{next(_users) % 100_000}",
        "name": "Ada Lovelace",
        "csrf_token": "Zk3v0GQm2pB1w7xN5tYcUe8RjLh4aSdF",
        "roles": ["customer", "reviewer"],
        "cart": [
            {"sku": "BK-1043", "quantity": 1, "price": 2490},
            {"sku": "PN-0007", "quantity": 12, "price": 130},
            {"sku": "LP-2210", "quantity": 1, "price": 8900},
        ],
        "logged_in_at": 1790000000,
        "visits": 0,
    }


# -- ASGI ------------------------------------------------------------------------------------------


async def _respond(send: Send) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"text/html; charset=utf-8"),
                (b"content-length", b"%d" % len(BODY)),
            ],
        }
    )
    await send({"type": "http.response.body", "body": BODY})


async def bare_asgi(scope: Scope, receive: Any, send: Send) -> None:
    await _respond(send)


async def _read(scope: Scope, receive: Any, send: Send) -> None:
    assert scope["session"]["user_id"]
    await _respond(send)


async def _modify(scope: Scope, receive: Any, send: Send) -> None:
    scope["session"]["visits"] += 1
    await _respond(send)


async def _login(scope: Scope, receive: Any, send: Send) -> None:
    session = scope["session"]
    session.update(session_data())
    if hasattr(session, "login"):
        session.login(session["user_id"])
    await _respond(send)


HANDLERS: Final[dict[str, ASGIApp]] = {
    "unused": bare_asgi,
    "read": _read,
    "modified": _modify,
    LOGIN: _login,
}


def each(wrap: Callable[[ASGIApp], ASGIApp]) -> dict[str, ASGIApp]:
    return {action: wrap(handler) for action, handler in HANDLERS.items()}


def starlette_cookie() -> dict[str, ASGIApp]:
    from starlette.middleware.sessions import SessionMiddleware

    async def read(scope: Scope, receive: Any, send: Send) -> None:
        scope["session"].mark_accessed()  # like request.session
        await _read(scope, receive, send)

    apps = each(lambda app: SessionMiddleware(app, secret_key=SECRET))
    return {**apps, "read": SessionMiddleware(read, secret_key=SECRET)}


def starsessions() -> dict[str, ASGIApp]:
    from starsessions import InMemoryStore, SessionMiddleware

    store = InMemoryStore()

    def loading(handler: ASGIApp) -> ASGIApp:
        """Load the session in the application. One that does not use its session saves the time."""

        async def app(scope: Scope, receive: Any, send: Send) -> None:
            await scope["session_handler"].load()
            await handler(scope, receive, send)

        return app if handler is not bare_asgi else handler

    return each(lambda app: SessionMiddleware(loading(app), store=store))


def lembro_asgi() -> dict[str, ASGIApp]:
    manager = SessionManager(MemoryStore())
    return each(lambda app: asgi.SessionMiddleware(app, manager))


def lembro_starlette() -> dict[str, ASGIApp]:
    from lembro.integrations.starlette import SessionMiddleware

    manager = SessionManager(MemoryStore())
    return each(lambda app: SessionMiddleware(app, manager))


ASGI: Final[dict[str, Callable[[], dict[str, ASGIApp]]]] = {
    "Starlette (cookie)": starlette_cookie,
    "starsessions (InMemoryStore)": starsessions,
    "lembro.asgi": lembro_asgi,
    "lembro.integrations.starlette": lembro_starlette,
}


# -- WSGI ------------------------------------------------------------------------------------------


def _wsgi(key: str, action: str, save: bool) -> WSGIApp:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if action == "read":
            assert environ[key]["user_id"]
        elif action == "modified":
            session = environ[key]
            session["visits"] += 1
            if save:
                session.save()
        elif action == LOGIN:
            session = environ[key]
            session.update(session_data())
            if save:
                session.save()
            else:
                session.login(session["user_id"])
        start_response(
            "200 OK",
            [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(BODY)))],
        )
        return [BODY]

    return app


bare_wsgi: Final = _wsgi("", "unused", False)


def beaker() -> dict[str, WSGIApp]:
    wrap = import_module("beaker.middleware").SessionMiddleware  # it has no types
    options = {"session.type": "memory", "session.secret": SECRET, "session.key": "session"}
    return {
        action: wrap(_wsgi("beaker.session", action, save=True), options) for action in HANDLERS
    }


def lembro_wsgi(manager: SessionManager | None = None) -> dict[str, WSGIApp]:
    manager = manager or SessionManager(MemoryStore())
    return {
        action: wsgi.SessionMiddleware(_wsgi(wsgi.KEY, action, save=False), manager)
        for action in HANDLERS
    }


WSGI: Final[dict[str, Callable[[], dict[str, WSGIApp]]]] = {
    "Beaker (memory)": beaker,
    "lembro.wsgi": lembro_wsgi,
}
