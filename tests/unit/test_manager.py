"""SessionManager: sessions by id, lists, and what it refuses to be made of."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lembro import (
    CodecError,
    ConfigError,
    CookieOptions,
    LembroError,
    MemoryStore,
    Session,
    SessionInfo,
    SessionManager,
    SessionOptions,
    StoreError,
    TooManySessions,
)
from lembro.ids import handle_for, key_for, new_id
from lembro.manager import manager_of
from tests.support.recording import AsyncAdapter, Blocking, Recorder


class Caller:
    """A manager called by its plain methods, or by their twins on an event loop."""

    def __init__(self, kind: str, **options: Any) -> None:
        self.store = Recorder()
        self.clock = self.store.clock
        adapted: Any = {
            "in-process": self.store,
            "in-process, awaited": self.store,
            "async": AsyncAdapter(self.store),
            "blocking": Blocking(self.store),
            "blocking, awaited": Blocking(self.store),
        }[kind]
        self.manager = SessionManager(adapted, **options)
        self._runner = None if kind in ("in-process", "blocking") else asyncio.Runner()

    def __getattr__(self, name: str) -> Any:
        if self._runner is None:
            return getattr(self.manager, name)
        twin, runner = getattr(self.manager, f"a{name}"), self._runner
        return lambda *args, **options: runner.run(twin(*args, **options))

    def save(self, session: Session) -> None:
        if self._runner is None:
            session.save()
        else:
            self._runner.run(session.asave())

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()
        self.store.close()


KINDS = ["in-process", "in-process, awaited", "async", "blocking", "blocking, awaited"]


@pytest.fixture(params=KINDS)
def sessions(request: pytest.FixtureRequest) -> Iterator[Any]:
    mark = request.node.get_closest_marker("options")
    caller = Caller(request.param, **(mark.kwargs if mark else {}))
    yield caller
    caller.close()


# -- by session id ---------------------------------------------------------------------------------


def test_create_and_get(sessions: Any) -> None:
    cookie = sessions.create({"n": 1})
    assert sessions.get(cookie) == {"n": 1}
    assert sessions.get(sessions.create(user="alice")) == {}


def test_get_gives_a_copy(sessions: Any) -> None:
    cookie = sessions.create({"cart": [1]})
    sessions.get(cookie)["cart"].append(2)
    assert sessions.get(cookie) == {"cart": [1]}


def test_an_empty_session_is_not_created(sessions: Any) -> None:
    empty: dict[str, Any] = {}
    for nothing in (None, empty):
        with pytest.raises(ConfigError, match="needs data or a user"):
            sessions.create(nothing)


@pytest.mark.parametrize("unknown", [new_id(), "", "nonsense", "x" * 1000, "\ud800", "../x"])
def test_an_unknown_id(sessions: Any, unknown: str) -> None:
    assert sessions.get(unknown) is None
    assert sessions.set(unknown, {"n": 1}) is False
    assert sessions.touch(unknown) is False
    assert sessions.destroy(unknown) is False
    assert sessions.regenerate(unknown) is None
    assert sessions.load(unknown).is_new
    assert sessions.length() == 0


def test_set_replaces_the_data_and_never_creates(sessions: Any) -> None:
    cookie = sessions.create({"a": 1, "b": 2})
    assert sessions.set(cookie, {"c": 3}) is True
    assert sessions.get(cookie) == {"c": 3}
    assert sessions.set(cookie, {}) is True
    sessions.clock.advance(31)
    assert sessions.get(cookie) is None


def test_set_and_create_refuse_what_no_session_can_carry(sessions: Any) -> None:
    cookie = sessions.create({"a": 1})
    with pytest.raises(CodecError, match=r"^b"):
        sessions.set(cookie, {"b": object()})
    with pytest.raises(CodecError, match=r"^b"):
        sessions.create({"b": object()})
    assert sessions.get(cookie) == {"a": 1}


def test_destroy_tells_the_one_that_did_it(sessions: Any) -> None:
    cookie = sessions.create({"n": 1})
    assert sessions.destroy(cookie) is True
    assert sessions.destroy(cookie) is False
    assert sessions.get(cookie) is None


@pytest.mark.options(idle_timeout=60, absolute_timeout=100)
def test_touch_extends_the_idle_timeout(sessions: Any) -> None:
    cookie = sessions.create({"n": 1})
    sessions.clock.advance(50)
    assert sessions.touch(cookie) is True
    sessions.clock.advance(49)
    assert sessions.get(cookie) == {"n": 1}
    assert sessions.touch(cookie) is True
    sessions.clock.advance(1)
    assert sessions.touch(cookie) is False


def test_regenerate_gives_a_new_id(sessions: Any) -> None:
    cookie = sessions.create({"n": 1}, user="alice")
    new = sessions.regenerate(cookie)
    assert new != cookie
    assert sessions.get(new) == sessions.get(cookie) == {"n": 1}
    assert sessions.regenerate(cookie) is None, "the new one went to whoever did it"
    assert sessions.length() == 1


def test_a_session_that_was_loaded_can_be_changed_and_saved(sessions: Any) -> None:
    cookie = sessions.create({"n": 1})
    session = sessions.load(cookie)
    session["n"] += 1
    sessions.save(session)
    assert session.issued_id is None
    assert sessions.get(cookie) == {"n": 2}
    session.login("alice")
    sessions.save(session)
    assert sessions.get(session.issued_id) == {"n": 2}


def test_a_new_session_can_be_loaded_and_saved(sessions: Any) -> None:
    session = sessions.load()
    assert session.is_new
    assert session.issued_id is None
    session["n"] = 1
    sessions.save(session)
    assert sessions.get(session.issued_id) == {"n": 1}


def test_a_record_that_cannot_be_read_is_told_at_once(sessions: Any) -> None:
    cookie = sessions.create({"n": 1})
    sessions.store.corrupt(cookie)
    heard: list[str] = []
    sessions.manager.on("rejected", lambda event: heard.append(event.reason))
    assert sessions.load(cookie).is_new
    assert sessions.get(cookie) is None
    assert len(heard) == 2


@pytest.mark.options(max_sessions_per_user=1, at_max_sessions="refuse")
def test_create_at_the_cap(sessions: Any) -> None:
    sessions.create(user="alice")
    with pytest.raises(TooManySessions):
        sessions.create(user="alice")


# -- many ------------------------------------------------------------------------------------------


def test_all_length_clear(sessions: Any) -> None:
    cookies = [sessions.create({"n": n}) for n in range(3)]
    infos = sessions.all()
    assert sorted(info.data["n"] for info in infos) == [0, 1, 2]
    assert {info.handle for info in infos} == {handle_for(key_for(c)) for c in cookies}
    assert sessions.length() == 3
    assert sessions.clear() is None
    assert sessions.length() == 0
    assert sessions.all() == []


def test_of_user_lists_the_oldest_first(sessions: Any) -> None:
    for n in range(3):
        sessions.create({"n": n}, user="alice")
        sessions.clock.advance(10)
    sessions.create({"n": 9}, user="bob")
    infos = sessions.of_user("alice")
    assert [info.data["n"] for info in infos] == [0, 1, 2]
    assert [info.age for info in infos] == [30, 20, 10]
    assert [info.idle_for for info in infos] == [30, 20, 10]
    assert {info.user for info in infos} == {"alice"}
    assert sessions.of_user("nobody") == []


def test_an_info_is_plain_data(sessions: Any) -> None:
    sessions.create({"n": 1}, user="alice")
    (info,) = sessions.of_user("alice")
    assert isinstance(info, SessionInfo)
    assert vars(info).keys() == {"handle", "age", "idle_for", "data", "user", "current"}
    assert info.current is False


def test_the_current_one_is_marked_for_the_manager_of_a_session(sessions: Any) -> None:
    mine, other = sessions.create({"n": 1}, user="alice"), sessions.create({"n": 2}, user="alice")
    session = sessions.load(mine)
    seen = session.manager
    if sessions._runner is None:
        infos = seen.of_user("alice")
    else:
        infos = sessions._runner.run(seen.aof_user("alice"))
    assert [(info.data["n"], info.current) for info in infos] == [(1, True), (2, False)]
    assert sessions.get(other) == {"n": 2}


def test_a_record_that_cannot_be_read_is_listed_without_data(sessions: Any) -> None:
    sessions.store.corrupt(sessions.create({"n": 1}, user="alice"))
    assert [info.data for info in sessions.of_user("alice")] == [{}]


def test_end_ends_the_session_of_a_handle(sessions: Any) -> None:
    cookie = sessions.create({"n": 1}, user="alice")
    handle = handle_for(key_for(cookie))
    assert sessions.end(handle, user="bob") is False
    assert sessions.end("nonsense", user="alice") is False
    assert sessions.end("nonsense") is False
    assert sessions.get(cookie) == {"n": 1}
    assert sessions.end(handle, user="alice") is True
    assert sessions.end(handle, user="alice") is False
    assert sessions.get(cookie) is None


def test_an_operator_ends_any_session(sessions: Any) -> None:
    cookie = sessions.create({"n": 1})
    assert sessions.end(handle_for(key_for(cookie))) is True
    assert sessions.get(cookie) is None


def test_a_rotation_does_not_save_a_session_from_its_end(sessions: Any) -> None:
    cookie = sessions.create({"n": 1}, user="alice")
    elsewhere = SessionManager(sessions.store)
    rotated: list[str | None] = []
    sessions.store.before["of_user"] = lambda: rotated.append(elsewhere.regenerate(cookie))
    assert sessions.end(handle_for(key_for(cookie)), user="alice") is True
    assert rotated != [None]
    assert sessions.length() == 0


def test_destroy_user(sessions: Any) -> None:
    cookies = [sessions.create({"n": n}, user="alice") for n in range(3)]
    bobs = sessions.create({"n": 9}, user="bob")
    assert sessions.destroy_user("alice", keep=cookies[0]) == 2
    assert sessions.get(cookies[0]) == {"n": 0}
    assert sessions.destroy_user("alice", keep=sessions.load(cookies[0])) == 0
    assert sessions.destroy_user("alice", keep=sessions.load()) == 1
    assert sessions.destroy_user("alice") == 0
    assert sessions.get(bobs) == {"n": 9}


def test_purge_and_stats_and_reduce(sessions: Any) -> None:
    for n in range(3):
        sessions.create({"n": n})
    assert sessions.stats().sessions == 3
    assert sessions.purge() == 0
    sessions.clock.advance(sessions.manager.core.idle + 1)
    assert sessions.purge() == 3
    assert sessions.reduce() == 0


def test_events(sessions: Any) -> None:
    heard: list[tuple[str, str | None, str | None]] = []
    for name in ("created", "regenerated", "destroyed"):
        sessions.manager.on(name, lambda e: heard.append((e.name, e.handle, e.user)))
    cookie = sessions.create({"n": 1}, user="alice")
    new = sessions.regenerate(cookie)
    other = sessions.create({"n": 2}, user="alice")
    sessions.destroy_user("alice", keep=other)
    sessions.end(handle_for(key_for(other)))
    last = sessions.create({"n": 1})
    sessions.destroy(last)
    handles = [handle_for(key_for(each)) for each in (cookie, new, other, new, other, last, last)]
    names = ["created", "regenerated", *["created", "destroyed", "destroyed"]]
    names += ["created", "destroyed"]
    users = ["alice"] * 5 + [None] * 2
    assert heard == list(zip(names, handles, users, strict=True))


def test_a_store_that_fails(sessions: Any) -> None:
    cookie = sessions.create({"n": 1})
    sessions.store.fail = {"get"}
    for method in (sessions.get, sessions.load):
        with pytest.raises(StoreError):
            method(cookie)


# -- the two halves of a pair ----------------------------------------------------------------------

PAIRS = [
    name[1:]
    for name, member in inspect.getmembers(SessionManager, inspect.iscoroutinefunction)
    if name.startswith("a") and hasattr(SessionManager, name[1:]) and "_for" not in name
]


def test_what_does_io_comes_in_pairs() -> None:
    expected = {
        "create", "get", "set", "destroy", "touch", "regenerate", "load", "all", "length", "clear",
        "of_user", "end", "destroy_user", "purge", "reduce", "stats", "start", "stop", "commit",
    }  # fmt: skip
    assert set(PAIRS) == expected
    for name in PAIRS:
        plain, twin = getattr(SessionManager, name), getattr(SessionManager, f"a{name}")
        assert inspect.signature(plain) == inspect.signature(twin)
        assert plain.__doc__
        assert twin.__doc__


ARGS = {
    "create": ({"n": 1},), "get": ("x",), "set": ("x", {}), "destroy": ("x",), "touch": ("x",),
    "regenerate": ("x",), "load": ("x",), "of_user": ("alice",), "end": ("x",),
    "destroy_user": ("alice",),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(PAIRS) - {"start", "stop", "commit"}))
def test_over_an_async_store_the_plain_one_raises_and_names_the_other(name: str) -> None:
    manager = SessionManager(AsyncAdapter(Recorder()))
    with pytest.raises(LembroError, match=rf"AsyncAdapter is asynchronous: await a{name}\(\) inst"):
        getattr(manager, name)(*ARGS.get(name, ()))


def test_a_session_over_an_async_store_says_so_too() -> None:
    async def main() -> None:
        manager = SessionManager(AsyncAdapter(Recorder()))
        session = await manager.aload()
        session["n"] = 1
        for name in ("save", "reload"):
            with pytest.raises(LembroError, match=rf"`await session\.a{name}\(\)`"):
                getattr(session, name)()
        with pytest.raises(LembroError, match=r"`await session\.aatomic\(\)`"):
            session.atomic(lambda data: None)
        with pytest.raises(LembroError, match="async with"), session.edit():
            pass

    asyncio.run(main())


# -- what it is made of ----------------------------------------------------------------------------


class Lacking:
    blocking = False

    def get(self, key: bytes) -> None: ...


class Mute(AsyncAdapter):
    """An async store with one plain verb."""

    def destroy(self, *args: Any, **options: Any) -> Any: ...


class Both(AsyncAdapter):
    blocking = False


Manager: Any = SessionManager  # whatever it is given
manager_from: Any = manager_of


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Manager(None), r"store=None: give a store, for example MemoryStore"),
        (lambda: Manager("64M"), r"store='64M': give a store"),
        (lambda: Manager(MemoryStore), r"give a store, for example MemoryStore\(max_size"),
        (lambda: Manager(Lacking()), "it lacks add, set, replace, touch, destroy"),
        (lambda: Manager(Mute(MemoryStore())), "Mute has plain verbs: say `blocking`"),
        (lambda: Manager(Both(MemoryStore())), "Both has async verbs and `blocking`"),
        (lambda: Manager(MemoryStore(), {"idle": 1}), r"write SessionOptions\(...\), or"),
        (lambda: Manager(MemoryStore(), CookieOptions()), r"options=CookieOptions"),
        (lambda: Manager(MemoryStore(), idle=1), "did you mean idle_timeout"),
        (lambda: manager_from("x", None, {}), r"'x' is no SessionManager: write"),
        (
            lambda: manager_from(Manager(MemoryStore()), MemoryStore(), {"idle_timeout": 1}),
            "store, idle_timeout: give these to the SessionManager",
        ),
    ],
)
def test_what_it_cannot_be_made_of(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_options_and_keywords_together() -> None:
    manager = SessionManager(MemoryStore(), SessionOptions(idle_timeout=60), rotation_grace=5)
    assert (manager.core.idle, manager.core.grace) == (60, 5)


def test_an_integration_takes_a_manager_or_makes_one() -> None:
    manager = SessionManager(MemoryStore())
    store = MemoryStore()
    assert manager_of(manager, None, {}) is manager
    assert manager_of(None, store, {"idle_timeout": 60}).store is store
    assert isinstance(manager_of(None, None, {}).store, MemoryStore)


class Bare:
    """A store with the verbs of the contract and nothing else."""

    blocking = True

    def __init__(self) -> None:
        store = MemoryStore()
        for verb in ("get", "add", "set", "replace", "touch", "destroy"):
            setattr(self, verb, getattr(store, verb))


@pytest.mark.parametrize(
    "capability",
    ["all", "length", "clear", "of_user", "destroy_user", "purge", "reduce", "stats"],
)
def test_what_a_store_does_not_offer(capability: str) -> None:
    manager = SessionManager(Bare())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=rf"Bare has no {capability}\(\)"):
        getattr(manager, capability)(*ARGS.get(capability, ()))
    with pytest.raises(ConfigError, match=rf"Bare has no {capability}\(\)"):
        asyncio.run(getattr(manager, f"a{capability}")(*ARGS.get(capability, ())))


def test_a_session_over_such_a_store() -> None:
    manager = SessionManager(Bare())  # type: ignore[arg-type]
    session = manager.load(manager.create({"n": 1}, user="alice"))
    with pytest.raises(ConfigError, match=r"no destroy_user\(\)"):
        session.logout_others()
    session["n"] = 2
    session.save()
    manager.start()
    manager.stop()


def test_a_store_is_opened_and_closed() -> None:
    calls: list[str] = []

    class Opened(Recorder):
        def open(self) -> None:
            calls.append("open")

        def close(self) -> None:
            calls.append("close")

    manager = SessionManager(Opened())
    manager.start()
    manager.stop()

    async def main() -> None:
        other = SessionManager(AsyncAdapter(Opened()))
        await other.astart()
        await other.astop()

    asyncio.run(main())
    assert calls == ["open", "close"] * 2


def test_its_repr_has_no_id() -> None:
    manager = SessionManager(MemoryStore())
    cookie = manager.create({"n": 1})
    assert repr(manager) == "<SessionManager over MemoryStore>"
    shown = [repr(manager.all()), repr(manager.load(cookie)), repr(manager.load(cookie)._presented)]
    assert not [text for text in shown if cookie in text]


def test_what_a_blocking_store_lists_bit_by_bit_is_listed_in_the_thread() -> None:
    threads: list[int] = []

    class Slow(Blocking):
        def all(self) -> Iterator[Any]:
            for pair in self.store.all():
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
    manager = SessionManager(Blocking(MemoryStore("64K")))
    assert asyncio.run(manager.aget(asyncio.run(manager.acreate({"n": 1})))) == {"n": 1}
