"""Flask: ``flask.session``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from .. import wsgi
from .._core.state import OPEN
from .._http.error_response import error_response_for
from ..errors import ConfigError, StoreError
from ..manager import SessionManager
from . import _adapter

try:
    import flask
    from flask.sessions import SessionInterface, SessionMixin
    from werkzeug.local import LocalProxy
    from werkzeug.wrappers import Response

    from ._flask import Extension, FlaskSession, LazyManager, add_to_headers, replace
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.flask needs Flask: pip install 'lembro[flask]'"
    ) from _missing

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["FlaskSession", "Lembro", "LembroSessionInterface", "follow_flask_login", "session"]

_KEY: Final = "lembro.flask"


class LembroSessionInterface(LazyManager, SessionInterface):
    """What Flask asks for the session of a request; made by :class:`Lembro`."""

    _request = flask.request

    def _check(self, made: SessionManager) -> None:
        if not hasattr(made.store, "blocking"):
            raise ConfigError(
                f"{type(made.store).__name__} is asynchronous, and Flask is not: give Lembro the "
                f"plain store of its kind, or use Quart"
            )
        made.start_for_good()

    def open_session(self, app: flask.Flask, request: flask.Request) -> FlaskSession:
        """The session of a request; it is loaded at the first look."""
        manager = self._made or self.manager
        environ = request.environ
        https = environ["wsgi.url_scheme"] == "https"
        outer = environ.get(wsgi.KEY)
        if (
            outer is not None
            and manager.is_within_itself(outer, https=https)
            and outer._phase is OPEN
        ):
            return _adapter.as_kind(outer, FlaskSession)
        source = (manager, environ.get("HTTP_COOKIE"), https)
        session = FlaskSession(manager, _adapter.read, source, environ.get("REMOTE_ADDR"))
        session._owner = self
        if _KEY in environ:  # else it may be kept, as by Flask-SocketIO for all of a conversation
            environ[_KEY] = environ[wsgi.KEY] = session
        return session

    def save_session(
        self, app: flask.Flask, session: SessionMixin | None, response: Response
    ) -> None:
        """The response is complete: commit, and add to its headers what is to be added."""
        if not isinstance(session, FlaskSession) or session._owner is not self:
            return
        if response.is_streamed and not session._streamed:
            session._streamed = True
            response.call_on_close(partial(session._manager.finish, session))
        if session._phase is OPEN:  # else an error page takes over from a response that failed
            session._give_up()
            before = session._payload
            answer = _adapter.commit(session, response.status_code)
            session._stored = session._payload is not before
            if answer is not None:
                replace(response, answer)
                return
        asked = flask.request.environ if session._cookie is not None and flask.request else None
        add_to_headers(session, response.headers, session._source[2], session._send, asked)

    def regenerate(self, session: FlaskSession) -> None:
        """As of Flask-Session: ``session.regenerate_id()``."""
        session.regenerate_id()


class Lembro(Extension[flask.Flask]):
    _kind = flask.Flask

    def _set_up(self, app: flask.Flask) -> None:
        app.session_interface = LembroSessionInterface(app, *self._given)
        app.wsgi_app = _around(app.wsgi_app)  # type: ignore[method-assign,assignment]
        process: Any = _answering(app.process_response)
        app.process_response = process  # type: ignore[method-assign]

    def _current_app(self) -> Any:
        return flask.current_app


def _around(application: WSGIApplication) -> WSGIApplication:
    """The application, and what is to be done if it fails for good, or is done."""

    def wsgi_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Of whatever is around this one, and may hand its request to others too.
        outer, shared = environ.get(_KEY), environ.get(wsgi.KEY)
        environ[_KEY] = None
        try:
            body = application(environ, start_response)
        except BaseException:
            _fail(environ[_KEY])
            raise
        else:
            session = environ[_KEY]
            if session is not None:
                if session._phase is OPEN:  # a function that is called after the view has raised
                    _fail(session)
                elif session._nested_possible and not session._streamed:
                    session._manager.finish(session)  # a teardown function may have changed it
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


def _answering(process: Callable[..., Response]) -> Callable[..., Response]:
    """Flask answers 500 where a function fails that is called after the view, among them one of
    Flask-Login's, which looks at every session."""

    def process_response(*args: Any) -> Response:
        try:
            return process(*args)
        except StoreError as error:
            response: Response = args[-1]
            replace(response, error_response_for(error))
            return response

    return process_response


def _fail(session: FlaskSession | None) -> None:
    """No response was made of it: changes are dropped, a logout is honoured."""
    if session is not None and session._phase is OPEN:
        _adapter.commit(session, 500)


def _current() -> FlaskSession:
    current = cast("LocalProxy[SessionMixin]", flask.session)._get_current_object()
    if isinstance(current, FlaskSession):
        return current
    raise ConfigError(
        "flask.session is not lembro's here: call Lembro(app, ...) for this application; with "
        "Flask-SocketIO, SocketIO(app, manage_session=False)"
    )


session: FlaskSession = cast("FlaskSession", LocalProxy(_current))
"""``flask.session``, with its type: ``session.login(...)`` is known to type checkers."""


def follow_flask_login(app: flask.Flask) -> None:
    """Make the logins of Flask-Login logins of lembro's too: ``login_user`` gives the session a new
    id, ``logout_user`` ends it, and ``session.user``, ``logout_everywhere()``, the limit of
    sessions a user and the place among those who are logged in come with it."""
    from flask_login import (  # noqa: PLC0415
        user_loaded_from_cookie,
        user_logged_in,
        user_logged_out,
    )
    from flask_login.config import SESSION_KEYS  # noqa: PLC0415

    def kept() -> dict[str, Any]:
        return {key: session[key] for key in SESSION_KEYS if key in session}

    def log_in(sender: Any, user: Any, **_: Any) -> None:
        keys = kept()  # with another user's login all that is there goes
        session.login(str(user.get_id()))
        session.update(keys)

    def log_out(sender: Any, **_: Any) -> None:
        keys = kept()  # among them what is to become of its cookie
        session.logout()
        session.update(keys)

    user_logged_in.connect(log_in, app, weak=False)
    user_loaded_from_cookie.connect(log_in, app, weak=False)
    user_logged_out.connect(log_out, app, weak=False)
