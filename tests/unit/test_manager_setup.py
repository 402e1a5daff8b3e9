"""SessionManager: the plain methods, their async forms, and the arguments of its constructor."""

from __future__ import annotations

import asyncio
import gc
import inspect
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from lembro import (
    ConfigError,
    CookieOptions,
    MemoryStore,
    SessionManager,
    SessionOptions,
    StoreError,
    UsageError,
)
from lembro._runtime import open_stores
from lembro.ids import new_id
from lembro.manager import manager_of, runner_of
from tests.support.recording import Recorder
from tests.support.stores import AsyncAdapter, BlockingAdapter

# -- plain methods and their async forms -----------------------------------------------------------

PAIRS = [
    name[1:]
    for name, member in inspect.getmembers(SessionManager, inspect.iscoroutinefunction)
    if name.startswith("a") and hasattr(SessionManager, name[1:])
]


def test_every_method_with_io_has_an_async_form() -> None:
    expected = {
        "create", "get", "set", "destroy", "touch", "regenerate", "load", "all", "length", "clear",
        "user_sessions", "revoke", "revoke_user", "purge", "reduce", "stats", "open", "close",
        "ping",
    }  # fmt: skip
    assert set(PAIRS) == expected
    for name in PAIRS:
        plain, twin = getattr(SessionManager, name), getattr(SessionManager, f"a{name}")
        assert inspect.signature(plain) == inspect.signature(twin)
        assert plain.__doc__
        assert twin.__doc__


ARGS = {
    "create": ({"n": 1},), "get": ("x",), "set": ("x", {}), "destroy": ("x",), "touch": ("x",),
    "regenerate": ("x",), "load": ("x",), "user_sessions": ("alice",), "revoke": ("x",),
    "revoke_user": ("alice",),
}  # fmt: skip


PUBLIC = {
    *PAIRS,
    *(f"a{name}" for name in PAIRS),
    "store",
    "options",
    "events",
    "on",
    "once",
    "off",
}


def test_the_completion_list_of_a_manager_is_what_an_application_may_call() -> None:
    manager = SessionManager(MemoryStore("64K"))
    assert {name for name in dir(manager) if not name.startswith("_")} == PUBLIC
    for name in PUBLIC - {"store", "options", "events"}:
        assert getattr(SessionManager, name).__doc__, name


@pytest.mark.parametrize("adapter", [AsyncAdapter, BlockingAdapter])
@pytest.mark.parametrize("name", sorted(PAIRS))
def test_in_an_event_loop_a_plain_call_says_what_to_await(name: str, adapter: Any) -> None:
    async def main() -> None:
        manager = SessionManager(adapter(Recorder()))
        with pytest.raises(UsageError, match=rf"`await manager\.a{name}\(\)`$"):
            getattr(manager, name)(*ARGS.get(name, ()))

    asyncio.run(main())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("adapter", [AsyncAdapter, BlockingAdapter, lambda store: store])
def test_in_a_worker_thread_a_plain_call_works_over_every_store(adapter: Any, backend: str) -> None:
    manager = SessionManager(adapter(Recorder()))

    def endpoint() -> tuple[dict[str, Any] | None, dict[str, Any]]:
        session_id = manager.create({"n": 1}, user_id="ann")
        session = manager.load(session_id)
        session["n"] += 1
        session.save()
        with session.edit():
            session["m"] = session.atomic(lambda data: data["n"])
        assert [info.current for info in session.user_sessions()] == [True]
        return manager.get(session_id), dict(session)

    async def main() -> None:
        stored, seen = await anyio.to_thread.run_sync(endpoint)
        assert stored == seen == {"n": 2, "m": 2}

    anyio.run(main, backend=backend)


def test_a_thread_that_anyio_did_not_start_uses_the_last_loop() -> None:
    manager = SessionManager(AsyncAdapter(Recorder()))

    async def main() -> None:
        session_id = await manager.acreate({"n": 1})
        assert await asyncio.to_thread(manager.get, session_id) == {"n": 1}

    asyncio.run(main())
    with pytest.raises(UsageError, match="AsyncAdapter is asynchronous, and no event loop runs"):
        manager.length()


def test_an_error_of_the_store_passes_through_the_thread() -> None:
    store = Recorder()
    manager = SessionManager(AsyncAdapter(store))
    store.fail = {"get"}

    async def main() -> None:
        with pytest.raises(StoreError):
            await anyio.to_thread.run_sync(manager.get, new_id())

    anyio.run(main)


def test_a_session_over_an_async_store_names_the_async_form_too() -> None:
    async def main() -> None:
        manager = SessionManager(AsyncAdapter(Recorder()))
        session = await manager.aload()
        session["n"] = 1
        for name in ("save", "reload"):
            with pytest.raises(UsageError, match=rf"`await session\.a{name}\(\)`"):
                getattr(session, name)()
        with pytest.raises(UsageError, match=r"`await session\.aatomic\(\)`"):
            session.atomic(lambda data: None)
        with pytest.raises(UsageError, match="async with"), session.edit():
            pass

    asyncio.run(main())


# -- the constructor -------------------------------------------------------------------------------


class Lacking:
    blocking = False

    def get(self, key: bytes) -> None: ...


class Mute(AsyncAdapter):
    """An async store with one plain verb."""

    def destroy(self, *args: Any, **options: Any) -> Any: ...


class Both(AsyncAdapter):
    blocking = False


Manager: Any = SessionManager  # with any argument
manager_from: Any = manager_of


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Manager("64M"), r"^the store's URL must begin with .* Examples: memory:64M, "),
        (
            lambda: Manager(MemoryStore),
            r"^store must be a store, .* Example: MemoryStore\(max_size",
        ),
        (lambda: Manager(Lacking()), "It lacks add, set, replace, touch, destroy"),
        (
            lambda: Manager(Mute(MemoryStore())),
            "Mute has synchronous verbs, so it needs the attribute `blocking`; set it to True",
        ),
        (lambda: Manager(Both(MemoryStore())), "Both has async verbs and `blocking`"),
        (
            lambda: Manager(MemoryStore(), {"idle": 1}),
            r"^options must be SessionOptions, got {'idle': 1}",
        ),
        (
            lambda: Manager(MemoryStore(), CookieOptions()),
            r"^options must be SessionOptions, got CookieOptions",
        ),
        (lambda: Manager(MemoryStore(), idle=1), "did you mean idle_timeout"),
        (lambda: manager_from("x", None, None, {}), r"must be a SessionManager, got 'x'"),
        (
            lambda: manager_from(Manager(MemoryStore()), MemoryStore(), None, {"idle_timeout": 1}),
            r"^store, idle_timeout cannot be given together with a SessionManager\. Give",
        ),
        (
            lambda: manager_from(Manager(MemoryStore()), None, SessionOptions(), {}),
            r"^options cannot be given together",
        ),
    ],
)
def test_invalid_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_ping_asks_for_a_key_as_long_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    store = MemoryStore()
    monkeypatch.setattr(store, "get", asked.append)
    manager = SessionManager(store)
    manager.ping()
    asyncio.run(manager.aping())
    assert [len(key) for key in asked] == [32, 32]
    store.close()


def test_the_default_store_is_a_memory_store() -> None:
    assert isinstance(SessionManager().store, MemoryStore)


@pytest.mark.parametrize("module", ["starlette", "fastapi"])
def test_an_integration_without_its_framework_says_what_to_install(module: str) -> None:
    script = (
        "import sys\n"
        "sys.modules['starlette'] = None\n"  # as if it were not installed
        f"import lembro.integrations.{module}\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr.splitlines()[-1].endswith(f"pip install 'lembro[{module}]'")


def test_options_and_keywords_are_combined() -> None:
    manager = SessionManager(MemoryStore(), SessionOptions(idle_timeout=60), rotation_grace=5)
    assert (
        runner_of(manager).lifecycle.lifetimes.idle,
        runner_of(manager).lifecycle.writer.grace,
    ) == (60, 5)


def test_an_integration_takes_a_manager_or_makes_one() -> None:
    manager = SessionManager(MemoryStore())
    store = MemoryStore()
    assert manager_of(manager, None, None, {}) is manager
    assert manager_of(None, store, None, {"idle_timeout": 60}).store is store
    assert isinstance(manager_of(None, None, None, {}).store, MemoryStore)
    options = SessionOptions.aal2()
    assert manager_of(None, None, options, {}).options == options


class Bare:
    """A store with only the verbs of the contract."""

    blocking = True

    def __init__(self) -> None:
        store = MemoryStore()
        for verb in ("get", "add", "set", "replace", "touch", "destroy"):
            setattr(self, verb, getattr(store, verb))


@pytest.mark.parametrize(
    ("method", "verb"),
    [
        *((name, name) for name in ("all", "length", "clear", "purge", "reduce", "stats")),
        ("user_sessions", "of_user"),
        ("revoke_user", "destroy_user"),
        ("revoke", "all"),
    ],
)
def test_a_missing_method_of_the_store_is_an_error(method: str, verb: str) -> None:
    manager = SessionManager(Bare())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=rf"Bare has no {verb}\(\)"):
        getattr(manager, method)(*ARGS.get(method, ()))
    with pytest.raises(UsageError, match=rf"Bare has no {verb}\(\)"):
        asyncio.run(getattr(manager, f"a{method}")(*ARGS.get(method, ())))


def test_a_session_over_a_minimal_store_works() -> None:
    manager = SessionManager(Bare())  # type: ignore[arg-type]
    session = manager.load(manager.create({"n": 1}, user_id="alice"))
    with pytest.raises(UsageError, match=r"no destroy_user\(\)"):
        session.logout_others()
    session["n"] = 2
    session.save()
    manager.open()
    manager.close()


def test_a_store_is_opened_and_closed() -> None:
    calls: list[str] = []

    class Opened(Recorder):
        def open(self) -> None:
            calls.append("open")

        def close(self) -> None:
            calls.append("close")

    manager = SessionManager(Opened())
    manager.open()
    manager.close()
    with manager as opened:
        assert opened is manager

    async def main() -> None:
        other = SessionManager(AsyncAdapter(Opened()))
        await other.aopen()
        await other.aclose()
        async with other as opened:
            assert opened is other

    asyncio.run(main())
    assert calls == ["open", "close"] * 4


@pytest.mark.parametrize("how", ["one manager", "two managers"])
def test_a_store_stays_open_for_a_second_application(how: str) -> None:
    store = MemoryStore("64K")
    first = SessionManager(store)
    second = first if how == "one manager" else SessionManager(store)
    first.open()
    second.open()
    first.create({"n": 1})
    first.close()
    assert store._purger is not None
    second.close()
    assert store._purger is None
    second.close()  # one call too many
    first.open()
    assert store._purger is not None
    first.close()


def test_close_of_the_store_itself_closes_it_for_all() -> None:
    store = MemoryStore("64K")
    managers = [SessionManager(store) for _ in range(2)]
    for manager in managers:
        manager.open()
    managers[0].create({"n": 1})
    store.close()
    assert store._purger is None
    for manager in managers:
        manager.close()


def test_an_opened_store_is_not_kept_alive() -> None:
    store = MemoryStore("64K")
    gone = weakref.ref(store)
    SessionManager(store).open()
    del store
    gc.collect()
    assert gone() is None
    assert not [known for known in open_stores._open.values() if known[0]() is None]


def test_a_store_without_weak_references_is_closed_by_each_application() -> None:
    calls: list[str] = []

    class Slotted:
        """A store without room for weak references."""

        __slots__ = ("store",)
        blocking = True

        def __init__(self) -> None:
            self.store = Bare()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.store, name)

        def close(self) -> None:
            calls.append("close")

    store: Any = Slotted()
    manager = SessionManager(store)
    for _ in range(2):
        manager.open()
    for _ in range(2):
        manager.close()
    assert calls == ["close"] * 2


def test_the_repr_has_no_id() -> None:
    manager = SessionManager(MemoryStore())
    cookie = manager.create({"n": 1})
    assert repr(manager) == "<SessionManager over MemoryStore>"
    shown = [repr(manager.all()), repr(manager.load(cookie)), repr(manager.load(cookie)._presented)]
    assert not [text for text in shown if cookie in text]


def test_a_generator_of_a_blocking_store_runs_in_the_thread() -> None:
    threads: list[int] = []

    class Slow(BlockingAdapter):
        def all(self) -> Iterator[Any]:
            for pair in self.inner.all():
                threads.append(threading.get_ident())
                yield pair

    manager = SessionManager(Slow(MemoryStore()))
    manager.create({"n": 1})

    async def main() -> None:
        assert len(await manager.aall()) == 1

    asyncio.run(main())
    assert threads
    assert threading.get_ident() not in threads


def test_a_blocking_store_needs_no_anyio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anyio", None)
    manager = SessionManager(BlockingAdapter(MemoryStore("64K")))
    assert asyncio.run(manager.aget(asyncio.run(manager.acreate({"n": 1})))) == {"n": 1}


# -- startup and shutdown of an application --------------------------------------------------------


class AsyncShut:
    """An async store without open and close."""

    async def _verb(self) -> None: ...

    get = add = set = replace = touch = destroy = _verb


class Shut(AsyncShut):
    """A blocking store without open and close."""

    blocking = False

    def _plain(self) -> None: ...

    get = add = set = replace = touch = destroy = _plain  # type: ignore[assignment]


def test_a_store_needs_no_open_and_close() -> None:
    async def both(manager: SessionManager) -> None:
        await manager.aopen()
        await manager.aclose()

    stores: list[Any] = [Shut(), AsyncShut()]
    for store in stores:
        asyncio.run(both(SessionManager(store)))
    manager = SessionManager(stores[0])
    manager.open()
    manager.close()
