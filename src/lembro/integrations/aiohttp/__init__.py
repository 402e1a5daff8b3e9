"""aiohttp: ``setup(app)`` adds sessions, and ``get_session(request)`` returns one.

For applications that use aiohttp-session or aiohttp-security, see the modules ``aiohttp_session``
and ``aiohttp_security`` of this package.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Unpack

from ..._core.session import Session
from ..._core.state import OPEN
from ...options import OptionKeywords, SessionOptions
from ...stores.base import AsyncStore, Store
from .. import _adapter
from .._adapter import SessionManager, manager_of, path_prefixes, runner_of

try:
    from aiohttp import web
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.aiohttp needs aiohttp: pip install 'lembro[aiohttp]'"
    ) from _missing

from .exchange import REQUEST_SESSION, RequestSession, replacement_in
from .middleware import begin_response, session_middleware

__all__ = ["get_session", "setup"]

_MANAGER: Final = web.AppKey("lembro.manager", SessionManager)


def setup(
    app: web.Application,
    manager: SessionManager | None = None,
    *,
    store: Store | AsyncStore | str | None = None,
    options: SessionOptions | None = None,
    exclude: Iterable[str] = (),
    **keywords: Unpack[OptionKeywords],
) -> SessionManager:
    """Add sessions to an application: ``setup(app)``.

    It appends a middleware. Call it before you add middlewares that use the session. Call it after
    you add those that read the scheme or the address from a proxy's headers.

    Args:
        app: The application.
        manager: The manager, if you have made one. Otherwise one is made from ``store``,
            ``options`` and ``keywords``.
        store: A store or its URL; default: ``LEMBRO_STORE`` in the environment, or a MemoryStore.
        options: The options; ``keywords`` replace single ones.
        exclude: Path prefixes without a session, for example ``["/static/"]``.
        keywords: The fields of :class:`~lembro.SessionOptions`.

    Returns:
        The manager.

    Raises:
        ConfigError: an argument cannot work, or the application already has lembro's sessions.
    """
    _adapter.check_app(app, web.Application, "aiohttp", "setup")
    manager = manager_of(manager, store, options, keywords)
    middleware = session_middleware(runner_of(manager), path_prefixes(exclude))
    if _MANAGER in app:
        raise _adapter.already_installed()
    app[_MANAGER] = manager

    async def open_store(app: web.Application) -> None:
        await app[_MANAGER].aopen()

    async def close_store(app: web.Application) -> None:
        await app[_MANAGER].aclose()

    app.middlewares.append(middleware)
    app.on_response_prepare.append(begin_response)
    app.on_startup.append(open_store)
    app.on_cleanup.append(close_store)
    return manager


def get_session(request: web.Request) -> Session:
    """Return the session of a request, typed. There is nothing to await.

    If ``new_session()`` of aiohttp-session was called, the old session has ended.

    Raises:
        ConfigError: the request has no session.
    """
    current: RequestSession | None = request.get(REQUEST_SESSION)
    if current is None:
        raise _adapter.no_session("setup(app), before the middlewares that use the session")
    session = current.session_of(request)
    if current.may_be_replaced and session._phase is OPEN:
        replacement = replacement_in(request, current.runner)
        if replacement is not None:
            replacement.move_into(session)
    return session
