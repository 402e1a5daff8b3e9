"""Session as a dict, and its attributes."""

from __future__ import annotations

import copy
import json
import pickle
import weakref
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import pytest
from anyio import to_thread

from lembro import (
    CodecError,
    ConfigError,
    LoginRequired,
    MemoryStore,
    Session,
    SessionManager,
)
from lembro.errors import UsageError
from lembro.ids import handle_for, key_for
from tests.support.site import Site

START: dict[str, Any] = {"a": 1, "b": [2], "c": None}

Act = Callable[[Any], Any]

AS_A_DICT: dict[str, Act] = {
    "get": lambda d: (d["a"], d.get("a"), d.get("x"), d.get("x", 7)),
    "missing": lambda d: d["x"],
    "set": lambda d: d.__setitem__("x", 1),
    "set again": lambda d: d.__setitem__("a", 2),
    "delete": lambda d: d.__delitem__("a"),
    "delete missing": lambda d: d.__delitem__("x"),
    "in": lambda d: ("a" in d, "x" in d, 1 in d, None in d),
    "len": len,
    "bool": bool,
    "iterate": list,
    "keys": lambda d: list(d.keys()),
    "values": lambda d: list(d.values()),
    "items": lambda d: list(d.items()),
    "keys as a set": lambda d: d.keys() & {"a", "x"},
    "unpack": lambda d: {**d},
    "call": lambda d: dict(**d),
    "pop": lambda d: (d.pop("a"), d.pop("x", 7)),
    "pop missing": lambda d: d.pop("x"),
    "popitem": lambda d: d.popitem(),
    "popitem to the end": lambda d: [d.popitem() for _ in range(4)],
    "setdefault": lambda d: (d.setdefault("a", 9), d.setdefault("x", 9), d.setdefault("y")),
    "setdefault nested": lambda d: d.setdefault("x", []).append(1),
    "update": lambda d: d.update({"x": 1}, a=2),
    "update pairs": lambda d: d.update([("x", 1), ("a", 2)]),
    "update nothing": lambda d: d.update(),
    "|": lambda d: d | {"x": 1, "a": 2},
    "reversed |": lambda d: {"x": 1, "a": 2} | d,
    "==": lambda d: (d == START, d == {}, d == 7, d != START),
    "copy": lambda d: (d.copy(), d.copy() is d),
    "json": lambda d: json.dumps(dict(d)),
    "match": lambda d: isinstance(d, Mapping) and isinstance(d, MutableMapping),
    "change while iterating": lambda d: [d.pop(key) for key in d],
    "sorted": sorted,
}


def outcome(act: Act, mapping: Any) -> Any:
    try:
        result = act(mapping)
    except Exception as error:
        result = (type(error), str(error))
    return result, dict(mapping), list(mapping)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("what", AS_A_DICT)
def test_a_session_behaves_like_a_dict(site: Site, what: str, stored: bool) -> None:
    act = AS_A_DICT[what]
    session = site.open(site.new(**copy.deepcopy(START)) if stored else None)
    if not stored:
        session.update(copy.deepcopy(START))
    plain = copy.deepcopy(START)
    assert outcome(act, session) == outcome(act, plain)
    reply = site.commit(session)
    if reply.id is not None:
        assert site.data(reply.id) == plain


def test_in_place_or_keeps_the_session(site: Site) -> None:
    session = same = site.open()
    session |= {"a": 1}
    session |= [("b", 2)]
    assert session is same
    assert dict(session) == {"a": 1, "b": 2}


def test_a_session_is_unhashable_and_equal_by_its_data(site: Site) -> None:
    one, two = site.open(), site.open()
    one["a"] = two["a"] = 1
    assert one == two
    with pytest.raises(TypeError):
        hash(one)


def test_values_are_returned_without_a_copy(site: Site) -> None:
    session = site.open()
    cart: list[int] = []
    session["cart"] = cart
    assert session["cart"] is cart
    assert session.copy()["cart"] is cart


def test_an_assignment_checks_its_value(site: Site) -> None:
    session = site.open()
    for write in (
        lambda: session.__setitem__("cart", object()),
        lambda: session.setdefault("cart", [object()]),
        lambda: session.update(cart={"x": object()}),
        lambda: session.__ior__({"cart": object()}),
    ):
        with pytest.raises(CodecError, match=r"^cart"):
            write()
    with pytest.raises(CodecError, match=r"write str\(key\)"):
        session[7] = 1  # type: ignore[index]
    assert dict(session) == {}


@pytest.mark.parametrize(
    "key", ["__class__", "__proto__", "_data", "user", "cookie", "remember", "_permanent", ""]
)
def test_every_key_is_plain_data(site: Site, key: str) -> None:
    with site.request() as r:
        r.session[key] = {"max_age": 0}
        assert r.session.user_id is None
    assert site.data(r.reply.id) == {key: {"max_age": 0}}


# -- its attributes --------------------------------------------------------------------------------


def test_the_repr_shows_keys_only(site: Site) -> None:
    assert repr(site.open(looks=False)) == "<Session, not loaded>"
    session = site.open()
    session["a"] = 1
    assert repr(session) == "<Session new, 1 keys>"
    cookie = site.new("alice", a=1, b=2)
    session = site.open(cookie)
    assert session.user_id == "alice"
    handle = handle_for(key_for(cookie))
    assert repr(session) == f"<Session {handle} of 'alice', 2 keys>"


def test_no_text_of_a_session_contains_the_id(site: Site) -> None:
    cookie = site.new("alice", a=1)
    session = site.open(cookie)
    session.login("alice")
    site.save(session)
    issued = session.issued_id
    assert issued is not None
    shown = [repr(session), str(session), session.handle, repr(site.manager), f"{session!r}"]
    shown.append(repr(session._transport))
    shown += [repr(getattr(session, name, None)) for name in vars(session) if name != "_issued_id"]
    assert not [text for text in shown if text and (cookie in text or issued in text)]


def test_is_new_and_handle(site: Site) -> None:
    session = site.open()
    assert session.is_new
    assert session.handle is None
    session["a"] = 1
    assert session.is_new
    site.save(session)
    assert not session.is_new
    assert session.issued_id is not None
    before = session.handle
    assert before == handle_for(key_for(session.issued_id))
    session.regenerate_id()
    site.save(session)
    assert session.handle not in (None, before)


def test_user_sessions_lists_the_sessions_of_the_logged_in_user(site: Site) -> None:
    cookie, other = site.new("alice"), site.new("alice")
    site.new("bob")
    session = site.open(cookie)
    infos = (
        session.user_sessions() if site.driver != "async" else site.wait(session.auser_sessions())
    )
    assert [info.handle for info in infos] == [handle_for(key_for(id_)) for id_ in (cookie, other)]
    assert [info.current for info in infos] == [True, False]
    assert [info.user_id for info in infos] == ["alice", "alice"]


def test_revoke_ends_a_session_of_the_same_user_only(site: Site) -> None:
    cookie, other, bobs = site.new("alice"), site.new("alice"), site.new("bob")
    session = site.open(cookie)

    def revoke(id_: str) -> bool:
        handle = handle_for(key_for(id_))
        if site.driver != "async":
            return session.revoke(handle)
        return site.wait(session.arevoke(handle))

    assert [revoke(id_) for id_ in (other, other, bobs)] == [True, False, False]
    assert [site.data(id_) is None for id_ in (cookie, other, bobs)] == [False, True, False]


def test_a_session_that_revokes_itself_ends_with_its_changes(site: Site) -> None:
    cookie = site.new("alice")
    session = site.open(cookie)
    session["seen"] = 1
    handle = handle_for(key_for(cookie))
    done = session.revoke(handle) if site.driver != "async" else site.wait(session.arevoke(handle))
    assert done
    site.commit(session)
    assert site.data(cookie) is None


@pytest.mark.parametrize("name", ["user_sessions", "revoke"])
def test_user_sessions_and_revoke_require_a_login(site: Site, name: str) -> None:
    session = site.open(site.new())
    args = ("x" * 12,) if name == "revoke" else ()
    with pytest.raises(LoginRequired, match="nobody is logged in"):
        if site.driver == "async":
            site.wait(getattr(session, f"a{name}")(*args))
        else:
            getattr(session, name)(*args)


@pytest.mark.parametrize("within", [0, -1, "5 minutes", None])
def test_require_recent_refuses_an_invalid_duration(site: Site, within: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        site.open(site.new("alice")).require_recent(within)
    message = str(raised.value)
    assert message.startswith("within must be ")
    assert message.endswith(f"got {within!r}. Example: require_recent(timedelta(minutes=5))")


def test_the_first_access_loads_the_session(site: Site) -> None:
    accesses: list[Callable[[Session], object]] = [
        lambda s: "a" in s,
        len,
        list,
        lambda s: s.get("a"),
        lambda s: s.user_id,
        lambda s: s.is_new,
        lambda s: s.handle,
        bool,
        lambda s: s.authenticated_at,
        lambda s: s == {},
        lambda s: s.touch(),
        lambda s: s._typed_view("a", lambda value: value, lambda value: value),
    ]
    if site.driver != "sync":
        return  # was loaded before
    cookie = site.new(a=1)
    for access in accesses:
        session = site.open(cookie)
        assert site.store.verbs == []
        access(session)
        assert site.store.verbs == ["get"]
        site.commit(session)
    session = site.open(cookie)
    repr(session)
    assert session.issued_id is None
    assert site.store.verbs == []


def test_a_session_is_loaded_once(site: Site) -> None:
    session = site.open(site.new(a=1))
    for _ in range(3):
        assert session["a"] == 1
        assert session.user_id is None
        assert list(session) == ["a"]
    assert site.store.verbs == ["get"]


def test_a_session_cannot_be_a_value_of_another(site: Site) -> None:
    session = site.open()
    with pytest.raises(CodecError, match="Session"):
        session["self"] = session


def test_a_session_has_weak_references_and_cannot_be_pickled(site: Site) -> None:
    session = site.open()
    assert weakref.ref(session)() is session
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(session)


@pytest.fixture(params=["async", "blocking"])
def waiting(request: pytest.FixtureRequest) -> Iterator[Site]:
    site = Site(request.param)
    yield site
    site.close()


def test_a_session_that_was_not_preloaded_is_loaded_by_aload(waiting: Site) -> None:
    session = waiting.open(waiting.new(a=1), looks=False)

    async def access() -> None:
        session.get("a")

    with pytest.raises(UsageError) as raised:
        waiting.wait(access())
    assert str(raised.value) == (
        f"{type(waiting.manager.store).__name__} would block the event loop; write "
        f"`await session.aload()` first: it was not loaded yet"
    )
    waiting.wait(session.aload())
    waiting.wait(session.aload())  # it is loaded, and nothing happens
    assert session["a"] == 1


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda session: session.save(), "`await session.asave()`"),
        (lambda session: session.reload(), "`await session.areload()`"),
        (lambda session: session.atomic(len), "`await session.aatomic()`"),
        (lambda session: session.user_sessions(), "`await session.auser_sessions()`"),
        (lambda session: session.revoke("x" * 12), "`await session.arevoke()`"),
        (lambda session: session.edit().__enter__(), "`async with session.edit():`"),
    ],
)
def test_a_plain_call_in_an_event_loop_names_the_async_form(
    waiting: Site, call: Callable[[Session], object], instead: str
) -> None:
    session = waiting.open(waiting.new("alice"))

    async def in_a_loop() -> None:
        call(session)

    with pytest.raises(UsageError, match="would block the event loop") as raised:
        waiting.wait(in_a_loop())
    assert str(raised.value).endswith(f"write {instead}")


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda session: session.get("a"), "`await session.aload()`"),
        (lambda session: session.save(), "`await session.asave()`"),
        (lambda session: session.revoke("x" * 12), "`await session.arevoke()`"),
    ],
)
def test_a_plain_call_without_an_event_loop_names_the_async_form(
    call: Callable[[Session], object], instead: str
) -> None:
    site = Site("async")
    session = site.open(site.new("alice"), looks=False)
    site.close()
    with pytest.raises(UsageError, match="is asynchronous, and no event loop runs") as raised:
        call(session)
    assert instead in str(raised.value)


def test_an_error_of_an_async_store_reaches_a_worker_thread() -> None:
    """Including a RuntimeError, which anyio also raises in a thread that it did not start."""

    async def main(site: Site, session: Session) -> None:
        site.store.before["set"] = fail
        session["a"] = 2
        await to_thread.run_sync(session.save)

    def fail() -> None:
        raise RuntimeError("the store's own error")

    site = Site("async")
    session = site.open(site.new(a=1))
    try:
        with pytest.raises(RuntimeError, match="the store's own error"):
            site.wait(main(site, session))
    finally:
        site.close()


def test_a_manager_with_a_sized_store_works() -> None:
    manager = SessionManager(MemoryStore("64K"))
    assert manager.get(manager.create({"a": 1})) == {"a": 1}


def test_a_logged_in_session_without_data_is_true() -> None:
    site = Site()
    with site.request() as first:
        assert not first.session
        first.session.login("heidi")
        assert first.session
    with site.request(first.reply.id) as second:
        assert len(second.session) == 0
        assert second.session
        second.session.logout()
        assert not second.session
    site.close()


def test_a_session_with_data_is_true(site: Site) -> None:
    assert not site.open()
    assert site.open(site.new(n=1))


def test_the_sessions_of_the_user_can_be_listed_after_the_commit() -> None:
    site = Site()
    session = site.open(site.new("ada"))
    session["n"] = 2
    site.commit(session)
    assert [info.current for info in session.user_sessions()] == [True]
