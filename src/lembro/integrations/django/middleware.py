"""``SessionMiddleware``, in place of Django's own."""

from __future__ import annotations

from functools import partial
from inspect import isfunction
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware

from ... import wsgi
from ..._core.state import COMMITTED, NOT_LOADED, OPEN
from ...errors import ConfigError, StoreError
from .._adapter import (
    ANSWERED_ERRORS,
    ErrorResponse,
    Runner,
    SessionManager,
    add_headers,
    error_response_for,
    finish,
    runner_of,
)
from .config import get_exclude, get_manager
from .engine import NoSession, SessionStore
from .exchange import DjangoExchange, KeyExchange
from .response import DjangoResponse, add_vary, replacement

FAILED: Final = 500

if TYPE_CHECKING:  # Django is not typed

    class _Base:
        SessionStore: type[SessionStore]
        get_response: Any
        async_mode: bool

        def __init__(self, get_response: Any) -> None: ...

        def process_response(self, request: Any, response: Any) -> Any: ...
else:
    _Base = DjangoSessionMiddleware


class SessionMiddleware(_Base):
    """Add ``request.session`` to each request, in place of Django's own middleware.

    Write ``"lembro.integrations.django.SessionMiddleware"`` in MIDDLEWARE, and
    ``SESSION_ENGINE = "lembro.integrations.django"``. The session is committed when the response
    begins.

    Args:
        get_response: The next middleware or the view; Django gives it.

    Raises:
        ConfigError: A setting cannot work.
    """

    # Cached until a setting changes, because reading Django's settings takes 0.3 us.
    _manager: SessionManager | None = None
    _runner: Runner
    _exclude: tuple[str, ...] = ()
    _every = False  # SESSION_SAVE_EVERY_REQUEST
    _opened: Runner | None = None

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        engine = self.SessionStore
        if not (isinstance(engine, type) and issubclass(engine, SessionStore)):
            raise ConfigError(
                f"SESSION_ENGINE must be lembro's, got {settings.SESSION_ENGINE!r}. Write "
                f'SESSION_ENGINE = "lembro.integrations.django"'
            )
        # Django's handler wraps what it passes on. Tests of other libraries pass a function of
        # their own, call the middleware, and use the session afterwards.
        self._is_called_directly = isfunction(get_response) and not hasattr(
            get_response, "__wrapped__"
        )
        get_manager()

    # -- one request -------------------------------------------------------------------------------

    def __call__(self, request: Any) -> Any:
        """Serve a request."""
        if self.async_mode:
            return self.__acall__(request)
        self.process_request(request)
        exchange = self._exchange_in(request)
        try:
            try:
                response = self.get_response(request)
            except BaseException:  # only with DEBUG_PROPAGATE_EXCEPTIONS
                left = self._exchange_in(request)
                if left is not None:
                    try:
                        left.commit(FAILED)
                    finally:
                        left.close()
                raise
            if response is None and self._is_called_directly:
                return None
            response = self.process_response(request, response)
            if self._is_called_directly:
                _reopen(request, response)
            return response
        finally:
            if exchange is not None and not exchange.stays_open:
                exchange.close()

    async def __acall__(self, request: Any) -> Any:
        """Serve a request in the event loop. Django's own middleware uses two threads for this."""
        self.process_request(request)
        exchange = self._exchange_in(request)
        try:
            if exchange is not None and exchange.runner.preloads:
                await self._preload(exchange)
            try:
                response = await self.get_response(request)
            except BaseException:  # only with DEBUG_PROPAGATE_EXCEPTIONS, or if cancelled
                left = self._exchange_in(request)
                if left is not None:
                    try:
                        await left.acommit(FAILED)
                    finally:
                        left.close()
                raise
            store = getattr(request, "session", None)
            if not isinstance(store, SessionStore):
                return super().process_response(request, response)
            if self._is_done(request, response, store):
                return response
            present = _exchange_of(request, store)
            error = await present.acommit(self._status(response, store))
            return self._after(response, store, present, error)
        finally:
            if exchange is not None and not exchange.stays_open:
                exchange.close()

    def process_request(self, request: Any) -> None:
        """Add the session to a request, unless it already has one or its path is excluded."""
        manager = get_manager()
        if manager is not self._manager:
            self._manager, self._runner = manager, runner_of(manager)
            self._exclude = get_exclude()
            self._every = bool(settings.SESSION_SAVE_EVERY_REQUEST)
        https = request.is_secure()
        outer = _outer_session(request)
        if outer is not None and self._runner.owns(outer, https=https):
            if not hasattr(request, "session"):
                request.session = self.SessionStore(outer, outer)
        elif self._exclude and request.path_info.startswith(self._exclude):
            request.session = NoSession()
        else:
            exchange = DjangoExchange(self._runner, request, https=https)
            request.session = self.SessionStore(exchange.session, self)

    def process_response(self, request: Any, response: Any) -> Any:
        """Commit the session, and add its headers to the response."""
        store = getattr(request, "session", None)
        if not isinstance(store, SessionStore):
            return super().process_response(request, response)
        if self._is_done(request, response, store):
            return response
        exchange = _exchange_of(request, store)
        error = exchange.commit(self._status(response, store))
        return self._after(response, store, exchange, error)

    def process_exception(self, request: Any, exception: Exception) -> Any:
        """Answer an error of a session that a view raised."""
        if not isinstance(exception, ANSWERED_ERRORS):
            return None
        store = getattr(request, "session", None)
        if isinstance(store, SessionStore):
            store._failed = True
        return replacement(error_response_for(exception))

    # -- internal ----------------------------------------------------------------------------------

    async def _preload(self, exchange: DjangoExchange) -> None:
        """Load the session before the view, if the store does not answer at once."""
        runner = exchange.runner
        if runner.is_async and self._opened is not runner:
            await runner.aopen()  # there is no event loop before the first request
            self._opened = runner
        await runner.preload(exchange.session)

    def _exchange_in(self, request: Any) -> DjangoExchange | None:
        """Return the exchange of a request's session, if this middleware commits it."""
        store = getattr(request, "session", None)
        if not isinstance(store, SessionStore) or store._owner is not self:
            return None
        return _exchange_of(request, store)

    def _is_done(self, request: Any, response: Any, store: SessionStore) -> bool:
        """Return whether nothing is left to commit, as for most requests.

        If so, it also completes the response. A session that the view has put in place of the
        request's is committed too.
        """
        owner = store._owner
        if owner is not self and owner is not None:
            return True
        if self._every or store._asked is not None or store._unreadable:
            return False
        if owner is None and store._dirty:  # it may have been saved, but its cookie was not sent
            return False
        session = store._lembro
        if session._loaded is NOT_LOADED:
            session._phase = COMMITTED
            _exchange_of(request, store).begin_without_session(response)
        else:
            if not session._ready or session._cookie is not None or not store.nothing_to_commit():
                return False
            session._phase, session._ready = COMMITTED, False
            add_vary(response)
        exchange: Any = session._transport
        if response.streaming:  # it may access the session while it is made
            _finish_with(response, _exchange_of(request, store))
        else:
            exchange.close()
        return True

    def _status(self, response: Any, store: SessionStore) -> int:
        """Prepare the session for the commit, and return the status to commit with."""
        status: int = response.status_code
        dropped = store._asked is False and not store._dirty
        if status >= FAILED or store._failed or dropped:
            return FAILED  # changes are dropped
        store._sends = store._owner is None and store.modified
        extend = self._every or store._asked is True
        if extend and not store.is_empty():
            store._get_session()
        store.before_commit(extend=extend)
        return status

    def _after(
        self,
        response: Any,
        store: SessionStore,
        exchange: DjangoExchange,
        error: ErrorResponse | None,
    ) -> Any:
        """Complete the response after the commit."""
        session = store._lembro
        adapted = DjangoResponse(response)
        if error is None and adapted.status() == FAILED and store._unreadable:
            # Another middleware accessed the session, and Django has answered 500.
            error = error_response_for(StoreError("the session could not be loaded"))
        if error is not None:
            adapted.replace(error)
            exchange.close()
            return adapted.response
        if store._sends and isinstance(exchange, KeyExchange):
            exchange.send_cookie()
        if session._is_unused():
            exchange.begin_without_session(response)
        elif session._cookie is None:
            add_vary(response)
        else:
            add_headers(exchange, adapted)
        if session._nested_possible or response.streaming:
            _finish_with(response, exchange)
        else:
            exchange.close()
        return response


def _outer_session(request: Any) -> Any:
    """Return the session that a middleware around this one, or around Django, has added."""
    if wsgi.KEY in request.META:
        return request.META[wsgi.KEY]
    known = request.__dict__
    if "session" in known:
        store = known["session"]
        if not isinstance(store, SessionStore) or isinstance(store, NoSession):
            return None
        return store._lembro
    return known["scope"].get("session") if "scope" in known else None


def _exchange_of(request: Any, store: SessionStore) -> DjangoExchange:
    """Return the exchange of a session, for the response to this request."""
    exchange: Any = store._lembro._transport
    if exchange.session is None:  # the view has put another session in place of the request's
        exchange.bind(store._lembro, request)
    return exchange  # type: ignore[no-any-return]


def _reopen(request: Any, response: Any) -> None:
    """Let the caller of the middleware write to the session after the response, and save it.

    Closing the response reports changes that are not saved.
    """
    store = getattr(request, "session", None)
    if isinstance(store, SessionStore) and not isinstance(store, NoSession):
        session = store._lembro
        session._phase, session._cookie, session._too_late = OPEN, None, ""
        session._ready = session._loaded is not NOT_LOADED
        response._resource_closers.append(partial(_report_unsaved, store))


def _report_unsaved(store: SessionStore) -> None:
    session = store._lembro
    if not session._is_unused() and store._is_unsaved():
        session._transport.runner.report_lost_change(session)


def _finish_with(response: Any, exchange: DjangoExchange) -> None:
    """Finish the exchange when the response is closed, after its last byte."""
    exchange.stays_open = True
    response._resource_closers.append(partial(finish, exchange))
