"""Starlette, FastHTML, NiceGUI and others built on Starlette: ``request.session``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final, Literal, Unpack, cast

from .. import asgi
from .._core.session import Session
from .._http.arguments import check_application
from .._log import log
from ..options import OptionKeywords, SessionOptions, is_weak, take_cookie_keywords
from ..stores.base import AsyncStore, Store
from ._adapter import SessionManager, manager_of, no_session

try:
    from starlette.datastructures import Secret
    from starlette.middleware.errors import ServerErrorMiddleware
    from starlette.requests import HTTPConnection
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.starlette needs Starlette: pip install 'lembro[starlette]'"
    ) from _missing

__all__ = ["SessionMiddleware", "get_session"]


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()


class SessionMiddleware(asgi.SessionMiddleware):
    """Add sessions to an application: ``app.add_middleware(SessionMiddleware)``.

    It takes the arguments of :class:`lembro.asgi.SessionMiddleware`. It also takes the keywords of
    Starlette's own ``SessionMiddleware``, which it can replace.

    Args:
        app: The application; Starlette gives it.
        manager: The manager, if you have made one.
        store: A store or its URL; default: ``LEMBRO_STORE`` in the environment, or a MemoryStore.
        options: The options; ``keywords`` replace single ones.
        exclude: Path prefixes without a session.
        secret_key: Signs the cookie. Not needed: the cookie holds only a random ID.
        session_cookie: The cookie's name, used exactly as it is given.
        max_age: The idle timeout and the cookie's Max-Age, in seconds.
        path: The cookie's Path.
        same_site: The cookie's SameSite.
        https_only: True: the cookie always has Secure. False, the default: over https only.
        domain: The cookie's Domain.
        partitioned: The cookie's Partitioned.
        keywords: The fields of :class:`~lembro.SessionOptions`.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(
        self,
        app: asgi.ASGIApp,
        manager: SessionManager | str | Secret | None = None,
        *,
        store: Store | AsyncStore | str | None = None,
        options: SessionOptions | None = None,
        exclude: Iterable[str] = (),
        secret_key: str | Secret | None = None,
        session_cookie: str | _Unset = UNSET,
        max_age: int | _Unset | None = UNSET,
        path: str | _Unset = UNSET,
        same_site: Literal["lax", "strict", "none"] | _Unset = UNSET,
        https_only: bool | _Unset = UNSET,
        domain: str | _Unset | None = UNSET,
        partitioned: bool | _Unset = UNSET,
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        check_application(app, "SessionMiddleware(app)")
        if isinstance(manager, str | Secret):  # Starlette's second positional argument
            manager, secret_key = None, manager
        cookie: dict[str, Any] = {
            "name": session_cookie,
            "max_age": max_age,
            "path": path,
            "samesite": same_site,
            "secure": True if https_only is True else UNSET,
            "domain": domain,
            "partitioned": partitioned,
        }
        cookie = {name: value for name, value in cookie.items() if value is not UNSET}
        if manager is not None:  # report a conflict by the names that were given
            manager_of(manager, store, options, {**cookie, **keywords})
        take_cookie_keywords(keywords, cookie)
        if secret_key is not None:
            _use_secret(str(secret_key), keywords)
        super().__init__(app, manager, store=store, options=options, exclude=exclude, **keywords)

    def _prepare_error_handler(self, scope: asgi.Scope) -> None:
        """Add ``Vary`` to the responses of the handler of status 500, which may access the session.

        Starlette calls it around all middlewares.
        """
        outermost = getattr(scope.get("app"), "middleware_stack", None)
        if isinstance(outermost, ServerErrorMiddleware):
            handler: Any = outermost.handler
            if handler is not None and not hasattr(handler, _PREPARED):
                outermost.handler = _with_session(handler)


# -- the handler of status 500 ---------------------------------------------------------------------

_PREPARED: Final = "_lembro_prepared"


def _with_session(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an error handler, so that it may access the session; async if the handler is."""

    @wraps(handler)
    async def ahandle(request: HTTPConnection, error: Exception) -> Any:
        with _accessible(request.scope):
            response = await handler(request, error)
        return _with_vary(request.scope, response)

    @wraps(handler)
    def handle(request: HTTPConnection, error: Exception) -> Any:
        with _accessible(request.scope):
            response = handler(request, error)
        return _with_vary(request.scope, response)

    call = type(handler).__call__
    is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)
    prepared: Callable[..., Any] = ahandle if is_async else handle
    setattr(prepared, _PREPARED, True)
    return prepared


@contextmanager
def _accessible(scope: asgi.Scope) -> Iterator[None]:
    """Allow a first access to the session, although the request has failed."""
    session = scope.get("session")
    if not isinstance(session, Session) or not session._too_late:
        yield
        return
    exchange = cast("asgi.ASGIExchange", session._transport)
    reason, session._too_late = session._too_late, ""
    exchange.reopen(scope)
    try:
        yield
    finally:
        exchange.reopen(None)
        if session._is_unused():
            session._too_late = reason


def _with_vary(scope: asgi.Scope, response: Any) -> Any:
    session = scope.get("session")
    if isinstance(session, Session) and not session._is_unused():
        response.headers.add_vary_header("Cookie")
    return response


def _use_secret(secret: str, keywords: OptionKeywords) -> None:
    """Sign with a secret key, unless it is weak: an ID needs no signature."""
    if is_weak(secret):
        log.warning(
            "lembro: secret_key is weak and is not used. It needs at least 32 bytes and 8 "
            "different characters. The cookie holds a random ID, which needs no signature: leave "
            "secret_key out"
        )
        return
    keywords.setdefault("secret", secret)


def get_session(connection: HTTPConnection) -> Session:
    """Return the session of a request or WebSocket, typed.

    Raises:
        ConfigError: the connection has no session.
    """
    return session_of(connection, f"app.add_middleware({__name__}.SessionMiddleware)")


def session_of(connection: HTTPConnection, example: str) -> Session:
    """Return the session of a connection. ``example`` installs it, for the error."""
    session = connection.scope.get("session")
    if not isinstance(session, Session):
        raise no_session(example)
    return session
