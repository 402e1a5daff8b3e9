"""What Flask and Quart share: the session, the extension, and what is done to a response."""

from __future__ import annotations

from functools import partial
from threading import Lock
from typing import Any, Generic, TypeVar, Unpack

from flask.sessions import SessionMixin
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response

from .._core import codec
from .._core.commit import has_changed
from .._core.lifecycle import roll_back
from .._core.session import Session
from .._http.error_response import ErrorResponse, error_response_for
from .._http.headers import RequestHeaders
from ..errors import ConfigError, LembroError, StoreError
from ..manager import SessionManager, manager_of
from ..options import OptionKeywords
from ..stores.base import AsyncStore, Store
from . import _adapter
from ._flask_config import checked, manager_from

App = TypeVar("App")


class FlaskSession(Session, SessionMixin):
    """:class:`~lembro.Session`, with what Flask's sessions have besides."""

    _owner: object = None  # the interface that commits it; None: a middleware around it does
    _streamed = False
    _permanent = False  # this request has said so
    _stored = False  # a change, when the response began
    _given_up: bytes | None = None  # what it encoded to when ``modified`` was set to False

    @property
    def new(self) -> bool:  # type: ignore[override]
        """As ``is_new``."""
        return self.is_new

    @property
    def accessed(self) -> bool:
        """Whether the session was looked at; then the response says ``Vary: Cookie``."""
        return not self._is_unused()

    @accessed.setter
    def accessed(self, accessed: bool) -> None:
        """Flask sets it whenever it hands the session out, looked at or not."""

    @property
    def modified(self) -> bool:
        """Whether anything has changed, nested changes too. ``= True`` extends the session as
        ``touch()`` does; ``= False`` drops what was changed so far, unless more is changed."""
        if self._is_unused() or self._is_given_up():
            return False
        if self._stored:
            return True
        if self._destroy or self._regenerate or self._touch or self._login is not None:
            return True
        try:
            return has_changed(self)
        except LembroError:  # it is the commit that says it
            return True

    @modified.setter
    def modified(self, modified: bool) -> None:
        if modified:
            self.touch()
            self._given_up = None
        else:
            self._write()
            self._given_up = self._encoding()

    @property
    def permanent(self) -> bool:
        """Whether the browser keeps the cookie when it is closed, as after
        ``login(remember=True)``."""
        if not self._ready:
            self._look()
        return self._meta.get("remember") is True

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self._permanent = bool(value)
        if self.permanent is not self._permanent:
            self._write(cookie=True)
            self._meta = {**self._meta, "remember": self._permanent}
            self._assigned = self._resend_cookie = True

    def login(self, user: str, *, remember: bool = False) -> None:
        """As of :class:`~lembro.Session`; also remembered if ``permanent`` was set before."""
        super().login(user, remember=remember or self._permanent)

    def _give_up(self) -> None:
        """The response begins: drop what ``modified = False`` has left to be dropped."""
        if not self._is_given_up():
            return
        if self._destroy:  # what there was is still to be ended; what came after it goes
            self._data, self._meta = {}, {}
        else:
            roll_back(self)

    def _is_given_up(self) -> bool:
        if self._given_up is None or self._regenerate or self._login is not None:
            return False
        return self._encoding() == self._given_up

    def _encoding(self) -> bytes:
        try:
            return codec.encode(self._meta, self._data)
        except LembroError:  # there is something in it that cannot be stored
            return b""


class LazyManager:
    """The manager of one application. It is made when it is first needed, because applications are
    configured after they are made, and often after their extensions."""

    _request: Any  # the framework's proxy of the current one

    def __init__(
        self,
        app: Any,
        manager: SessionManager | None,
        store: Store | AsyncStore | None,
        options: OptionKeywords,
    ) -> None:
        self._made: SessionManager | None = None
        self._make = partial(manager_from, app.config, manager, store, options)
        self._lock = Lock()

    @property
    def manager(self) -> SessionManager:
        """Raises ConfigError for what the application configures and lembro cannot do."""
        with self._lock:
            if self._made is None:
                made = self._make()
                self._check(made)
                self._made = made
            return self._made

    def _check(self, made: SessionManager) -> None:
        """What a framework has to say of it."""

    def get_cookie_name(self, app: Any) -> str:
        """The name over the scheme of the current request."""
        https = bool(self._request) and self._request.is_secure
        return self.manager.options.cookie.name_over(https=https)


class Extension(Generic[App]):
    """``Lembro(app, sessions)``, or with a store and the options of :class:`~lembro.SessionOptions`
    as keywords; ``app`` may be left out, and given to ``init_app``.

    Without ``sessions`` there is a manager for each application, with what ``app.config`` says of
    ``SESSION_COOKIE_...`` and ``PERMANENT_SESSION_LIFETIME`` when it is first needed. Raises
    ConfigError, for what is in ``app.config`` then.
    """

    _kind: type[App]

    def __init__(
        self,
        app: App | None = None,
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | None = None,
        **options: Unpack[OptionKeywords],
    ) -> None:
        if app is not None:
            _adapter.check_app(app, self._kind, self._kind.__name__)
        if manager is not None:
            manager_of(manager, store, options)  # raises what is to be raised now
        checked(options)
        self._given = manager, store, options
        self._app = app
        if app is not None:
            self.init_app(app)

    def init_app(self, app: App) -> None:
        """Give ``app`` its sessions. Raises ConfigError if it has lembro's already."""
        _adapter.check_app(app, self._kind, self._kind.__name__)
        served: Any = app
        if isinstance(served.session_interface, LazyManager):
            raise ConfigError(
                f"the application {served.name!r} has its sessions from lembro already"
            )
        self._app = app
        served.extensions["lembro"] = self
        answer_store_errors(served)
        self._set_up(app)

    def _set_up(self, app: App) -> None:
        """Put the sessions of an application where the framework asks for them."""
        raise NotImplementedError

    def _current_app(self) -> Any:
        """The application whose code is running, if there is one."""
        raise NotImplementedError

    @property
    def manager(self) -> SessionManager:
        """The manager: of the current application, or else of the last one that was given."""
        interface = getattr(self._current_app() or self._app, "session_interface", None)
        if not isinstance(interface, LazyManager):
            raise ConfigError("there is no application with lembro's sessions: call init_app(app)")
        return interface.manager


def add_to_headers(
    session: FlaskSession,
    headers: Headers,
    https: bool,
    client: str | None,
    request: RequestHeaders | None = None,
) -> None:
    """Add to the headers of a response what a committed session adds."""
    lines = _adapter.add_headers(
        session, headers, headers.getlist, https=https, client=client, request=request
    )
    for line in lines:
        headers.add("Set-Cookie", line)


def answer_store_errors(app: Any) -> None:
    """Answer 503 where the store failed under a look at the session, unless the application has an
    answer of its own."""
    if StoreError not in app.error_handler_spec[None][None]:
        app.register_error_handler(StoreError, lambda error: _page(error_response_for(error)))


def _page(answer: ErrorResponse) -> Response:
    response = Response()
    replace(response, answer)
    return response


def replace(response: Response, answer: ErrorResponse) -> None:
    """Put ``answer`` in place of the response of the application."""
    close = getattr(response.response, "close", None)
    if close is not None:
        close()
    response.direct_passthrough = False
    response.headers.clear()
    response.status = f"{answer.status} {answer.phrase}"
    response.set_data(answer.body)
    response.headers.update(_adapter.TEXT)
