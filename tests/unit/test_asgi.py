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
from lembro.asgi import Receive, Scope, Send, SessionMiddleware
from tests.support.site import Site
from tests.support.stores import AsyncAdapter

Message = dict[str, Any]
App = Callable[..., Awaitable[None]]
START: Message = {"type": "http.response.start", "status": 200, "headers": []}
BODY: Message = {"type": "http.response.body", "body": b"hello"}


def call(
    site: Site, app: App, cookie: str | None = None, *, exclude: Any = (), **scope: Any
) -> list[Message]:
    """What a server is sent by ``app`` within the middleware."""
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


# -- responses -------------------------------------------------------------------------------------


def test_what_is_not_looked_at_is_passed_on_as_it_is(site: Site) -> None:
    sent = call(site, page(), site.new(n=1))
    assert sent == [START, BODY]
    assert sent[0] is not START  # the page's own
    assert "touch" not in site.store.verbs


def test_a_path_left_out_is_not_loaded(site: Site) -> None:
    cookie = site.new(n=1)
    site.store.verbs.clear()
    for exclude in ("/static", ["/health", "/static"]):
        call(site, page(), cookie, exclude=exclude, path="/static/x.css")
    assert site.store.verbs == []


def test_a_look_says_vary(site: Site) -> None:
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


@pytest.mark.parametrize("scheme", ["https", "wss"])
def test_over_tls_the_cookie_is_secure(site: Site, scheme: str) -> None:
    sent = call(site, page(change), scheme=scheme)
    assert headers_of(sent)[b"set-cookie"].startswith(b"__Host-sid=")


def test_a_page_that_failed_changes_nothing(site: Site) -> None:
    cookie = site.new(n=1)
    sent = call(site, page(change, 500), cookie)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert site.data(cookie) == {"n": 1}
    call(site, page(lambda session: session.logout(), 503), cookie)
    assert site.data(cookie) is None


@pytest.mark.parametrize("act", [change, lambda session: None])
def test_a_page_that_raised_changes_nothing(site: Site, act: Any) -> None:
    cookie = site.new(n=1)
    seen: list[Session] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["session"])
        act(scope["session"])
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        call(site, app, cookie)
    assert site.data(cookie) == {"n": 1}
    with pytest.raises(SessionCommitted):  # as by an error page around it
        seen[0]["n"] = 5


def test_a_logout_holds_though_the_page_raised(site: Site) -> None:
    cookie = site.new("alice")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].logout()
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        call(site, app, cookie)
    assert site.data(cookie) is None


def test_a_logout_that_fails_too_is_in_the_log(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["session"].logout()
        site.store.fail = {"destroy"}
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        call(site, app, site.new("alice"))
    assert "the session store failed" in caplog.text


def test_an_app_that_answers_nothing_changes_nothing(site: Site) -> None:
    cookie = site.new(n=1)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        change(scope["session"])

    assert call(site, app, cookie) == []
    assert site.data(cookie) == {"n": 1}


# -- answers of its own ----------------------------------------------------------------------------


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


def test_a_commit_that_fails_is_answered_without_a_cookie(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.store.fail = {"add"}
    assert unavailable(call(site, page(change)), 503)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_nothing_is_said_of_changes_that_came_too_late_then(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    cookie = site.new(n=1)
    site.store.fail = {"set"}
    assert unavailable(call(site, page(change), cookie), 503)
    assert "changed after the response" not in caplog.text


@pytest.mark.parametrize(
    ("value", "said"), [(object(), "cart[0]: "), (b"x" * 10**6, "the limit for one session")]
)
def test_what_cannot_be_stored_is_answered_with_500(
    site: Site, value: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    sent = call(site, page(lambda session: session.setdefault("cart", []).append(value)))
    assert unavailable(sent, 500)
    assert said in caplog.text


@pytest.mark.options(max_sessions_per_user=1, at_max_sessions="refuse")
def test_one_session_too_many_is_answered_with_403(site: Site) -> None:
    site.new("alice")
    assert unavailable(call(site, page(lambda session: session.login("alice"))), 403)


def test_a_store_that_fails_at_the_first_look_is_answered(site: Site) -> None:
    cookie = site.new(n=1)
    site.store.fail = {"get"}
    assert unavailable(call(site, page(change), cookie), 503)
    assert call(site, page(), cookie) == [START, BODY], "who does not look does not notice"


def test_a_store_that_fails_after_the_first_byte_is_raised(site: Site) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        raise StoreError("down")

    with pytest.raises(StoreError):
        call(site, app)


# -- sockets ---------------------------------------------------------------------------------------


def socket(*messages: Message, act: Callable[[Session], object] = change) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        act(scope["session"])
        for message in messages:
            await send(message)

    return app


ACCEPT, CLOSE = {"type": "websocket.accept"}, {"type": "websocket.close", "code": 1000}


def test_a_socket_that_is_accepted_commits(site: Site) -> None:
    sent = call(site, socket(ACCEPT, CLOSE), type="websocket", scheme="ws")
    assert headers_of(sent)[b"set-cookie"].startswith(b"sid=")
    assert sent[1] == CLOSE
    assert site.count == 1


def test_a_socket_that_is_refused_keeps_what_needs_no_cookie(site: Site) -> None:
    cookie = site.new(n=1)
    call(site, socket(CLOSE), cookie, type="websocket", scheme="ws")
    assert site.data(cookie) == {"n": 2}
    assert call(site, socket(CLOSE), type="websocket", scheme="ws") == [CLOSE]
    call(site, socket(CLOSE, act=lambda s: s.login("bob")), cookie, type="websocket", scheme="ws")
    call(site, socket(CLOSE, act=lambda s: None), cookie, type="websocket", scheme="ws")
    assert site.count == 1
    assert site.user(cookie) is None


def test_a_socket_whose_commit_fails(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.store.fail = {"add", "set"}
    sent = call(site, socket(ACCEPT), type="websocket", scheme="ws")
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1013)]
    cookie = "x" * 43
    site.store.fail = set()
    cookie = site.new(n=1)
    site.store.fail = {"set"}
    assert call(site, socket(CLOSE), cookie, type="websocket", scheme="ws") == [CLOSE]
    assert caplog.text.count("the session store failed") == 2


def test_a_socket_whose_session_cannot_be_stored(site: Site) -> None:
    app = socket(ACCEPT, act=lambda session: session.setdefault("a", []).append(object()))
    assert call(site, app, type="websocket", scheme="ws")[0]["code"] == 1011


# -- the rest --------------------------------------------------------------------------------------


def test_a_change_that_comes_too_late_is_said(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        cart = scope["session"]["cart"]
        await send(START)
        cart.append(1)
        await send(BODY)

    call(site, app, site.new(cart=[]))
    assert "changed after the response had begun" in caplog.text


def test_a_look_after_the_first_byte_loads(site: Site) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        seen.append(scope["session"].get("n"))
        await send(BODY)

    assert call(site, app, site.new(n=1)) == [START, BODY]
    assert seen == [1]


def test_mounted_within_itself_it_is_one_session(site: Site) -> None:
    inner = SessionMiddleware(page(change), site.manager)
    sent = call(site, inner)
    assert [name for name, _ in sent[0]["headers"]].count(b"set-cookie") == 1


def test_another_manager_within_is_another_session_and_said(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lembro._http.headers._said", set())
    other = SessionManager(MemoryStore("64K"))
    call(site, SessionMiddleware(page(change), other))
    assert other.length() == 1
    assert "both set the cookie 'sid'" in caplog.text


@pytest.mark.parametrize("session", [{}, None])
def test_a_session_of_somebody_else_is_replaced(site: Site, session: object) -> None:
    assert b"set-cookie" in headers_of(call(site, page(change), session=session))


def test_another_manager_with_a_cookie_of_its_own_is_nothing_to_say(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    other = SessionManager(MemoryStore("64K"), cookie=CookieOptions(name="inner"))
    call(site, SessionMiddleware(page(change), other))
    assert not caplog.records


def test_the_store_is_opened_before_and_closed_after() -> None:
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


def test_an_application_that_fails_to_start_has_ended() -> None:
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


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("act", ["nothing", "look", "raise", "look and raise", "raise late"])
def test_a_request_leaves_nothing_to_the_garbage_collector(act: str, kind: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if "look" in act:
            len(scope["session"])
        if act in ("raise", "look and raise"):
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
        """One request of uvicorn, whose ``send`` holds the scope as well."""

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


def test_a_task_that_is_left_behind_may_look_first_when_the_request_has_ended() -> None:
    manager = SessionManager(MemoryStore("64K"))
    cookie = manager.create({"n": 1}).encode()
    kept: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kept.append(scope["session"])

    middleware: Any = SessionMiddleware(app, manager)
    headers = [(b"cookie", b"sid=" + cookie)]
    scope = {"type": "http", "path": "/", "headers": headers, "scheme": "http"}
    asyncio.run(middleware(scope, None, None))
    assert kept[0]["n"] == 1


@pytest.mark.parametrize("broken", ["", "connection refused"])
def test_what_a_task_that_is_left_behind_sends_goes_nowhere(broken: str) -> None:
    """The request was cancelled while the commit of its response was under way."""
    left: list[asyncio.Task[None]] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def respond() -> None:
            await send(START)
            await send(BODY)

        change(scope["session"])
        left.append(asyncio.create_task(respond()))
        await asyncio.sleep(0)  # it has begun to store
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


@pytest.mark.parametrize("exclude", ["", "static", b"/static", [""], ["/a", 1], None, 7])
def test_what_is_no_beginning_of_a_path_is_refused(exclude: Any) -> None:
    """An empty one would exclude every path, and bytes fail at the first request."""
    with pytest.raises(ConfigError, match="exclude="):
        SessionMiddleware(page(), SessionManager(MemoryStore("64K")), exclude=exclude)
