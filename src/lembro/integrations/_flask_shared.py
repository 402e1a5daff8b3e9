"""The parts that Flask and Quart share: the response, the lazily made manager, the extension."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Any, Generic, TypeVar, Unpack

from flask.sessions import NullSession
from werkzeug.wrappers import Response as WerkzeugResponse

from ..errors import ConfigError
from ..options import OptionKeywords, SessionOptions
from ..stores.base import AsyncStore, Store
from . import _adapter
from ._adapter import ANSWERED_ERRORS, ErrorResponse, Runner, SessionManager, runner_of
from ._flask_config import Given, check, sessions_from
from ._flask_session import FlaskSession

__all__ = [
    "Extension",
    "FlaskResponse",
    "LazyManager",
    "NoSession",
    "answer_errors",
    "error_page",
    "typed_session",
]

App = TypeVar("App")

_EXAMPLE = "Lembro(app)"


# -- the response ----------------------------------------------------------------------------------


class FlaskResponse:
    """A response of Werkzeug, for the adapter."""

    __slots__ = ("_response",)

    def __init__(self, response: Any) -> None:
        self._response = response

    def status(self) -> int:
        """Return the status code."""
        status: int = self._response.status_code
        return status

    def lines(self, name: str) -> list[str]:
        """Return all lines of a header."""
        lines: list[str] = self._response.headers.getlist(name)
        return lines

    def set(self, name: str, value: str) -> None:
        """Replace all lines of a header with one."""
        self._response.headers[name] = value

    def add(self, name: str, value: str) -> None:
        """Add a line of a header."""
        self._response.headers.add(name, value)

    def replace(self, error: ErrorResponse) -> None:
        """Replace the response with an error, and close the body that was to be sent."""
        response = self._response
        close = getattr(response.response, "close", None)
        if close is not None:
            close()
        response.direct_passthrough = False
        response.headers.clear()
        response.status = f"{error.status} {error.phrase}"
        response.set_data(error.body)
        response.headers.update(error.text_headers)


def error_page(error: ErrorResponse) -> WerkzeugResponse:
    """Make a response for an error."""
    response = WerkzeugResponse()
    FlaskResponse(response).replace(error)
    return response


def answer_errors(app: Any, handler: Any) -> None:
    """Register a handler for StoreError and LoginRequired, unless the application has one."""
    present = app.error_handler_spec[None][None]
    for error in ANSWERED_ERRORS:
        if error not in present:
            app.register_error_handler(error, handler)


# -- the session of a request ----------------------------------------------------------------------


class NoSession(NullSession):
    """The session on an excluded path, like Flask's session without a secret key.

    It is empty, because extensions such as Flask-Login read the session of every page. Writing
    raises ConfigError.
    """

    def _refuse(self, *args: Any, **keywords: Any) -> Any:
        raise _adapter.no_session(_EXAMPLE)

    __setitem__: Any = _refuse
    __delitem__: Any = _refuse
    __ior__: Any = _refuse
    clear: Any = _refuse
    pop: Any = _refuse
    popitem: Any = _refuse
    update: Any = _refuse
    setdefault: Any = _refuse
    del _refuse


def typed_session(session: object, example: str = _EXAMPLE) -> FlaskSession:
    """Return a framework's current session, typed. ``example`` installs it, for the error.

    Raises:
        ConfigError: it is not a session of lembro.
    """
    if isinstance(session, FlaskSession):
        return session
    raise _adapter.no_session(example)


class LazyManager:
    """The manager of one application, which is made when it is first needed.

    By then the application is configured. That often happens after its extensions are made.
    """

    _request: Any  # the framework's proxy of the current request

    def __init__(self, app: Any, given: Given) -> None:
        self._app_config = app.config
        self._given = given
        self._lock = Lock()
        self._manager: SessionManager | None = None
        self._runner: Runner | None = None  # set last: if it is set, the rest is set too
        self._exclude: tuple[str, ...] = ()

    @property
    def manager(self) -> SessionManager:
        """The manager.

        Raises:
            ConfigError: ``app.config`` has a setting that cannot work.
        """
        self._made()
        assert self._manager is not None
        return self._manager

    @property
    def exclude(self) -> tuple[str, ...]:
        """The path prefixes without a session."""
        self._made()
        return self._exclude

    def get_cookie_name(self, app: Any) -> str:
        """Return the cookie's name over the scheme of the current request."""
        https = bool(self._request) and self._request.is_secure
        return self.manager.options.cookie.name_over(https=https)

    def _made(self) -> Runner:
        """Make the manager unless it was made before, and return its runner."""
        with self._lock:
            if self._runner is None:
                manager, exclude = sessions_from(self._app_config, self._given)
                runner = runner_of(manager)
                self._check(runner)
                self._manager, self._exclude, self._runner = manager, exclude, runner
            return self._runner

    def _check(self, runner: Runner) -> None:
        """Check that the framework can work with a manager."""


# -- the extension ---------------------------------------------------------------------------------


class Extension(Generic[App]):
    """Add sessions to an application: ``Lembro(app)``.

    Without ``app``, call :meth:`init_app` later. Without ``manager``, each application gets its own
    manager, from these arguments and from ``app.config``. The settings are ``LEMBRO_...``,
    ``SESSION_COOKIE_...`` and ``PERMANENT_SESSION_LIFETIME``. They are read at the first request.
    An argument and a setting must not contradict each other.

    Args:
        app: The application.
        manager: The manager, if you have made one.
        store: A store or its URL; default: ``LEMBRO_STORE`` in the environment, or a MemoryStore.
        options: The options; ``keywords`` and settings replace single ones.
        exclude: Path prefixes without a session, for example ``["/static/"]``.
        keywords: The fields of :class:`~lembro.SessionOptions`.

    Raises:
        ConfigError: an argument cannot work.
    """

    _kind: type[App]

    def __init__(
        self,
        app: App | None = None,
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | str | None = None,
        options: SessionOptions | None = None,
        exclude: Iterable[str] = (),
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        if app is not None:
            _adapter.check_app(app, self._kind, self._kind.__name__)
        excluded = _adapter.path_prefixes(exclude)
        self._given = Given(manager, store, options, excluded, {**keywords})
        check(self._given)
        self._app = app
        if app is not None:
            self.init_app(app)

    def init_app(self, app: App) -> None:
        """Add sessions to an application.

        Raises:
            ConfigError: it already has lembro's sessions, or is not an application.
        """
        _adapter.check_app(app, self._kind, self._kind.__name__)
        served: Any = app
        if isinstance(served.session_interface, LazyManager):
            raise _adapter.already_installed()
        self._app = app
        served.extensions["lembro"] = self
        self._install(app)

    @property
    def manager(self) -> SessionManager:
        """The manager of the current application, or else of the last one that was installed.

        Raises:
            ConfigError: there is no application, or its configuration cannot work.
        """
        interface = getattr(self._current_app() or self._app, "session_interface", None)
        if not isinstance(interface, LazyManager):
            raise ConfigError(
                "lembro.manager needs an application; call init_app(app), or write Lembro(app)"
            )
        return interface.manager

    def _install(self, app: App) -> None:
        """Install the session interface in an application."""
        raise NotImplementedError

    def _current_app(self) -> Any:
        """Return the application whose code is running, if there is one."""
        raise NotImplementedError
