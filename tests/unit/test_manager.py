"""SessionManager: sessions by id, lists, and what it refuses to be made of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from lembro import (
    CodecError,
    ConfigError,
    Session,
    SessionInfo,
    SessionManager,
    StoreError,
    TooManySessions,
)
from lembro.ids import handle_for, key_for, new_id
from tests.support.recording import Recorder
from tests.support.stores import AsyncAdapter, BlockingAdapter


class Caller:
    """A manager called by its plain methods, or by their twins on an event loop."""

    def __init__(self, kind: str, **options: Any) -> None:
        self.store = Recorder()
        self.clock = self.store.clock
        adapted: Any = {
            "in-process": self.store,
            "in-process, awaited": self.store,
            "async": AsyncAdapter(self.store),
            "blocking": BlockingAdapter(self.store),
            "blocking, awaited": BlockingAdapter(self.store),
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
def manager(request: pytest.FixtureRequest) -> Iterator[Any]:
    mark = request.node.get_closest_marker("options")
    caller = Caller(request.param, **(mark.kwargs if mark else {}))
    yield caller
    caller.close()


# -- by session id ---------------------------------------------------------------------------------


def test_create_and_get(manager: Any) -> None:
    cookie = manager.create({"n": 1})
    assert manager.get(cookie) == {"n": 1}
    assert manager.get(manager.create(user_id="alice")) == {}


def test_get_gives_a_copy(manager: Any) -> None:
    cookie = manager.create({"cart": [1]})
    manager.get(cookie)["cart"].append(2)
    assert manager.get(cookie) == {"cart": [1]}


def test_an_empty_session_is_not_created(manager: Any) -> None:
    empty: dict[str, Any] = {}
    for nothing in (None, empty):
        with pytest.raises(ConfigError, match="needs data or a user"):
            manager.create(nothing)


@pytest.mark.parametrize(
    "unknown",
    [new_id(), "", "nonsense", "x" * 1000, "\ud800", "../x"],
    ids=["unknown", "empty", "nonsense", "long", "surrogate", "path"],
)
def test_an_unknown_id(manager: Any, unknown: str) -> None:
    assert manager.get(unknown) is None
    assert manager.set(unknown, {"n": 1}) is False
    assert manager.touch(unknown) is False
    assert manager.destroy(unknown) is False
    assert manager.regenerate(unknown) is None
    assert manager.load(unknown).is_new
    assert manager.length() == 0


def test_set_replaces_the_data_and_never_creates(manager: Any) -> None:
    cookie = manager.create({"a": 1, "b": 2})
    assert manager.set(cookie, {"c": 3}) is True
    assert manager.get(cookie) == {"c": 3}
    assert manager.set(cookie, {}) is True
    manager.clock.advance(31)
    assert manager.get(cookie) is None


def test_set_and_create_refuse_what_no_session_can_carry(manager: Any) -> None:
    cookie = manager.create({"a": 1})
    with pytest.raises(CodecError, match=r"^b"):
        manager.set(cookie, {"b": object()})
    with pytest.raises(CodecError, match=r"^b"):
        manager.create({"b": object()})
    assert manager.get(cookie) == {"a": 1}


def test_destroy_tells_the_one_that_did_it(manager: Any) -> None:
    cookie = manager.create({"n": 1})
    assert manager.destroy(cookie) is True
    assert manager.destroy(cookie) is False
    assert manager.get(cookie) is None


@pytest.mark.options(idle_timeout=60, absolute_timeout=100)
def test_touch_extends_the_idle_timeout(manager: Any) -> None:
    cookie = manager.create({"n": 1})
    manager.clock.advance(50)
    assert manager.touch(cookie) is True
    manager.clock.advance(49)
    assert manager.get(cookie) == {"n": 1}
    assert manager.touch(cookie) is True
    manager.clock.advance(1)
    assert manager.touch(cookie) is False


def test_regenerate_gives_a_new_id(manager: Any) -> None:
    cookie = manager.create({"n": 1}, user_id="alice")
    new = manager.regenerate(cookie)
    assert new != cookie
    assert manager.get(new) == manager.get(cookie) == {"n": 1}
    assert manager.regenerate(cookie) is None, "the new one went to whoever did it"
    assert manager.length() == 1


def test_a_session_that_was_loaded_can_be_changed_and_saved(manager: Any) -> None:
    cookie = manager.create({"n": 1})
    session = manager.load(cookie)
    session["n"] += 1
    manager.save(session)
    assert session.issued_id is None
    assert manager.get(cookie) == {"n": 2}
    session.login("alice")
    manager.save(session)
    assert manager.get(session.issued_id) == {"n": 2}


def test_a_new_session_can_be_loaded_and_saved(manager: Any) -> None:
    session = manager.load()
    assert session.is_new
    assert session.issued_id is None
    session["n"] = 1
    manager.save(session)
    assert manager.get(session.issued_id) == {"n": 1}


def test_a_record_that_cannot_be_read_is_told_at_once(manager: Any) -> None:
    cookie = manager.create({"n": 1})
    manager.store.corrupt(cookie)
    heard: list[str] = []
    manager.manager.on("rejected", lambda event: heard.append(event.reason))
    assert manager.load(cookie).is_new
    assert manager.get(cookie) is None
    assert len(heard) == 2


@pytest.mark.options(max_sessions_per_user=1, at_max_sessions="refuse")
def test_create_at_the_cap(manager: Any) -> None:
    manager.create(user_id="alice")
    with pytest.raises(TooManySessions):
        manager.create(user_id="alice")


# -- many ------------------------------------------------------------------------------------------


def test_all_length_clear(manager: Any) -> None:
    cookies = [manager.create({"n": n}) for n in range(3)]
    infos = manager.all()
    assert sorted(info.data["n"] for info in infos) == [0, 1, 2]
    assert {info.handle for info in infos} == {handle_for(key_for(c)) for c in cookies}
    assert manager.length() == 3
    assert manager.clear() is None
    assert manager.length() == 0
    assert manager.all() == []


def test_of_user_lists_the_oldest_first(manager: Any) -> None:
    for n in range(3):
        manager.create({"n": n}, user_id="alice")
        manager.clock.advance(10)
    manager.create({"n": 9}, user_id="bob")
    infos = manager.user_sessions("alice")
    assert [info.data["n"] for info in infos] == [0, 1, 2]
    assert [info.age for info in infos] == [30, 20, 10]
    assert [info.idle_for for info in infos] == [30, 20, 10]
    assert {info.user_id for info in infos} == {"alice"}
    assert manager.user_sessions("nobody") == []


def test_an_info_is_plain_data(manager: Any) -> None:
    manager.create({"n": 1}, user_id="alice")
    (info,) = manager.user_sessions("alice")
    assert isinstance(info, SessionInfo)
    assert vars(info).keys() == {"handle", "age", "idle_for", "data", "user", "current"}
    assert info.current is False


def test_the_current_one_is_marked_for_the_manager_of_a_session(manager: Any) -> None:
    mine, other = (
        manager.create({"n": 1}, user_id="alice"),
        manager.create({"n": 2}, user_id="alice"),
    )
    session = manager.load(mine)
    seen = session.manager
    if manager._runner is None:
        infos = seen.of_user("alice")
    else:
        infos = manager._runner.run(seen.auser_sessions("alice"))
    assert [(info.data["n"], info.current) for info in infos] == [(1, True), (2, False)]
    assert manager.get(other) == {"n": 2}


def test_a_record_that_cannot_be_read_is_listed_without_data(manager: Any) -> None:
    manager.store.corrupt(manager.create({"n": 1}, user_id="alice"))
    assert [info.data for info in manager.user_sessions("alice")] == [{}]


def test_end_ends_the_session_of_a_handle(manager: Any) -> None:
    cookie = manager.create({"n": 1}, user_id="alice")
    handle = handle_for(key_for(cookie))
    assert manager.end(handle, user="bob") is False
    assert manager.end("nonsense", user="alice") is False
    assert manager.end("nonsense") is False
    assert manager.get(cookie) == {"n": 1}
    assert manager.end(handle, user="alice") is True
    assert manager.end(handle, user="alice") is False
    assert manager.get(cookie) is None


def test_an_operator_ends_any_session(manager: Any) -> None:
    cookie = manager.create({"n": 1})
    assert manager.end(handle_for(key_for(cookie))) is True
    assert manager.get(cookie) is None


def test_a_rotation_does_not_save_a_session_from_its_end(manager: Any) -> None:
    cookie = manager.create({"n": 1}, user_id="alice")
    elsewhere = SessionManager(manager.store)
    rotated: list[str | None] = []
    manager.store.before["of_user"] = lambda: rotated.append(elsewhere.regenerate(cookie))
    assert manager.end(handle_for(key_for(cookie)), user="alice") is True
    assert rotated != [None]
    assert manager.length() == 0


def test_destroy_user(manager: Any) -> None:
    cookies = [manager.create({"n": n}, user_id="alice") for n in range(3)]
    bobs = manager.create({"n": 9}, user_id="bob")
    assert manager.revoke_user("alice", keep=cookies[0]) == 2
    assert manager.get(cookies[0]) == {"n": 0}
    assert manager.revoke_user("alice", keep=manager.load(cookies[0])) == 0
    assert manager.revoke_user("alice", keep=manager.load()) == 1
    assert manager.revoke_user("alice") == 0
    assert manager.get(bobs) == {"n": 9}


@pytest.mark.parametrize("user", [7, b"alice", ["alice"]])
def test_a_user_is_a_str(manager: Any, user: Any) -> None:
    kind = type(user).__name__
    for method in ("of_user", "destroy_user"):
        message = rf"^{method}\(\) takes the user as str, not {kind}: write {method}\(str\(user.id"
        with pytest.raises(TypeError, match=message):
            getattr(manager, method)(user)
    for method, argument in (("end", "handle"), ("create", {})):
        message = rf"^{method}\(\) takes .*, not {kind}: write {method}\(user=str\(user.id\)\)"
        with pytest.raises(TypeError, match=message):
            getattr(manager, method)(argument, user=user)


@pytest.mark.parametrize("method", ["of_user", "destroy_user"])
def test_nobody_is_no_user(manager: Any, method: str) -> None:
    with pytest.raises(TypeError, match=rf"^{method}\(\) takes the user as str, not NoneType"):
        getattr(manager, method)(None)


@pytest.mark.parametrize("data", [7, ["n"], "n", None])
def test_data_is_a_dict(manager: Any, data: Any) -> None:
    cookie = manager.create({"n": 1})
    message = r"^set\(\) takes the data as a dict, not .*: write set\(session_id, \{\"key\": value"
    with pytest.raises(TypeError, match=message):
        manager.set(cookie, data)
    assert manager.get(cookie) == {"n": 1}
    if data is not None:
        with pytest.raises(TypeError, match=r"^create\(\) takes the data as a dict, not"):
            manager.create(data)


@pytest.mark.parametrize("method", ["get", "destroy", "touch", "regenerate", "load"])
def test_an_id_is_a_str(manager: Any, method: str) -> None:
    cookie = manager.create({"n": 1})
    for wrong in (cookie.encode(), manager.load(cookie), 7):
        message = f"a session goes by its id, .* not {type(wrong).__name__}$"
        with pytest.raises(TypeError, match=message):
            getattr(manager, method)(wrong)
    assert manager.get(cookie) == {"n": 1}


@pytest.mark.parametrize("keep", [7, b"id", ["id"]])
def test_what_is_kept_is_a_session_or_an_id(manager: Any, keep: Any) -> None:
    cookie = manager.create(user_id="alice")
    with pytest.raises(TypeError, match=r"^destroy_user\(\) keeps .*: write keep=session"):
        manager.revoke_user("alice", keep=keep)
    assert manager.get(cookie) == {}


def test_a_handle_is_not_what_is_kept(manager: Any) -> None:
    cookie = manager.create({"n": 1}, user_id="alice")
    [info] = manager.user_sessions("alice")
    for wrong in (info.handle, f"{cookie}.signature", ""):
        with pytest.raises(ConfigError, match=r"is no id: write keep=session \(a handle is") as e:
            manager.revoke_user("alice", keep=wrong)
        assert cookie not in str(e.value)
    assert manager.get(cookie) == {"n": 1}


def test_purge_and_stats_and_reduce(manager: Any) -> None:
    for n in range(3):
        manager.create({"n": n})
    assert manager.stats().sessions == 3
    assert manager.purge() == 0
    manager.clock.advance(manager.runner_of(manager).lifecycle.writer.idle + 1)
    assert manager.purge() == 3
    assert manager.reduce() == 0


def test_events(manager: Any) -> None:
    heard: list[tuple[str, str | None, str | None]] = []
    for name in ("created", "regenerated", "destroyed"):
        manager.manager.on(name, lambda e: heard.append((e.name, e.handle, e.user)))
    cookie = manager.create({"n": 1}, user_id="alice")
    new = manager.regenerate(cookie)
    other = manager.create({"n": 2}, user_id="alice")
    manager.revoke_user("alice", keep=other)
    manager.end(handle_for(key_for(other)))
    last = manager.create({"n": 1})
    manager.destroy(last)
    handles = [handle_for(key_for(each)) for each in (cookie, new, other, new, other, last, last)]
    names = ["created", "regenerated", *["created", "destroyed", "destroyed"]]
    names += ["created", "destroyed"]
    users = ["alice"] * 5 + [None] * 2
    assert heard == list(zip(names, handles, users, strict=True))


def test_a_store_that_fails(manager: Any) -> None:
    cookie = manager.create({"n": 1})
    manager.store.fail = {"get"}
    for method in (manager.get, manager.load):
        with pytest.raises(StoreError):
            method(cookie)
