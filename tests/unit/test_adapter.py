"""The code that all integrations share: one exchange a request, and one wording for each error."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from lembro import (
    ConfigError,
    LoginRequired,
    MemoryStore,
    Session,
    SessionManager,
    StoreError,
)
from lembro._http.cookie import Presented
from lembro._runtime.exchange import NoRequest, session_by_id
from lembro.events import Event
from lembro.integrations import _adapter
from lembro.migrate import LegacySession, Reader, StoreReader
from tests.support.exchanges import PlainExchange, PlainResponse
from tests.support.recording import Recorder
from tests.support.stores import AsyncAdapter


@pytest.fixture
def manager() -> SessionManager:
    return SessionManager(MemoryStore("1M"))


# -- respond ---------------------------------------------------------------------------------------


def test_an_unused_session_adds_nothing_to_the_response(manager: SessionManager) -> None:
    exchange = PlainExchange(manager, "sid=" + "a" * 43)
    response = PlainResponse(Cache_Control="public")
    assert _adapter.respond(exchange, response)
    assert response.headers == {"Cache-Control": ["public"]}


def test_a_request_stores_and_the_next_one_reads(manager: SessionManager) -> None:
    first = PlainExchange(manager)
    first.session["a"] = 1
    response = PlainResponse(Vary="Accept", Cache_Control="public")
    assert _adapter.respond(first, response)
    assert response.lines("Vary") == ["Accept, Cookie"]
    assert response.lines("Cache-Control") == ["private, no-store"]

    second = PlainExchange(manager, f"theme=ä; {response.cookie}")
    assert second.session["a"] == 1
    response = PlainResponse(Vary="cookie")
    assert _adapter.respond(second, response)
    assert response.headers == {"Vary": ["cookie"]}


def test_a_response_of_status_500_changes_nothing(manager: SessionManager) -> None:
    exchange = PlainExchange(manager)
    exchange.session["a"] = 1
    response = PlainResponse(500)
    assert _adapter.respond(exchange, response)
    assert response.headers == {"Vary": ["Cookie"]}
    assert manager.length() == 0


def test_a_failed_commit_replaces_the_response() -> None:
    manager = SessionManager(MemoryStore("1M", max_session_size="4K"))
    exchange = PlainExchange(manager)
    exchange.session["a"] = "x" * 5000
    response = PlainResponse()
    assert not _adapter.respond(exchange, response)
    assert response.error is not None
    assert response.error.status == 500
    assert response.headers == {}


def test_a_failed_commit_reports_no_late_changes() -> None:
    store = Recorder()
    manager = SessionManager(store)
    exchange = PlainExchange(manager, f"sid={manager.create({'cart': []})}")
    events: list[Event] = []
    manager.on("dropped", events.append)
    exchange.session["cart"].append(1)
    store.fail.add("set")
    assert not _adapter.respond(exchange, PlainResponse())
    _adapter.finish(exchange)
    assert events == []
    store.close()


def test_a_lone_surrogate_in_the_cookie_header_raises_no_error(manager: SessionManager) -> None:
    session = PlainExchange(manager, "sid=\ud800").session
    assert dict(session) == {}
    assert not isinstance(session._failure, StoreError)


# -- in an event loop ------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_arespond_sets_the_cookie(manager: SessionManager) -> None:
    exchange = PlainExchange(manager, "", https=True)
    await _adapter.preload(exchange)
    exchange.session["a"] = 1
    response = PlainResponse()
    assert await _adapter.arespond(exchange, response)
    assert response.cookie.startswith("__Host-sid=")


@pytest.mark.anyio
async def test_an_unused_session_adds_nothing_in_an_event_loop(manager: SessionManager) -> None:
    exchange = PlainExchange(manager, "sid=" + "a" * 43)
    await _adapter.preload(exchange)
    response = PlainResponse()
    assert await _adapter.arespond(exchange, response)
    assert response.headers == {}


@pytest.mark.anyio
async def test_a_networked_store_is_asked_before_the_handler() -> None:
    store = Recorder()
    manager = SessionManager(AsyncAdapter(store))
    session_id = await manager.acreate({"a": 1})
    exchange = PlainExchange(manager, f"sid={session_id}")
    await _adapter.preload(exchange)
    assert store.verbs == ["add", "get"]
    assert exchange.session["a"] == 1
    exchange.session["a"] = 2
    store.fail.add("set")
    response = PlainResponse()
    assert not await _adapter.arespond(exchange, response)
    assert response.error is not None
    assert response.error.status == 503
    store.close()


class Down(StoreError):
    """An error of another library's store: its arguments are not its message."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"{host}:{port} is down")
        self.port = port


@pytest.mark.anyio
async def test_each_access_raises_the_error_of_the_preload() -> None:
    class Store(AsyncAdapter):
        async def get(self, *args: Any, **keywords: Any) -> Any:
            raise Down("db", 5432) from OSError("refused")

    manager = SessionManager(Store(MemoryStore("1M")))
    exchange = PlainExchange(manager, "sid=" + "a" * 43)
    await _adapter.preload(exchange)
    for _ in range(2):
        with pytest.raises(Down, match=r"^db:5432 is down$") as raised:
            len(exchange.session)
        assert raised.value.port == 5432
        assert repr(raised.value.__cause__) == "OSError('refused')"


# -- legacy sessions -------------------------------------------------------------------------------


class Legacy(Reader):
    def read(self, value: str) -> LegacySession:
        return self.session({"a": value}, value)


def test_an_adopted_legacy_cookie_is_cleared() -> None:
    manager = SessionManager(MemoryStore("1M"), migrate_from=Legacy(cookie="before", lifetime=60))
    exchange = PlainExchange(manager, "before=1")
    assert exchange.session["a"] == "1"
    response = PlainResponse()
    assert _adapter.respond(exchange, response)
    assert response.cookies[1].startswith("before=;")
    following = PlainExchange(manager, response.cookie)
    assert following.session["a"] == "1"


@pytest.mark.anyio
async def test_a_legacy_session_that_is_awaited_is_loaded_before_the_handler() -> None:
    async def load(session_id: str) -> dict[str, str]:
        return {"a": session_id}

    reader = StoreReader(load, cookie="before", lifetime=60)
    manager = SessionManager(MemoryStore("1M"), migrate_from=reader)
    exchange = PlainExchange(manager, "before=12345678")
    await _adapter.preload(exchange)
    assert exchange.session["a"] == "12345678"
    unused = PlainExchange(manager)
    await _adapter.preload(unused)
    assert unused.session._is_unused()


# -- the end of an exchange ------------------------------------------------------------------------


def test_finish_reports_a_late_change_once(manager: SessionManager) -> None:
    events: list[Event] = []
    manager.on("dropped", events.append)
    exchange = PlainExchange(manager, f"sid={manager.create({'cart': []})}")
    cart = exchange.session["cart"]
    assert _adapter.respond(exchange, PlainResponse())
    cart.append(1)
    _adapter.finish(exchange)
    _adapter.finish(exchange)
    assert [event.reason for event in events] == ["changed too late"]


def test_a_finished_exchange_leaves_nothing_to_the_garbage_collector(
    manager: SessionManager,
) -> None:
    exchange = PlainExchange(manager)
    exchange.session["a"] = 1
    assert _adapter.respond(exchange, PlainResponse())
    session = weakref.ref(exchange.session)
    gc.disable()
    try:
        _adapter.finish(exchange)
        assert session() is None
    finally:
        gc.enable()


def test_a_session_outlives_its_exchange(manager: SessionManager) -> None:
    exchange = PlainExchange(manager, f"sid={manager.create({'a': 1})}")
    session = exchange.session
    _adapter.finish(exchange)
    assert session["a"] == 1


def test_a_session_without_a_request_is_loaded_by_its_id(manager: SessionManager) -> None:
    runner = _adapter.runner_of(manager)
    session_id = manager.create({"a": 1})
    assert session_by_id(runner, Presented(session_id))["a"] == 1
    assert session_by_id(runner).is_new
    assert NoRequest(runner).describe_visitor() == ("", "")


# -- session classes of frameworks -----------------------------------------------------------------


class Flashing(Session):
    def flash(self) -> str:
        return "flash"


class Extended(Flashing):
    pass


class Counting(Session):
    def count(self) -> int:
        return len(self)


def test_a_session_takes_the_class_of_a_framework(manager: SessionManager) -> None:
    session = PlainExchange(manager).session
    assert _adapter.as_kind(session, Extended) is session
    assert type(session) is Extended
    assert _adapter.as_kind(session, Flashing).flash() == "flash"
    assert type(session) is Extended, "an instance of a subclass keeps its class"
    counting = _adapter.as_kind(session, Counting)
    assert (counting.count(), session.flash()) == (0, "flash")


# -- errors ----------------------------------------------------------------------------------------


def test_check_app_names_the_given_value() -> None:
    _adapter.check_app({}, dict, "Flask")
    with pytest.raises(ConfigError) as raised:
        _adapter.check_app(7, dict, "Flask")
    assert str(raised.value) == (
        "the first argument must be the Flask application, got 7. Example: Lembro(app)"
    )


def test_each_setup_error_has_one_wording() -> None:
    assert str(_adapter.already_installed("LembroPlugin")) == (
        "LembroPlugin is already installed in this application; add it only once"
    )
    missing = str(_adapter.no_session("Lembro(app)"))
    assert missing.startswith("this request has no lembro session. Install lembro for the whole")
    assert "Lembro(app)" in missing
    assert "exclude=" in missing


def test_errors_with_a_response_have_the_expected_one() -> None:
    assert set(_adapter.ANSWERED_ERRORS) == {StoreError, LoginRequired}
    login = _adapter.error_response_for(LoginRequired("nobody is logged in"))
    assert (login.status, login.close_code) == (401, 1008)
    assert login.text_headers["Www-Authenticate"] == "Cookie"
    down = _adapter.error_response_for(StoreError("down"))
    assert (down.status, down.close_code) == (503, 1013)
    assert "Www-Authenticate" not in down.text_headers


def test_an_async_store_is_refused_without_an_event_loop(manager: SessionManager) -> None:
    _adapter.runner_of(manager).require_sync("Flask")
    asynchronous = SessionManager(AsyncAdapter(MemoryStore("64K")))
    with pytest.raises(ConfigError, match=r"^AsyncAdapter is asynchronous, and Flask has no event"):
        _adapter.runner_of(asynchronous).require_sync("Flask")
