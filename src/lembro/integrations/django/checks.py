"""The system checks of ``manage.py check``."""

from __future__ import annotations

import os
import re
from importlib import import_module
from typing import Any, Final

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from ...errors import ConfigError
from ...stores.memory.worker_check import INSTEAD
from .._adapter import SessionManager, runner_of
from .config import get_manager
from .engine import SessionStore
from .middleware import SessionMiddleware

_OURS: Final = "lembro.integrations.django.SessionMiddleware"
_SERIALIZER: Final = "django.contrib.sessions.serializers.JSONSerializer"
_WORKERS: Final = re.compile(r"(?:^|\s)(?:-w|--workers)[ =]?(\d+)")


def check_settings(**_: Any) -> list[CheckMessage]:
    """Check LEMBRO, SESSION_* and MIDDLEWARE."""
    try:
        manager = get_manager()
    except ConfigError as error:
        return [Error(str(error), id="lembro.E001")]
    return [
        *_check_engine(),
        *_check_middleware(),
        *_check_cookie(manager),
        *_check_workers(manager),
        *_check_serializer(),
    ]


def _check_engine() -> list[CheckMessage]:
    try:
        engine = getattr(import_module(settings.SESSION_ENGINE), "SessionStore", None)
    except ImportError:
        engine = None
    if isinstance(engine, type) and issubclass(engine, SessionStore):
        return []
    return [
        Error(
            f"SESSION_ENGINE must be lembro's, got {settings.SESSION_ENGINE!r}",
            hint='Write SESSION_ENGINE = "lembro.integrations.django".',
            id="lembro.E002",
        )
    ]


def _check_middleware() -> list[CheckMessage]:
    kinds = [import_string(path) for path in settings.MIDDLEWARE]
    named = [
        path
        for path, kind in zip(settings.MIDDLEWARE, kinds, strict=True)
        if isinstance(kind, type) and issubclass(kind, DjangoSessionMiddleware)
    ]
    ours = [path for path in named if issubclass(import_string(path), SessionMiddleware)]
    if len(named) > 1:
        return [
            Error(
                f"MIDDLEWARE has several session middlewares: {', '.join(named)}",
                hint=f"Keep only {_OURS}.",
                id="lembro.E003",
            )
        ]
    if named and not ours:
        return [
            Warning(
                f"{named[0]} commits lembro's sessions. It deletes the cookie of every empty "
                f"session, and answers 400 if a session has ended elsewhere, and 500 if the store "
                f"fails",
                hint=f"Write {_OURS} in its place.",
                id="lembro.W001",
            )
        ]
    return []


def _check_cookie(manager: SessionManager) -> list[CheckMessage]:
    name = manager.options.cookie.name_over(https=False)  # as the test client requests it
    if name == settings.SESSION_COOKIE_NAME:
        return []
    return [
        Warning(
            f"the cookie of LEMBRO is {name!r}, but SESSION_COOKIE_NAME is "
            f"{settings.SESSION_COOKIE_NAME!r}, which Django's test client reads",
            hint=f"Write SESSION_COOKIE_NAME = {name!r}.",
            id="lembro.W002",
        )
    ]


def _check_workers(manager: SessionManager) -> list[CheckMessage]:
    """Check the environment variables of servers. Once a server runs, the store itself warns."""
    if not runner_of(manager).in_process:
        return []
    for name in ("WEB_CONCURRENCY", "GUNICORN_CMD_ARGS", "UWSGI_PROCESSES"):
        value = os.environ.get(name, "")
        found = _WORKERS.findall(value) if name == "GUNICORN_CMD_ARGS" else [value]
        if found and found[-1].isdecimal() and int(found[-1]) > 1:
            return [
                Warning(
                    f"{name}={value!r} starts several worker processes, and each has its own "
                    f"sessions, so users seem to be logged out at random",
                    hint=INSTEAD,
                    id="lembro.W003",
                )
            ]
    return []


def _check_serializer() -> list[CheckMessage]:
    if settings.SESSION_SERIALIZER == _SERIALIZER:
        return []
    return [
        Warning(
            f"SESSION_SERIALIZER={settings.SESSION_SERIALIZER!r} is not used, because lembro's "
            f"encoding keeps the types of values",
            hint="Leave SESSION_SERIALIZER out.",
            id="lembro.W004",
        )
    ]
