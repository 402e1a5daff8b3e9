"""The small application of ``visits.py`` in Django, under WSGI and under ASGI."""

from __future__ import annotations

import io
import sys
from typing import Any, Final

import django

from tests.support import django_project

__all__ = ["InDjango", "InDjangoASGI"]

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import got_request_exception

from lembro import SessionManager
from lembro.integrations.django.config import forget, get_manager
from tests.support.gateways import fetch_asgi, fetch_wsgi
from tests.support.messages import Answer, Request
from tests.support.visits import HEADER

assert django_project

MIDDLEWARE: Final = ["lembro.integrations.django.SessionMiddleware"]
OWN_KEYS: Final = ("_session_expiry",)
"""Django's own keys in a session, as with its engines."""
_errors: dict[str, BaseException] = {}  # the exception that the view raised, by visit


def _remember(request: Any, **_: Any) -> None:
    error = sys.exc_info()[1]
    if error is not None and HEADER in request.headers:
        _errors[request.headers[HEADER]] = error


got_request_exception.connect(_remember)


def use(manager: SessionManager) -> None:
    """Make this the manager of the settings."""
    if getattr(settings, "LEMBRO", {}).get("MANAGER") is not manager:
        settings.LEMBRO = {"MANAGER": manager}
        forget()
    assert get_manager() is manager


def _answered(request: Request, answer: Answer) -> Answer:
    (number,) = (value.decode() for name, value in request.headers if name == HEADER.encode())
    # Django 5.2 puts a space before the value of a cookie, which HTTP allows.
    answer.headers = [(name, value.strip()) for name, value in answer.headers]
    answer.error = answer.error or _errors.pop(number, None)
    return answer


class InDjango:
    name = "django"
    sync = True
    websockets = False
    own_driver = True
    own_keys = OWN_KEYS
    middleware = MIDDLEWARE

    def __init__(self, manager: SessionManager) -> None:
        self.manager = manager
        use(manager)
        self.app = _handler(WSGIHandler, self.middleware)

    async def fetch(self, request: Request) -> Answer:
        use(self.manager)
        return _answered(request, await fetch_wsgi(self.app, request))


class _AsyncRequest(ASGIRequest):  # type: ignore[misc]  # Django is not typed
    urlconf = "tests.support.django_aurls"


class _AsyncHandler(ASGIHandler):  # type: ignore[misc]
    request_class = _AsyncRequest

    async def read_body(self, receive: Any) -> Any:
        """Read the body without a temporary file, which Django 5.2 leaves open after an error."""
        return io.BytesIO((await receive())["body"])


class InDjangoASGI:
    name = "django-asgi"
    sync = False
    websockets = False
    own_driver = True
    trio = False
    cancellable = django.VERSION >= (6, 0)
    """Django 5.2 continues work that it has begun when its handler is cancelled."""
    own_keys = OWN_KEYS
    middleware = MIDDLEWARE

    def __init__(self, manager: SessionManager) -> None:
        self.manager = manager
        use(manager)
        self.app = _handler(_AsyncHandler, self.middleware)

    async def fetch(self, request: Request) -> Answer:
        use(self.manager)
        return _answered(request, await fetch_asgi(self.app, request))


def _handler(kind: Any, middleware: list[str]) -> Any:
    """Return a handler. It reads MIDDLEWARE when it is created."""
    usual, settings.MIDDLEWARE = settings.MIDDLEWARE, middleware
    try:
        return kind()
    finally:
        settings.MIDDLEWARE = usual
