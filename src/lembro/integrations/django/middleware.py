"""``SessionMiddleware``, in place of Django's own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpResponse

from ... import wsgi
from ..._core.session import Session
from ..._core.state import COMMITTED, NOT_LOADED
from ..._http.error_response import ErrorResponse, error_response_for
from ..._http.headers import vary_with_cookie
from ...errors import ConfigError, StoreError
from ...manager import SessionManager
from .. import _adapter
from .config import get_manager
from .cookies import set_cookie
from .engine import SessionStore

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
    """``"lembro.integrations.django.SessionMiddleware"`` in MIDDLEWARE, where Django's own was.

    Commits the session when the response begins. Raises ConfigError for settings that cannot work,
    when the application starts.
    """

    _started: SessionManager | None = None
    _manager: SessionManager | None = None
    _every = False  # SESSION_SAVE_EVERY_REQUEST: to ask Django's settings takes a third of a us

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        engine = self.SessionStore
        if not (isinstance(engine, type) and issubclass(engine, SessionStore)):
            raise ConfigError(
                f"SESSION_ENGINE={settings.SESSION_ENGINE!r} is not lembro's: write "
                f'SESSION_ENGINE = "lembro.integrations.django"'
            )
        get_manager()

    def __call__(self, request: Any) -> Any:
        if self.async_mode:
            return self.__acall__(request)
        self.process_request(request)
        try:
            response = self.get_response(request)
        except BaseException:  # as only DEBUG_PROPAGATE_EXCEPTIONS lets through
            if self._failed(request):
                _adapter.commit(request.session._lembro, FAILED)
            raise
        return self.process_response(request, response)

    async def __acall__(self, request: Any) -> Any:
        """Without a thread, which Django's own takes twice."""
        self.process_request(request)
        store = request.session
        if store._base._store_is_async and self._started is not store._base:
            await store._base.astart()  # there is no loop before the first request
            self._started = store._base
        if store._owner is self and store._base.preloads:
            store._lembro._async = True
            await store._base.apreload(store._lembro)
        try:
            response = await self.get_response(request)
        except BaseException:  # or one that is cancelled
            if self._failed(request):
                await _adapter.acommit(request.session._lembro, FAILED)
            raise
        store = getattr(request, "session", None)
        if not isinstance(store, SessionStore):
            return super().process_response(request, response)
        if self._is_done(store, response):
            return response
        answer = await _adapter.acommit(store._lembro, self._before(store, response))
        return self._after(request, response, store, answer)

    def process_request(self, request: Any) -> None:
        manager = get_manager()
        if manager is not self._manager:  # when any SESSION_* has changed
            self._manager, self._every = manager, bool(settings.SESSION_SAVE_EVERY_REQUEST)
        https = request.is_secure()
        outer = _outer(request)
        if outer is not None and manager.is_within_itself(outer, https=https):
            if not hasattr(request, "session"):
                request.session = self.SessionStore(outer, outer)  # who made it will commit it
            return
        session = _adapter.begin(manager, _cookies(request), https=https)
        request.session = self.SessionStore(session, self)

    def process_response(self, request: Any, response: Any) -> Any:
        store = getattr(request, "session", None)
        if not isinstance(store, SessionStore):
            return super().process_response(request, response)
        if self._is_done(store, response):
            return response
        answer = _adapter.commit(store._lembro, self._before(store, response))
        return self._after(request, response, store, answer)

    def process_exception(self, request: Any, exception: Exception) -> Any:
        """A view that could not get at its session."""
        return (
            _answered(error_response_for(exception)) if isinstance(exception, StoreError) else None
        )

    def _failed(self, request: Any) -> bool:
        """Whether a session of ours is left by a request that has no response."""
        store = getattr(request, "session", None)
        return isinstance(store, SessionStore) and store._owner is self

    def _is_done(self, store: SessionStore, response: Any) -> bool:
        """Whether nothing has to be committed, as after most requests: then the response has what
        it needs. A session that the view has put in place of the request's is ours as well."""
        session = store._lembro
        if store._owner is not self and store._owner is not None:
            return True
        if self._every or store._asked is not None:
            return False
        if session._loaded is NOT_LOADED:
            session._phase = COMMITTED
            if response.streaming:  # it may look while it is made
                _finish_with(response, session)
            return not store._unreadable
        if not session._ready or session._cookie is not None or not store.nothing_to_commit():
            return False
        session._phase, session._ready = COMMITTED, False
        _vary(response)
        if response.streaming:
            _finish_with(response, session)
        return True

    def _before(self, store: SessionStore, response: Any) -> int:
        """The status by which to commit."""
        status: int = response.status_code
        if status >= FAILED or (store._asked is False and not store._dirty):
            return FAILED  # what has changed is dropped
        extend = self._every or store._asked is True
        if extend and not store.is_empty():
            store._get_session()
        store.before_commit(extend=extend)
        return status

    def _after(
        self, request: Any, response: Any, store: SessionStore, answer: ErrorResponse | None
    ) -> Any:
        session = store._lembro
        if answer is None and response.status_code == FAILED and store._unreadable:
            answer = error_response_for(StoreError("it could not be read"))
        if answer is not None:
            answered = _answered(answer)
            answered._resource_closers.extend(response._resource_closers)
            return answered
        if session._is_unused():
            return response
        store.after_commit()
        headers = response.headers
        if session._cookie is None:
            _vary(response)
        else:
            lines = _adapter.add_headers(
                session,
                headers,
                partial(_lines_of, headers),
                https=request.is_secure(),
                client=request.META.get("REMOTE_ADDR"),
                request=request.META,
            )
            for line in lines:
                set_cookie(response, line)
        if session._nested_possible or response.streaming:
            _finish_with(response, session)
        return response


def _outer(request: Any) -> Any:
    """The session that the request has already: of a middleware around Django, or around us."""
    if wsgi.KEY in request.META:
        return request.META[wsgi.KEY]
    known = request.__dict__
    if "session" in known:
        return known["session"]._lembro if isinstance(known["session"], SessionStore) else None
    return known["scope"].get("session") if "scope" in known else None


def _cookies(request: Any) -> str | None:
    """The Cookie header. Of several, as HTTP/2 has them, Django 5.2 makes one that cannot be read
    under ASGI."""
    if "scope" not in request.__dict__:
        header: str | None = request.META.get("HTTP_COOKIE")
        return header
    headers: list[tuple[bytes, bytes]] = request.scope["headers"]
    return "; ".join(value.decode("latin-1") for name, value in headers if name == b"cookie")


def _finish_with(response: Any, session: Session) -> None:
    """Have what is changed until the last byte said."""
    response._resource_closers.append(partial(session._manager.finish, session))


def _vary(response: Any) -> None:
    headers = response.headers
    # To ask these whether they have one, and to set one, takes a tenth of a request that reads.
    held = getattr(headers, "_store", None)
    if held is not None and "vary" not in held:
        held["vary"] = ("Vary", "Cookie")
        return
    value = vary_with_cookie(_lines_of(headers, "Vary"))
    if value is not None:
        headers["Vary"] = value


def _lines_of(headers: Any, name: str) -> list[str]:
    return [headers[name]] if name in headers else []


def _answered(answer: ErrorResponse) -> Any:
    return HttpResponse(answer.body, status=answer.status, headers=_adapter.TEXT)
