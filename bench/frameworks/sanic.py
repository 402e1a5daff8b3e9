"""Sanic, under an ASGI server: lembro's sessions, compared with those of sanic-sessions.

Sanic has none of its own, and the older sanic-session does not work with the cookies of today's
Sanic.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import sanic
from sanic.response import HTTPResponse, html

from bench.peers import ACTIONS, BODY, LOGIN, ASGIApp, session_data
from bench.serving import Contender, asgi_actions, asgi_batch, strangers
from lembro import MemoryStore
from lembro.integrations.sanic import Lembro

App = sanic.Sanic[Any, Any]
Request = sanic.Request[Any, Any]
SetUp = Callable[[App], object]
REFERENCE: Final = "sanic-sessions (memory)"

PAGE: Final = BODY.decode()
_numbers: Final = itertools.count(1)  # each application of a process needs another name


def contenders() -> list[Contender]:
    """Return the contenders, the bare application first."""
    bare = _application(lambda app: None)["unused"]
    found = [Contender("bare", "", asgi_batch(bare, strangers()))]
    setups: dict[str, SetUp] = {
        REFERENCE: lambda app: import_module("sanic_sessions").Session(app),
        "lembro": lambda app: Lembro(app, store=MemoryStore("4M")),
    }
    for library, set_up in setups.items():
        found += asgi_actions(library, _application(set_up))
    return found


async def login(request: Request) -> HTTPResponse:
    request.ctx.session.update(session_data())
    return html(PAGE)


async def unused(request: Request) -> HTTPResponse:
    return html(PAGE)


async def read(request: Request) -> HTTPResponse:
    assert request.ctx.session["user_id"]
    return html(PAGE)


async def modified(request: Request) -> HTTPResponse:
    request.ctx.session["visits"] += 1
    return html(PAGE)


def _application(set_up: SetUp) -> dict[str, ASGIApp]:
    """Return an application for each action."""
    sanic.Sanic.test_mode = True  # the checks that it skips for speed stay skipped for the next one
    app: Any = sanic.Sanic(f"bench-{next(_numbers)}", configure_logging=False)
    set_up(app)
    for handler in (login, unused, read, modified):
        app.add_route(handler, f"/{handler.__name__}")
    app.asgi = True
    asyncio.run(app._startup())  # as the lifespan of a server does

    def at(action: str) -> ASGIApp:
        path = {"path": f"/{action}", "raw_path": f"/{action}".encode()}

        async def page(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, **path}, receive, send)

        return page

    return {action: at(action) for action in (LOGIN, *ACTIONS)}
