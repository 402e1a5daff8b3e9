"""Pyramid: ``config.include("lembro.integrations.pyramid")``, and ``request.session``."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Unpack

from .._core.commit import has_changed
from .._core.session import Session
from .._core.state import COMMITTED, OPEN
from .._http.error_response import ErrorResponse, error_response_for
from ..errors import ConfigError, LembroError, StoreError
from ..manager import SessionManager, manager_of
from ..options import OptionKeywords
from ..stores.base import Store
from ..wsgi import KEY, _is_made_while_it_goes_out
from . import _adapter, _pyramid_settings

try:
    from pyramid.interfaces import ISession
    from pyramid.request import Request
    from pyramid.response import Response
    from zope.interface import classImplements
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.pyramid needs Pyramid: pip install 'lembro[pyramid]'"
    ) from _missing

__all__ = [
    "LembroAuthenticationHelper",
    "LembroSessionFactory",
    "PyramidSession",
    "get_session",
    "includeme",
]

_STREAMS: Final = object()
"""As the ``_send`` of a session: the end of the body says what was changed too late."""


class PyramidSession(Session):
    """A session with the methods of Pyramid's ``ISession``."""

    @property
    def new(self) -> bool:
        """Whether there is no stored session yet."""
        return self.is_new

    @property
    def created(self) -> int:
        """When it began, or when the user logged in; seconds since the epoch."""
        if not self._ready:
            self._look()
        return int(time.time() - (0.0 if self._found is None else self._found.age))

    def invalidate(self) -> None:
        """End the session, as ``logout``. What is written afterwards goes into a new one, under a
        new id."""
        self.destroy()

    def changed(self) -> None:
        """Extend the idle timeout, as ``touch``. Nested changes are found without it."""
        self.touch()

    def flash(self, msg: Any, queue: str = "", allow_duplicate: bool = True) -> None:
        """Put a message at the end of a queue; without ``allow_duplicate`` only if it is not there
        yet."""
        messages = self.setdefault(f"_f_{queue}", [])
        if allow_duplicate or msg not in messages:
            messages.append(msg)

    def pop_flash(self, queue: str = "") -> list[Any]:
        """The messages of a queue, which is empty then."""
        messages: list[Any] = self.pop(f"_f_{queue}", [])
        return messages

    def peek_flash(self, queue: str = "") -> list[Any]:
        """The messages of a queue, which stay there."""
        messages: list[Any] = self.get(f"_f_{queue}", [])
        return messages

    def new_csrf_token(self) -> str:
        """A new token against cross-site request forgery, kept in the session."""
        token = secrets.token_hex(20)
        self["_csrft_"] = token
        return token

    def get_csrf_token(self) -> str:
        """The token, or a new one."""
        token: str | None = self.get("_csrft_")
        return self.new_csrf_token() if token is None else token


classImplements(PyramidSession, ISession)


def includeme(config: Any) -> None:
    """``config.include("lembro.integrations.pyramid")``: the session factory, from the settings
    that begin with ``lembro.``, and an answer of 503 for when the store fails. The manager is in
    the settings too, as ``lembro.manager``. Raises ConfigError."""
    settings = config.get_settings()
    manager = _pyramid_settings.manager_from(settings)
    settings["lembro.manager"] = manager
    config.set_session_factory(LembroSessionFactory(manager))
    config.add_exception_view(_store_failed, context=StoreError)
    config.add_tween(f"{__name__}.follow_bodies")


def LembroSessionFactory(  # noqa: N802 - named as Pyramid's own are
    manager: SessionManager | None = None,
    *,
    store: Store | None = None,
    **options: Unpack[OptionKeywords],
) -> Callable[[Request], PyramidSession]:
    """A session factory, for ``Configurator(session_factory=...)`` or
    ``config.set_session_factory``: ``LembroSessionFactory(sessions)``, or with a store and options.
    Raises ConfigError."""
    manager = manager_of(manager, store, options)
    manager.start_for_good()

    def factory(request: Request) -> PyramidSession:
        environ = request.environ
        https = environ.get("wsgi.url_scheme") == "https"
        outer: Any = environ.get(KEY)
        if (
            outer is not None
            and manager.is_within_itself(outer, https=https)
            and outer._phase is OPEN
        ):
            # Of a middleware or an application around this one, which commits it.
            return _adapter.as_kind(outer, PyramidSession)
        session = PyramidSession(
            manager, _adapter.read, (manager, environ.get("HTTP_COOKIE"), https)
        )
        environ[KEY] = session
        if _is_finished(request):
            session._phase = COMMITTED
            return session
        request.add_response_callback(partial(_respond, session))
        request.add_finished_callback(partial(_finish, session))
        return session

    return factory


def get_session(request: Request) -> PyramidSession:
    """``request.session``, typed. Raises ConfigError where there is none of lembro's."""
    session = request.session
    if not isinstance(session, PyramidSession):
        raise ConfigError(
            "there is no lembro session here: config.include('lembro.integrations.pyramid')"
        )
    return session


class LembroAuthenticationHelper:
    """In place of Pyramid's ``SessionAuthenticationHelper`` within a security policy: the userid is
    ``session.user``, so that a login has a new id, and all sessions of a user can be ended."""

    def remember(
        self, request: Request, userid: str, *, remember: bool = False, **kw: Any
    ) -> list[tuple[str, str]]:
        """Log in; with ``remember`` the cookie outlives the browser. There are no headers to
        add."""
        get_session(request).login(userid, remember=remember)
        return []

    def forget(self, request: Request, **kw: Any) -> list[tuple[str, str]]:
        """Log out."""
        get_session(request).logout()
        return []

    def authenticated_userid(self, request: Request) -> str | None:
        """The user, or None."""
        return get_session(request).user


# -- the response ----------------------------------------------------------------------------------


def _respond(session: Session, request: Request, response: Response) -> None:
    """There is a response, and the tweens are through with it."""
    answer = _adapter.commit(session, response.status_code)
    if answer is not None:
        _replace(response, answer)
        return
    headers = response.headers
    lines = _adapter.add_headers(
        session,
        headers,
        headers.getall,
        https=request.environ.get("wsgi.url_scheme") == "https",
        client=request.environ.get("REMOTE_ADDR"),
        request=request.environ,
    )
    for line in lines:
        headers.add("Set-Cookie", line)
    body = response.app_iter
    if type(body) is not list:
        session._send = _STREAMS
        _follow(response, body, partial(session._manager.finish, session))


def _finish(session: Session, request: Request) -> None:
    """Pyramid has finished with the request, though its body may go out only now."""
    if session._phase is OPEN:  # there was an exception, and no view for it
        if sys.exception() is None and _is_changed(session):  # or the response was there already
            session._manager.tell_lost(session)
        _adapter.commit(session, 500)
    elif session._send is not _STREAMS:
        session._manager.finish(session)


def _is_finished(request: Request) -> bool:
    """Whether this is the body, on its way out: Pyramid has taken back the context."""
    known = request.__dict__
    return "view_name" in known and "context" not in known


def _is_changed(session: Session) -> bool:
    if session._is_unused():
        return False
    try:
        return session._regenerate or session._login is not None or has_changed(session)
    except LembroError:  # what cannot be stored
        return True


def follow_bodies(handler: Callable[[Request], Any], registry: object) -> Callable[..., Any]:
    """A tween. Who looks at the session for the first time in a body that is made while it goes
    out is called by nobody at its end: the tweens and all callbacks of the request are through."""

    def tween(request: Request) -> Any:
        response = handler(request)
        body = getattr(response, "app_iter", None)
        if (
            type(body) is not list
            and "session" not in request.__dict__
            and _is_made_while_it_goes_out(body, request.environ)
        ):
            _follow(response, body, partial(_finish_late, request))
        return response

    return tween


def _finish_late(request: Request) -> None:
    session = request.__dict__.get("session")
    if isinstance(session, Session):
        session._manager.finish(session)


def _follow(response: Response, body: Any, end: Callable[[], None]) -> None:
    length = response.content_length
    response.app_iter = _Body(body, end)
    response.content_length = length  # which WebOb has dropped


class _Body:
    """A body that is made while it goes out; at its end a change that came too late is said."""

    def __init__(self, body: Any, end: Callable[[], None]) -> None:
        self._body = body
        self._end = end

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """Called by the server, whichever way the response has ended."""
        if hasattr(self._body, "close"):
            self._body.close()
        self._end()


def _replace(response: Response, answer: ErrorResponse) -> None:
    """Put ``answer`` in place of the response of the application."""
    body: Any = response.app_iter
    if hasattr(body, "close"):
        body.close()
    response.status = f"{answer.status} {answer.phrase}"
    response.headerlist = list(_adapter.TEXT.items())
    response.body = answer.body


def _store_failed(error: StoreError, request: Request) -> Response:
    """The view for a store that fails when a session is looked at."""
    response = Response()
    _replace(response, error_response_for(error))
    return response
