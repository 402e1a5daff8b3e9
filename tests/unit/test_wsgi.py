"""The WSGI middleware, call by call."""

from __future__ import annotations

import contextlib
import gc
import io
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from lembro import (
    ConfigError,
    MemoryStore,
    Session,
    SessionCommitted,
    SessionManager,
    StoreError,
)
from lembro.wsgi import KEY, SessionMiddleware
from tests.support.recording import Recorder
from tests.support.stores import AsyncAdapter, BlockingAdapter

App = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Wsgi:
    """A server that calls one application after the other."""

    def __init__(self, kind: str) -> None:
        self.store = Recorder()
        store: Any = self.store if kind == "in-process" else BlockingAdapter(self.store)
        self.manager = SessionManager(store)

    def __call__(
        self, app: Any, cookie: str | None = None, *, exclude: Any = (), **environ: Any
    ) -> Got:
        whole: dict[str, Any] = {**environ}
        if cookie:
            whole["HTTP_COOKIE"] = f"sid={cookie}"
        setup_testing_defaults(whole)
        whole.setdefault("QUERY_STRING", "")
        whole.setdefault("SCRIPT_NAME", "")
        got = Got()

        def start(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
            got.started.append((status, headers, exc_info))
            return got.written.append

        checked: Any = validator(SessionMiddleware(app, self.manager, exclude=exclude))  # PEP 3333
        body = checked(whole, start)
        try:
            got.body = b"".join([*got.written, *body])
        finally:
            body.close()
        return got

    def data(self, cookie: str) -> Any:
        return self.manager.get(cookie)


class Got:
    def __init__(self) -> None:
        self.started: list[Any] = []
        self.written: list[bytes] = []
        self.body = b""

    @property
    def status(self) -> str:
        return str(self.started[-1][0])

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.started[-1][1])


@pytest.fixture(params=["in-process", "blocking"])
def serve(request: pytest.FixtureRequest) -> Iterator[Wsgi]:
    serve = Wsgi(request.param)
    yield serve
    serve.store.close()


HEADERS = [("Content-Type", "text/plain")]


def change(session: Session) -> None:
    session["n"] = session.get("n", 0) + 1


def page(act: Callable[[Session], object] = lambda s: None, status: str = "200 OK") -> App:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        act(environ[KEY])
        start_response(status, HEADERS[:])
        return [b"hello"]

    return app


def generator(act: Callable[[Session], object], late: bool = False) -> App:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        if not late:
            act(environ[KEY])
        start_response("200 OK", HEADERS[:])
        if late:
            act(environ[KEY])
        yield b"hel"
        yield b"lo"

    return app


def writer(act: Callable[[Session], object]) -> App:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        act(environ[KEY])
        start_response("200 OK", HEADERS[:])(b"hel")
        return [b"lo"]

    return app


def test_an_unused_session_leaves_the_response_as_it_is(serve: Wsgi) -> None:
    got = serve(page(), serve.manager.create({"n": 1}))
    assert (got.status, got.headers, got.body) == ("200 OK", dict(HEADERS), b"hello")


def test_the_first_argument_is_an_application() -> None:
    with pytest.raises(ConfigError, match=r"got None\. Example: SessionMiddleware\(app\)$"):
        SessionMiddleware(None)  # type: ignore[arg-type]


def test_a_store_for_async_callers_only_is_refused() -> None:
    with pytest.raises(ConfigError, match="a WSGI application"):
        SessionMiddleware(page(), store=AsyncAdapter(MemoryStore()))


@pytest.mark.parametrize("accessed", [False, True])
@pytest.mark.parametrize("lazy", [False, True])
def test_the_body_is_closed(serve: Wsgi, accessed: bool, lazy: bool) -> None:
    closed: list[str] = []

    class Body:
        def __init__(self) -> None:
            self._chunks = iter([b"hel", b"lo"])

        def __iter__(self) -> Iterator[bytes]:
            return self._chunks

        def close(self) -> None:
            closed.append("body")

    class Lazy(Body):
        def __next__(self) -> bytes:
            return next(self._chunks)

    def app(environ: Any, start_response: Any) -> Any:
        if accessed:
            len(environ[KEY])
        start_response("200 OK", HEADERS[:])
        return Lazy() if lazy else Body()

    assert serve(app).body == b"hello"
    assert closed == ["body"]


def test_the_body_is_closed_if_the_response_is_replaced(serve: Wsgi) -> None:
    closed: list[str] = []

    class Body(list[bytes]):
        def close(self) -> None:
            closed.append("body")

    def app(environ: Any, start_response: Any) -> Any:
        environ[KEY]["n"] = 1
        start_response("200 OK", HEADERS[:])
        return Body([b"hello"])

    serve.store.fail = {"add"}
    assert serve(app).status.startswith("503")
    assert closed == ["body"]


def test_a_body_that_is_not_lazy_is_passed_on(serve: Wsgi) -> None:
    body = [b"hello"]

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", HEADERS[:])
        return body

    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    middleware = SessionMiddleware(app, serve.manager)
    assert middleware(environ, lambda *_: lambda _: None) is body


def test_a_file_wrapper_is_passed_on() -> None:
    wrapper = FileWrapper(io.BytesIO(b"hello"))
    manager = SessionManager(Recorder())

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return wrapper

    environ: dict[str, Any] = {"wsgi.file_wrapper": FileWrapper}
    setup_testing_defaults(environ)
    body: Any = SessionMiddleware(app, manager)(environ, lambda *_: lambda _: None)
    assert body is wrapper


@pytest.mark.parametrize("make", [page, generator, writer])
def test_a_change_sets_the_cookie_before_the_first_byte(serve: Wsgi, make: Any) -> None:
    got = serve(make(change))
    assert (got.status, got.body) == ("200 OK", b"hello")
    assert got.headers["Vary"] == "Cookie"
    assert got.headers["Cache-Control"] == "private, no-store"
    cookie = got.headers["Set-Cookie"][4:47]
    assert serve.data(cookie) == {"n": 1}
    assert "Set-Cookie" not in serve(make(change), cookie).headers
    assert serve.data(cookie) == {"n": 2}


def test_a_generator_may_change_the_session_until_its_first_chunk(serve: Wsgi) -> None:
    got = serve(generator(change, late=True))
    assert "Set-Cookie" in got.headers


def test_over_tls_the_cookie_is_secure(serve: Wsgi) -> None:
    got = serve(page(change), **{"wsgi.url_scheme": "https"})
    assert got.headers["Set-Cookie"].startswith("__Host-sid=")


def test_a_response_of_status_500_changes_nothing(serve: Wsgi) -> None:
    cookie = serve.manager.create({"n": 1})
    serve(page(change, "500 Internal Server Error"), cookie)
    assert serve.data(cookie) == {"n": 1}
    serve(page(lambda session: session.logout(), "503 Service Unavailable"), cookie)
    assert serve.data(cookie) is None


@pytest.mark.parametrize("where", ["before", "in the generator"])
@pytest.mark.parametrize("act", [change, lambda session: session.logout()])
def test_an_exception_drops_changes_and_keeps_a_logout(serve: Wsgi, where: str, act: Any) -> None:
    cookie = serve.manager.create({"n": 1})

    def raising(session: Session) -> None:
        act(session)
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        serve((page if where == "before" else generator)(raising), cookie)
    assert serve.data(cookie) == ({"n": 1} if act is change else None)


def test_an_outer_error_page_cannot_write(serve: Wsgi) -> None:
    seen: list[Session] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.append(environ[KEY])
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        serve(app)
    with pytest.raises(SessionCommitted):
        seen[0]["n"] = 1


def test_an_exception_after_the_first_chunk_keeps_the_changes(serve: Wsgi) -> None:
    cookie = serve.manager.create({"n": 1})

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        change(environ[KEY])
        start_response("200 OK", HEADERS[:])
        yield b"hel"
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        serve(app, cookie)
    assert serve.data(cookie) == {"n": 2}


def test_an_error_page_replaces_a_response_that_was_held_back(serve: Wsgi) -> None:
    """With ``exc_info`` the response may be started again."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        change(environ[KEY])
        start_response("200 OK", HEADERS[:])
        try:
            raise KeyError("a bug")
        except KeyError as error:
            exc_info = (type(error), error, error.__traceback__)
            start_response("500 Internal Server Error", HEADERS[:], exc_info)
        return [b"sorry"]

    got = serve(app)
    assert (got.status, got.body) == ("500 Internal Server Error", b"sorry")
    assert len(got.started) == 1
    assert got.started[0][2] is not None
    assert serve.store.length() == 0


def test_the_server_decides_on_a_restart_after_the_first_byte(serve: Wsgi) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", HEADERS[:])
        yield b"hel"
        try:
            raise KeyError("a bug")
        except KeyError as error:
            exc_info = (type(error), error, error.__traceback__)
            start_response("500 Internal Server Error", HEADERS[:], exc_info)
        yield b"lo"

    assert [status for status, _, _ in serve(app).started] == [
        "200 OK",
        "500 Internal Server Error",
    ]


def test_a_response_is_not_started_twice(serve: Wsgi) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", HEADERS[:])
        start_response("200 OK", HEADERS[:])
        return []

    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    with pytest.raises(AssertionError, match="twice"):
        SessionMiddleware(app, serve.manager)(environ, lambda *_: lambda _: None)


def test_an_empty_body_commits(serve: Wsgi) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        change(environ[KEY])
        start_response("204 No Content", [])
        yield from ()

    got = serve(app)
    assert (got.status, got.body) == ("204 No Content", b"")
    assert "Set-Cookie" in got.headers


@pytest.mark.parametrize("make", [page, generator, writer])
@pytest.mark.parametrize("verb", ["add", "set", "get"])
def test_a_store_failure_is_answered_without_a_cookie(
    serve: Wsgi, make: Any, verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    cookie = None if verb == "add" else serve.manager.create({"n": 1})
    serve.store.fail = {verb}
    got = serve(make(change), cookie)
    assert got.status == "503 Service Unavailable"
    assert "Set-Cookie" not in got.headers
    assert got.headers["content-length"] == str(len(got.body))
    assert b"hello" not in got.body
    assert "the session store failed" in caplog.text
    assert "changed after the response" not in caplog.text


def test_an_unstorable_value_is_answered_with_500(serve: Wsgi) -> None:
    got = serve(page(lambda session: session.setdefault("a", []).append(object())))
    assert got.status == "500 Internal Server Error"


@pytest.mark.parametrize("make", [page, generator])
def test_a_required_login_is_answered_with_401(serve: Wsgi, make: Any) -> None:
    got = serve(make(lambda session: session.require_recent(60)), serve.manager.create({"n": 1}))
    assert got.status == "401 Unauthorized"
    assert got.headers["www-authenticate"] == "Cookie"
    assert b"hello" not in got.body


@pytest.mark.parametrize("exclude", ["/static", ["/health", "/static"]])
def test_an_excluded_path_has_no_session(serve: Wsgi, exclude: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        assert (KEY in environ) is (environ["PATH_INFO"] == "/other")
        start_response("200 OK", HEADERS[:])
        return [b"hello"]

    for path in ("/static/x.css", "/other"):
        assert serve(app, "x" * 43, exclude=exclude, PATH_INFO=path).body == b"hello"
    assert serve.store.verbs == []


def test_a_failed_logout_is_logged_if_the_application_raised(
    serve: Wsgi, caplog: pytest.LogCaptureFixture
) -> None:
    def raising(session: Session) -> None:
        session.logout()
        serve.store.fail = {"destroy"}
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        serve(page(raising), serve.manager.create({"n": 1}))
    assert "the session store failed" in caplog.text


def test_a_late_change_is_reported(serve: Wsgi, caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        cart = environ[KEY]["cart"]
        start_response("200 OK", HEADERS[:])
        yield b"hel"
        cart.append(1)
        yield b"lo"

    serve(app, serve.manager.create({"cart": []}))
    assert "changed after the response had begun" in caplog.text
    assert "Write inside `with session.edit():` (in async code `async with`)" in caplog.text


def test_an_edit_in_a_stream_is_stored(serve: Wsgi) -> None:
    cookie = serve.manager.create({"n": 1})

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        session = environ[KEY]
        assert session
        start_response("200 OK", HEADERS[:])
        yield b"hel"
        with session.edit():
            change(session)
        yield b"lo"

    serve(app, cookie)
    assert serve.data(cookie) == {"n": 2}


def test_a_middleware_within_itself_shares_its_session(serve: Wsgi) -> None:
    inner = SessionMiddleware(page(change), serve.manager)
    names = [name for name, _ in serve(inner).started[0][1]]
    assert names.count("Set-Cookie") == 1


def test_a_cookie_header_of_any_bytes_raises_no_error(serve: Wsgi) -> None:
    for header in ("\xff\x00", "\u2028sid=x", 'sid="' + "\\" * 1000, ""):
        assert serve(page(len), HTTP_COOKIE=header).status == "200 OK"


def test_a_store_failure_after_the_first_byte_is_raised(serve: Wsgi) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", HEADERS[:])
        yield b"hel"
        raise StoreError("down")

    with pytest.raises(StoreError):
        serve(app)


@pytest.mark.parametrize("chunks", [0, 1])
def test_an_error_page_keeps_the_cookie(serve: Wsgi, chunks: int) -> None:
    """The session was saved when the response began; the server has sent nothing yet."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        change(environ[KEY])
        start_response("200 OK", HEADERS[:])

        def body() -> Iterator[bytes]:
            yield from [b""] * chunks
            try:
                raise LookupError
            except LookupError:
                headers = [*HEADERS, ("Cache-Control", "public")]
                start_response("500 Oops", headers, sys.exc_info())
            yield b"failed"

        return body()

    got = serve(app)
    assert (got.status, got.body) == ("500 Oops", b"failed")
    assert got.headers["Vary"] == "Cookie"
    assert got.headers["Cache-Control"] == "private, no-store"
    cookie = got.headers["Set-Cookie"].partition("=")[2].partition(";")[0][:43]
    assert serve.data(cookie) == {"n": 1}


def test_an_error_page_does_not_replace_an_error_response(serve: Wsgi) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        change(environ[KEY])
        write = start_response("200 OK", HEADERS[:])
        write(b"begins")
        try:
            raise LookupError
        except LookupError:
            start_response("500 Oops", HEADERS[:], sys.exc_info())
        return [b"failed"]

    serve.store.before["add"] = fail
    got = serve(app)
    assert [status for status, *_ in got.started] == ["503 Service Unavailable"]
    assert got.body.startswith(b"The session store is not available")


def fail() -> None:
    raise StoreError("down")


@pytest.mark.parametrize("act", ["nothing", "change", "raise", "fail to close"])
def test_a_request_leaves_nothing_to_the_garbage_collector(serve: Wsgi, act: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if act == "change":
            change(environ[KEY])
        if act == "raise":
            len(environ[KEY])
            raise LookupError
        start_response("200 OK", HEADERS[:])
        return Body([b"hello"])

    class Body(list[bytes]):
        def close(self) -> None:
            if act == "fail to close":
                raise LookupError

        def __next__(self) -> bytes:  # makes it a body that is sent in chunks
            raise AssertionError

    middleware: Any = SessionMiddleware(app, serve.manager)

    def request() -> weakref.ref[Any]:
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        with contextlib.suppress(LookupError):
            body = middleware(environ, lambda *_: None)
            list(body)
            getattr(body, "close", lambda: None)()
        return weakref.ref(environ[KEY])

    gc.disable()
    try:
        assert request()() is None
    finally:
        gc.enable()


def test_a_first_access_after_the_response_is_refused(serve: Wsgi) -> None:
    cookie = serve.manager.create({"n": 1})
    kept: list[Session] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        kept.append(environ[KEY])
        start_response("200 OK", HEADERS[:])
        return [b"hello"]

    serve(app, cookie)
    with pytest.raises(SessionCommitted, match="before the response begins"):
        kept[0]["n"]


@pytest.mark.parametrize("app", [page(change), generator(change), generator(change, late=True)])
def test_an_error_response_to_head_has_no_body(serve: Wsgi, app: App) -> None:
    """A server may leave that to the application, as waitress does. The client would read the body
    as the beginning of its next response."""
    serve.store.fail.add("add")
    got = serve(app, REQUEST_METHOD="HEAD")
    assert (got.status, got.body) == ("503 Service Unavailable", b"")


def test_a_closed_store_stays_closed() -> None:
    store = MemoryStore("64K")
    manager = SessionManager(store)
    manager.create({"n": 1})
    store.close()
    SessionMiddleware(lambda environ, start_response: [], manager)
    manager.create({"n": 2})
    assert store._purger is None


def test_a_networked_store_is_opened() -> None:
    opened: list[str] = []

    class Networked(BlockingAdapter):
        def open(self) -> None:
            opened.append("open")

    SessionMiddleware(lambda environ, start_response: [], store=Networked(MemoryStore("64K")))
    assert opened == ["open"]


# -- applications and servers that break the rules -------------------------------------------------


def test_a_response_that_is_never_started_is_left_to_the_server() -> None:
    manager = SessionManager(MemoryStore("64K"))
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    app = SessionMiddleware(lambda environ, start: iter([b"a", b"b"]), manager)
    got = Got()

    def start(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
        raise AssertionError

    assert list(app(environ, start)) == [b"a", b"b"]
    assert got.started == []


def test_an_error_of_start_response_reaches_the_server() -> None:
    manager = SessionManager(MemoryStore("64K"))
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)

    def app(environ: Any, start: Any) -> Iterator[bytes]:
        start("200 OK", HEADERS)
        yield b"a"

    def start(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
        raise ConnectionError("the client has gone")

    with pytest.raises(ConnectionError):
        list(SessionMiddleware(app, manager)(environ, start))


def test_a_response_that_has_ended_cannot_begin_again() -> None:
    kept: list[Any] = []

    def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        kept.append(start)
        environ[KEY]["n"] = 1
        start("200 OK", [("content-type", "text/plain")])
        return iter([b"done"])

    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    middleware: Any = SessionMiddleware(app, SessionManager(MemoryStore("1M")))
    body = middleware(environ, lambda *_: print)
    assert list(body) == [b"done"]
    for _ in range(2):  # a server may close it twice
        body.close()
    with pytest.raises(AssertionError, match="after the response had ended"):
        kept[0]("200 OK", [])
