"""Tornado: ``self.session`` in handlers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any, Final, Unpack

from .. import asgi
from .._core.session import Session
from .._core.state import OPEN
from .._http.cookie import Presented
from .._http.error_response import ErrorResponse, error_response_for
from ..errors import ConfigError, StoreError
from ..manager import SessionManager, manager_of
from ..options import OptionKeywords
from ..stores.base import AsyncStore, Store
from . import _adapter

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


class Lembro:
    """``Lembro(app, sessions)``, or ``Lembro(app, store=MemoryStore("64M"), idle_timeout=...)``
    with the options of :class:`~lembro.SessionOptions` as keywords; the handlers that use the
    session have :class:`SessionMixin`.

    ``exclude``: beginnings of paths for which nothing is loaded; of use with a networked store,
    where loading comes before the handler. Raises ConfigError.
    """

    def __init__(
        self,
        app: Application,
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | None = None,
        exclude: Iterable[str] = (),
        **options: Unpack[OptionKeywords],
    ) -> None:
        _adapter.check_app(app, Application, "Tornado")
        self.manager: SessionManager = manager_of(manager, store, options)
        self._exclude = asgi._paths(exclude)
        if isinstance(app.settings.get(_SETTING), Lembro):
            raise ConfigError("this application has its sessions from lembro already")
        app.settings[_SETTING] = self
        if hasattr(self.manager.store, "blocking"):
            self.manager.start_for_good()

    def _read(self, request: HTTPServerRequest) -> Presented:
        given = [value.encode("latin-1", "replace") for value in request.headers.get_list("Cookie")]
        return self.manager.cookie.read(given, https=_is_https(request))


class SessionMixin(_Handler):
    """``class Page(SessionMixin, RequestHandler)``, or ``WebSocketHandler``: ``self.session``.

    ``self.current_user`` is ``self.session.user``, so ``@authenticated`` asks for a login.
    """

    _session: Session | None = None
    _refused = False
    _ending: asyncio.Future[None] | None = None
    _committing: asyncio.Future[None] | None = None

    @property
    def session(self) -> Session:
        """The session of this request."""
        if self._session is None:
            raise ConfigError(
                "there is no lembro session here: call lembro.integrations.tornado.Lembro(app, "
                "sessions)"
            )
        return self._session

    def get_current_user(self) -> Any:
        """Who is logged in."""
        return self.session.user

    # -- as Tornado calls them ---------------------------------------------------------------------

    async def _execute(self, transforms: Any, *args: bytes, **kwargs: bytes) -> None:
        lembro = self.settings.get(_SETTING)
        if isinstance(lembro, Lembro):
            manager = lembro.manager
            self._session = Session(manager, lembro._read, self.request, None, True)
            if manager.preloads and not self.request.path.startswith(lembro._exclude):
                try:
                    await manager.apreload(self._session)
                except BaseException:
                    self._transforms = transforms
                    self.send_error(500)  # or the connection would be left hanging
                    raise
        await super()._execute(transforms, *args, **kwargs)
        if self._ending is not None:
            await asyncio.shield(self._ending)

    async def _get(self, *args: Any, **kwargs: Any) -> None:
        """Of a WebSocket: it is accepted in here, with what has been committed before."""
        if isinstance(self, WebSocketHandler) and self._session is not None:
            await self._acommit(self._session, 101)
            if self._refused:
                self.finish()
                return
        result = super().get(*args, **kwargs)
        if isinstance(result, Awaitable):
            await result

    if not TYPE_CHECKING:  # pragma: no branch - handlers define theirs as they like
        get = _get

    def write(self, chunk: str | bytes | dict[str, Any]) -> None:
        """Nothing more, once the session could not be stored."""
        if not self._refused:
            super().write(chunk)

    def flush(self, include_footers: bool = False) -> asyncio.Future[None]:
        """Begins the response, at the first time."""
        session = self._session
        if session is not None and session._phase is OPEN and not self._headers_written:
            if _has_to_wait(session):
                return asyncio.ensure_future(self._flush_later(session, include_footers))
            self._add_headers(session, _adapter.commit(session, self._status_code))
        return super().flush(include_footers)

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> asyncio.Future[None]:
        """Ends the response; over a networked store not before the session is stored."""
        session = self._session
        if self._ending is None and session is not None and _has_to_wait(session):
            if chunk is not None:
                self.write(chunk)
            self._ending = asyncio.ensure_future(self._finish_later(session))
        if self._ending is not None:
            return asyncio.shield(self._ending)
        future = super().finish(chunk)
        if session is not None and self._status_code != 101:
            session._manager.finish(session)
        return future

    def on_ws_connection_close(
        self, close_code: int | None = None, close_reason: str | None = None
    ) -> None:
        """The end of a WebSocket."""
        super().on_ws_connection_close(close_code, close_reason)  # type: ignore[misc]
        if self._session is not None:
            self._session._manager.finish(self._session)

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """A store that fails is a 503, unless the response has begun."""
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, StoreError) and not self._headers_written:
            self._refuse(error_response_for(error))
            self.finish()
            return
        super().send_error(status_code, **kwargs)

    # -- the commit --------------------------------------------------------------------------------

    async def _acommit(self, session: Session, status: int) -> None:
        self._add_headers(session, await _adapter.acommit(session, status))

    async def _commit_once(self, session: Session) -> None:
        """However often it is asked for while it is under way."""
        if self._committing is None:
            self._committing = asyncio.ensure_future(self._acommit(session, self._status_code))
        await asyncio.shield(self._committing)

    async def _flush_later(self, session: Session, include_footers: bool) -> None:
        await self._commit_once(session)
        await super().flush(include_footers)

    async def _finish_later(self, session: Session) -> None:
        try:
            await self._commit_once(session)
        except Exception:
            self._ending = None
            self.send_error(500, exc_info=sys.exc_info())
            return
        self._ending = None
        await self.finish()

    def _add_headers(self, session: Session, answer: ErrorResponse | None) -> None:
        if answer is not None:
            self._refuse(answer)
            return
        headers = self._headers
        lines = _adapter.add_headers(
            session,
            headers,
            headers.get_list,
            https=_is_https(self.request),
            client=self.request.remote_ip,
            request=self.request.headers,
        )
        for line in lines:
            self.add_header("Set-Cookie", line)

    def _refuse(self, answer: ErrorResponse) -> None:
        """In place of the handler's response, of which nothing more goes out."""
        self.clear()
        self.set_status(answer.status, answer.phrase)
        for name, value in _adapter.TEXT.items():
            self.set_header(name, value)
        self.write(answer.body)
        self.set_header("Content-Length", len(answer.body))
        self._refused = True


def _has_to_wait(session: Session) -> bool:
    """Whether the commit has to ask a networked store."""
    manager = session._manager
    if manager.in_process or session._phase is not OPEN or session._is_unused():
        return False
    return not manager.core.nothing_to_commit(session)


def _is_https(request: HTTPServerRequest) -> bool:
    return request.protocol == "https"
