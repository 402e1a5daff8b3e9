"""Tornado: ``self.session`` in handlers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any, Final, Unpack

from .._core.session import Session
from .._core.state import OPEN
from ..errors import LoginRequired
from ..options import OptionKeywords, SessionOptions
from ..stores.base import AsyncStore, Store
from ._adapter import (
    ANSWERED_ERRORS,
    ErrorResponse,
    Exchange,
    RequestHeaders,
    Runner,
    SessionManager,
    add_headers,
    already_installed,
    arespond,
    begin_unused,
    check_app,
    error_response_for,
    finish,
    manager_of,
    no_session,
    path_prefixes,
    respond,
    runner_of,
)

try:
    from tornado.web import Application
    from tornado.websocket import WebSocketHandler
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.tornado needs Tornado: pip install 'lembro[tornado]'"
    ) from _missing

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest
    from tornado.web import RequestHandler as _Handler
else:
    _Handler = object

__all__ = ["Lembro", "SessionMixin"]

_SETTING: Final = "lembro"


# -- the exchange ----------------------------------------------------------------------------------


class _Exchange(Exchange):
    """One request of Tornado, and its response. It keeps only the parts that it needs."""

    __slots__ = ("_client", "_headers", "_path", "_scheme")

    def __init__(self, runner: Runner, request: HTTPServerRequest) -> None:
        self.runner = runner
        self._headers = request.headers
        self._scheme = request.protocol
        self._client = request.remote_ip
        self._path: str = request.path
        self.session = Session(self)

    def cookie_headers(self) -> list[bytes]:
        return [value.encode("latin-1", "replace") for value in self._headers.get_list("Cookie")]

    def https(self) -> bool:
        return self._scheme == "https"

    def path(self) -> str:
        return self._path

    def client(self) -> str | None:
        return self._client

    def headers(self) -> RequestHeaders:
        return self._headers

    def has_to_wait(self) -> bool:
        """Return whether the commit needs a store that does not answer at once."""
        runner = self.runner
        if runner.in_process or self.session is None:
            return False
        if self.session._phase is not OPEN or self.session._is_unused():
            return False
        return not runner.lifecycle.has_nothing_to_commit(self.session)


# -- the response ----------------------------------------------------------------------------------


class _Response:
    """The response of a handler."""

    __slots__ = ("_handler", "_headers")

    def __init__(self, handler: SessionMixin) -> None:
        self._handler = handler
        self._headers = handler._headers

    def status(self) -> int:
        return self._handler._status_code

    def lines(self, name: str) -> list[str]:
        return self._headers.get_list(name)

    def set(self, name: str, value: str) -> None:
        self._headers[name] = value

    def add(self, name: str, value: str) -> None:
        self._headers.add(name, value)

    def replace(self, error: ErrorResponse) -> None:
        self._handler._replace(error)


# -- the entry points ------------------------------------------------------------------------------


class Lembro:
    """Add sessions to an application: ``Lembro(app)``.

    Give the handlers that use the session :class:`SessionMixin` as a base class.

    Args:
        app: The application.
        manager: The manager, if you have made one.
        store: A store or its URL; default: ``LEMBRO_STORE`` in the environment, or a MemoryStore.
        options: The options; ``keywords`` replace single ones.
        exclude: Path prefixes without a session: ``self.session`` raises ConfigError there.
        keywords: The fields of :class:`~lembro.SessionOptions`.

    Raises:
        ConfigError: an argument cannot work, or the application already has lembro's sessions.
    """

    def __init__(
        self,
        app: Application,
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | str | None = None,
        options: SessionOptions | None = None,
        exclude: Iterable[str] = (),
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        check_app(app, Application, "Tornado")
        self.manager: SessionManager = manager_of(manager, store, options, keywords)
        self.runner: Runner = runner_of(self.manager)
        self.exclude: tuple[str, ...] = path_prefixes(exclude)
        if isinstance(app.settings.get(_SETTING), Lembro):
            raise already_installed()
        app.settings[_SETTING] = self
        if not self.runner.is_async:
            self.runner.open_permanently()


class SessionMixin(_Handler):
    """Gives a handler ``self.session``: ``class Page(SessionMixin, RequestHandler)``.

    It works for a ``WebSocketHandler`` too. ``self.current_user`` is ``self.session.user_id``, so
    ``@authenticated`` requires a login.
    """

    _exchange: _Exchange | None = None  # made at the first access to the session
    _session: Any = None  # a Session, if there is an exchange
    _replaced = False
    _ending: asyncio.Future[None] | None = None
    _committing: asyncio.Future[bool] | None = None

    @property
    def session(self) -> Session:
        """The session of this request.

        Raises:
            ConfigError: the request has no session.
        """
        if self._exchange is None:
            lembro = self._installed()
            if lembro is None:
                raise no_session("Lembro(app)")
            self._begin(lembro)
        session: Session = self._session
        return session

    def get_current_user(self) -> Any:
        """Return the ID of the user who is logged in; None if nobody is."""
        return self.session.user_id

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer an error of a session, in plain text; override it to answer it yourself."""
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, ANSWERED_ERRORS):
            self._replace(error_response_for(error))
            self.finish()
        else:
            super().write_error(status_code, **kwargs)

    # -- Tornado calls these -----------------------------------------------------------------------

    async def _execute(self, transforms: Any, *args: bytes, **kwargs: bytes) -> None:
        lembro = self._installed()
        if lembro is not None and lembro.runner.preloads:
            exchange = self._begin(lembro)
            try:
                await lembro.runner.preload(exchange.session)
            except BaseException:
                self._transforms = transforms
                self.send_error(500)  # else the connection would stay open
                raise
        await super()._execute(transforms, *args, **kwargs)
        if self._ending is not None:
            await asyncio.shield(self._ending)

    async def _get(self, *args: Any, **kwargs: Any) -> None:
        """Commit, then accept a WebSocket."""
        lembro = self._installed()
        if isinstance(self, WebSocketHandler) and lembro is not None:
            exchange = self._exchange or self._begin(lembro)
            error = await exchange.acommit(101)
            if error is not None:
                self._replace(error)
                self.finish()
                return
            if not self._session._is_unused():
                add_headers(exchange, _Response(self))
        result = super().get(*args, **kwargs)
        if isinstance(result, Awaitable):
            await result

    if not TYPE_CHECKING:  # pragma: no branch - the signature of a handler's get() varies
        get = _get

    def write(self, chunk: str | bytes | dict[str, Any]) -> None:
        """Write, unless the response was replaced."""
        if not self._replaced:
            super().write(chunk)

    def flush(self, include_footers: bool = False) -> asyncio.Future[None]:
        """Send what was written. Commit the session before the first byte."""
        exchange, session = self._exchange, self._session
        if exchange is not None and not self._headers_written and session._phase is OPEN:
            if exchange.has_to_wait():
                return asyncio.ensure_future(self._flush_later(include_footers))
            if not begin_unused(session):
                respond(exchange, _Response(self))
        return super().flush(include_footers)

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> asyncio.Future[None]:
        """End the response. If the store does not answer at once, commit the session first."""
        exchange = self._exchange
        if exchange is None:
            return super().finish(chunk)
        if self._ending is None and exchange.has_to_wait():
            if chunk is not None:
                self.write(chunk)
            self._ending = asyncio.ensure_future(self._finish_later())
        if self._ending is not None:
            return asyncio.shield(self._ending)
        future = super().finish(chunk)
        if self._status_code != 101:
            finish(exchange)
        return future

    def on_ws_connection_close(
        self, close_code: int | None = None, close_reason: str | None = None
    ) -> None:
        """End the exchange of a WebSocket."""
        super().on_ws_connection_close(close_code, close_reason)  # type: ignore[misc]
        if self._exchange is not None:
            finish(self._exchange)

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Send an error; an error of a session has its own status."""
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, ANSWERED_ERRORS):
            status_code = 401 if isinstance(error, LoginRequired) else 503
        super().send_error(status_code, **kwargs)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log an exception, unless it is LoginRequired."""
        if not isinstance(value, LoginRequired):
            super().log_exception(typ, value, tb)

    # -- the session -------------------------------------------------------------------------------

    def _installed(self) -> Lembro | None:
        """Return what ``Lembro(app)`` has installed, unless it excludes the path."""
        lembro = self.settings.get(_SETTING)
        if not isinstance(lembro, Lembro):
            return None
        if lembro.exclude and self.request.path.startswith(lembro.exclude):
            return None
        return lembro

    def _begin(self, lembro: Lembro) -> _Exchange:
        """Make the exchange and the session."""
        exchange = self._exchange = _Exchange(lembro.runner, self.request)
        self._session = exchange.session
        if self._headers_written:
            begin_unused(exchange.session)
        if self._finished:
            exchange.close()
        return exchange

    # -- the commit --------------------------------------------------------------------------------

    async def _commit_once(self) -> None:
        """Commit once, however many callers wait for it."""
        exchange = self._exchange
        assert exchange is not None
        if self._committing is None:
            self._committing = asyncio.ensure_future(arespond(exchange, _Response(self)))
        await asyncio.shield(self._committing)

    async def _flush_later(self, include_footers: bool) -> None:
        await self._commit_once()
        await super().flush(include_footers)

    async def _finish_later(self) -> None:
        try:
            await self._commit_once()
        except Exception:
            self._ending = None
            self.send_error(500, exc_info=sys.exc_info())
            return
        self._ending = None
        await self.finish()

    def _replace(self, error: ErrorResponse) -> None:
        """Replace the handler's response with an error, and send nothing more of it."""
        self.clear()
        self.set_status(error.status, error.phrase)
        for name, value in error.text_headers.items():
            self.set_header(name, value)
        self.write(error.body)
        self.set_header("Content-Length", len(error.body))
        self._replaced = True
