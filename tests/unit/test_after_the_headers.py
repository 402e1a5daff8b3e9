"""A session after the response has begun: read-only outside of edit(), and its end is noticed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from lembro import CodecError, Session, SessionCommitted, SessionGone, StoreError
from lembro._core.state import MISSING
from tests.support.site import Site


def count(data: dict[str, Any]) -> int:
    data["n"] = data.get("n", 0) + 1
    return int(data["n"])


# -- after the response has begun ------------------------------------------------------------------


@pytest.fixture
def begun(site: Site) -> tuple[Site, Session, str]:
    """Return Alice's session after its response has begun, and its ID."""
    cookie = site.new("alice", n=1, cart=[1])
    session = site.open(cookie)
    assert session["n"] == 1
    site.commit(session)
    return site, session, cookie


Begun = tuple[Site, Session, str]


@pytest.mark.parametrize(
    "write",
    [
        lambda session: session.update(n=2),
        lambda session: session.pop("n"),
        lambda session: session.popitem(),
        lambda session: session.clear(),
        lambda session: session.login("bob"),
        lambda session: session.logout(),
        lambda session: session.logout_others(),
        lambda session: session.regenerate_id(),
    ],
)
def test_the_session_is_read_only(begun: Begun, write: Any) -> None:
    _, session, _ = begun
    assert session["n"] == 1
    instead = r"write inside `with session\.edit\(\):` \(in async code `async with`\)"
    with pytest.raises(SessionCommitted, match=instead):
        write(session)


def test_save_raises_too(begun: Begun) -> None:
    site, session, _ = begun
    with pytest.raises(SessionCommitted, match="edit"):
        site.save(session)


def test_a_session_that_was_not_used_before_is_read_only_too(site: Site) -> None:
    session = site.open(site.new(n=1))
    site.commit(session)
    with pytest.raises(SessionCommitted):
        session["n"] = 2
    assert session["n"] == 1


def test_a_late_nested_change_is_reported(begun: Begun, caplog: pytest.LogCaptureFixture) -> None:
    site, session, cookie = begun
    session["cart"].append(2)
    site.runner.report_late_changes(session)
    assert [event.name for event in site.events] == ["dropped"]
    assert site.events[0].reason == "changed too late"
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert session.handle is not None
    assert session.handle in record.getMessage()
    assert "edit()" in record.getMessage()
    assert site.data(cookie) == {"n": 1, "cart": [1]}


def test_a_late_change_that_cannot_be_stored_is_reported(begun: Begun) -> None:
    site, session, _ = begun
    session["cart"].append(object())
    site.runner.report_late_changes(session)
    assert [event.name for event in site.events] == ["dropped"]


def test_a_late_change_of_a_view_is_reported(begun: Begun) -> None:
    site, session, _ = begun
    session._typed_view("cart", list, list).append(2)
    site.runner.report_late_changes(session)
    assert [event.name for event in site.events] == ["dropped"]


def test_a_late_change_of_a_view_without_a_session_is_reported(site: Site) -> None:
    session = site.open()
    view = session._typed_view("cart", lambda value: [] if value is MISSING else value, list)
    site.commit(session)
    site.runner.report_late_changes(session)
    assert site.events == []
    view.append(1)
    site.runner.report_late_changes(session)
    assert [event.name for event in site.events] == ["dropped"]


def test_an_unmodified_session_is_not_reported(begun: Begun) -> None:
    site, session, _ = begun
    assert session["cart"] == [1]
    site.runner.report_late_changes(session)
    site.runner.report_late_changes(site.open(looks=False))
    assert site.events == []


def test_edit_loads_again_merges_and_saves(begun: Begun) -> None:
    site, session, cookie = begun
    with site.request(cookie) as r:
        r.session["theirs"] = 1
    with site.edit(session) as edited:
        assert edited["theirs"] == 1
        edited["seen"] = 1
        edited["cart"].append(2)
        with site.request(cookie) as r:
            r.session["cart"].append(3)
    assert site.data(cookie) == {"n": 1, "cart": [1, 3, 2], "theirs": 1, "seen": 1}
    with pytest.raises(SessionCommitted):
        session["n"] = 2
    site.runner.report_late_changes(session)
    assert "dropped" not in [event.name for event in site.events]


def test_several_edits_are_all_stored(begun: Begun) -> None:
    site, session, cookie = begun
    for _ in range(3):
        with site.edit(session):
            session["n"] += 1
    assert site.data(cookie) == {"n": 4, "cart": [1]}


def test_atomic_works_after_the_response_has_begun(begun: Begun) -> None:
    site, session, cookie = begun
    assert site.atomic(session, count) == 2
    assert session["n"] == 2
    assert site.data(cookie) == {"n": 2, "cart": [1]}


def test_an_edit_that_raises_is_dropped(begun: Begun) -> None:
    site, session, cookie = begun
    with pytest.raises(KeyError), site.edit(session):
        session["n"] = 2
        raise KeyError("n")
    assert site.data(cookie) == {"n": 1, "cart": [1]}
    site.runner.report_late_changes(session)
    assert site.events == []


def test_a_logout_in_an_edit_ends_the_session(begun: Begun) -> None:
    site, session, cookie = begun
    with site.edit(session):
        session.logout()
        session["n"] = 2  # no cookie can be set for a new ID
    assert site.data(cookie) is None
    assert site.count == 0


@pytest.mark.parametrize("intent", ["login", "regenerate_id"])
def test_an_edit_cannot_change_the_id(begun: Begun, intent: str) -> None:
    site, session, _ = begun
    with site.edit(session), pytest.raises(SessionCommitted, match="no cookie can be set"):
        getattr(session, intent)(*(["bob"] if intent == "login" else []))


def test_a_change_in_an_edit_follows_a_rotation(begun: Begun) -> None:
    site, session, cookie = begun
    new = site.rotate(cookie)
    with site.edit(session):
        session["seen"] = 1
    assert site.data(new) == {"n": 1, "cart": [1], "seen": 1}


def test_edit_of_a_session_that_ended_raises(begun: Begun) -> None:
    site, session, cookie = begun
    site.logout(cookie)
    with pytest.raises(SessionGone), site.edit(session):
        pytest.fail("it must not begin")


def test_an_edit_raises_if_the_session_ends_meanwhile(begun: Begun) -> None:
    site, session, cookie = begun
    with pytest.raises(SessionGone), site.edit(session):
        session["n"] = 2
        site.logout(cookie)
    assert site.count == 0


def test_an_in_process_store_notices_the_end_at_the_next_access(
    begun: Begun,
) -> None:
    site, session, cookie = begun
    site.logout(cookie)
    if site.driver == "sync":
        for look in (lambda: session["n"], lambda: len(session), lambda: session.user_id):
            with pytest.raises(SessionGone):
                look()
    else:
        assert session["n"] == 1
    with pytest.raises(SessionGone):
        site.reload(session)


def test_edit_without_a_stored_session_raises(site: Site) -> None:
    session = site.open()
    session.get("n")
    site.commit(session)
    with pytest.raises(SessionCommitted, match="no stored session to edit"), site.edit(session):
        pass
    with pytest.raises(SessionCommitted, match="no stored session to change"):
        site.atomic(session, count)


def test_edit_of_a_session_that_was_not_used_before(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie, looks=False)
    site.commit(session)
    with site.edit(session):
        session["n"] = 2
    assert site.data(cookie) == {"n": 2}


def test_an_edit_before_the_response_is_a_save(site: Site) -> None:
    for looks in (True, False):
        cookie = site.new(n=1)
        session = site.open(cookie, looks=looks)
        with site.edit(session):
            session["n"] = 2
        assert site.data(cookie) == {"n": 2}
        with pytest.raises(KeyError), site.edit(session):
            raise KeyError
        site.commit(session)


def test_an_edit_that_cannot_be_stored_raises(begun: Begun) -> None:
    site, session, cookie = begun
    with pytest.raises(StoreError), site.edit(session):
        session["n"] = 2
        site.store.fail = {"set"}
    site.store.fail = set()
    assert site.data(cookie) == {"n": 1, "cart": [1]}
    with site.edit(session):
        session["n"] = 3
    assert site.data(cookie) == {"n": 3, "cart": [1]}


def test_a_session_new_in_this_request_can_be_edited_after_it(site: Site) -> None:
    session = site.open()
    session["n"] = 1
    reply = site.commit(session)
    with site.edit(session):
        session["n"] = 2
    assert site.data(reply.id) == {"n": 2}


# -- typed views made before the response began ----------------------------------------------------


@dataclass
class Viewed:
    """A session whose response has begun, and a view of its cart."""

    cookie: str
    session: Session
    cart: Any


def viewed(site: Site, cookie: str, make: Callable[[Any], Any] = list) -> Viewed:
    session = site.open(cookie)
    cart = session._typed_view(
        "cart", lambda stored: make(() if stored is MISSING else stored), make
    )
    site.commit(session)
    return Viewed(cookie, session, cart)


def test_a_typed_view_changed_inside_edit_is_stored(site: Site) -> None:
    was = viewed(site, site.new(cart=["a"]))
    for thing in ("b", "c"):
        with site.edit(was.session):
            was.session["seen"] = thing
            was.cart.append(thing)
    site.runner.report_late_changes(was.session)
    assert site.events == []
    assert site.data(was.cookie) == {"cart": ["a", "b", "c"], "seen": "c"}


def test_a_view_of_a_missing_key_is_stored_by_its_edit(site: Site) -> None:
    was = viewed(site, site.new(n=1))
    with site.edit(was.session):
        was.cart.append((1, b"x"))
    assert site.events == []
    assert site.data(was.cookie) == {"n": 1, "cart": [(1, b"x")]}


def test_an_unchanged_view_keeps_the_data_of_other_requests(site: Site) -> None:
    was = viewed(site, site.new(cart=["a"]))
    with site.request(was.cookie) as r:
        r.session["cart"] = ["theirs"]
    with site.edit(was.session):
        was.session["seen"] = 1
    assert site.data(was.cookie) == {"cart": ["theirs"], "seen": 1}


def test_a_changed_view_is_merged_with_the_data_of_other_requests(site: Site) -> None:
    was = viewed(site, site.new(cart={"tea": 1, "cake": 1}), dict)
    with site.request(was.cookie) as r:
        r.session["cart"]["tea"] = 2
    with site.edit(was.session):
        was.cart["cake"] = 3
        with site.request(was.cookie) as r:
            r.session["cart"]["milk"] = 1
    assert site.events == []
    assert site.data(was.cookie) == {"cart": {"tea": 2, "cake": 3, "milk": 1}}


def test_a_view_wins_over_another_request_and_reports_a_conflict(site: Site) -> None:
    was = viewed(site, site.new(cart={"tea": 1}), dict)
    with site.request(was.cookie) as r:
        r.session["cart"]["tea"] = 2
    with site.edit(was.session):
        was.cart["tea"] = 3
    assert [(event.name, event.reason) for event in site.events] == [
        ("conflict", "cart.tea: the later write won")
    ]
    assert site.data(was.cookie) == {"cart": {"tea": 3}}


def test_a_failed_edit_drops_the_changes_of_a_view(site: Site) -> None:
    was = viewed(site, site.new(cart={}), dict)
    with pytest.raises(ZeroDivisionError), site.edit(was.session):
        was.cart["failed"] = 1
        raise ZeroDivisionError
    with site.edit(was.session):
        was.cart["good"] = 2
    assert site.data(was.cookie) == {"cart": {"good": 2}}


def test_an_unstorable_view_fails_its_edit(site: Site) -> None:
    was = viewed(site, site.new(cart={}), dict)
    with pytest.raises(CodecError, match=r"cart\.bad"), site.edit(was.session):
        was.cart["bad"] = object()
    with pytest.raises(ZeroDivisionError), site.edit(was.session):
        raise ZeroDivisionError
    del was.cart["bad"]
    with site.edit(was.session):
        was.cart["good"] = 2
    assert site.data(was.cookie) == {"cart": {"good": 2}}


def test_a_view_ends_with_the_session_that_its_edit_ends(site: Site) -> None:
    was = viewed(site, site.new(cart={}), dict)
    with site.edit(was.session):
        was.cart["n"] = 1
        was.session.logout()
    assert site.data(was.cookie) is None


def test_a_view_made_after_an_edit_belongs_to_its_session(site: Site) -> None:
    """The session was not used before the edit, so no view has to be reset."""
    one, other = site.new(cart=["ann's"]), site.new(cart=["bob's"])
    seen = []
    for cookie in (one, other):
        session = site.open(cookie)
        site.commit(session)
        with site.edit(session):
            session["seen"] = 1
        seen.append(session._typed_view("cart", list, list))
    assert seen == [["ann's"], ["bob's"]]
