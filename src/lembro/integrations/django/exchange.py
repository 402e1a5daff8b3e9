"""One request of Django and its response."""

from __future__ import annotations

from typing import Any, Unpack
from weakref import ReferenceType, ref

from django.middleware.csrf import rotate_token

from ..._core.login import LoginKeywords
from ..._core.session import Session
from ..._core.state import SetCookie
from ..._http.cookie import ABSENT, Presented
from ...ids import UserID
from .._adapter import Exchange, RequestHeaders, Runner, path_of_environ
from .response import add_vary

_NO_META: dict[str, Any] = {}


class DjangoSession(Session):
    """The session of a request. A login by lembro's method changes Django's CSRF token, too."""

    def login(self, user_id: UserID, **keywords: Unpack[LoginKeywords]) -> None:
        """Log a user in; see :meth:`lembro.Session.login`."""
        super().login(user_id, **keywords)
        exchange: Any = self._transport
        exchange.rotate_csrf_token()


class KeySession(Session):
    """A session that is loaded by Django's session key. A key that was replaced has no session."""

    _follows_rotation = False


class DjangoExchange(Exchange):
    """One request, and its response."""

    __slots__ = ("_cookies", "_https", "_meta", "_unsent", "stays_open")

    _unsent: ReferenceType[Any]
    """The response, if no header of the session was added to it."""

    def __init__(self, runner: Runner, request: Any, *, https: bool) -> None:
        self.runner = runner
        self._cookies = _cookies_of(request)
        self._https = https
        self._meta: dict[str, Any] = request.META
        self.stays_open: bool = False
        """Whether the exchange is closed at the end of the response, not at its beginning."""
        self.session: Session = DjangoSession(self)

    def read_cookie(self) -> Presented:
        """Read the session cookie."""
        self.runner.serving = True
        cookies = self._cookies
        if not cookies:
            return ABSENT
        return self.runner.cookie.read([cookies.encode("utf-8", "replace")], https=self._https)

    def https(self) -> bool:
        """Return whether the request came over https."""
        return self._https

    def path(self) -> str:
        """Return the path of the request."""
        return path_of_environ(self._meta)

    def client(self) -> str | None:
        """Return the address that the request came from, if it is known."""
        return self._meta.get("REMOTE_ADDR")

    def headers(self) -> RequestHeaders:
        """Return the headers of the request."""
        return self._meta

    def rotate_csrf_token(self) -> None:
        """Change the token, as ``django.contrib.auth.login`` does, if the request has one."""
        if "CSRF_COOKIE" in self._meta:
            rotate_token(self)

    @property
    def META(self) -> dict[str, Any]:  # noqa: N802 - what rotate_token() needs of a request
        """The request's META."""
        return self._meta

    def bind(self, session: Session, request: Any) -> None:
        """Use this exchange for the response to this request."""
        self.session = session
        self._https = request.is_secure()
        self._meta = request.META

    def begin_without_session(self, response: Any = None) -> None:
        """Note that a response has no headers of the session.

        A middleware around this one may access the session before the response is sent. The
        response's body cannot, unless it is a stream.
        """
        super().begin_without_session()
        if response is not None and not response.streaming:
            self._unsent = ref(response)

    def add_late_headers(self) -> bool:
        """Add ``Vary`` to a response that was not sent, and return whether that was possible."""
        response = self._unsent() if hasattr(self, "_unsent") else None
        if response is None or response.closed:
            return False
        add_vary(response)
        return True

    def close(self) -> None:
        """End the exchange, but keep what a first access to the session needs."""
        self._meta = _NO_META
        self.session = None  # type: ignore[assignment]


class KeyExchange(DjangoExchange):
    """The exchange of a session that is loaded by Django's session key: a cookie's value."""

    __slots__ = ("_browser_id", "_presented")

    def __init__(self, runner: Runner, key: str | None, presented: Presented | None = None) -> None:
        self.runner = runner
        self.session: Any = None
        self.stays_open: bool = False
        self._cookies = None
        self._https = False
        self._meta = _NO_META
        self._presented = read_key(runner, key) if presented is None else presented
        self._browser_id: str | None = None

    def read_cookie(self) -> Presented:
        """Return the key, which is a value of the session cookie."""
        return self._presented

    def bind(self, session: Session, request: Any) -> None:
        """Use this exchange for the response to this request."""
        super().bind(session, request)
        self._browser_id = DjangoExchange(self.runner, request, https=self._https).read_cookie().id

    def send_cookie(self) -> None:
        """Send the cookie of a changed session, unless the browser has sent it."""
        session, session_id = self.session, self._presented.id
        if session._cookie is not None or session._key is None:
            return
        if session_id is not None and session_id != self._browser_id:
            reputation = None if session._found is None else session._found.reputation
            session._cookie = SetCookie(session_id, reputation, None)

    def unknown_id(self, key: bytes) -> None:
        """Warn once if a script asks for a session that only a server process has."""
        self.runner.require_sessions("get")

    def describe_visitor(self) -> tuple[str, str]:
        """Return the visitor's device and address, if the session is bound to a request."""
        return ("", "") if self.session is None else super().describe_visitor()


def read_key(runner: Runner, key: str | None) -> Presented:
    """Read a session key of Django, which is the value of a cookie."""
    if not key or not isinstance(key, str):
        return ABSENT
    name = runner.options.cookie.name_over(https=False)
    return runner.cookie.read([f"{name}={key}".encode("utf-8", "replace")], https=False)


def _cookies_of(request: Any) -> str | None:
    """Return the Cookie header.

    HTTP/2 may send several. Under ASGI, Django 5.2 joins them into one that cannot be read.
    """
    if "scope" not in request.__dict__:
        header: str | None = request.META.get("HTTP_COOKIE")
        return header
    headers: list[tuple[bytes, bytes]] = request.scope["headers"]
    return "; ".join(value.decode("latin-1") for name, value in headers if name == b"cookie")
