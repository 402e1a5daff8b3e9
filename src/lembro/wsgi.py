"""Sessions for any WSGI application: ``environ["lembro.session"]``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Unpack

from ._core.session import Session
from ._core.state import COMMITTED, NOT_LOADED
from ._http.cookie import Presented
from ._http.error_response import COMMIT_ERRORS, HEADERS, error_response_for
from ._http.headers import with_session
from .errors import LembroError, StoreError
from .integrations.beaker import KEY as BEAKER
from .integrations.beaker import BeakerSession
from .manager import SessionManager, application, manager_of
from .options import OptionKeywords
from .stores.base import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

KEY = "lembro.session"

_NAMES = {b"vary": "Vary", b"set-cookie": "Set-Cookie", b"cache-control": "Cache-Control"}


class SessionMiddleware:
    """``SessionMiddleware(app, sessions)``, or ``SessionMiddleware(app, store=MemoryStore("64M"),
    idle_timeout=...)`` with the options of :class:`~lembro.SessionOptions` as keywords.

    The session is committed when the application has returned, before the first byte goes out
    (for an application that is a generator: when it yields). ``beaker``: it is also
    ``environ["beaker.session"]``, and knows Beaker's words. Raises ConfigError.
    """

    def __init__(
        self,
        app: WSGIApplication,
        manager: SessionManager | None = None,
        *,
        store: Store | None = None,
        beaker: bool = False,
        **options: Unpack[OptionKeywords],
    ) -> None:
        self.app: WSGIApplication = application(app)
        self.manager: SessionManager = manager_of(manager, store, options)
        self.manager.start_for_good()
        self._kind = BeakerSession if beaker else Session

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if KEY in environ and self.manager.is_within_itself(environ[KEY], https=_is_https(environ)):
            return self.app(environ, start_response)
        session = self._kind(self.manager, self._read, environ)
        environ[KEY] = session
        if self._kind is BeakerSession:
            environ[BEAKER] = session
        response = _Response(session, environ, start_response)
        try:
            body = self.app(environ, response.start)
            if response.started:
                response.commit()
        except BaseException as error:
            if not response.app_failed(error):
                raise
            return [response.page]
        if response.answer:
            _close(body)
            return [response.page]
        if (
            response.committed
            and session._loaded is NOT_LOADED
            and not _is_made_while_it_goes_out(body, environ)
        ):
            return body  # as it is: a file wrapper, or a list whose length the server may use
        return _Body(body, response)

    def _read(self, environ: WSGIEnvironment) -> Presented:
        header = environ.get("HTTP_COOKIE")
        if not header:
            return Presented()
        raw = [header.encode("latin-1", "replace")]
        return self.manager.cookie.read(raw, https=_is_https(environ))


class _Response:
    """The response of one request; what the application starts goes out at the commit."""

    def __init__(
        self, session: Session, environ: WSGIEnvironment, start_response: StartResponse
    ) -> None:
        self.session = session
        self.environ = environ
        self.answer = b""
        self.committed = False
        self._looked_at = False
        self._start_response = start_response
        self._held: tuple[str, list[tuple[str, str]], Any] | None = None
        self._write: Callable[[bytes], object] | None = None

    @property
    def started(self) -> bool:
        return self._held is not None

    @property
    def page(self) -> bytes:
        """What ``answer`` is in the response: nothing for HEAD, which servers leave to us."""
        return b"" if self.environ.get("REQUEST_METHOD") == "HEAD" else self.answer

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        """In place of the server's ``start_response``."""
        if self.answer:
            return self.write
        if self.committed:  # the server decides whether it is too late (PEP 3333)
            return self._start_response(status, self._with_session(headers), exc_info)
        if self.started and exc_info is None:
            raise AssertionError("start_response was called twice without exc_info")
        self._held = (status, headers, exc_info)
        return self.write

    def write(self, data: bytes) -> None:
        """The old way of sending a body: commits at the first byte."""
        self.commit()
        if not self.answer and self._write is not None:
            self._write(data)

    def commit(self) -> None:
        """Commit the session and pass on what was held back, once."""
        if self.committed or self._held is None:
            return
        self.committed = True
        (status, headers, exc_info), self._held = self._held, None
        session = self.session
        self._let_go()
        if session._loaded is NOT_LOADED:
            session._phase = COMMITTED
        else:
            self._looked_at = True
            try:
                session._manager.commit(session, failed=status.startswith("5"))
            except COMMIT_ERRORS as error:
                self._answer(error)
                return
            headers = self._with_session(headers)
        if exc_info is None:
            self._write = self._start_response(status, headers)
        else:
            self._write = self._start_response(status, headers, exc_info)

    def _with_session(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The headers, with what the session adds if it was looked at before the commit."""
        if not self._looked_at:
            return headers
        https = _is_https(self.environ)
        client = self.environ.get("REMOTE_ADDR")
        session = self.session
        cookie = session._manager.set_cookie(session, client, self.environ, https=https)
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        raw = with_session(raw, cookie)
        if cookie is not None and session._presented.legacy:
            raw += [
                (b"set-cookie", old)
                for old in session._manager.cleared_legacy_cookies(session, https=https)
            ]
        return _decoded(raw)

    def app_failed(self, error: BaseException) -> bool:
        """The application raised. True if ``page`` is the response."""
        if self.committed:
            return False
        self.committed = True
        try:
            self.session._manager.commit(self.session, failed=True)
        except COMMIT_ERRORS as second:
            error_response_for(second)
        self._let_go()
        if not isinstance(error, StoreError):
            return False
        self._answer(error)
        return True

    def _let_go(self) -> None:
        """environ -> session -> environ would wait for the garbage collector, data and all. What
        a first look needs stays."""
        session = self.session
        if session._loaded is NOT_LOADED:
            kept = ("HTTP_COOKIE", "wsgi.url_scheme")
            session._source = {key: self.environ.get(key) for key in kept}
        else:
            session._source = None

    def _answer(self, error: LembroError) -> None:
        answer = error_response_for(error)
        self.answer = answer.body
        length = (b"content-length", str(len(answer.body)).encode())
        self._start_response(f"{answer.status} {answer.phrase}", _decoded([*HEADERS, length]))


class _Body:
    """The body, and what is to be done before its first byte and after its last."""

    def __init__(self, body: Iterable[bytes], response: _Response) -> None:
        self._body = body
        self._response = response
        self._chunks: Iterator[bytes] | None = None

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> bytes:
        response = self._response
        if response.answer and self._chunks is None:
            raise StopIteration
        if response.committed:
            if self._chunks is None:
                self._chunks = iter(self._body)
            return next(self._chunks)
        return self._first()

    def _first(self) -> bytes:
        """The first chunk of an application that starts its response while it is iterated."""
        response = self._response
        chunk = None
        try:
            if self._chunks is None:
                self._chunks = iter(self._body)
            chunk = next(self._chunks, None)
            response.commit()
        except BaseException as error:
            if not response.app_failed(error):
                raise
        if response.answer:
            self._chunks = None
            return response.page
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Called by the server when the response has ended, whichever way."""
        _close(self._body)
        if self._response.committed and not self._response.answer:
            self._response.session._manager.finish(self._response.session)


def _is_https(environ: WSGIEnvironment) -> bool:
    return bool(environ["wsgi.url_scheme"] == "https")


def _is_made_while_it_goes_out(body: Any, environ: WSGIEnvironment) -> bool:
    """Whether code of the application may run in it, which may look at the session."""
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
