"""The time that a session adds to a request in Litestar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bench.peers import BODY, LOGIN, ASGIApp, session_data
from bench.serving import Contender, asgi_actions, asgi_batch, strangers
from lembro import MemoryStore, SessionManager

REFERENCE: Final = "Litestar (server-side)"

Apps = dict[str, ASGIApp]


def contenders() -> list[Contender]:
    """Return the contenders, the bare application first."""
    bare = apps()["unused"]
    found = [Contender("bare", "", asgi_batch(bare, strangers()))]
    for library, build in LIBRARIES.items():
        found += asgi_actions(library, build())
    return found


def apps(**keywords: Any) -> Apps:
    """Return an application for each action."""
    from litestar import Litestar, Request, get

    page = BODY.decode()

    @get("/", media_type="text/html")
    async def unused(request: Request[Any, Any, Any]) -> str:
        return page

    @get("/", media_type="text/html")
    async def read(request: Request[Any, Any, Any]) -> str:
        assert request.session["user_id"]
        return page

    @get("/", media_type="text/html")
    async def modified(request: Request[Any, Any, Any]) -> str:
        request.session["visits"] += 1
        return page

    @get("/", media_type="text/html")
    async def login(request: Request[Any, Any, Any]) -> str:
        session: Any = request.session
        session.update(session_data())
        if hasattr(session, "login"):
            session.login(session["user_id"])
        return page

    handlers = {"unused": unused, "read": read, "modified": modified, LOGIN: login}
    return {
        action: Litestar([handler], openapi_config=None, logging_config=None, **keywords)
        for action, handler in handlers.items()
    }


def _server_side() -> Apps:
    from litestar.middleware.session.server_side import ServerSideSessionConfig
    from litestar.stores.memory import MemoryStore as LitestarStore

    store = LitestarStore()
    middleware = [ServerSideSessionConfig().middleware]
    return apps(middleware=middleware, stores={"sessions": store})


def _lembro() -> Apps:
    from lembro.integrations.litestar import LembroSessionConfig

    manager = SessionManager(MemoryStore())
    return apps(middleware=[LembroSessionConfig(manager).middleware])


LIBRARIES: Final[dict[str, Callable[[], Apps]]] = {
    REFERENCE: _server_side,
    "lembro": _lembro,
}
