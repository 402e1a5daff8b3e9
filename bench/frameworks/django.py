"""Django: lembro's engine and middleware beside Django's own, with its sessions in locmem."""

from __future__ import annotations

import secrets
import sys
from types import ModuleType
from typing import Any, Final

from bench.peers import BODY, WSGIApp, session_data
from bench.requests import OTHERS, Contender, by_action, wsgi_actions, wsgi_batch

REFERENCE: Final = "Django (locmem)"
BAR: Final = {"read": 2}

LIBRARIES: Final = {
    "lembro": ("lembro.integrations.django", "lembro.integrations.django.SessionMiddleware"),
    REFERENCE: (
        "django.contrib.sessions.backends.cache",
        "django.contrib.sessions.middleware.SessionMiddleware",
    ),
}
"""Each one's engine and middleware."""

Request = Any  # Django is not typed


def contenders() -> list[Contender]:
    """The bare application first."""
    _set_up()
    bare = _application(None, [])
    found = [Contender("bare", "", wsgi_batch(bare["unused"], OTHERS))]
    for library, (engine, middleware) in LIBRARIES.items():
        found += wsgi_actions(library, _application(engine, [middleware]))
    return found


def login(request: Request) -> Any:
    request.session.update(session_data())
    return unused(request)


def unused(request: Request) -> Any:
    from django.http import HttpResponse

    return HttpResponse(BODY)


def read(request: Request) -> Any:
    assert request.session["user_id"] == "4711"
    return unused(request)


def modified(request: Request) -> Any:
    request.session["visits"] += 1
    return unused(request)


def _set_up() -> None:
    import django
    from django.conf import settings
    from django.urls import path

    if settings.configured:
        return
    urls: Any = ModuleType("bench.frameworks.django_urls")
    urls.urlpatterns = [path(view.__name__, view) for view in (login, unused, read, modified)]
    sys.modules[urls.__name__] = urls
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=urls.__name__,
        SECRET_KEY=secrets.token_urlsafe(40),
        LEMBRO={"max_size": "4M"},
    )
    django.setup()


def _application(engine: str | None, middleware: list[str]) -> dict[str, WSGIApp]:
    """One application, by action. Its middleware reads the settings when it is made."""
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler

    settings.MIDDLEWARE = middleware
    if engine is not None:
        settings.SESSION_ENGINE = engine
    return by_action(WSGIHandler())
