"""aiohttp-security: who is logged in is the session's user."""

from __future__ import annotations

from typing import Any

from .aiohttp import get_session

try:
    from aiohttp import web
    from aiohttp_security.abc import AbstractIdentityPolicy
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "LembroIdentityPolicy needs aiohttp-security: pip install aiohttp-security"
    ) from _missing


class LembroIdentityPolicy(AbstractIdentityPolicy):
    """``aiohttp_security.setup(app, LembroIdentityPolicy(), authorization_policy)``, beside
    ``setup(app, sessions)``.

    ``remember(request, response, identity)`` is ``session.login(identity)``, which gives the
    session a new id; with ``remember=True`` the cookie outlives the browser. ``forget`` is
    ``session.logout()``.
    """

    async def identify(self, request: web.Request) -> str | None:
        """The session's user."""
        return get_session(request).user

    async def remember(
        self, request: web.Request, response: web.StreamResponse, identity: str, **kwargs: Any
    ) -> None:
        """Log in. Of the keywords it knows ``remember``."""
        get_session(request).login(identity, **kwargs)

    async def forget(self, request: web.Request, response: web.StreamResponse) -> None:
        """Log out."""
        get_session(request).logout()
