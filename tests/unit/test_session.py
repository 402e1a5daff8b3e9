"""Session as a dict, and what it says of itself."""

from __future__ import annotations

import copy
import json
import pickle
import weakref
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import pytest

from lembro import CodecError, ConfigError, LembroError, MemoryStore, Session, SessionManager
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
def test_it_is_like_a_dict(site: Site, what: str, stored: bool) -> None:
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


def test_a_session_is_no_key_and_equals_another_by_its_data(site: Site) -> None:
    one, two = site.open(), site.open()
    one["a"] = two["a"] = 1
    assert one == two
    with pytest.raises(TypeError):
        hash(one)


def test_what_it_hands_out_is_not_a_copy(site: Site) -> None:
    session = site.open()
    cart: list[int] = []
    session["cart"] = cart
    assert session["cart"] is cart
    assert session.copy()["cart"] is cart


def test_an_assignment_checks_what_it_is_given(site: Site) -> None:
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


# -- what it says of itself ------------------------------------------------------------------------


def test_repr(site: Site) -> None:
    assert repr(site.open(looks=False)) == "<Session, not looked at>"
    session = site.open()
    session["a"] = 1
    assert repr(session) == "<Session new, 1 keys>"
    cookie = site.new("alice", a=1, b=2)
    session = site.open(cookie)
    assert session.user_id == "alice"
    handle = handle_for(key_for(cookie))
    assert repr(session) == f"<Session {handle} of 'alice', 2 keys>"


def test_nothing_it_shows_has_the_id(site: Site) -> None:
    cookie = site.new("alice", a=1)
    session = site.open(cookie)
    session.login("alice")
    site.save(session)
    issued = session.issued_id
    assert issued is not None
    shown = [repr(session), str(session), session.handle, repr(session.manager), f"{session!r}"]
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


def test_the_manager_of_a_session(site: Site) -> None:
    cookie = site.new("alice")
    other = site.new("alice")
    session = site.open(cookie)
    manager = session.manager
    infos = (
        manager.user_sessions("alice")
        if site.driver != "async"
        else site.wait(manager.auser_sessions("alice"))
    )
    assert [info.current for info in infos] == [True, False]
    assert other


@pytest.mark.parametrize("within", [0, -1, "5 minutes", None])
def test_require_recent_wants_a_duration(site: Site, within: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        site.open(site.new("alice")).require_recent(within)
    message = str(raised.value)
    assert message.startswith("within must be ")
    assert message.endswith(f"got {within!r}. Example: require_recent(timedelta(minutes=5))")


def test_a_look_is_what_loads(site: Site) -> None:
    looks: list[Callable[[Session], object]] = [
        lambda s: "a" in s,
        len,
        list,
        lambda s: s.get("a"),
        lambda s: s.user,
        lambda s: s.is_new,
        lambda s: s.handle,
        lambda s: s.manager,
        lambda s: s.authenticated_at,
        lambda s: s == {},
        lambda s: s.touch(),
        lambda s: s._typed_view("a", lambda value: value, lambda value: value),
    ]
    if site.driver != "sync":
        return  # loaded before
    cookie = site.new(a=1)
    for look in looks:
        session = site.open(cookie)
        assert site.store.verbs == []
        look(session)
        assert site.store.verbs == ["get"]
        site.commit(session)
    session = site.open(cookie)
    repr(session)
    assert session.issued_id is None
    assert site.store.verbs == []


def test_what_was_loaded_is_looked_at_once(site: Site) -> None:
    session = site.open(site.new(a=1))
    for _ in range(3):
        assert session["a"] == 1
        assert session.user_id is None
        assert list(session) == ["a"]
    assert site.store.verbs == ["get"]


def test_a_session_is_no_value_of_another(site: Site) -> None:
    session = site.open()
    with pytest.raises(CodecError, match="Session"):
        session["self"] = session


def test_it_can_be_held_weakly_and_not_be_pickled(site: Site) -> None:
    session = site.open()
    assert weakref.ref(session)() is session
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(session)


@pytest.fixture
def excluded() -> Iterator[tuple[Site, Session]]:
    site = Site("async")
    yield site, site.open(site.new(a=1), looks=False)
    site.close()


def test_a_session_of_an_excluded_path_has_to_be_loaded_first(
    excluded: tuple[Site, Session],
) -> None:
    site, session = excluded
    with pytest.raises(LembroError, match=r"excluded, so `await session\.areload\(\)` first"):
        session.get("a")
    site.reload(session)
    assert session["a"] == 1


def test_the_manager_can_be_made_with_a_size() -> None:
    manager = SessionManager(MemoryStore("64K"))
    assert manager.get(manager.create({"a": 1})) == {"a": 1}


def test_who_is_logged_in_has_a_session_though_no_key() -> None:
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


def test_one_key_is_enough_to_be_somebody(site: Site) -> None:
    assert not site.open()
    assert site.open(site.new(n=1))
