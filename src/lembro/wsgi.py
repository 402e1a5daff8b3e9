"""Sessions for any WSGI application: ``environ["lembro.session"]``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Unpack

from ._core.session import Session
from ._core.state import COMMITTED, NOT_LOADED, REQUEST_FAILED
from ._http.arguments import check_application
from ._http.error_response import ANSWERED_ERRORS, COMMIT_ERRORS, error_response_for
from ._http.headers import RequestHeaders, with_session
from ._paths import path_of_environ, path_prefixes
from ._runtime.exchange import Exchange
from ._runtime.runner import Runner
from .manager import SessionManager, manager_of, runner_of
from .options import OptionKeywords, SessionOptions
from .stores.base import AsyncStore, Store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

KEY: Final = "lembro.session"

_NAMES = {b"vary": "Vary", b"set-cookie": "Set-Cookie", b"cache-control": "Cache-Control"}


class SessionMiddleware:
    """Add a session to each request of a WSGI application.

    The session is in ``environ["lembro.session"]``. It is committed when the application returns,
    or at its first ``yield`` if it is a generator, before the first byte of the response.

    Args:
        app: The application.
        manager: The manager, if you have made one. Otherwise one is made from ``store``,
            ``options`` and ``keywords``.
        store: A store or its URL; default: ``LEMBRO_STORE`` in the environment, or a MemoryStore.
        options: The options, as an object; ``keywords`` replace single ones.
        exclude: Path prefixes without a session, for example ``["/static/"]``.
        keywords: The fields of :class:`~lembro.SessionOptions`.

    Raises:
        ConfigError: an argument cannot work.
    """

    session_class: type[Session] = Session
    """The class of the sessions, which an integration may replace."""

    def __init__(
        self,
        app: WSGIApplication,
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | str | None = None,
        options: SessionOptions | None = None,
        exclude: Iterable[str] = (),
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        self.app: WSGIApplication = check_application(app, "SessionMiddleware(app)")
        self.manager: SessionManager = manager_of(manager, store, options, keywords)
        self._runner = runner_of(self.manager)
        self._runner.require_sync("a WSGI application")
        self._runner.open_permanently()
        self._exclude = path_prefixes(exclude)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if KEY in environ and self._runner.owns(environ[KEY], https=is_https(environ)):
            return self.app(environ, start_response)
        if self._exclude and path_of_environ(environ).startswith(self._exclude):
            return self.app(environ, start_response)
        exchange = WSGIExchange(self._runner, environ, start_response)
        session = exchange.session = self.session_class(exchange)
        self.add_session(environ, session)
        try:
            body = self.app(environ, exchange.start)
            if exchange.started:
                exchange.send_start()
        except BaseException as error:
            try:
                if not exchange.app_failed(error):
                    raise
            finally:
                exchange.close()
            return [exchange.page]
        if exchange.answered:
            exchange.close()
            _close(body)
            return [exchange.page]
        if exchange.committed and session._loaded is NOT_LOADED and not is_lazy_body(body, environ):
            exchange.close()
            return body  # unchanged: a file wrapper, or a list whose length the server may use
        return _Body(body, exchange)

    def add_session(self, environ: WSGIEnvironment, session: Session) -> None:
        """Add the session to the environ."""
        environ[KEY] = session


class EnvironExchange(Exchange):
    """An exchange whose request is a WSGI environ; also for the integrations over WSGI."""

    __slots__ = ("_environ",)

    def __init__(self, runner: Runner, environ: WSGIEnvironment) -> None:
        self.runner = runner
        self._environ = environ

    def cookie_headers(self) -> list[bytes]:
        """Return the Cookie headers of the request."""
        header = self._environ.get("HTTP_COOKIE")
        return [header.encode("latin-1", "replace")] if header else []

    def https(self) -> bool:
        """Return whether the request came over https."""
        return is_https(self._environ)

    def path(self) -> str:
        """Return the path of the request."""
        return path_of_environ(self._environ)

    def client(self) -> str | None:
        """Return the address that the request came from, if it is known."""
        return self._environ.get("REMOTE_ADDR")

    def headers(self) -> RequestHeaders:
        """Return the headers of the request."""
        return self._environ

    def drop_environ(self) -> None:
        """Break the reference cycle of environ and session, but keep the scheme.

        The cycle would otherwise stay until the garbage collector runs.
        """
        self._environ = {"wsgi.url_scheme": self._environ.get("wsgi.url_scheme")}


class WSGIExchange(EnvironExchange):
    """One request of a WSGI server, and its response, which waits for the commit."""

    __slots__ = (
        "_accessed",
        "_held",
        "_start_response",
        "_write",
        "answered",
        "committed",
        "page",
    )

    def __init__(
        self, runner: Runner, environ: WSGIEnvironment, start_response: StartResponse
    ) -> None:
        self.runner = runner
        self.answered: bool = False
        self.page: bytes = b""
        """The body that replaces the application's, if the exchange has answered instead."""
        self.committed: bool = False
        self._environ = environ
        self._start_response = start_response
        self._accessed = False
        self._held: tuple[str, list[tuple[str, str]], Any] | None = None
        self._write: Callable[[bytes], object] | None = None

    # -- the response ------------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        """Whether the application has started a response that was not sent yet."""
        return self._held is not None

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        """Hold back the start of the response until the commit: the ``start_response`` that the
        application is called with."""
        if self.answered:
            return self.write
        if self.committed:  # the server decides whether it is too late (PEP 3333)
            return self._start_response(status, self._with_headers(headers), exc_info)
        if self.started and exc_info is None:
            raise AssertionError("start_response was called twice without exc_info")
        self._held = (status, headers, exc_info)
        return self.write

    def write(self, data: bytes) -> None:
        """Send a part of the body: the ``write`` that ``start_response`` returns (PEP 3333)."""
        self.send_start()
        if not self.answered and self._write is not None:
            self._write(data)

    def send_start(self) -> None:
        """Commit the session and send the start of the response, once."""
        if self.committed or self._held is None:
            return
        self.committed = True
        (status, headers, exc_info), self._held = self._held, None
        session = self.session
        if session._loaded is NOT_LOADED:
            session._phase = COMMITTED
            self.begin_without_session()
            self.drop_environ()
        else:
            self._accessed = True
            try:
                self.runner.commit(session, failed=status.startswith("5"))
            except COMMIT_ERRORS as error:
                self._answer(error)
                self.drop_environ()
                return
            headers = self._with_headers(headers)
            self.drop_environ()
        if exc_info is None:
            self._write = self._start_response(status, headers)
        else:
            self._write = self._start_response(status, headers, exc_info)

    def _with_headers(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Add the session's headers, if the session was accessed before the commit."""
        if not self._accessed:
            return headers
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return _decoded(with_session(raw, self.set_cookies()))

    def app_failed(self, error: BaseException) -> bool:
        """Handle an exception of the application. Return whether ``page`` is the response."""
        if self.committed:
            return False
        self.committed = True
        self.commit(500)
        if isinstance(error, ANSWERED_ERRORS):
            self._answer(error)
            answered = True
        else:
            answered = False
            self.session._too_late = REQUEST_FAILED
        self.drop_environ()
        return answered

    def close(self) -> None:
        """End the exchange. Drop ``start_response``, which may refer to the environ."""
        super().close()
        self._held = self._write = None
        self._accessed = False  # a late start_response finds no session
        self._start_response = _ended

    def _answer(self, error: BaseException) -> None:
        response = error_response_for(error)
        self.answered = True
        if self._environ.get("REQUEST_METHOD") != "HEAD":  # servers would send the body
            self.page = response.body
        headers = [*response.headers, (b"content-length", b"%d" % len(response.body))]
        self._start_response(f"{response.status} {response.phrase}", _decoded(headers))


def _ended(*args: Any) -> Any:
    raise AssertionError("start_response was called after the response had ended")


class _Body:
    """The body of a response: commits before its first byte, reports late changes at its end."""

    def __init__(self, body: Iterable[bytes], exchange: WSGIExchange) -> None:
        self._body = body
        self._exchange = exchange
        self._chunks: Iterator[bytes] | None = None

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> bytes:
        exchange = self._exchange
        if exchange.answered and self._chunks is None:
            raise StopIteration
        if exchange.committed:
            if self._chunks is None:
                self._chunks = iter(self._body)
            return next(self._chunks)
        return self._first()

    def _first(self) -> bytes:
        """Return the first chunk of an application that starts its response when iterated."""
        exchange = self._exchange
        chunk = None
        try:
            if self._chunks is None:
                self._chunks = iter(self._body)
            chunk = next(self._chunks, None)
            exchange.send_start()
        except BaseException as error:
            if not exchange.app_failed(error):
                raise
        if exchange.answered:
            self._chunks = None
            return exchange.page
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Close the body, after success or failure. The server calls it (PEP 3333)."""
        exchange = self._exchange
        try:
            _close(self._body)
        finally:
            if exchange.session is not None:
                if exchange.committed and not exchange.answered:
                    exchange.report_late_changes()
                exchange.close()


def is_https(environ: WSGIEnvironment) -> bool:
    """Return whether a request came over https."""
    return bool(environ.get("wsgi.url_scheme") == "https")


def is_lazy_body(body: Any, environ: WSGIEnvironment) -> bool:
    """Return whether the application may access the session while the body is sent."""
    if not hasattr(body, "__next__"):
        return False
    wrapper = environ.get("wsgi.file_wrapper")
    return not (isinstance(wrapper, type) and isinstance(body, wrapper))


def _close(body: Any) -> None:
    if hasattr(body, "close"):
        body.close()


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [
        (_NAMES.get(name) or name.decode("latin-1"), value.decode("latin-1"))
        for name, value in headers
    ]
