"""Django: ``request.session``, by a session engine and a middleware in place of Django's own.

    SESSION_ENGINE = "lembro.integrations.django"
    MIDDLEWARE = [..., "lembro.integrations.django.SessionMiddleware", ...]
    LEMBRO = {"MAX_SIZE": "64M"}

``"lembro.integrations.django"`` in INSTALLED_APPS adds the system checks.
"""

from __future__ import annotations

try:
    import django as _django  # noqa: F401
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.django needs Django: pip install 'lembro[django]'"
    ) from _missing

from .cache import LembroCache
from .config import get_manager
from .engine import SessionStore, get_session
from .middleware import SessionMiddleware

__all__ = ["LembroCache", "SessionMiddleware", "SessionStore", "get_manager", "get_session"]
