"""The applications of ``python -m bench stores``: lembro and other libraries on one server.

Each function returns an application for each action, whose sessions are on the server of a URL.
The libraries are used as their documentation says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from bench import peers
from bench.frameworks import django, flask, litestar
from bench.peers import BODY, LOGIN, ASGIApp, session_data
from bench.serving import Run
from lembro import SessionManager

Apps = Mapping[str, Any]
"""For each action, an application."""
Build = Callable[[str, Run], Apps]
"""Make the applications with a URL. ``run`` runs a coroutine in the event loop of the bench."""


@dataclass(frozen=True)
class Kind:
    """One kind of applications.

    Attributes:
        bare: Makes the application without any session.
        libraries: lembro and the others.
        bars: For each other library and action, the largest share of its time that lembro may take.
        is_async: Whether the applications are for ASGI.
        unused: The round trips of lembro for a page that does not use its session.
        server: The server of the sessions: ``Redis`` or ``PostgreSQL``.
    """

    bare: Build
    libraries: dict[str, Build]
    bars: dict[str, dict[str, float]]
    is_async: bool = True
    unused: int = 0
    server: str = "Redis"


def patient(url: str) -> str:
    """Return the URL of a store that waits longer: on a busy machine, no request may fail."""
    return f"{url}?timeout=10"


# -- ASGI ------------------------------------------------------------------------------------------


def _asking(wrap: Callable[[ASGIApp], ASGIApp], load: Callable[[Any], Any]) -> Apps:
    """Return the applications that load the session first, unless they do not use it."""

    def asking(handler: ASGIApp) -> ASGIApp:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await load(scope)
            await handler(scope, receive, send)

        return handler if handler is peers.bare_asgi else app

    return {action: wrap(asking(handler)) for action, handler in peers.HANDLERS.items()}


def lembro_asgi(url: str, run: Run) -> Apps:
    return asgi_of(SessionManager(patient(url), load="asked"))


def asgi_of(manager: SessionManager) -> Apps:
    """Return the applications over a manager with ``load="asked"``."""
    from lembro.asgi import SessionMiddleware

    return _asking(
        lambda app: SessionMiddleware(app, manager), lambda scope: scope["session"].aload()
    )


def starsessions(url: str, run: Run) -> Apps:
    from redis.asyncio import Redis
    from starsessions import SessionMiddleware
    from starsessions.stores.redis import RedisStore

    store = RedisStore(connection=Redis.from_url(url))
    return _asking(
        lambda app: SessionMiddleware(app, store=store, cookie_https_only=False),
        lambda scope: scope["session_handler"].load(),
    )


# -- FastAPI ---------------------------------------------------------------------------------------


def _fastapi(depends: Any, set_up: Callable[[Any], object], run: Run) -> Apps:
    """Return the applications. ``depends`` is the dependency of a library on the session."""
    from fastapi import FastAPI, Response

    def page() -> Response:
        return Response(BODY, media_type="text/html")

    async def unused() -> Response:
        return page()

    async def read(session: Any = depends) -> Response:
        assert session["user_id"]
        return page()

    async def modified(session: Any = depends) -> Response:
        session["visits"] += 1
        return page()

    async def login(session: Any = depends) -> Response:
        session.update(session_data())
        if hasattr(session, "login"):
            session.login(session["user_id"])
        return page()

    apps = {}
    handlers = {"unused": unused, "read": read, "modified": modified, LOGIN: login}
    for action, handler in handlers.items():
        app = FastAPI(openapi_url=None)
        app.get("/", response_model=None)(handler)
        set_up(app)
        app.state.lifespan = app.router.lifespan_context(app)
        run(app.state.lifespan.__aenter__())  # it ends with the process
        apps[action] = app
    return apps


def bare_fastapi(url: str, run: Run) -> Apps:
    return _fastapi(None, lambda app: None, run)


def lembro_fastapi(url: str, run: Run) -> Apps:
    from fastapi import Depends

    from lembro.integrations.fastapi import SessionMiddleware, current_session

    manager = SessionManager(patient(url), load="asked")
    return _fastapi(
        Depends(current_session), lambda app: app.add_middleware(SessionMiddleware, manager), run
    )


def fastapi_redis_sdk(url: str, run: Run) -> Apps:
    sdk: Any = import_module("redis_fastapi")
    os.environ["REDIS_URL"] = url
    (depends,) = sdk.SessionDep.__metadata__
    return _fastapi(depends, lambda app: sdk.FastAPIRedis(app).lifespan().sessions(), run)


# -- Litestar --------------------------------------------------------------------------------------


def bare_litestar(url: str, run: Run) -> Apps:
    return litestar.apps()


def lembro_litestar(url: str, run: Run) -> Apps:
    from lembro.integrations.litestar import LembroSessionConfig

    manager = SessionManager(patient(url))
    return litestar.apps(middleware=[LembroSessionConfig(manager).middleware])


def litestar_redis(url: str, run: Run) -> Apps:
    from litestar.middleware.session.server_side import ServerSideSessionConfig
    from litestar.stores.redis import RedisStore

    store = RedisStore.with_client(url)
    middleware = [ServerSideSessionConfig().middleware]
    return litestar.apps(middleware=middleware, stores={"sessions": store})


# -- WSGI ------------------------------------------------------------------------------------------


def bare_flask(url: str, run: Run) -> Apps:
    return flask.application(flask.no_sessions)


def lembro_flask(url: str, run: Run) -> Apps:
    from lembro.integrations.flask import Lembro

    return flask.application(lambda app: Lembro(app, store=patient(url)))


def flask_session(url: str, run: Run) -> Apps:
    import redis
    from flask_session import Session

    def set_up(app: Any) -> None:
        app.config.update(SESSION_TYPE="redis", SESSION_REDIS=redis.Redis.from_url(url))
        Session(app)

    return flask.application(set_up)


def bare_django(url: str, run: Run) -> Apps:
    _set_up_django(url)
    return django.application(None, [])


def lembro_django(url: str, run: Run) -> Apps:
    _set_up_django(url)
    engine, middleware = django.LIBRARIES["lembro"]
    return django.application(engine, [middleware])


def django_sessions(url: str, run: Run) -> Apps:
    """Django's own sessions: in its cache on Redis, or in its database on PostgreSQL."""
    _set_up_django(url)
    kind = "db" if is_database(url) else "cache"
    middleware = "django.contrib.sessions.middleware.SessionMiddleware"
    return django.application(f"django.contrib.sessions.backends.{kind}", [middleware])


def is_database(url: str) -> bool:
    return url.startswith("postgresql:")


def _set_up_django(url: str) -> None:
    lembro = {"STORE": patient(url)}
    if not is_database(url):
        cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}
        django.set_up(CACHES={"default": cache}, LEMBRO=lembro)
        return
    parts = urlsplit(url)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.strip("/"),
        "USER": parts.username,
        "PASSWORD": parts.password,
        "HOST": parts.hostname,
        "PORT": parts.port,
        "CONN_MAX_AGE": None,  # without this, each request would connect
    }
    apps = ["django.contrib.sessions"]
    django.set_up(DATABASES={"default": database}, INSTALLED_APPS=apps, LEMBRO=lembro)
    import_module("django.core.management").call_command("migrate", verbosity=0)


KINDS: Final[dict[str, Kind]] = {
    "ASGI": Kind(
        lambda url, run: {"unused": peers.bare_asgi},
        {"lembro": lembro_asgi, "starsessions": starsessions},
        {"starsessions": {"read": 0.6, "modified": 1.25}},
    ),
    "FastAPI": Kind(
        bare_fastapi,
        {"lembro": lembro_fastapi, "fastapi-redis-sdk": fastapi_redis_sdk},
        {"fastapi-redis-sdk": {"read": 0.7, "modified": 0.7}},
    ),
    "Litestar": Kind(
        bare_litestar,
        {"lembro": lembro_litestar, "RedisStore": litestar_redis},
        {"RedisStore": {"unused": 0.6, "read": 0.6}},
        unused=1,  # request.session cannot wait, so the session is loaded before
    ),
    "Flask": Kind(
        bare_flask,
        {"lembro": lembro_flask, "Flask-Session": flask_session},
        {"Flask-Session": {"unused": 0.3, "read": 0.7, "modified": 1.15}},
        is_async=False,
    ),
    "Django": Kind(
        bare_django,
        {"lembro": lembro_django, "Django's cache": django_sessions},
        {"Django's cache": {"modified": 0.6}},
        is_async=False,
    ),
    "Django on PostgreSQL": Kind(
        bare_django,
        {"lembro": lembro_django, "Django's db": django_sessions},
        {"Django's db": {"modified": 0.6}},
        is_async=False,
        server="PostgreSQL",
    ),
}
