"""The ASGI middleware, message by message."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lembro import (
    ConfigError,
    CookieOptions,
    MemoryStore,
    Session,
    SessionCommitted,
    SessionManager,
    StoreError,
)
from lembro.asgi import Receive, Scope, Send, SessionMiddleware, _warn_of_mounted
from tests.support.site import Site
from tests.support.stores import AsyncAdapter

Message = dict[str, Any]
App = Callable[..., Awaitable[None]]
START: Message = {"type": "http.response.start", "status": 200, "headers": []}
BODY: Message = {"type": "http.response.body", "body": b"hello"}


def call(
    site: Site, app: App, cookie: str | None = None, /, *, exclude: Any = (), **scope: Any
) -> list[Message]:
    """Return what ``app`` sends to the server through the middleware."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    headers = [(b"host", b"x")] + ([(b"cookie", b"sid=" + cookie.encode())] if cookie else [])
    whole = {"type": "http", "scheme": "http", "path": "/", "headers": headers, **scope}
    middleware = SessionMiddleware(app, site.manager, exclude=exclude)
    asyncio.run(middleware(whole, receive, send))  # type: ignore[arg-type]
    return sent


def page(act: Callable[[Session], object] = lambda session: None, status: int = 200) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        act(scope["session"])
        await send({**START, "status": status})
        await send(BODY)

    return app


def headers_of(messages: list[Message]) -> dict[bytes, bytes]:
    return dict(messages[0]["headers"])


def change(session: Session) -> None:
    session["n"] = session.get("n", 0) + 1


@pytest.mark.parametrize(
    "kind", ["http.response.start", "websocket.accept", "websocket.http.response.start"]
)
def test_each_message_that_begins_a_response_commits_first(site: Site, kind: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        change(scope["session"])
        await send({"type": kind, "status": 403, "headers": [(b"x-a", b"b")]})

    [start] = call(site, app, type=kind.partition(".")[0])
    assert start["type"] == kind
    headers = dict(start["headers"])
    assert headers[b"x-a"] == b"b"
    assert headers[b"set-cookie"].startswith(b"sid=")
    assert headers[b"vary"] == b"Cookie"
    assert site.data(headers[b"set-cookie"].decode().partition(".")[0][4:]) == {"n": 1}


# -- responses -------------------------------------------------------------------------------------


def test_an_unused_session_leaves_the_response_as_it_is(site: Site) -> None:
    sent = call(site, page(), site.new(n=1))
    assert sent == [START, BODY]
    assert sent[0] is not START  # the application created its own list
    assert "touch" not in site.store.verbs


@pytest.mark.parametrize("exclude", ["/static", ["/health", "/static"]])
def test_an_excluded_path_has_no_session(site: Site, exclude: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert ("session" in scope) is (scope["path"] == "/other")
        await send(START)

    cookie = site.new(n=1)
    site.store.verbs.clear()
    assert call(site, app, cookie, exclude=exclude, path="/static/x.css") == [START]
    assert site.store.verbs == []
    assert call(site, app, cookie, exclude=exclude, path="/other") == [START]


def test_an_access_adds_vary(site: Site) -> None:
    sent = call(site, page(len), site.new(n=1))
    assert headers_of(sent) == {b"vary": b"Cookie"}


def test_a_change_sets_the_cookie_before_the_first_byte(site: Site) -> None:
    sent = call(site, page(change))
    headers = headers_of(sent)
    assert headers[b"set-cookie"].startswith(b"sid=")
    assert headers[b"cache-control"] == b"private, no-store"
    cookie = headers[b"set-cookie"][4:47].decode()
    assert site.data(cookie) == {"n": 1}
    assert b"set-cookie" not in headers_of(call(site, page(change), cookie))
    assert site.data(cookie) == {"n": 2}


def test_the_cookie_is_read_from_its_header_only(site: Site) -> None:
    read: list[int] = []
    headers = [(b"x-cookie", b"sid=" + site.new(n=1).encode())]
    call(site, page(lambda session: read.append(len(session))), headers=headers)
    assert read == [0]


@pytest.mark.parametrize("scheme", ["https", "wss"])
def test_over_tls_the_cookie_is_secure(site: Site, scheme: str) -> None:
    sent = call(site, page(change), scheme=scheme)
    assert headers_of(sent)[b"set-cookie"].startswith(b"__Host-sid=")


def test_a_response_of_status_500_changes_nothing(site: Site) -> None:
    cookie = site.new(n=1)
    sent = call(site, page(change, 500), cookie)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert site.data(cookie) == {"n": 1}
    call(site, page(lambda session: session.logout(), 503), cookie)
    assert site.data(cookie) is None


@pytest.mark.parametrize("act", [change, lambda session: None])
def test_an_exception_changes_nothing(site: Site, act: Any) -> None:
    cookie = site.new(n=1)
    seen: list[Session] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["session"])
        act(scope["session"])
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        call(site, app, cookie)
    assert site.data(cookie) == {"n": 1}
    # An outer error page would do this.
    with pytest.raises(SessionCommitted, match="the request has failed"):
        seen[0].get("n")
    with pytest.raises(SessionCommitted):
        seen[0]["n"] = 5


def test_a_logout_holds_although_the_application_raised(site: Site) -> None:
    cookie = site.new("alice")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].logout()
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        call(site, app, cookie)
    assert site.data(cookie) is None


def test_a_failed_logout_is_logged_if_the_application_raised(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].logout()
        site.store.fail = {"destroy"}
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        call(site, app, site.new("alice"))
    assert "the session store failed" in caplog.text


def test_an_application_without_a_response_changes_nothing(site: Site) -> None:
    cookie = site.new(n=1)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        change(scope["session"])

    assert call(site, app, cookie) == []
    assert site.data(cookie) == {"n": 1}


# -- error responses -------------------------------------------------------------------------------


def unavailable(messages: list[Message], status: int) -> bool:
    assert [message["type"] for message in messages] == [
        "http.response.start",
        "http.response.body",
    ]
    headers = headers_of(messages)
    assert b"set-cookie" not in headers
    assert headers[b"content-length"] == str(len(messages[1]["body"])).encode()
    assert b"hello" not in messages[1]["body"]
    return bool(messages[0]["status"] == status)


def test_a_failed_commit_is_answered_without_a_cookie(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.store.fail = {"add"}
    assert unavailable(call(site, page(change)), 503)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_failed_commit_reports_no_late_changes(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    cookie = site.new(n=1)
    site.store.fail = {"set"}
    assert unavailable(call(site, page(change), cookie), 503)
    assert "changed after the response" not in caplog.text


def test_a_failed_commit_of_a_nested_change_reports_no_late_change(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    cookie = site.new(cart=[1])
    site.store.fail = {"set"}
    assert unavailable(call(site, page(lambda session: session["cart"].append(2)), cookie), 503)
    assert "changed after the response" not in caplog.text


@pytest.mark.parametrize(
    ("value", "logged"), [(object(), "cart[0]: "), (b"x" * 10**6, "the session must take at most")]
)
def test_an_unstorable_value_is_answered_with_500(
    site: Site, value: Any, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    sent = call(site, page(lambda session: session.setdefault("cart", []).append(value)))
    assert unavailable(sent, 500)
    assert logged in caplog.text


@pytest.mark.options(max_sessions_per_user=1, at_max_sessions="refuse")
def test_one_session_too_many_is_answered_with_403(site: Site) -> None:
    site.new("alice")
    assert unavailable(call(site, page(lambda session: session.login("alice"))), 403)


def test_a_store_failure_at_the_first_access_is_answered(site: Site) -> None:
    cookie = site.new(n=1)
    site.store.fail = {"get"}
    assert unavailable(call(site, page(change), cookie), 503)
    assert call(site, page(), cookie) == [START, BODY], "an unused session does not fail"


def test_a_required_login_is_answered_with_401(site: Site) -> None:
    sent = call(site, page(lambda session: session.require_recent(60)), site.new(n=1))
    assert unavailable(sent, 401)
    assert headers_of(sent)[b"www-authenticate"] == b"Cookie"


def test_a_store_failure_after_the_first_byte_is_raised(site: Site) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        raise StoreError("down")

    with pytest.raises(StoreError):
        call(site, app)


# -- WebSockets ------------------------------------------------------------------------------------


def socket(*messages: Message, act: Callable[[Session], object] = change) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        act(scope["session"])
        for message in messages:
            await send(message)

    return app


ACCEPT, CLOSE = {"type": "websocket.accept"}, {"type": "websocket.close", "code": 1000}


def test_a_mounted_application_without_a_root_path_is_named(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["app"], scope["session"] = object(), {"n": 2}
        await send(START)

    _warn_of_mounted.cache_clear()  # it warns once
    call(site, app, app=object())
    assert "mounted at '' has put a dict" in caplog.text


def test_a_request_allows_the_sessions_of_this_process_without_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site()
    call(site, page(len))
    site.manager.create({"n": 1})
    assert not caplog.records
    site.close()


def test_the_first_argument_is_an_application() -> None:
    with pytest.raises(ConfigError, match=r"got None\. Example: SessionMiddleware\(app\)$"):
        SessionMiddleware(None)  # type: ignore[arg-type]


def test_an_accepted_websocket_commits(site: Site) -> None:
    sent = call(site, socket(ACCEPT, CLOSE), type="websocket", scheme="ws")
    assert headers_of(sent)[b"set-cookie"].startswith(b"sid=")
    assert sent[1] == CLOSE
    assert site.count == 1


def test_a_refused_websocket_stores_changes_that_need_no_cookie(site: Site) -> None:
    cookie = site.new(n=1)
    call(site, socket(CLOSE), cookie, type="websocket", scheme="ws")
    assert site.data(cookie) == {"n": 2}
    assert call(site, socket(CLOSE), type="websocket", scheme="ws") == [CLOSE]
    call(site, socket(CLOSE, act=lambda s: s.login("bob")), cookie, type="websocket", scheme="ws")
    call(site, socket(CLOSE, act=lambda s: None), cookie, type="websocket", scheme="ws")
    assert site.count == 1
    assert site.user(cookie) is None


def test_a_websocket_is_closed_if_its_commit_fails(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.store.fail = {"add", "set"}
    sent = call(site, socket(ACCEPT), type="websocket", scheme="ws")
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1013)]
    cookie = "x" * 43
    site.store.fail = set()
    cookie = site.new(n=1)
    site.store.fail = {"set"}
    assert call(site, socket(CLOSE), cookie, type="websocket", scheme="ws") == [CLOSE]
    assert caplog.text.count("the session store failed") == 2


def test_a_websocket_is_closed_if_its_session_cannot_be_stored(site: Site) -> None:
    app = socket(ACCEPT, act=lambda session: session.setdefault("a", []).append(object()))
    assert call(site, app, type="websocket", scheme="ws")[0]["code"] == 1011


def test_a_websocket_is_closed_with_1008_if_a_login_is_required(site: Site) -> None:
    app = socket(ACCEPT, act=lambda session: session.require_recent(60))
    sent = call(site, app, type="websocket", scheme="ws")
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "Unauthorized"}]


# -- after the response has begun ------------------------------------------------------------------


def test_a_late_change_is_reported(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        cart = scope["session"]["cart"]
        await send(START)
        cart.append(1)
        await send(BODY)

    call(site, app, site.new(cart=[]))
    assert "changed after the response had begun" in caplog.text


def test_a_first_access_is_refused_from_the_start_of_the_response_to_its_end(site: Site) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        with pytest.raises(SessionCommitted, match="before the response begins"):
            scope["session"].get("n")
        await send({**BODY, "more_body": True})
        with pytest.raises(SessionCommitted, match="before the response begins"):
            scope["session"].get("n")
        await send(BODY)
        seen.append(scope["session"].get("n"))

    assert call(site, app, site.new(n=1)) == [START, {**BODY, "more_body": True}, BODY]
    assert seen == [1]


# -- several middlewares ---------------------------------------------------------------------------


def test_a_middleware_within_itself_shares_its_session(site: Site) -> None:
    inner = SessionMiddleware(page(change), site.manager)
    sent = call(site, inner)
    assert [name for name, _ in sent[0]["headers"]].count(b"set-cookie") == 1


def test_two_managers_of_one_cookie_are_reported(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lembro._http.headers._warned", set())
    other = SessionManager(MemoryStore("64K"))
    call(site, SessionMiddleware(page(change), other))
    assert other.length() == 1
    assert "both set the cookie 'sid'" in caplog.text


@pytest.mark.parametrize("session", [{}, None])
def test_a_session_of_another_library_is_replaced(site: Site, session: object) -> None:
    assert b"set-cookie" in headers_of(call(site, page(change), session=session))


def test_two_managers_of_two_cookies_are_not_reported(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    other = SessionManager(MemoryStore("64K"), cookie=CookieOptions(name="inner"))
    call(site, SessionMiddleware(page(change), other))
    assert not caplog.records


# -- startup and shutdown --------------------------------------------------------------------------


def test_the_store_is_open_from_startup_to_shutdown() -> None:
    heard: list[str] = []

    class Opened(MemoryStore):
        def open(self) -> None:
            heard.append("open")

        def close(self) -> None:
            heard.append("close")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for step in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{step}"
            heard.append(step)
            await send({"type": f"lifespan.{step}.complete"})

    site = Site()
    site.manager = SessionManager(Opened("64K"))
    steps = iter(["startup", "shutdown"])

    async def receive() -> Message:
        return {"type": f"lifespan.{next(steps)}"}

    async def send(message: Message) -> None:
        heard.append(message["type"])

    middleware: Any = SessionMiddleware(app, site.manager)
    asyncio.run(middleware({"type": "lifespan"}, receive, send))
    assert heard == [
        "open",
        "startup",
        "lifespan.startup.complete",
        "shutdown",
        "close",
        "lifespan.shutdown.complete",
    ]
    site.close()


def test_a_failed_startup_closes_the_store() -> None:
    store = MemoryStore("64K")
    manager = SessionManager(store)
    manager.create({"n": 1})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        assert store._purger is not None
        await send({"type": "lifespan.startup.failed"})

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        pass

    middleware: Any = SessionMiddleware(app, manager)
    asyncio.run(middleware({"type": "lifespan"}, receive, send))
    assert store._purger is None


def test_a_store_that_cannot_be_used_fails_the_startup() -> None:
    """Without this message, uvicorn hides the error, and serves."""
    sent: list[Message] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    middleware: Any = SessionMiddleware(app, store="sqlite:////no/such/folder/x.db")
    with pytest.raises(ConfigError, match="cannot be opened"):
        asyncio.run(middleware({"type": "lifespan"}, receive, send))
    [message] = sent
    assert message["type"] == "lifespan.startup.failed"
    assert "'/no/such/folder/x.db' cannot be opened" in message["message"]


# -- what a request leaves -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("act", ["nothing", "access", "raise", "access and raise", "raise late"])
def test_a_request_leaves_nothing_to_the_garbage_collector(act: str, kind: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if "access" in act:
            len(scope["session"])
        if act in ("raise", "access and raise"):
            raise LookupError
        if kind == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        else:
            await send({"type": "websocket.accept"})
        if act == "raise late":
            raise LookupError

    async def receive() -> Message:
        return {"type": f"{kind}.disconnect"}

    class Cycle:
        """One request cycle of uvicorn: its ``send`` refers to the scope too."""

        def __init__(self, scope: Scope) -> None:
            self.scope = scope

        async def send(self, message: Message) -> None:
            return None

    middleware: Any = SessionMiddleware(app, SessionManager(MemoryStore("64K")))

    async def request() -> weakref.ref[Any]:
        scope: Scope = {"type": kind, "path": "/", "headers": [], "scheme": "http"}
        with contextlib.suppress(LookupError):
            await middleware(scope, receive, Cycle(scope).send)
        return weakref.ref(scope["session"])

    gc.disable()
    try:
        assert asyncio.run(request())() is None
    finally:
        gc.enable()


def test_a_first_access_after_the_request_is_refused() -> None:
    manager = SessionManager(MemoryStore("64K"))
    cookie = manager.create({"n": 1}).encode()
    kept: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kept.append(scope["session"])

    middleware: Any = SessionMiddleware(app, manager)
    headers = [(b"cookie", b"sid=" + cookie)]
    scope = {"type": "http", "path": "/", "headers": headers, "scheme": "http"}
    asyncio.run(middleware(scope, None, None))
    with pytest.raises(SessionCommitted, match="before the response begins"):
        kept[0]["n"]


@pytest.mark.parametrize("broken", ["", "connection refused"])
def test_a_response_of_a_cancelled_request_is_discarded(broken: str) -> None:
    """The request was cancelled during the commit of its response."""
    left: list[asyncio.Task[None]] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def respond() -> None:
            await send(START)
            await send(BODY)

        change(scope["session"])
        left.append(asyncio.create_task(respond()))
        await asyncio.sleep(0)  # storing has begun
        raise asyncio.CancelledError

    async def send(message: Message) -> None:
        sent.append(message)

    async def request() -> None:
        adapter = AsyncAdapter(MemoryStore("64K"))
        middleware: Any = SessionMiddleware(app, SessionManager(adapter))
        scope = {"type": "http", "path": "/", "headers": [], "scheme": "http"}
        with pytest.raises(asyncio.CancelledError):
            await middleware(scope, None, send)
        adapter.broken = broken
        await left[0]

    asyncio.run(request())
    assert not sent


@pytest.mark.parametrize("broken", ["", "connection refused"])
def test_a_refusal_of_a_cancelled_websocket_is_discarded(broken: str) -> None:
    left: list[asyncio.Task[None]] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        change(scope["session"])
        left.append(asyncio.create_task(send(CLOSE)))  # type: ignore[arg-type]
        await asyncio.sleep(0)  # storing has begun
        raise asyncio.CancelledError

    async def send(message: Message) -> None:
        sent.append(message)

    async def request() -> None:
        store = MemoryStore("64K")
        cookie = SessionManager(store).create({"n": 1}).encode()
        adapter = AsyncAdapter(store)
        middleware: Any = SessionMiddleware(app, SessionManager(adapter))
        headers = [(b"cookie", b"sid=" + cookie)]
        scope = {"type": "websocket", "path": "/", "headers": headers, "scheme": "ws"}
        with pytest.raises(asyncio.CancelledError):
            await middleware(scope, None, send)
        adapter.broken = broken
        await left[0]

    asyncio.run(request())
    assert not sent


@pytest.mark.parametrize("verb", ["get", "destroy"])
def test_a_failure_outside_of_the_handler_leaves_nothing(verb: str) -> None:
    """The request is cancelled during the load, or the store fails after the handler."""

    class Failing(AsyncAdapter):
        async def get(self, *args: Any, **keywords: Any) -> Any:
            if verb == "get":
                raise asyncio.CancelledError
            return await super().get(*args, **keywords)

        async def destroy(self, *args: Any, **keywords: Any) -> Any:
            raise StoreError("down")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"].logout()

    store = MemoryStore("64K")
    cookie = SessionManager(store).create({"n": 1}).encode()
    middleware: Any = SessionMiddleware(app, SessionManager(Failing(store)))

    async def request() -> weakref.ref[Any]:
        headers = [(b"cookie", b"sid=" + cookie)]
        scope: Scope = {"type": "http", "path": "/", "headers": headers, "scheme": "http"}
        with pytest.raises(asyncio.CancelledError if verb == "get" else StoreError):
            await middleware(scope, None, None)
        return weakref.ref(scope["session"])

    gc.disable()
    try:
        assert asyncio.run(request())() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("exclude", ["", "static", b"/static", [""], ["/a", 1], None, 7])
def test_exclude_takes_path_prefixes_only(exclude: Any) -> None:
    """An empty prefix would exclude every path, and bytes would fail at the first request."""
    with pytest.raises(ConfigError, match="exclude="):
        SessionMiddleware(page(), SessionManager(MemoryStore("64K")), exclude=exclude)
