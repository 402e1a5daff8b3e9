"""``quart.session`` over lembro, in requests and WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import quart
from markupsafe import Markup
from quart import Quart

from lembro import (
    ConfigError,
    CookieOptions,
    LoginRequired,
    MemoryStore,
    Session,
    SessionCommitted,
    SessionManager,
    StoreError,
)
from lembro.integrations.quart import Lembro, QuartSession, session
from lembro.testing import FakeClock
from tests.support.recording import Recorder
from tests.support.stores import AsyncAdapter

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Shop:
    """An application, and a browser."""

    def __init__(self, store: Any = None, **config: Any) -> None:
        self.store = Recorder()
        self.manager = SessionManager(self.store if store is None else store)
        self.app = Quart(__name__)
        self.app.config.update(config)
        self.lembro = Lembro(self.app, self.manager)
        self.browser = self.app.test_client()
        for view in (self.put, self.look, self.untouched, self.permanent, self.fails, self.late):
            self.app.add_url_rule(f"/{view.__name__}", view.__name__, view)
        self.app.add_websocket("/socket", "socket", self.socket)

    async def put(self) -> str:
        quart.session.update(quart.request.args)
        quart.session.setdefault("cart", []).append("bread")
        return "ok"

    async def look(self) -> dict[str, Any]:
        return dict(quart.session)

    async def untouched(self) -> str:
        return await quart.render_template_string("{{ 1 }}")

    async def permanent(self) -> str:
        quart.session.permanent = True
        return "ok"

    async def fails(self) -> str:
        session["a"] = 1
        session.logout()
        raise LookupError

    async def late(self) -> quart.Response:
        kept: Any = quart.session._get_current_object()

        async def chunks() -> AsyncIterator[str]:
            try:
                kept["a"] = 1
            except SessionCommitted:
                yield "too late"
            async with kept.edit():
                kept["b"] = 1

        len(kept)
        return quart.Response(chunks())

    async def socket(self) -> None:
        if "open" in quart.websocket.args:
            quart.session["opened"] = True
        await quart.websocket.accept()
        while True:
            text = str(await quart.websocket.receive())
            async with session.edit():
                session["said"] = text
            await quart.websocket.send(f"{session.user_id}: {text}")

    @property
    def data(self) -> dict[str, Any]:
        (info,) = self.manager.all()
        return info.data


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_the_session_is_a_mapping_like_quarts(shop: Shop) -> None:
    assert (await shop.browser.get("/put?a=1")).status_code == 200
    await shop.browser.get("/put")
    assert await (await shop.browser.get("/look")).get_json() == {
        "a": "1",
        "cart": ["bread", "bread"],
    }
    assert shop.manager.length() == 1


async def test_a_page_that_does_not_use_the_session_has_no_vary(shop: Shop) -> None:
    await shop.browser.get("/put")
    shop.store.verbs.clear()
    assert "Vary" not in (await shop.browser.get("/untouched")).headers
    assert shop.store.verbs == []
    assert (await shop.browser.get("/look")).headers["Vary"] == "Cookie"


async def test_flashed_messages_are_shown_once(shop: Shop) -> None:
    @shop.app.get("/flash")
    async def flash() -> str:
        await quart.flash(Markup("<b>c</b>"))
        return "ok"

    @shop.app.get("/flashed")
    async def flashed() -> str:
        template = "{% for m in get_flashed_messages() %}{{ m }}{% endfor %}"
        return await quart.render_template_string(template)

    await shop.browser.get("/flash")
    assert await (await shop.browser.get("/flashed")).get_data(as_text=True) == "<b>c</b>"
    assert await (await shop.browser.get("/flashed")).get_data(as_text=True) == ""


async def test_session_transaction_of_the_test_client_works(shop: Shop) -> None:
    async with shop.browser.session_transaction() as opened:
        opened["a"] = 1
    assert await (await shop.browser.get("/look")).get_json() == {"a": 1}
    async with shop.browser.session_transaction() as opened:
        assert opened["a"] == 1
        opened.clear()
    assert shop.manager.length() == 0
    async with shop.browser.session_transaction():
        pass
    assert shop.manager.length() == 0


async def test_session_transaction_follows_the_passive_paths() -> None:
    memory = MemoryStore(clock=(clock := FakeClock()))
    app = Quart(__name__)
    Lembro(app, SessionManager(memory, idle_timeout=1000, passive=["/"]))
    browser = app.test_client()
    async with browser.session_transaction() as opened:
        opened["a"] = 1
    clock.advance(500)
    async with browser.session_transaction() as opened:
        opened["a"] = 2
    ((_, found),) = memory.all()
    assert found.idle_left == 500


async def test_a_refused_websocket_stores_no_new_session(shop: Shop) -> None:
    """Without a cookie, the browser could not return to a new session."""

    @shop.app.websocket("/refused")
    async def refused() -> None:
        session["a"] = 1

    await shop.browser.get("/look")
    messages: list[Any] = []
    await _connect(shop.app, "/refused", messages)
    assert shop.manager.length() == 0


async def test_a_networked_store_works() -> None:
    memory = MemoryStore()
    shop = Shop(AsyncAdapter(memory))
    async with shop.browser.session_transaction() as opened:
        opened["a"] = 1
    assert await (await shop.browser.get("/look")).get_json() == {"a": 1}
    assert memory.length() == 1


async def test_a_permanent_session_has_a_persistent_cookie(shop: Shop) -> None:
    await shop.browser.get("/put")
    (header,) = (await shop.browser.get("/permanent")).headers.getlist("Set-Cookie")
    assert "Max-Age=2592000" in header
    assert not (await shop.browser.get("/permanent")).headers.getlist("Set-Cookie")


async def test_modified_set_to_false_drops_the_changes(shop: Shop) -> None:
    @shop.app.get("/drop")
    async def drop() -> str:
        quart.session["b"] = 1
        quart.session.modified = False
        return "ok"

    await shop.browser.get("/put")
    await shop.browser.get("/drop")
    assert shop.data == {"cart": ["bread"]}


@pytest.mark.parametrize("propagate", [True, False])
async def test_a_failed_view_changes_nothing(shop: Shop, propagate: bool) -> None:
    shop.app.config["PROPAGATE_EXCEPTIONS"] = propagate
    shop.app.testing = True
    await shop.browser.get("/put")
    assert (await shop.browser.get("/fails")).status_code == 500
    assert shop.manager.length() == 0


async def test_a_stream_edits_the_session(shop: Shop) -> None:
    await shop.browser.get("/put")
    assert await (await shop.browser.get("/late")).get_data(as_text=True) == "too late"
    assert shop.data == {"cart": ["bread"], "b": 1}


async def test_a_websocket_edits_the_session(shop: Shop) -> None:
    await shop.browser.get("/put")
    async with shop.browser.websocket("/socket?open=1") as socket:
        await socket.send("a")
        assert await socket.receive() == "None: a"
        assert shop.data == {"cart": ["bread"], "opened": True, "said": "a"}
        shop.manager.clear()
        await socket.send("b")
    assert shop.manager.length() == 0


async def test_a_store_failure_at_the_first_access_is_a_503() -> None:
    adapter = AsyncAdapter(MemoryStore())
    shop = Shop(adapter)
    await shop.browser.get("/put")
    adapter.broken = "connection refused"
    assert (await shop.browser.get("/untouched")).status_code == 200
    response = await shop.browser.get("/look")
    assert response.status_code == 503
    assert not response.headers.getlist("Set-Cookie")


async def test_a_store_failure_at_a_first_access_after_the_view_is_a_503() -> None:
    adapter = AsyncAdapter(MemoryStore())
    shop = Shop(adapter)

    @shop.app.after_request
    async def looking(response: Any) -> Any:
        quart.session.get("a")
        return response

    await shop.browser.get("/put")
    adapter.broken = "connection refused"
    response = await shop.browser.get("/untouched")
    assert response.status_code == 503
    assert (await response.get_data(as_text=True)).startswith("The session store is not available.")


async def test_the_application_may_respond_to_a_store_failure() -> None:
    app = Quart(__name__)

    @app.errorhandler(StoreError)
    async def patience(error: StoreError) -> tuple[str, int]:
        return "patience", 503

    Lembro(app)

    @app.get("/")
    async def view() -> str:
        raise StoreError("down")

    response = await app.test_client().get("/")
    assert await response.get_data(as_text=True) == "patience"


async def test_a_required_login_is_a_401(shop: Shop) -> None:
    """As in every error response of lembro, the changes are dropped, and a logout holds."""

    @shop.app.get("/account")
    async def account() -> str:
        session["a"] = 2
        if "logout" in quart.request.args:
            session.logout()
        session.require_recent(60)
        return "never"

    await shop.browser.get("/put")
    response = await shop.browser.get("/account")
    assert response.status_code == 401
    assert await response.get_data(as_text=True) == "Log in first.\n"
    assert response.headers["WWW-Authenticate"] == "Cookie"
    assert shop.data == {"cart": ["bread"]}
    response = await shop.browser.get("/account?logout=1")
    assert response.status_code == 401
    assert "Max-Age=0" in response.headers["Set-Cookie"]
    assert shop.manager.length() == 0


async def test_a_logout_that_cannot_be_stored_before_a_required_login() -> None:
    adapter = AsyncAdapter(MemoryStore())
    shop = Shop(adapter)

    @shop.app.get("/account")
    async def account() -> str:
        session.logout()
        adapter.broken = "connection refused"
        session.require_recent(60)
        return "never"

    await shop.browser.get("/put")
    assert (await shop.browser.get("/account")).status_code == 503


async def test_the_application_may_respond_to_a_required_login(shop: Shop) -> None:
    @shop.app.errorhandler(LoginRequired)
    async def ask(error: LoginRequired) -> tuple[str, int]:
        session["asked"] = True
        return "log in", 403

    @shop.app.get("/account")
    async def account() -> str:
        session.require_recent(60)
        return "never"

    assert (await shop.browser.get("/account")).status_code == 403
    assert shop.data == {"asked": True}


@pytest.mark.parametrize("accepted", [False, True])
async def test_an_error_closes_a_websocket(accepted: bool) -> None:
    adapter = AsyncAdapter(MemoryStore())
    shop = Shop(adapter)

    @shop.app.websocket("/account")
    async def account() -> None:
        if accepted:
            await quart.websocket.accept()
        else:
            session["a"] = 1
        if "closed" in quart.websocket.args:
            await quart.websocket.close(1000)
        if "store" in quart.websocket.args:
            raise StoreError("down")
        session.require_recent(60)

    for query, code in (("", 1008), ("?store=1", 1013), ("?closed=1", 1000)):
        messages: list[Any] = []
        await _connect(shop.app, f"/account{query}", messages)
        assert [message["code"] for message in messages if "code" in message] == [code]
    assert adapter.inner.length() == 0


async def _connect(app: Quart, path: str, messages: list[Any]) -> None:
    """Open a WebSocket as a server does, and return the messages that the view sends."""
    path, _, query = path.partition("?")
    scope: Any = {
        "type": "websocket",
        "asgi": {"spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [],
        "subprotocols": [],
        "extensions": {},
    }
    ended = asyncio.Event()
    connected = False

    async def receive() -> Any:
        nonlocal connected
        if not connected:
            connected = True
            return {"type": "websocket.connect"}
        # a view may neither accept nor close: then the client disconnects
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), 0.5)
        return {"type": "websocket.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)
        if message["type"] == "websocket.close":
            ended.set()

    async with asyncio.timeout(10):
        await app(scope, receive, send)


async def test_an_excluded_path_has_no_session() -> None:
    app = Quart(__name__)
    lembro = Lembro(app, exclude=["/assets/"])

    @app.get("/<path:path>")
    async def look(path: str) -> dict[str, Any]:
        if "fail" in quart.request.args:
            raise StoreError("down")
        if "write" in quart.request.args:
            with pytest.raises(ConfigError, match="no lembro session"):
                quart.session["a"] = 1
            with pytest.raises(ConfigError, match="no lembro session"):
                session.get("a")
            return {}
        if not path.startswith("assets"):
            session["a"] = 1
        return dict(quart.session)

    browser = app.test_client()
    assert await (await browser.get("/look")).get_json() == {"a": 1}
    for path in ("/assets/look", "/assets/look?write=1"):
        response = await browser.get(path)
        assert await response.get_json() == {}
        assert "Set-Cookie" not in response.headers
    assert (await browser.get("/assets/look?fail=1")).status_code == 503
    with pytest.raises(RuntimeError, match="opening the session"):
        async with browser.session_transaction("/assets/"):
            pass
    assert lembro.manager.length() == 1


async def test_the_store_is_opened_and_closed_with_the_application(shop: Shop) -> None:
    opened: list[str] = []
    shop.store.open = lambda: opened.append("open")  # type: ignore[method-assign]
    shop.store.close = lambda: opened.append("close")  # type: ignore[method-assign]
    async with shop.app.test_app():
        assert opened == ["open"]
    assert opened == ["open", "close"]


async def test_the_configuration_is_read_at_the_first_use() -> None:
    app = Quart(__name__)
    lembro = Lembro(app)
    app.config.update(SESSION_COOKIE_SAMESITE="Strict", SESSION_COOKIE_NAME="sid")
    assert lembro.manager.options.cookie == CookieOptions(
        name="sid", prefix=None, samesite="strict"
    )
    assert isinstance(app.extensions["lembro"], Lembro)


async def test_an_invalid_configuration_is_an_error_at_the_start() -> None:
    app = Quart(__name__)
    Lembro(app)
    app.config.update(SESSION_COOKIE_SAMESITE="None")
    with pytest.raises(ConfigError, match="needs secure=True"):
        await app.startup()


async def test_the_typed_proxy_works(shop: Shop) -> None:
    async with shop.app.test_request_context("/"):
        assert isinstance(session, QuartSession)
        assert isinstance(session, Session)
        assert shop.app.session_interface.get_cookie_name(shop.app) == "sid"
        await shop.app.session_interface.regenerate(session)  # type: ignore[attr-defined]
        assert shop.lembro.manager is shop.manager
    other = Quart(__name__)
    async with other.test_request_context("/"):
        with pytest.raises(ConfigError, match=r"no lembro session.*Lembro"):
            session.login("heidi")
    with pytest.raises(ConfigError, match="call init_app"):
        _ = Lembro().manager
