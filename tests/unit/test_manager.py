"""SessionManager: sessions by ID, lists, and refused arguments."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from lembro import (
    CodecError,
    LoginRequired,
    Session,
    SessionInfo,
    SessionManager,
    StoreError,
    TooManySessions,
    UsageError,
)
from lembro.ids import handle_for, key_for, new_id
from lembro.manager import runner_of
from tests.support.recording import Recorder
from tests.support.stores import AsyncAdapter, BlockingAdapter


class Caller:
    """A manager that is called by its plain methods, or by their async forms in an event loop."""

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

    def of(self, session: Session, name: str, *args: Any) -> Any:
        """Call a method of a session."""
        if self._runner is None:
            return getattr(session, name)(*args)
        return self._runner.run(getattr(session, f"a{name}")(*args))

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


def test_create_stores_what_get_returns(manager: Any) -> None:
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
        with pytest.raises(UsageError, match="needs data or a user ID"):
            manager.create(nothing)


@pytest.mark.parametrize(
    "unknown",
    [new_id(), "", "nonsense", "x" * 1000, "\ud800", "../x"],
    ids=["unknown", "empty", "nonsense", "long", "surrogate", "path"],
)
def test_an_unknown_id_finds_nothing(manager: Any, unknown: str) -> None:
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


def test_set_and_create_refuse_values_that_cannot_be_stored(manager: Any) -> None:
    cookie = manager.create({"a": 1})
    with pytest.raises(CodecError, match=r"^b"):
        manager.set(cookie, {"b": object()})
    with pytest.raises(CodecError, match=r"^b"):
        manager.create({"b": object()})
    assert manager.get(cookie) == {"a": 1}


def test_destroy_returns_whether_it_ended_the_session(manager: Any) -> None:
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
    assert manager.regenerate(cookie) is None, "the caller of the first rotation has the new ID"
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


def test_a_record_that_cannot_be_read_raises_at_once(manager: Any) -> None:
    cookie = manager.create({"n": 1})
    manager.store.corrupt(cookie)
    heard: list[str] = []
    manager.manager.on("rejected", lambda event: heard.append(event.reason))
    assert manager.load(cookie).is_new
    assert manager.get(cookie) is None
    assert len(heard) == 2


@pytest.mark.options(max_sessions_per_user=1, at_max_sessions="refuse")
def test_create_at_the_cap_ends_the_oldest_session(manager: Any) -> None:
    manager.create(user_id="alice")
    with pytest.raises(TooManySessions):
        manager.create(user_id="alice")


# -- many ------------------------------------------------------------------------------------------


def test_all_length_and_clear_cover_every_session(manager: Any) -> None:
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
    assert vars(info).keys() == {
        *("handle", "age", "idle_for", "expires_in", "ends_in"),
        *("data", "user_id", "current", "device", "address"),
    }
    assert info.current is False


def test_a_session_lists_its_users_sessions_and_marks_itself(manager: Any) -> None:
    mine = manager.create({"n": 1}, user_id="alice")
    other = manager.create({"n": 2}, user_id="alice")
    infos = manager.of(manager.load(mine), "user_sessions")
    assert [(info.data["n"], info.current) for info in infos] == [(1, True), (2, False)]
    assert manager.get(other) == {"n": 2}


def test_a_session_revokes_only_its_users_sessions(manager: Any) -> None:
    mine, other = manager.create(user_id="alice"), manager.create(user_id="alice")
    bobs = manager.create(user_id="bob")
    session = manager.load(mine)
    for foreign in (handle_for(key_for(bobs)), "nonsense"):
        assert manager.of(session, "revoke", foreign) is False
    assert manager.get(bobs) == {}
    assert manager.of(session, "revoke", handle_for(key_for(other))) is True
    assert manager.of(session, "revoke", handle_for(key_for(other))) is False
    assert manager.get(other) is None
    assert manager.get(mine) == {}


def test_without_a_login_a_session_lists_and_revokes_nothing(manager: Any) -> None:
    other = manager.create({"n": 1})
    session = manager.load(manager.create({"n": 2}))
    with pytest.raises(LoginRequired):
        manager.of(session, "user_sessions")
    with pytest.raises(LoginRequired):
        manager.of(session, "revoke", handle_for(key_for(other)))
    assert manager.get(other) == {"n": 1}


def test_a_record_that_cannot_be_read_is_listed_without_data(manager: Any) -> None:
    manager.store.corrupt(manager.create({"n": 1}, user_id="alice"))
    assert [info.data for info in manager.user_sessions("alice")] == [{}]


@pytest.mark.parametrize("user", ["alice", None])
def test_revoke_ends_the_session_of_a_handle(manager: Any, user: str | None) -> None:
    cookie = manager.create({"n": 1}, user_id=user)
    handle = handle_for(key_for(cookie))
    assert manager.revoke("nonsense") is False
    assert manager.get(cookie) == {"n": 1}
    assert manager.revoke(handle) is True
    assert manager.revoke(handle) is False
    assert manager.get(cookie) is None


def test_a_rotation_does_not_protect_a_session_from_a_revocation(manager: Any) -> None:
    cookie = manager.create({"n": 1}, user_id="alice")
    elsewhere = SessionManager(manager.store)
    rotated: list[str | None] = []
    manager.store.before["all"] = lambda: rotated.append(elsewhere.regenerate(cookie))
    assert manager.revoke(handle_for(key_for(cookie))) is True
    assert rotated != [None]
    assert manager.length() == 0


def test_revoke_user_ends_all_sessions_of_the_user(manager: Any) -> None:
    cookies = [manager.create({"n": n}, user_id="alice") for n in range(3)]
    bobs = manager.create({"n": 9}, user_id="bob")
    assert manager.revoke_user("alice", keep=cookies[0]) == 2
    assert manager.get(cookies[0]) == {"n": 0}
    assert manager.revoke_user("alice", keep=manager.load(cookies[0])) == 0
    assert manager.revoke_user("alice", keep=manager.load()) == 1
    assert manager.revoke_user("alice") == 0
    assert manager.get(bobs) == {"n": 9}


@pytest.mark.parametrize("user", [True, b"alice", ["alice"], 1.5])
@pytest.mark.parametrize("method", ["user_sessions", "revoke_user", "create"])
def test_a_user_id_is_a_str_an_int_or_a_uuid(manager: Any, method: str, user: Any) -> None:
    kind = type(user).__name__
    message = rf"^{method}\(\) takes the user ID as str, int or UUID, got {kind}"
    with pytest.raises(TypeError, match=message):
        getattr(manager, method)(user_id=user)


@pytest.mark.parametrize("user", [7, UUID(int=7), "7"])
def test_a_user_id_is_stored_as_its_str(manager: Any, user: Any) -> None:
    cookie = manager.create(user_id=user)
    assert manager.load(cookie).user_id == str(user)
    assert [info.user_id for info in manager.user_sessions(user)] == [str(user)]
    assert manager.revoke_user(user) == 1


@pytest.mark.parametrize("method", ["user_sessions", "revoke_user"])
def test_none_and_empty_text_are_no_user(manager: Any, method: str) -> None:
    with pytest.raises(TypeError, match=rf"^{method}\(\) takes the user ID as .*, got NoneType"):
        getattr(manager, method)(None)


@pytest.mark.parametrize("data", [7, ["n"], "n", None])
def test_data_must_be_a_dict(manager: Any, data: Any) -> None:
    cookie = manager.create({"n": 1})
    message = r"^set\(\) takes the data as a dict, got .*\. Example: set\(session_id, \{\"key\": "
    with pytest.raises(TypeError, match=message):
        manager.set(cookie, data)
    assert manager.get(cookie) == {"n": 1}
    if data is not None:
        with pytest.raises(TypeError, match=r"^create\(\) takes the data as a dict, got"):
            manager.create(data)


@pytest.mark.parametrize("method", ["get", "destroy", "touch", "regenerate", "load"])
def test_an_id_must_be_a_str(manager: Any, method: str) -> None:
    cookie = manager.create({"n": 1})
    for wrong in (cookie.encode(), manager.load(cookie), 7):
        message = rf"^the session ID must be a str, got {type(wrong).__name__}\. Pass"
        with pytest.raises(TypeError, match=message):
            getattr(manager, method)(wrong)
    assert manager.get(cookie) == {"n": 1}


@pytest.mark.parametrize("keep", [7, b"id", ["id"]])
def test_keep_must_be_a_session_or_an_id(manager: Any, keep: Any) -> None:
    cookie = manager.create(user_id="alice")
    with pytest.raises(TypeError, match=r"^keep must be .*\. Example: revoke_user"):
        manager.revoke_user("alice", keep=keep)
    assert manager.get(cookie) == {}


def test_keep_refuses_a_handle(manager: Any) -> None:
    cookie = manager.create({"n": 1}, user_id="alice")
    [info] = manager.user_sessions("alice")
    for wrong in (info.handle, f"{cookie}.signature", ""):
        with pytest.raises(UsageError, match=r"not a session ID. Write keep=session. \(A h") as e:
            manager.revoke_user("alice", keep=wrong)
        assert cookie not in str(e.value)
    assert manager.get(cookie) == {"n": 1}


def test_purge_stats_and_reduce_reach_the_store(manager: Any) -> None:
    for n in range(3):
        manager.create({"n": n})
    assert manager.stats().sessions == 3
    assert manager.purge() == 0
    manager.clock.advance(runner_of(manager.manager).lifecycle.lifetimes.idle + 1)
    assert manager.purge() == 3
    assert manager.reduce() == 0


def test_ping_asks_the_store_and_raises_its_error(
    manager: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert manager.ping() is None
    assert manager.store.verbs == ["get"]
    assert not caplog.records  # not even the warning that a script asks for its own sessions
    manager.store.fail = {"get"}
    with pytest.raises(StoreError):
        manager.ping()


def test_events_reach_the_listeners(manager: Any) -> None:
    heard: list[tuple[str, str | None, str | None]] = []
    for name in ("created", "regenerated", "destroyed"):
        manager.manager.on(name, lambda e: heard.append((e.name, e.handle, e.user_id)))
    cookie = manager.create({"n": 1}, user_id="alice")
    new = manager.regenerate(cookie)
    other = manager.create({"n": 2}, user_id="alice")
    manager.revoke_user("alice", keep=other)
    manager.revoke(handle_for(key_for(other)))
    last = manager.create({"n": 1})
    manager.destroy(last)
    handles = [handle_for(key_for(each)) for each in (cookie, new, other, new, other, last, last)]
    names = ["created", "regenerated", *["created", "destroyed", "destroyed"]]
    names += ["created", "destroyed"]
    users = ["alice"] * 5 + [None] * 2
    assert heard == list(zip(names, handles, users, strict=True))


def test_a_store_failure_is_raised(manager: Any) -> None:
    cookie = manager.create({"n": 1})
    manager.store.fail = {"get"}
    for method in (manager.get, manager.load):
        with pytest.raises(StoreError):
            method(cookie)
