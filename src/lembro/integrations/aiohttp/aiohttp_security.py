"""aiohttp-security: the logged-in user is the session's user."""

from __future__ import annotations

from typing import Any

from . import get_session

try:
    from aiohttp import web
    from aiohttp_security.abc import AbstractIdentityPolicy
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.aiohttp.aiohttp_security needs aiohttp-security: "
        "pip install 'lembro[aiohttp]' aiohttp-security"
    ) from _missing

__all__ = ["LembroIdentityPolicy"]


class LembroIdentityPolicy(AbstractIdentityPolicy):
    """Log users in and out by lembro's session.

    Example: ``aiohttp_security.setup(app, LembroIdentityPolicy(), authorization_policy)``, in an
    application with ``lembro.integrations.aiohttp.setup(app)``.
    """

    async def identify(self, request: web.Request) -> str | None:
        """Return the user of the session; None if nobody is logged in."""
        return get_session(request).user_id

    async def remember(
        self, request: web.Request, response: web.StreamResponse, identity: str, **kwargs: Any
    ) -> None:
        """Log a user in, under a new session ID: ``session.login(identity)``.

        Args:
            request: The request.
            response: Not used: the middleware sets the cookie.
            identity: The ID of the user.
            kwargs: The keywords of ``login()``, for example ``remember``.
        """
        get_session(request).login(identity, **kwargs)

    async def forget(self, request: web.Request, response: web.StreamResponse) -> None:
        """Log the user out: ``session.logout()``."""
        get_session(request).logout()
