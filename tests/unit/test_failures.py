"""Failures of the commit, of the handler and of the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lembro import (
    CodecError,
    LembroError,
    LoginRequired,
    Session,
    SessionTooLarge,
    StoreError,
    TooManySessions,
)
from lembro._core import codec
from lembro._http.error_response import error_response_for
from lembro.stores.base import Found, Record
from tests.support.recording import Recorder
from tests.support.site import Site


class Unheard:
    """A value that no session can store."""


# -- a commit that fails ---------------------------------------------------------------------------

CHANGES: dict[str, Callable[[Session], object]] = {
    "add": lambda session: session.update(n=2),
    "set": lambda session: session.update(n=2),
    "replace": lambda session: session.login("alice"),
}


@pytest.mark.parametrize("verb", CHANGES)
def test_a_store_failure_leaves_the_stored_session(site: Site, verb: str) -> None:
    cookie = None if verb == "add" else site.new(n=1)
    session = site.open(cookie)
    CHANGES[verb](session)
    site.store.fail = {verb}
    with pytest.raises(StoreError):
        site.commit(session)
    site.store.fail = set()
    assert site.data(cookie) == (None if verb == "add" else {"n": 1})


@pytest.mark.parametrize("verb", CHANGES)
def test_a_failed_save_can_be_repeated(site: Site, verb: str) -> None:
    cookie = None if verb == "add" else site.new(n=1)
    session = site.open(cookie)
    session["n"] = 2
    CHANGES[verb](session)
    site.store.fail = {verb}
    with pytest.raises(StoreError):
        site.save(session)
    site.store.fail = set()
    reply = site.commit(session)
    assert site.data(reply.id or cookie) == {"n": 2}
    assert reply.cookie == ("" if verb == "set" else "set")


def test_a_failed_logout_can_be_repeated(site: Site) -> None:
    cookie = site.new("alice")
    session = site.open(cookie)
    session.logout()
    site.store.fail = {"destroy"}
    with pytest.raises(StoreError):
        site.save(session)
    site.store.fail = set()
    assert site.commit(session).cookie == "clear"
    assert site.data(cookie) is None


def test_a_failed_logout_is_repeated_after_the_handler_raised(site: Site) -> None:
    cookie = site.new("alice")
    session = site.open(cookie)
    session.logout()
    site.store.fail = {"destroy"}
    with pytest.raises(StoreError):
        site.save(session)
    site.store.fail = set()
    site.commit(session, failed=True)
    assert site.data(cookie) is None


def test_a_failed_logout_others_can_be_repeated(site: Site) -> None:
    mine, other = site.new("alice"), site.new("alice")
    session = site.open(mine)
    session.logout_others()
    site.store.fail = {"destroy_user"}
    with pytest.raises(StoreError):
        site.save(session)
    site.store.fail = set()
    site.commit(session)
    assert [site.data(mine), site.data(other)] == [{"n": 1}, None]


@pytest.mark.parametrize("asked", [False, True])
def test_a_failed_touch_is_only_reported(site: Site, asked: bool) -> None:
    cookie = site.new(n=1)
    site.clock.advance(site.runner.lifecycle.lifetimes.idle / 5)
    site.store.fail = {"touch"}
    with site.request(cookie) as r:
        assert r.session["n"] == 1
        if asked:
            r.session.touch()
    assert r.reply.happened == ["error"]
    assert isinstance(r.reply.events[0].error, StoreError)


def test_a_session_that_is_too_large_leaves_the_stored_one(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    session["big"] = b"x" * site.store.max_session_size
    with pytest.raises(SessionTooLarge, match="max_session_size"):
        site.commit(session)
    assert site.data(cookie) == {"n": 1}


def test_a_nested_value_that_cannot_be_stored_fails_the_commit_with_its_path(site: Site) -> None:
    cookie = site.new(cart={"items": [1]})
    session = site.open(cookie)
    session["cart"]["items"].append(Unheard())
    with pytest.raises(CodecError, match=r"^cart\.items\[1\]: .* Unheard") as caught:
        site.commit(session)
    assert caught.value.path == "cart.items[1]"
    assert site.data(cookie) == {"cart": {"items": [1]}}


def test_a_view_that_cannot_be_stored_fails_the_commit_with_its_path(site: Site) -> None:
    session = site.open(site.new(n=1))
    view = session._typed_view("cart", lambda _: list[Any](), lambda value: value)
    view.append(Unheard())
    with pytest.raises(CodecError, match=r"^cart\[0\]"):
        site.commit(session)


class Stubborn(Recorder):
    """A store in which another request always writes first."""

    def set(self, key: bytes, record: Record, *, expected: bytes, idle: float) -> Found | None:
        self._called("set")
        found = self.get(key)
        theirs = codec.encode({}, {"n": len(self.verbs)})
        return Found(theirs, *_rest(found))


def _rest(found: Found | None) -> tuple[Any, ...]:
    assert found is not None
    return (None, None, None, found.age, found.idle_left, found.life_left)


@pytest.mark.parametrize("how", ["commit", "atomic"])
def test_a_store_that_refuses_each_write_raises(how: str) -> None:
    site = Site(store=Stubborn())
    session = site.open(site.new(n=1))
    session["m"] = 2
    act = {"commit": site.commit, "atomic": lambda s: site.atomic(s, lambda data: data.update(m=2))}
    with pytest.raises(StoreError, match="refused 1000 writes"):
        act[how](session)
    site.close()


# -- error responses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "level"),
    [
        (StoreError("the backend is down"), 503, "ERROR"),
        (SessionTooLarge(2, 1), 500, "ERROR"),
        (CodecError("a session cannot store a Cart", path="cart.items[1]"), 500, "ERROR"),
        (TooManySessions("the user has 2 sessions"), 403, None),
        (LoginRequired("nobody is logged in"), 401, None),
    ],
)
def test_each_error_has_its_response(
    error: LembroError, status: int, level: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    answer = error_response_for(error)
    assert answer.status == status
    assert str(error).encode() not in answer.body, "the cause belongs only in the log"
    assert [record.levelname for record in caplog.records] == ([level] if level else [])
    if level:
        assert str(error) in caplog.text


# -- a handler that fails --------------------------------------------------------------------------


def test_a_failed_handler_drops_changes(site: Site) -> None:
    cookie = site.new(n=1, cart=[1])
    session = site.open(cookie)
    session["n"] = 2
    session["cart"].append(2)
    session.login("alice")
    reply = site.commit(session, failed=True)
    assert (reply.verbs, reply.cookie, reply.happened) == (["get"], "", [])
    assert site.data(cookie) == {"n": 1, "cart": [1]}


def test_a_failed_handler_stores_no_new_session(site: Site) -> None:
    session = site.open()
    session["n"] = 1
    session.login("alice")
    assert site.commit(session, failed=True).verbs == []


def test_a_failed_handler_keeps_a_logout(site: Site) -> None:
    cookie = site.new("alice")
    session = site.open(cookie)
    session.logout()
    session["n"] = 2
    reply = site.commit(session, failed=True)
    assert (reply.cookie, reply.happened) == ("clear", ["destroyed"])
    assert site.count == 0


def test_a_failed_handler_keeps_a_logout_everywhere(site: Site) -> None:
    cookie, other = site.new("alice"), site.new("alice")
    session = site.open(cookie)
    session.logout_everywhere()
    site.commit(session, failed=True)
    assert [site.data(cookie), site.data(other)] == [None, None]


def test_a_failed_handler_keeps_data_that_was_saved(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    session["n"] = 2
    site.save(session)
    session["n"] = 3
    site.commit(session, failed=True)
    assert site.data(cookie) == {"n": 2}


# -- a store that fails at the first access --------------------------------------------------------


def test_the_first_access_raises_and_a_reload_tries_again(site: Site) -> None:
    cookie = site.new(n=1)
    site.store.fail = {"get"}
    session = site.open(cookie)
    with pytest.raises(StoreError):
        session.get("n")
    assert repr(session) == "<Session, not loaded>"
    site.store.fail = set()
    site.reload(session)
    assert session["n"] == 1


def test_an_unused_session_does_not_notice_a_store_failure(site: Site) -> None:
    cookie = site.new(n=1)
    site.store.fail = {"get"}
    session = site.open(cookie)
    reply = site.commit(session)
    assert (reply.cookie, reply.happened) == ("", [])
