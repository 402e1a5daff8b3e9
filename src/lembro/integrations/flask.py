"""Flask: ``flask.session``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from .. import wsgi
from .._core.state import NOT_LOADED, OPEN, RESPONSE_BEGUN
from . import _adapter
from ._adapter import ANSWERED_ERRORS, Runner, error_response_for

try:
    import flask
    from flask.sessions import SessionInterface, SessionMixin
    from werkzeug.local import LocalProxy
    from werkzeug.wrappers import Response

    from ._flask_login import Follower, follow_flask_login, follower_of
    from ._flask_session import FlaskSession
    from ._flask_shared import (
        Extension,
        FlaskResponse,
        LazyManager,
        NoSession,
        answer_errors,
        error_page,
        typed_session,
    )
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.flask needs Flask: pip install 'lembro[flask]'"
    ) from _missing

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["FlaskSession", "Lembro", "LembroSessionInterface", "follow_flask_login", "session"]

_KEY: Final = "lembro.flask"
"""The key of the session in the environ of a request that Flask serves."""

_ENDED: Final[WSGIEnvironment] = {"wsgi.url_scheme": "http"}
"""The environ of a request that has ended. Its session reads nothing more from the environ."""


# -- the exchange ----------------------------------------------------------------------------------


class FlaskExchange(wsgi.EnvironExchange):
    """One request of a Flask application, and its response.

    It refers to its session only while it responds. So a request context that never ends, such as
    one of Flask-SocketIO, leaves no reference cycle.
    """

    __slots__ = ("interface", "streamed")

    def __init__(
        self, runner: Runner, interface: LembroSessionInterface, environ: dict[str, Any]
    ) -> None:
        super().__init__(runner, environ)
        self.session: Any = None
        self.interface: LembroSessionInterface = interface
        """The interface of the application that commits the session, if several are nested."""
        self.streamed: bool = False
        """Whether the end of the body ends the exchange."""

    def respond(self, session: FlaskSession, response: Response) -> None:
        """Commit the session, and add its headers to the response or replace it."""
        if _adapter.begin_unused(session):
            return
        adapted = FlaskResponse(response)
        self.session = session
        try:
            if session._phase is OPEN:  # else an error page replaces a response that failed
                session._drop_changes()
                before = session._payload
                error = self.commit(500 if session._failed else response.status_code)
                session._stored = session._payload is not before
                if error is not None:
                    adapted.replace(error)
                    return
            _adapter.add_headers(self, adapted)
        finally:
            self.session = None

    def end(self, session: FlaskSession) -> None:
        """End the exchange."""
        if session._phase is OPEN:  # there is no response: only a logout takes effect
            self.session = session
            self.commit(500)
            self.session = None
        elif session._nested_possible:
            self.runner.report_late_changes(session)
        if session._loaded is NOT_LOADED:
            session._too_late = RESPONSE_BEGUN
        self._environ = _ENDED


class LembroSessionInterface(LazyManager, SessionInterface):
    """Gives Flask the session of each request; made by :class:`Lembro`."""

    null_session_class = NoSession
    _request = flask.request
    _ready = False  # the first request has come, and the application is set up
    _follower: Follower | None = None

    def open_session(self, app: flask.Flask, request: flask.Request) -> FlaskSession | None:
        """Return the session of a request, not loaded yet; None on an excluded path."""
        runner = self._runner or self._made()
        if not self._ready:
            self._follower, self._ready = follower_of(app), True
        session = self._open(runner, request.environ)
        if session is not None and self._follower is not None:
            session._follower = self._follower
        return session

    def _open(self, runner: Runner, environ: dict[str, Any]) -> FlaskSession | None:
        outer = environ.get(wsgi.KEY)
        if (
            outer is not None
            and runner.owns(outer, https=wsgi.is_https(environ))
            and outer._phase is OPEN
        ):
            return _adapter.as_kind(outer, FlaskSession)
        if self._exclude and _adapter.path_of_environ(environ).startswith(self._exclude):
            return None
        session = FlaskSession(FlaskExchange(runner, self, environ))
        if _KEY in environ:  # else the environ may be kept, as Flask-SocketIO does
            environ[_KEY] = environ[wsgi.KEY] = session
        return session

    def save_session(
        self, app: flask.Flask, session: SessionMixin | None, response: Response
    ) -> None:
        """Commit the session, and add its headers to the response."""
        if not isinstance(session, FlaskSession):
            return
        if session._follower is not None and session._phase is OPEN:
            session._follower.follow(session, load=False)
        exchange = session._transport
        if not isinstance(exchange, FlaskExchange) or exchange.interface is not self:
            return  # a middleware or application around this one commits it
        if response.is_streamed and not exchange.streamed:
            exchange.streamed = True
            response.call_on_close(partial(exchange.end, session))
        exchange.respond(session, response)

    def regenerate(self, session: FlaskSession) -> None:
        """Give the session a new ID, as Flask-Session's interface does."""
        session.regenerate_id()

    def _check(self, runner: Runner) -> None:
        runner.require_sync("Flask")
        runner.open_permanently()


# -- the application -------------------------------------------------------------------------------


class Lembro(Extension[flask.Flask]):
    _kind = flask.Flask

    def _install(self, app: flask.Flask) -> None:
        app.session_interface = LembroSessionInterface(app, self._given)
        answer_errors(app, _answer)
        app.wsgi_app = _ending(app.wsgi_app)  # type: ignore[method-assign,assignment]
        process: Any = _answering(app.process_response)
        app.process_response = process  # type: ignore[method-assign]

    def _current_app(self) -> Any:
        return flask.current_app


def _answer(error: Exception) -> Response:
    """Answer an error that a view raised. Changes are dropped, and a logout takes effect."""
    current = _session()
    if isinstance(current, FlaskSession):
        current._failed = True
    return error_page(error_response_for(error))


def _answering(process: Callable[..., Response]) -> Callable[..., Response]:
    """Answer errors of ``after_request`` functions, for which Flask would answer 500.

    A function of Flask-Login accesses every session.
    """

    def process_response(*args: Any) -> Response:
        try:
            return process(*args)
        except ANSWERED_ERRORS as error:
            response: Response = args[-1]
            FlaskResponse(response).replace(error_response_for(error))
            return response

    return process_response


def _ending(application: WSGIApplication) -> WSGIApplication:
    """Wrap an application to end the exchange of each request, also if the application fails."""

    def wsgi_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # An application around this one may pass its environ to others too.
        outer, shared = environ.get(_KEY), environ.get(wsgi.KEY)
        environ[_KEY] = None
        try:
            body = application(environ, start_response)
        except BaseException:
            session = environ[_KEY]
            if session is not None:
                session._transport.end(session)
            raise
        else:
            session = environ[_KEY]
            if session is not None and not session._transport.streamed:
                session._transport.end(session)
            return body
        finally:
            _put_back(environ, _KEY, outer)
            _put_back(environ, wsgi.KEY, shared)

    return wsgi_app


def _put_back(environ: WSGIEnvironment, key: str, value: object) -> None:
    if value is None:
        environ.pop(key, None)
    else:
        environ[key] = value


# -- the typed session -----------------------------------------------------------------------------


def _session() -> SessionMixin:
    return cast("LocalProxy[SessionMixin]", flask.session)._get_current_object()


def _typed() -> FlaskSession:
    return typed_session(
        _session(), "Lembro(app), and with Flask-SocketIO SocketIO(app, manage_session=False)"
    )


session: FlaskSession = cast("FlaskSession", LocalProxy(_typed))
"""``flask.session``, with its type: type checkers know ``session.login(...)``."""
