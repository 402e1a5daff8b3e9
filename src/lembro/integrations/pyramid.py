"""Pyramid: ``config.include("lembro.integrations.pyramid")``, and ``request.session``."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any, Final, Unpack

from .._core.commit import has_changed
from .._core.session import Session
from .._core.state import OPEN, REQUEST_FAILED, RESPONSE_BEGUN
from ..errors import LembroError, SessionCommitted
from ..ids import UserID
from ..options import OptionKeywords, Seconds, SessionOptions
from ..stores.base import Store
from ..wsgi import KEY, EnvironExchange, is_https
from . import _pyramid_settings
from ._adapter import (
    ANSWERED_ERRORS,
    ErrorResponse,
    Runner,
    SessionManager,
    as_kind,
    begin_unused,
    error_response_for,
    manager_of,
    no_session,
    path_of_environ,
    path_prefixes,
    respond,
    runner_of,
)

try:
    from pyramid.interfaces import ISession
    from pyramid.request import Request
    from pyramid.response import Response as WebObResponse
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

_EXAMPLE: Final = 'config.include("lembro.integrations.pyramid")'


class PyramidSession(Session):
    """A session with the methods of Pyramid's ``ISession`` in addition."""

    @property
    def new(self) -> bool:
        """Whether there is no stored session yet."""
        return self.is_new

    @property
    def created(self) -> int:
        """The time when the session began, or its user logged in, in seconds since the epoch."""
        if not self._ready:
            self._load()
        return int(time.time() - (0.0 if self._found is None else self._found.age))

    def invalidate(self) -> None:
        """End the session, as ``logout()`` does. Keys written afterwards go into a new one."""
        self.destroy()

    def changed(self) -> None:
        """Extend the idle timeout, unless the request is passive. Nested changes are stored
        without it."""
        self._mark_used()

    def flash(self, msg: Any, queue: str = "", allow_duplicate: bool = True) -> None:
        """Add a message to a queue. Without ``allow_duplicate``, add it only once."""
        messages = self.setdefault(f"_f_{queue}", [])
        if allow_duplicate or msg not in messages:
            messages.append(msg)

    def pop_flash(self, queue: str = "") -> list[Any]:
        """Remove the messages of a queue, and return them."""
        messages: list[Any] = self.pop(f"_f_{queue}", [])
        return messages

    def peek_flash(self, queue: str = "") -> list[Any]:
        """Return the messages of a queue."""
        messages: list[Any] = self.get(f"_f_{queue}", [])
        return messages

    def new_csrf_token(self) -> str:
        """Make a token against cross-site request forgery, and store it in the session."""
        token = secrets.token_hex(20)
        self["_csrft_"] = token
        return token

    def get_csrf_token(self) -> str:
        """Return the token against cross-site request forgery; make one if there is none."""
        token: str | None = self.get("_csrft_")
        return self.new_csrf_token() if token is None else token


classImplements(PyramidSession, ISession)


# -- the exchange: that of lembro.wsgi -------------------------------------------------------------


class _Exchange(EnvironExchange):
    """One request of Pyramid, and its response."""

    __slots__ = ("_streams",)

    def __init__(self, runner: Runner, request: Request) -> None:
        self.runner = runner
        self._environ = request.environ
        self._streams = False
        self.session: PyramidSession = PyramidSession(self)

    def respond(self, request: Request, response: WebObResponse) -> None:
        """Commit the session. Pyramid calls this after the tweens, with the response."""
        if not respond(self, _Response(response)):
            return
        body = response.app_iter
        if type(body) is not list:
            self._streams = True
            _follow(response, body, partial(self.runner.report_late_changes, self.session))

    def finish(self, request: Request) -> None:
        """End the exchange. Pyramid calls this last, but the body may not be sent yet."""
        session = self.session
        if session._phase is OPEN:  # an exception without a view, or a first access after respond()
            failed, unused = sys.exception() is not None, session._is_unused()
            if not failed and _is_changed(session):
                self.runner.report_lost_change(session)
            self.commit(500)
            session._too_late = REQUEST_FAILED if failed else RESPONSE_BEGUN
            if not (failed or unused):  # the response has no Vary, and was not sent
                self.close()
                raise SessionCommitted(RESPONSE_BEGUN)
        elif not self._streams:
            self.runner.report_late_changes(session)
        self.close()

    def close(self) -> None:
        """End the exchange. A body that is sent now may still read a session that was accessed."""
        self.drop_environ()
        self.session = None  # type: ignore[assignment]


def _is_changed(session: Session) -> bool:
    if session._is_unused():
        return False
    try:
        return session._regenerate or session._login is not None or has_changed(session)
    except LembroError:  # it cannot be stored
        return True


def _is_finished(request: Request) -> bool:
    """Return whether the body is being sent: Pyramid has removed the context from the request."""
    known = request.__dict__
    return "view_name" in known and "context" not in known


# -- the response ----------------------------------------------------------------------------------


class _Response:
    """A response of WebOb."""

    __slots__ = ("_headers", "_response")

    def __init__(self, response: WebObResponse) -> None:
        self._response = response
        self._headers: Any = response.headers  # a property, which is slow

    def status(self) -> int:
        status: int = self._response.status_code
        return status

    def lines(self, name: str) -> list[str]:
        lines: list[str] = self._headers.getall(name)
        return lines

    def set(self, name: str, value: str) -> None:
        self._headers[name] = value

    def add(self, name: str, value: str) -> None:
        self._headers.add(name, value)

    def replace(self, error: ErrorResponse) -> None:
        response = self._response
        body: Any = response.app_iter
        if hasattr(body, "close"):
            body.close()
        response.status = f"{error.status} {error.phrase}"
        response.headerlist = list(error.text_headers.items())
        response.body = error.body


class _Body:
    """A body that is generated while it is sent. At its end, late changes are reported."""

    def __init__(self, body: Any, end: Callable[[], None]) -> None:
        self._body = body
        self._end = end

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """Close the body, after success or failure. The server calls it (PEP 3333)."""
        if hasattr(self._body, "close"):
            self._body.close()
        self._end()


def _follow(response: WebObResponse, body: Any, end: Callable[[], None]) -> None:
    length = response.content_length
    response.app_iter = _Body(body, end)
    response.content_length = length  # WebOb has dropped it


def _answer(error: Exception, request: Request) -> WebObResponse:
    """Answer an error of a session that a view raised: an exception view."""
    response = WebObResponse()
    _Response(response).replace(error_response_for(error))
    return response


# -- the entry points ------------------------------------------------------------------------------


def includeme(config: Any) -> None:
    """Add sessions: ``config.include("lembro.integrations.pyramid")``.

    The options are the settings that begin with ``lembro.``; all are optional. Afterwards the
    manager is the setting ``lembro.manager``. It also adds exception views for StoreError (503) and
    LoginRequired (401), which the application can replace.

    Raises:
        ConfigError: a setting cannot work.
    """
    settings = config.get_settings()
    manager, exclude = _pyramid_settings.read_settings(settings)
    settings["lembro.manager"] = manager
    config.set_session_factory(LembroSessionFactory(manager, exclude=exclude))
    for error in ANSWERED_ERRORS:
        config.add_exception_view(_answer, context=error)


def LembroSessionFactory(  # noqa: N802 - named as Pyramid's own are
    manager: SessionManager | None = None,
    *,
    store: Store | None = None,
    options: SessionOptions | None = None,
    exclude: Iterable[str] = (),
    **keywords: Unpack[OptionKeywords],
) -> Callable[[Request], PyramidSession]:
    """Make a session factory, for ``Configurator(session_factory=LembroSessionFactory())``.

    Args:
        manager: The manager, if you have made one.
        store: A store or its URL; default: ``LEMBRO_STORE`` in the environment, or a MemoryStore.
        options: The options; ``keywords`` replace single ones.
        exclude: Path prefixes without a session: ``request.session`` raises ConfigError there.
        keywords: The fields of :class:`~lembro.SessionOptions`.

    Raises:
        ConfigError: an argument cannot work.
    """
    runner = runner_of(manager_of(manager, store, options, keywords))
    runner.require_sync("Pyramid")
    runner.open_permanently()
    excluded = path_prefixes(exclude)

    def factory(request: Request) -> PyramidSession:
        environ = request.environ
        outer: Any = environ.get(KEY)
        if (
            outer is not None
            and runner.owns(outer, https=is_https(environ))
            and outer._phase is OPEN
        ):
            # A middleware or an application around this one commits it.
            return as_kind(outer, PyramidSession)
        if excluded and path_of_environ(environ).startswith(excluded):
            raise no_session(_EXAMPLE)
        exchange = _Exchange(runner, request)
        session = environ[KEY] = exchange.session
        if _is_finished(request):
            begin_unused(session)
            exchange.close()
        else:
            request.add_response_callback(exchange.respond)
            request.add_finished_callback(exchange.finish)
        return session

    return factory


class LembroAuthenticationHelper:
    """Replaces Pyramid's ``SessionAuthenticationHelper`` in a security policy.

    The userid is ``session.user_id``. So each login gets a new session ID, and you can revoke all
    sessions of a user.
    """

    def remember(
        self,
        request: Request,
        userid: UserID,
        *,
        remember: bool | timedelta = False,
        fresh: bool = True,
        idle_timeout: Seconds | None = None,
        absolute_timeout: Seconds | None = None,
        **kw: Any,
    ) -> list[tuple[str, str]]:
        """Log a user in; see :meth:`lembro.Session.login`. There are no headers to add.

        Args:
            request: The request.
            userid: The user's ID.
            remember: Whether the session and the cookie stay after the browser is closed.
            fresh: Whether the user gave credentials now.
            idle_timeout: The idle timeout of this session.
            absolute_timeout: The absolute timeout of this session.
            kw: Not used.
        """
        get_session(request).login(
            userid,
            remember=remember,
            fresh=fresh,
            idle_timeout=idle_timeout,
            absolute_timeout=absolute_timeout,
        )
        return []

    def forget(self, request: Request, **kw: Any) -> list[tuple[str, str]]:
        """Log the user out. There are no headers to add."""
        get_session(request).logout()
        return []

    def authenticated_userid(self, request: Request) -> str | None:
        """Return the ID of the user who is logged in; None if nobody is."""
        return get_session(request).user_id


# -- the typed accessor ----------------------------------------------------------------------------


def get_session(request: Request) -> PyramidSession:
    """Return ``request.session``, typed.

    Raises:
        ConfigError: the request has no session of lembro.
    """
    session = request.session
    if not isinstance(session, PyramidSession):
        raise no_session(_EXAMPLE)
    return session
