"""Django: lembro's engine and middleware, compared with Django's own over locmem."""

from __future__ import annotations

import io
import secrets
import sys
from types import ModuleType
from typing import Any, Final

from bench.peers import ACTIONS, BODY, LOGIN, WSGIApp, session_data
from bench.serving import Contender, strangers, wsgi_actions, wsgi_batch

REFERENCE: Final = "Django (locmem)"
ROOM: Final = 100_000  # sessions; the default is 300, too few for the visitors

LIBRARIES: Final = {
    "lembro": ("lembro.integrations.django", "lembro.integrations.django.SessionMiddleware"),
    "lembro (the engine alone)": (
        "lembro.integrations.django",
        "django.contrib.sessions.middleware.SessionMiddleware",
    ),
    REFERENCE: (
        "django.contrib.sessions.backends.cache",
        "django.contrib.sessions.middleware.SessionMiddleware",
    ),
}
"""The engine and the middleware of each contender."""

URLS: Final = "bench.frameworks.django_urls"
ACTION: Final = "bench.action"

Request = Any  # Django has no types


def contenders() -> list[Contender]:
    """Return the contenders, the bare application first."""
    set_up()
    bare = application(None, [])
    found = [Contender("bare", "", wsgi_batch(bare["unused"], strangers()))]
    for library, (engine, middleware) in LIBRARIES.items():
        found += wsgi_actions(library, application(engine, [middleware]))
    return found


def login(request: Request) -> Any:
    request.session.update(session_data())
    request.session.cycle_key()  # as django.contrib.auth does
    return unused(request)


def unused(request: Request) -> Any:
    from django.http import HttpResponse

    return HttpResponse(BODY)


def read(request: Request) -> Any:
    assert request.session["user_id"]
    return unused(request)


def modified(request: Request) -> Any:
    request.session["visits"] += 1
    return unused(request)


def set_up(**others: Any) -> None:
    """Configure Django, with other settings than those of this bench."""
    import django
    from django.conf import settings
    from django.urls import path

    # One path for all, so that each is found in the same time as the bare application's.
    views = {LOGIN: login, "unused": unused, "read": read, "modified": modified}
    urls: Any = ModuleType(URLS)
    urls.urlpatterns = [path("", lambda request: views[request.META[ACTION]](request))]
    sys.modules[URLS] = urls
    if not settings.configured:
        chosen = {
            "ALLOWED_HOSTS": ["*"],
            "ROOT_URLCONF": URLS,
            "SECRET_KEY": secrets.token_urlsafe(40),
            "LEMBRO": {"MAX_SIZE": "4M"},
            "CACHES": {
                "default": {
                    "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
                    "OPTIONS": {"MAX_ENTRIES": ROOM},
                }
            },
            **others,
        }
        settings.configure(**chosen)
        django.setup()


def application(engine: str | None, middleware: list[str]) -> dict[str, WSGIApp]:
    """Return an application for each action.

    Its middleware reads the settings when it is created; the other applications of the process have
    their own.
    """
    from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
    from django.test.utils import override_settings

    request_class: Any = type("BenchRequest", (WSGIRequest,), {"urlconf": URLS})
    handler_class: Any = type("BenchHandler", (WSGIHandler,), {"request_class": request_class})
    engines = {} if engine is None else {"SESSION_ENGINE": engine}
    with override_settings(MIDDLEWARE=middleware, **engines):
        handler = handler_class()

    def at(action: str) -> WSGIApp:
        def page(environ: dict[str, Any], start_response: Any) -> Any:
            environ |= {ACTION: action, "wsgi.input": io.BytesIO()}
            return handler(environ, start_response)

        return page

    return {action: at(action) for action in (LOGIN, *ACTIONS)}
