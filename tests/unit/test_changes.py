"""Changes: when they are found and stored, and how concurrent ones are merged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from lembro import Record, Session, SessionManager, StoreError, UsageError
from lembro._core.codec import decode
from lembro._core.lifetimes import Lifetimes
from lembro._core.state import MISSING
from lembro._core.tags import MAX_DEPTH
from lembro._http.cookie import DUPLICATE
from lembro._runtime.exchange import session_by_id
from lembro.ids import key_for
from lembro.manager import runner_of
from lembro.stores.base import MARK, PerUser
from lembro.testing._model import NaiveStore
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


def test_a_login_alone_is_stored(site: Site) -> None:
    with site.request() as r:
        r.session.login("alice")
    assert site.data(r.reply.id) == {}


def test_an_emptied_session_ends_after_the_grace(site: Site) -> None:
    cookie = site.new(n=1)
    with site.request(cookie) as r:
        del r.session["n"]
    assert r.reply.verbs == ["get", "set"]
    assert site.count == 1
    site.clock.advance(29)
    with site.request(cookie) as r:  # a read does not keep it
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
def test_a_session_emptied_by_other_means_ends_after_the_grace(site: Site, how: str) -> None:
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
    """Thus "clear, then set user_id" is safe from session fixation."""
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
def test_reading_values_of_other_types_is_no_change(site: Site, value: object) -> None:
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
    """Make a view as an integration does for a typed part of the session."""

    def load(value: Any) -> Cart:
        return Cart() if value is MISSING else Cart(**value)

    return session._typed_view("cart", load, asdict)


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
def test_a_view_ends_with_its_session(site: Site, end: str) -> None:
    with site.request(site.new("bob", cart={"items": ["tea"]})) as r:
        cart_of(r.session).items.append("milk")
        if end == "login as another":
            r.session.login("alice")
        else:
            getattr(r.session, end)()
        assert cart_of(r.session).items == []
        r.session["n"] = 1
    assert site.data(r.reply.id) == {"n": 1}


def test_an_assignment_is_kept_if_the_view_has_not_changed(site: Site) -> None:
    cookie = site.new(cart={"items": ["tea"]})
    with site.request(cookie) as r:
        cart_of(r.session)
        r.session["cart"] = {"items": []}
    assert site.data(cookie) == {"cart": {"items": []}}


# -- concurrent changes ----------------------------------------------------------------------------


def test_two_requests_that_change_different_keys_both_keep_their_changes(site: Site) -> None:
    cookie = site.new(n=1, cart={"a": 1})
    one, two = site.open(cookie), site.open(cookie)
    one["one"], one["cart"]["b"] = 1, 2
    two["two"], two["cart"]["c"] = 2, 3
    assert site.commit(one).happened == []
    assert site.commit(two).happened == []
    assert site.data(cookie) == {"n": 1, "cart": {"a": 1, "b": 2, "c": 3}, "one": 1, "two": 2}


def test_concurrent_appends_are_both_kept_in_the_order_of_the_commits(site: Site) -> None:
    cookie = site.new(log=["x"])
    one, two = site.open(cookie), site.open(cookie)
    one["log"].append("one")
    two["log"].append("two")
    site.commit(two)
    assert site.commit(one).happened == []
    assert site.data(cookie) == {"log": ["x", "two", "one"]}


@pytest.mark.parametrize("how", ["set", "replace"])
def test_the_later_commit_of_one_key_wins_and_reports_a_conflict(site: Site, how: str) -> None:
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


def test_a_write_that_loses_a_race_merges_each_time(site: Site) -> None:
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


def test_two_equal_changes_are_no_conflict(site: Site) -> None:
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
    site.clock.advance(site.runner.lifecycle.lifetimes.idle / 2)
    site.commit(reader)
    assert site.data(cookie) == {"n": 2}


def test_a_merge_keeps_the_objects_that_the_handler_holds(site: Site) -> None:
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


# -- unreadable records ----------------------------------------------------------------------------


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


def test_data_that_is_too_deep_is_refused_at_the_assignment(site: Site) -> None:
    nested: list[Any] = []
    for _ in range(MAX_DEPTH):
        nested = [nested]
    session = site.open()
    with pytest.raises(ValueError, match="nested at most 100 levels deep"):
        session["n"] = nested
    assert "n" not in session


# -- types that the plain encoding would lose ------------------------------------------------------

KEPT: list[Any] = [(1, 2), {1, 2}, [(1,)], {"a": (1, {2})}]


@pytest.mark.parametrize("value", KEPT, ids=repr)
def test_a_value_added_to_plain_data_keeps_its_type(site: Site, value: Any) -> None:
    cookie = site.new(n=1)
    with site.request(cookie) as r:
        r.session["value"] = value
    assert site.data(cookie) == {"n": 1, "value": value}


@pytest.mark.parametrize("value", KEPT, ids=repr)
def test_a_value_keeps_its_type_when_another_is_added(site: Site, value: Any) -> None:
    cookie = site.new(value=value)
    with site.request(cookie) as r:
        r.session["n"] = 1
    assert site.data(cookie) == {"n": 1, "value": value}


@pytest.mark.parametrize("value", KEPT, ids=repr)
def test_a_merged_value_keeps_its_type(site: Site, value: Any) -> None:
    cookie = site.new(n=1)
    mine = site.open(cookie)
    mine["mine"] = 1
    with site.request(cookie) as r:
        r.session["theirs"] = value
    site.commit(mine)
    assert site.data(cookie) == {"n": 1, "mine": 1, "theirs": value}


def test_popitem_is_a_change(site: Site) -> None:
    cookie = site.new(a=1, b=2)
    with site.request(cookie) as r:
        assert r.session.popitem() == ("b", 2)
    assert site.data(cookie) == {"a": 1}


# -- after a save ----------------------------------------------------------------------------------


def test_an_action_that_was_saved_is_not_repeated(site: Site) -> None:
    cookie = site.new("alice", names=["a"])

    def begin(intent: Callable[[Session], object]) -> Session:
        session = site.open(cookie)
        assert session["names"] == ["a"]  # it was returned, so it is checked for changes
        intent(session)
        site.save(session)
        site.store.verbs.clear()
        return session

    for intent in (
        Session.regenerate_id,
        Session.touch,
        Session.logout_others,
        lambda session: session.login("alice"),
        lambda session: session.login("bob"),
        Session.logout,
    ):
        session = begin(intent)
        assert site.commit(session).verbs == [], intent
        cookie = site.new("alice", names=["a"])


def test_a_change_after_a_save_is_stored_over_it(site: Site) -> None:
    for begin in (site.new, lambda: site.new("alice"), lambda: None):
        session = site.open(begin())
        session.login("alice")
        site.save(session)
        site.store.verbs.clear()
        session["b"] = 1
        assert site.commit(session).verbs == ["set"]


def test_a_write_after_a_saved_logout_begins_a_new_session(site: Site) -> None:
    session = site.open(site.new("alice"))
    session.logout()
    site.save(session)
    session["b"] = 1
    reply = site.commit(session)
    assert (reply.verbs[-1], reply.cookie) == ("add", "set")
    assert site.data(reply.id) == {"b": 1}


def test_a_saved_logout_does_not_end_the_new_session(site: Site) -> None:
    session = site.open(site.new("alice"))
    session.logout()
    site.save(session)
    session["b"] = 1
    site.save(session)
    session["c"] = 2
    site.store.verbs.clear()
    reply = site.commit(session)
    assert reply.verbs == ["set"]
    assert site.data(reply.id) == {"b": 1, "c": 2}


def test_a_rotation_that_was_followed_is_not_repeated(site: Site) -> None:
    cookie = site.new("alice")
    session = site.open(cookie)
    site.rotate(cookie)
    session["a"] = 1
    site.save(session)
    session.regenerate_id()
    site.store.verbs.clear()
    reply = site.commit(session)
    assert (reply.verbs, reply.cookie) == ([], "")


def test_a_dropped_login_stays_dropped(site: Site) -> None:
    cookie = site.new("alice")
    session = site.open(cookie)
    session["n"] = 2
    site.logout(cookie)
    session.login("alice")
    site.save(session)
    assert site.commit(session).cookie == ""


# -- several actions in one request ----------------------------------------------------------------


def test_a_change_and_logout_others_in_one_request(site: Site) -> None:
    cookie, other = site.new("alice"), site.new("alice")
    with site.request(cookie) as r:
        r.session["n"] = 2
        r.session.logout_others()
    assert site.data(cookie) == {"n": 2}
    assert site.data(other) is None


def test_a_change_is_dropped_with_its_rotation(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    session["n"] = 2
    session.regenerate_id()
    site.logout(cookie)
    reply = site.commit(session)
    assert [(event.name, event.reason) for event in reply.events] == [
        ("dropped", "the session has ended"),
    ]


def test_a_dropped_change_has_its_reason(site: Site) -> None:
    before = site.new(n=1)
    site.login(before, "alice")
    for cookie, reason in (
        (DUPLICATE, DUPLICATE.problem),
        (before, "a login replaced the session's ID"),
    ):
        site.events.clear()
        with site.request(cookie) as r:
            r.session["n"] = 2
        assert r.reply.events[-1].name == "dropped"
        assert r.reply.events[-1].reason == reason


def test_logout_everywhere_ends_the_other_sessions_first(site: Site) -> None:
    """If the logout is interrupted in between, the user is still logged in and can try again."""
    cookie, other = site.new("alice"), site.new("alice")
    session = site.open(cookie)
    session.logout_everywhere()
    site.store.fail = {"destroy"}
    with pytest.raises(StoreError):
        site.commit(session)
    site.store.fail = set()
    assert site.data(other) is None
    assert site.data(cookie) is not None


def test_sixteen_rotations_in_a_row_are_followed(site: Site) -> None:
    ids = [site.new("alice")]
    for _ in range(17):
        ids.append(site.rotate(ids[-1]))
    assert site.user(ids[0]) is None
    assert site.user(ids[1]) == "alice"


# -- after a failed handler ------------------------------------------------------------------------


def test_a_failed_handler_leaves_the_session_as_it_was_loaded(site: Site) -> None:
    cookie = site.new(n=1)
    for begin in (cookie, None):
        session = site.open(begin)
        session["n"] = 2
        session["more"] = {1}
        session.regenerate_id()
        session.login("alice")
        site.commit(session, failed=True)
        assert dict(session) == ({} if begin is None else {"n": 1})
        assert session.user_id is None


def test_a_view_of_a_failed_handler_is_not_reported_as_lost(site: Site) -> None:
    session = site.open(site.new(names=["a"]))
    view: dict[str, int] = session._typed_view("cart", lambda _: {}, dict)
    view["apples"] = 1
    site.commit(session, failed=True)
    assert session["names"] == ["a"]  # a list was handed out, so the session is checked for changes
    site.runner.report_late_changes(session)
    assert site.events == []


def test_an_edit_after_a_failed_handler_repeats_nothing(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    session["n"] = 2
    session.regenerate_id()
    site.commit(session, failed=True)
    with site.edit(session):
        session["m"] = 1
    assert "replace" not in site.store.verbs
    assert site.data(cookie) == {"n": 1, "m": 1}


def test_a_reload_of_an_unreadable_record_empties_the_session(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    session.get("n")
    site.store.corrupt(cookie)
    site.reload(session)
    assert dict(session) == {}


# -- requests without a commit ---------------------------------------------------------------------


def test_an_unchanged_session_has_nothing_to_commit(site: Site) -> None:
    settled = site.runner.lifecycle.has_nothing_to_commit
    cookie = site.new(n=1)
    session = site.open(cookie, looks=False)
    assert settled(session) is True
    nobody = site.open()
    nobody.get("n")
    assert settled(nobody) is True
    session = site.open(cookie)
    session.get("n")
    assert settled(session) is True
    site.clock.advance(site.runner.lifecycle.lifetimes.idle / 9)
    session = site.open(cookie)
    session.get("n")
    assert settled(session) is False


@pytest.mark.options(idle_timeout=1000)
def test_a_session_that_was_just_used_is_not_due(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = site.new(n=1)
    monkeypatch.delattr(Lifetimes, "is_due")
    site.clock.advance(100)
    session = site.open(cookie)
    session.get("n")
    assert site.runner.lifecycle.has_nothing_to_commit(session) is True


def test_a_saved_session_has_nothing_to_commit(site: Site) -> None:
    for intent in (Session.touch, Session.regenerate_id):
        for begin in (site.new(n=1), None):
            session = site.open(begin)
            session["n"] = 2
            intent(session)
            site.save(session)
            assert site.runner.lifecycle.has_nothing_to_commit(session) is True


def test_a_change_is_one_call_to_the_store(site: Site) -> None:
    for begin in (site.new(n=1), None):
        session = site.open(begin)
        session["n"] = 2
        if begin is None:
            site.save(session)
            session["n"] = 3
        site.store.verbs.clear()
        site.save(session)
        assert site.store.verbs == ["set"]
    session["n"] = 4
    session.regenerate_id()
    site.store.verbs.clear()
    site.save(session)
    assert site.store.verbs == ["replace"]


def test_logout_others_requires_a_store_with_destroy_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(NaiveStore, "destroy_user")
    manager = SessionManager(NaiveStore())
    session = session_by_id(runner_of(manager))
    session.login("alice")
    with pytest.raises(UsageError, match="destroy_user"):
        session.logout_others()


def test_the_names_of_the_metadata_are_fixed(site: Site) -> None:
    """A name that is not used any more must not get another meaning."""
    cookie = site.new(n=1)
    with site.request(cookie) as r:
        r.session["n"] = 2
        r.session.login("alice", remember=True)
    found = site.store.get(key_for(r.reply.id or ""))
    assert found is not None
    meta, _ = decode(found.payload)
    assert meta.keys() == {"remember", "idle"}


def test_the_model_adds_no_mark_if_the_cap_refuses_the_session() -> None:
    cap: PerUser = (1, "refuse")
    model = NaiveStore()
    times: dict[str, Any] = {"idle": 10.0, "life": 10.0}
    assert model.add(b"one", Record(b"", "ana"), **times)
    found = model.replace(
        MARK, b"two", Record(b"", "ana"), expected=None, grace=5.0, per_user=cap, **times
    )
    assert found is None
    assert set(model.entries) == {b"one"}
