"""What is stored, when, and what becomes of it when two requests change it at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from lembro import Session
from lembro.codec import MAX_DEPTH
from lembro.state import MISSING
from tests.support.site import Site

# -- empty sessions --------------------------------------------------------------------------------


def test_an_empty_session_is_not_stored(site: Site) -> None:
    with site.request() as r:
        r.session.get("n")
        r.session["n"] = 1
        del r.session["n"]
        r.session.regenerate_id()
        r.session.touch()
    assert (r.reply.verbs, r.reply.cookie, r.reply.happened) == ([], "", [])


def test_a_user_alone_is_something(site: Site) -> None:
    with site.request() as r:
        r.session.login("alice")
    assert site.data(r.reply.id) == {}


def test_a_session_that_was_emptied_is_gone_after_the_grace(site: Site) -> None:
    cookie = site.new(n=1)
    with site.request(cookie) as r:
        del r.session["n"]
    assert r.reply.verbs == ["get", "set"]
    assert site.count == 1
    site.clock.advance(29)
    with site.request(cookie) as r:  # a look does not keep it
        assert dict(r.session) == {}
    site.clock.advance(2)
    assert site.count == 0


def test_a_writer_in_flight_merges_into_an_emptied_session(site: Site) -> None:
    cookie = site.new(n=1)
    writer = site.open(cookie)
    writer["theirs"] = 2
    with site.request(cookie) as r:
        r.session.pop("n")
    assert site.commit(writer).happened == []
    assert site.data(cookie) == {"theirs": 2}
    site.clock.advance(60)
    assert site.data(cookie) == {"theirs": 2}


@pytest.mark.parametrize("how", ["rotated", "by atomic"])
def test_a_session_that_is_emptied_otherwise_is_gone_after_the_grace(site: Site, how: str) -> None:
    with site.request(site.new(n=1)) as r:
        if how == "rotated":
            del r.session["n"]
            r.session.regenerate_id()
        else:
            site.atomic(r.session, lambda data: data.clear())
    site.clock.advance(31)
    assert site.count == 0


def test_an_emptied_session_of_a_user_stays(site: Site) -> None:
    cookie = site.new("alice", n=1)
    with site.request(cookie) as r:
        del r.session["n"]
    site.clock.advance(31)
    assert site.data(cookie) == {}


def test_clear_and_write_begins_a_session_under_a_new_id(site: Site) -> None:
    """So that "clear, then set user_id" is no session fixation."""
    cookie = site.new(n=1)
    with site.request(cookie) as r:
        r.session.clear()
        r.session["user_id"] = 7
    assert r.reply.cookie == "set"
    assert r.reply.happened == ["destroyed", "created"]
    assert r.reply.id != cookie
    assert site.data(cookie) is None
    assert site.data(r.reply.id) == {"user_id": 7}


# -- finding changes -------------------------------------------------------------------------------


def test_a_nested_change_is_found_without_a_flag(site: Site) -> None:
    cookie = site.new(cart={"items": [1]})
    with site.request(cookie) as r:
        r.session["cart"]["items"].append(2)
    assert site.data(cookie) == {"cart": {"items": [1, 2]}}


def test_an_assignment_that_changes_nothing_is_no_change(site: Site) -> None:
    cookie = site.new(n=1, seen={1, 2})
    with site.request(cookie) as r:
        r.session["n"] = 1
        r.session["seen"] = {2, 1}
        r.session["new"] = 1
        del r.session["new"]
    assert r.reply.verbs == ["get"]


@pytest.mark.parametrize("value", [{1, 2}, (1, 2), b"x", None, {"a": (1, {2})}])
def test_a_look_at_values_of_other_types_is_no_change(site: Site, value: object) -> None:
    with site.request(site.new(value=value)) as r:
        assert r.session["value"] == value
    assert r.reply.verbs == ["get"]


def test_true_instead_of_one_is_a_change(site: Site) -> None:
    cookie = site.new(cart={"n": 1})
    with site.request(cookie) as r:
        r.session["cart"]["n"] = True
    data = site.data(cookie)
    assert data is not None
    assert data["cart"]["n"] is True


@dataclass
class Cart:
    items: list[str] = field(default_factory=list)


def cart_of(session: Session) -> Cart:
    """What an integration does for a typed part of the session."""

    def load(value: Any) -> Cart:
        return Cart() if value is MISSING else Cart(**value)

    return session._view("cart", load, asdict)


def test_a_view_is_made_once_and_stored_when_it_has_changed(site: Site) -> None:
    with site.request() as r:
        assert cart_of(r.session) is cart_of(r.session)
    assert r.reply.verbs == []
    with site.request() as r:
        cart_of(r.session).items.append("tea")
    cookie = r.reply.id
    assert cookie is not None
    assert site.data(cookie) == {"cart": {"items": ["tea"]}}
    with site.request(cookie) as r:
        assert cart_of(r.session).items == ["tea"]
    assert r.reply.verbs == ["get"]
    with site.request(cookie) as r:
        cart_of(r.session).items.append("milk")
        site.save(r.session)
        cart_of(r.session).items.append("bread")
    assert site.data(cookie) == {"cart": {"items": ["tea", "milk", "bread"]}}


@pytest.mark.parametrize("end", ["logout", "clear", "login as another"])
def test_a_view_ends_with_what_it_was_made_of(site: Site, end: str) -> None:
    with site.request(site.new("bob", cart={"items": ["tea"]})) as r:
        cart_of(r.session).items.append("milk")
        if end == "login as another":
            r.session.login("alice")
        else:
            getattr(r.session, end)()
        assert cart_of(r.session).items == []
        r.session["n"] = 1
    assert site.data(r.reply.id) == {"n": 1}


def test_an_assignment_stands_if_the_view_has_not_changed(site: Site) -> None:
    cookie = site.new(cart={"items": ["tea"]})
    with site.request(cookie) as r:
        cart_of(r.session)
        r.session["cart"] = {"items": []}
    assert site.data(cookie) == {"cart": {"items": []}}


# -- together --------------------------------------------------------------------------------------


def test_two_requests_that_change_different_keys_both_keep_their_changes(site: Site) -> None:
    cookie = site.new(n=1, cart={"a": 1})
    one, two = site.open(cookie), site.open(cookie)
    one["one"], one["cart"]["b"] = 1, 2
    two["two"], two["cart"]["c"] = 2, 3
    assert site.commit(one).happened == []
    assert site.commit(two).happened == []
    assert site.data(cookie) == {"n": 1, "cart": {"a": 1, "b": 2, "c": 3}, "one": 1, "two": 2}


def test_lists_that_both_append_to_have_theirs_then_ours(site: Site) -> None:
    cookie = site.new(log=["x"])
    one, two = site.open(cookie), site.open(cookie)
    one["log"].append("one")
    two["log"].append("two")
    site.commit(two)
    assert site.commit(one).happened == []
    assert site.data(cookie) == {"log": ["x", "two", "one"]}


@pytest.mark.parametrize("how", ["set", "replace"])
def test_of_two_changes_of_one_key_the_later_commit_wins_and_says_so(site: Site, how: str) -> None:
    cookie = site.new(n=1, cart={"n": 1})
    one, two = site.open(cookie), site.open(cookie)
    one["cart"]["n"] = 2
    two["cart"]["n"] = 3
    site.commit(one)
    if how == "replace":
        two.login("alice")
    reply = site.commit(two)
    assert reply.happened[:1] == ["conflict"]
    assert reply.events[0].reason == "cart.n: the later write won"
    assert site.data(reply.id or cookie) == {"n": 1, "cart": {"n": 3}}


def test_a_deletion_and_a_change_of_another_key_are_both_kept(site: Site) -> None:
    cookie = site.new(a=1, b=2)
    one, two = site.open(cookie), site.open(cookie)
    del one["a"]
    two["b"] = 3
    site.commit(one)
    site.commit(two)
    assert site.data(cookie) == {"b": 3}


def test_a_writer_that_is_overtaken_again_and_again_merges_each_time(site: Site) -> None:
    cookie = site.new(n=0)
    slow = site.open(cookie)
    slow["slow"] = True
    others = iter(range(5))

    def overtake() -> None:
        for i in others:
            other = site.elsewhere.load(cookie)
            other[f"other{i}"] = i
            other.save()
            site.store.before["set"] = overtake
            break

    site.store.before["set"] = overtake
    site.commit(slow)
    assert site.data(cookie) == {"n": 0, "slow": True, **{f"other{i}": i for i in range(5)}}


def test_two_that_store_the_same_agree(site: Site) -> None:
    cookie = site.new(n=1)
    one, two = site.open(cookie), site.open(cookie)
    one["n"] = two["n"] = 2
    site.commit(one)
    reply = site.commit(two)
    assert reply.happened == []
    assert site.data(cookie) == {"n": 2}


def test_a_slow_reader_does_not_undo_a_write(site: Site) -> None:
    cookie = site.new(n=1)
    reader = site.open(cookie)
    assert reader["n"] == 1
    with site.request(cookie) as r:
        r.session["n"] = 2
    site.clock.advance(site.manager.core.writer.idle / 2)
    site.commit(reader)
    assert site.data(cookie) == {"n": 2}


def test_our_objects_stay_ours_through_a_merge(site: Site) -> None:
    cookie = site.new(cart=[1])
    one = site.open(cookie)
    cart = one["cart"]
    one["mine"] = 1
    with site.request(cookie) as r:
        r.session["theirs"] = 2
    site.save(one)
    cart.append(2)
    site.commit(one)
    assert site.data(cookie) == {"cart": [1, 2], "mine": 1, "theirs": 2}


# -- what can't be read ----------------------------------------------------------------------------


def test_a_corrupt_record_is_a_new_session_and_an_event(site: Site) -> None:
    cookie = site.new(n=1)
    site.store.before["get"] = lambda: site.store.corrupt(cookie)
    with site.request(cookie) as r:
        assert dict(r.session) == {}
        r.session["n"] = 2
    assert r.reply.happened == ["rejected", "created"]
    assert r.reply.id not in (None, cookie)


@pytest.mark.parametrize("how", ["set", "replace"])
def test_a_record_that_is_corrupted_meanwhile_is_overwritten(site: Site, how: str) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    session["n"] = 2
    if how == "replace":
        session.login("alice")
    site.store.corrupt(cookie)
    reply = site.commit(session)
    assert site.data(reply.id or cookie) == {"n": 2}


def test_data_that_is_too_deep_is_refused_where_it_is_assigned(site: Site) -> None:
    nested: list[Any] = []
    for _ in range(MAX_DEPTH):
        nested = [nested]
    session = site.open()
    with pytest.raises(ValueError, match="nested deeper"):
        session["n"] = nested
    assert "n" not in session
