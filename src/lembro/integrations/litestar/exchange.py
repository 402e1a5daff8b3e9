"""One connection of Litestar and its response."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from litestar.middleware.session.base import BaseSessionBackend
from litestar.types import Empty, Scope
from litestar.utils.scope.state import ScopeState

from ... import asgi
from ..._core.session import Session
from ..._core.state import NOT_LOADED, OPEN
from ..._http.error_response import COMMIT_ERRORS
from ..._log import log
from ...events import Event
from .._adapter import (
    ANSWERED_ERRORS,
    Exchange,
    RequestHeaders,
    Runner,
    as_kind,
    encoded,
    path_of_scope,
)

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection

_HANDLER_RAISED: Final = 4500  # Litestar's close code if the handler of a WebSocket raised


# -- the exchange ----------------------------------------------------------------------------------


class ConnectionExchange(Exchange):
    """One connection, for the backend. It keeps only the parts that a session needs.

    It refers to its session only while the session is loaded or stored.
    """

    __slots__ = ("_client", "_cookies", "_headers", "_https", "_path")

    def __init__(self, runner: Runner, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        scope: Any = connection.scope
        self.runner = runner
        self.session: Any = None
        self._cookies = "; ".join(f"{name}={value}" for name, value in connection.cookies.items())
        self._https = asgi.is_https(scope)
        self._client = connection.client.host if connection.client else None
        self._headers: RequestHeaders = scope["headers"]
        self._path: str = path_of_scope(scope)

    def cookie_headers(self) -> list[bytes]:
        """Return the Cookie headers of the request."""
        return encoded(self._cookies)

    def https(self) -> bool:
        """Return whether the request came over https."""
        return self._https

    def path(self) -> str:
        """Return the path of the request."""
        return self._path

    def client(self) -> str | None:
        """Return the address that the request came from, if it is known."""
        return self._client

    def headers(self) -> RequestHeaders:
        """Return the headers of the request."""
        return self._headers


# -- the session -----------------------------------------------------------------------------------


class LitestarSession(Session):
    """A session that takes over the changes of ``set_session()`` and ``clear_session()``.

    These only change the scope of the connection. The next write to the session applies them first.
    """

    scope: Any = None
    """The scope of the connection, while the application serves it."""

    def _check_writable(self, *, cookie: bool = False) -> None:
        scope = self.scope
        if scope is not None and self._phase is OPEN and scope["session"] is not self:
            take_replacement(self, scope)
        super()._check_writable(cookie=cookie)


# -- the response ----------------------------------------------------------------------------------


class InnerApp:
    """The application inside the ASGI middleware.

    Litestar itself replaces the session (``set_session()``, ``clear_session()``) and answers the
    exceptions of handlers. This passes both to the session's exchange before the response begins.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: asgi.Receive, send: asgi.Send) -> None:
        session = as_kind(cast("Session", scope["session"]), LitestarSession)
        expect_clear(scope)
        outer, session.scope = session.scope, scope

        def send_with_session(message: asgi.Message) -> Awaitable[None]:
            if session._phase is OPEN and (
                scope["session"] is not session
                or message.get("status") == 500
                or message.get("code") == _HANDLER_RAISED
            ):
                return _begin_response(session, scope, send, message)
            return send(message)

        try:
            await self._app(scope, receive, send_with_session)
        finally:
            session.scope = outer  # no reference cycle is left
            if session._phase is OPEN:  # there was no response, but a logout takes effect
                take_replacement(session, scope)
            elif not is_foreign(scope["session"], scope):
                _report_late_replacement(session)


async def _begin_response(
    session: Session, scope: Any, send: asgi.Send, message: asgi.Message
) -> None:
    """Begin a response if the session was replaced, or if the handler may have failed."""
    exchange: asgi.ASGIExchange = session._transport  # type: ignore[assignment]
    try:
        take_replacement(session, scope)
    except COMMIT_ERRORS as error:
        if not await exchange.app_failed(error):
            await exchange.answer(error)
        return
    # Litestar answers an exception of a handler inside of its middlewares, while handling it.
    raised = sys.exception()
    if raised is not None and _is_failure(message, raised) and await exchange.app_failed(raised):
        return
    await send(message)


def _is_failure(message: asgi.Message, raised: BaseException) -> bool:
    """Return whether Litestar answers this exception because the application does not."""
    if message.get("code") == _HANDLER_RAISED:
        return True
    return message.get("status") == 500 and isinstance(raised, ANSWERED_ERRORS)


def expect_clear(scope: Scope) -> None:
    """Make a later ``clear_session()`` detectable, even if ``set_session()`` follows it.

    ``clear_session()`` sets the ID of the session to Empty. Until then the ID is None, as with
    Litestar's own middleware and a backend that returns no ID.
    """
    ScopeState.from_scope(scope).session_id = None


def take_replacement(session: Session, scope: Any) -> None:
    """Write the value of ``set_session()`` or ``clear_session()`` into the session."""
    value = scope["session"]
    if not is_foreign(value, scope):
        scope["session"] = session
        replace_data(session, value, scope)


def is_foreign(value: Any, scope: Any) -> bool:
    """Return whether the session in a scope comes from a middleware inside of this one.

    It is a session of lembro, or the request is served by a mounted application, which may have
    sessions of its own. Starlette sets only ``scope["app"]``, and Litestar sets
    ``scope["litestar_app"]`` too.
    """
    return isinstance(value, Session) or scope["app"] is not scope["litestar_app"]


def replace_data(session: Session, value: Any, scope: Scope) -> None:
    """Replace the data of a session.

    Without a value, the session ends. If ``clear_session()`` was called first, it ends too, and the
    data begin a new one.
    """
    if ScopeState.from_scope(scope).session_id is Empty:
        expect_clear(scope)
        session.destroy()
    if value is Empty or value is None:
        session.destroy()
        return
    if not isinstance(value, Mapping):  # a model, as Litestar's own backends store it
        stored = BaseSessionBackend.serialize_data(value, scope)
        value = BaseSessionBackend.deserialize_data(stored)
    for key in session.keys() - value.keys():
        del session[key]
    session.update(value)


def _report_late_replacement(session: Session) -> None:
    log.error(
        "lembro: set_session() or clear_session() was called after the response had begun, and has "
        "no effect. Write inside `async with session.edit():`"
    )
    if session._loaded is not NOT_LOADED:
        handle, user = session._current_handle(), session._current_user()
        session._transport.runner.emit([Event("dropped", handle, user, "changed too late")])
