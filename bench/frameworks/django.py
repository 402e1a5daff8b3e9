"""Django: lembro's sessions beside its own in a LocMemCache."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.urls import path

from bench.peers import ACTIONS, BODY, LOGIN, WSGIApp, session_data
from bench.requests import OTHERS, Contender, _wsgi_batch, _wsgi_cookie

OWN: Final = "Django (cache, LocMemCache)"
DJANGOS: Final = "django.contrib.sessions.middleware.SessionMiddleware"
SETUPS: Final = {
    "lembro": ("lembro.integrations.django.SessionMiddleware", "lembro.integrations.django"),
    "lembro (the engine alone)": (DJANGOS, "lembro.integrations.django"),
    OWN: (DJANGOS, "django.contrib.sessions.backends.cache"),
}
ACTION: Final = "bench.action"


def contenders() -> list[Contender]:
    """The bare application first."""
    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"],
            LEMBRO={"max_size": "4M"},
            LOGGING_CONFIG=None,
            ROOT_URLCONF=__name__,
            SECRET_KEY="only-for-the-bench" * 3,
        )
    found = [Contender("bare", "", _wsgi_batch(_at(_handler([]), "unused"), OTHERS))]
    for library, (middleware, engine) in SETUPS.items():
        settings.SESSION_ENGINE = engine
        app = _handler([middleware])
        cookie = _wsgi_cookie(_at(app, LOGIN))
        found += [
            Contender(library, action, _wsgi_batch(_at(app, action), cookie)) for action in ACTIONS
        ]
    return found


def _handler(middleware: list[str]) -> Any:
    settings.MIDDLEWARE = middleware
    return WSGIHandler()


def _at(app: Any, action: str) -> WSGIApp:
    def page(environ: dict[str, Any], start_response: Any) -> Any:
        environ |= {"wsgi.input": io.BytesIO(), ACTION: action}
        return app(environ, start_response)

    return page


def login(request: Any) -> HttpResponse:
    request.session.update(session_data())
    return HttpResponse(BODY)


def unused(request: Any) -> HttpResponse:
    return HttpResponse(BODY)


def read(request: Any) -> HttpResponse:
    assert request.session["user_id"] == "4711"
    return HttpResponse(BODY)


def modified(request: Any) -> HttpResponse:
    request.session["visits"] += 1
    return HttpResponse(BODY)


VIEWS: Final[dict[str, Callable[[Any], HttpResponse]]] = {
    LOGIN: login,
    "unused": unused,
    "read": read,
    "modified": modified,
}
urlpatterns = [path("", lambda request: VIEWS[request.META[ACTION]](request))]
