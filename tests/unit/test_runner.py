"""What a runner asks of its store, and what it reports."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from lembro import (
    ConfigError,
    CookieOptions,
    Event,
    MemoryStore,
    SessionCommitted,
    SessionManager,
    Visitor,
)
from lembro._runtime import open_stores, store_check
from lembro._runtime.exchange import Exchange, NoRequest
from lembro.manager import runner_of
from tests.support.exchanges import PlainExchange
from tests.support.site import Site
from tests.support.stores import AsyncAdapter, BlockingAdapter

SECRET = "correct horse battery staple, 1234"


class Asked(MemoryStore):
    """A store that notes what is set up, opened and closed."""

    def __init__(self) -> None:
        super().__init__("64K")
        self.calls: list[Any] = []

    def authenticate_snapshot(self, secrets: Any) -> None:
        self.calls.append(secrets)

    def reserve_marks(self) -> None:
        self.calls.append("reserve")

    def close(self) -> None:
        self.calls.append("close")


class Reader:
    """A reader of a legacy cookie, which may wait."""

    def __init__(self, name: str, *, blocking: bool) -> None:
        self.cookie = CookieOptions(name=name)
        self.lifetime = 60.0
        self.blocking = blocking

    def read(self, value: bytes) -> None: ...


def manager_of(store: Any, **options: Any) -> SessionManager:
    return SessionManager(store, **options)


def test_the_secret_authenticates_the_snapshot() -> None:
    store = Asked()
    assert not runner_of(SessionManager(store)).cookie.signed
    assert store.calls == []
    assert runner_of(SessionManager(store, secret=SECRET)).cookie.signed
    assert store.calls == [(SECRET,)]
    assert runner_of(manager_of(AsyncAdapter(store, ()), secret=SECRET)).cookie.signed


def test_legacy_readers_reserve_room_for_marks() -> None:
    store = Asked()
    readers: Any = [Reader("a", blocking=False), Reader("b", blocking=True)]
    assert runner_of(SessionManager(store, migrate_from=readers)).preloads
    assert not runner_of(SessionManager(store, migrate_from=readers[:1])).preloads
    assert store.calls == ["reserve", "reserve"]
    assert runner_of(manager_of(AsyncAdapter(store, ()), migrate_from=readers)).preloads


def test_only_the_last_of_three_applications_closes_the_store() -> None:
    store = Asked()
    managers = [SessionManager(store) for _ in range(3)]

    async def use() -> None:
        for manager in managers:
            await manager.aopen()
        for manager in managers:
            assert store.calls == []
            await manager.aclose()

    asyncio.run(use())
    assert store.calls == ["close"]


def test_an_application_without_a_shutdown_keeps_the_store_open() -> None:
    store = Asked()
    manager = manager_of(BlockingAdapter(store))
    runner_of(manager).open_permanently()
    manager.open()
    manager.close()
    assert store.calls == []


def test_a_store_that_was_opened_twice_is_forgotten_with_its_last_reference() -> None:
    store = MemoryStore("64K")
    key = id(store)
    open_stores.add(store)
    open_stores.add(store)
    assert key in open_stores._open
    del store
    assert key not in open_stores._open


def test_a_script_without_sessions_is_warned_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store_check, "_warned", set())
    serving = SessionManager(MemoryStore("64K"))
    assert "n" not in PlainExchange(serving, "sid=x").session
    assert serving.user_sessions("ada") == []
    assert caplog.text == ""
    for _ in range(2):
        assert SessionManager(MemoryStore("64K")).user_sessions("ada") == []
    assert caplog.text.count("has served no request") == 1


def test_a_session_is_owned_by_its_manager_only() -> None:
    manager = SessionManager(MemoryStore("64K"))
    session = PlainExchange(manager).session
    assert runner_of(manager).owns(session, https=True) is True
    other = runner_of(SessionManager(MemoryStore("64K"), cookie=CookieOptions(name="b")))
    assert other.owns(session, https=True) is False
    assert other.owns({}, https=True) is False


def test_after_the_response_an_action_needs_the_headers_of_an_access() -> None:
    manager = manager_of(BlockingAdapter(MemoryStore("64K")))
    exchange = PlainExchange(manager)
    exchange.begin_without_session()
    session = exchange.session
    with pytest.raises(SessionCommitted):
        session.save()
    for method in (session.asave, session.aload):
        with pytest.raises(SessionCommitted):
            asyncio.run(method())


def test_a_late_change_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    with site.request(site.new(items=[1])) as request:
        items = request.session["items"]
    items.append(2)
    for _ in range(2):
        site.runner.report_late_changes(request.session)
    assert caplog.text.count("the change is lost") == 1
    site.close()


@pytest.mark.parametrize("describe", [lambda visitor: 1 / 0, lambda visitor: 5])
def test_a_device_that_is_no_text_is_not_described(describe: Any) -> None:
    runner = runner_of(SessionManager(MemoryStore("64K"), describe=describe))
    assert runner.describe(Visitor("", None)) == ""


def test_an_event_is_logged_with_its_handle_and_reason(caplog: pytest.LogCaptureFixture) -> None:
    runner = runner_of(SessionManager(MemoryStore("64K")))
    with caplog.at_level(logging.DEBUG, "lembro"):
        runner.emit([Event("destroyed", "abc"), Event("rejected", reason="forged")])
    assert [record.message for record in caplog.records] == [
        "lembro: destroyed: session abc",
        "lembro: rejected: session -: forged",
    ]


# -- the exchange ----------------------------------------------------------------------------------


class Distant(PlainExchange):
    __slots__ = ()

    def client(self) -> str:
        return "f" * 70


def test_a_visitor_without_headers_has_an_address_of_at_most_64_characters() -> None:
    manager = SessionManager(
        MemoryStore("64K"), store_address=True, describe=lambda visitor: visitor.user_agent
    )
    assert Distant(manager).describe_visitor() == ("", "f" * 64)
    assert Exchange.headers(Distant(manager)) == ()


def test_a_failed_commit_is_not_reported_as_a_late_change_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = AsyncAdapter(MemoryStore("64K"))
    manager = manager_of(store)

    async def use() -> None:
        exchange = PlainExchange(manager, f"sid={await manager.acreate({'items': [1]})}")
        await exchange.session.aload()
        exchange.session["items"].append(2)
        store.broken = "down"
        response = await exchange.acommit(200)
        assert response is not None
        assert response.status == 503
        exchange.report_late_changes()

    asyncio.run(use())
    assert "the change is lost" not in caplog.text


def test_a_session_without_a_request_has_no_path() -> None:
    exchange = NoRequest(runner_of(SessionManager(MemoryStore("64K"))))
    assert exchange.session is None
    assert exchange.path() == ""


# -- the check of the store ------------------------------------------------------------------------


class HalfAsync(MemoryStore):
    async def get(self, key: bytes) -> Any: ...  # type: ignore[override]


@pytest.mark.parametrize(
    ("store", "message"),
    [
        (MemoryStore, r"MemoryStore'>\. Example"),
        (5, r"got 5\. It lacks get, add, set, replace, touch, destroy\. Example"),
        (HalfAsync("64K"), "HalfAsync has async verbs and `blocking`"),
    ],
)
def test_what_is_no_store_is_refused(store: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SessionManager(store)
