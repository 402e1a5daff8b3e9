"""What reload() drops, and what an edit keeps: typed parts, rotations, changes of this request."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from lembro import SessionGone
from tests.support.site import Site


@dataclass
class Prefs:
    theme: str = "light"


def test_reload_drops_the_changes_of_a_typed_part(site: Site) -> None:
    cookie = site.new(prefs={"theme": "light"})
    session = site.open(cookie)
    session.typed("prefs", Prefs).theme = "dark"
    site.reload(session)
    assert session.typed("prefs", Prefs).theme == "light"
    site.commit(session)
    assert site.data(cookie) == {"prefs": {"theme": "light"}}


def test_reload_drops_a_rotation_and_a_touch(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    session.regenerate_id()
    session.touch()
    site.reload(session)
    reply = site.commit(session)
    assert reply.cookie == ""
    assert "touch" not in reply.verbs


def test_reload_drops_a_logout_of_the_other_sessions(site: Site) -> None:
    other = site.new("ana", n=1)
    session = site.open(site.new("ana", n=2))
    session.logout_others()
    site.reload(session)
    site.commit(session)
    assert site.user(other) == "ana"


def test_reload_of_an_empty_new_session_drops_a_rotation(site: Site) -> None:
    session = site.open()
    session["n"] = 1
    session.regenerate_id()
    site.reload(session)
    assert dict(session) == {}
    assert site.commit(session).cookie == ""


def test_an_edit_before_the_response_keeps_the_changes_made_before_it(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    session["before"] = True
    with site.edit(session):
        session["within"] = True
    assert site.data(cookie) == {"n": 1, "before": True, "within": True}


def test_a_list_of_sessions_within_an_edit_keeps_its_changes(site: Site) -> None:
    cookie = site.new("ana", n=1)
    session = site.open(cookie)
    len(session)
    site.commit(session)
    with site.edit(session):
        session["mine"] = True
        with site.request(cookie) as r:
            r.session["theirs"] = True
        site._either(session, "user_sessions")
        assert session["mine"]
    assert site.data(cookie) == {"n": 1, "mine": True, "theirs": True}


def test_atomic_stores_no_other_change_of_a_request_that_fails(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    session["other"] = True
    site.atomic(session, lambda data: data.update(n=2))
    site.commit(session, failed=True)
    assert site.data(cookie) == {"n": 2}


@pytest.mark.parametrize("use", ["list", "atomic"])
def test_a_rotation_that_was_noticed_once_is_followed_after_its_grace(site: Site, use: str) -> None:
    cookie = site.new("ana", n=1)
    session = site.open(cookie)
    len(session)
    site.commit(session)
    new = site.rotate(cookie)
    if use == "list":
        site._either(session, "user_sessions")
    else:
        site.atomic(session, lambda data: data.update(n=1))
    site.clock.advance(300)
    with site.edit(session):
        session["late"] = True
    assert site.data(new) == {"n": 1, "late": True}


def test_an_edit_that_noticed_a_rotation_is_stored_after_the_grace(site: Site) -> None:
    cookie = site.new("ana", n=1)
    session = site.open(cookie)
    len(session)
    site.commit(session)
    with site.edit(session):
        new = site.rotate(cookie)
        site._either(session, "user_sessions")
        site.clock.advance(300)
        session["late"] = True
    assert site.data(new) == {"n": 1, "late": True}


def test_an_edit_that_cannot_begin_can_be_tried_again(site: Site) -> None:
    cookie = site.new("ana")
    session = site.open(cookie)
    len(session)
    site.commit(session)
    site.logout(cookie)
    for _ in range(2):
        with pytest.raises(SessionGone), site.edit(session):
            pass


def test_a_session_that_was_stored_is_not_touched_again(site: Site) -> None:
    session = site.open(site.new(n=1))
    session.touch()
    session["n"] = 2
    site.save(session)
    site.store.verbs.clear()
    assert site.commit(session).verbs == []


def test_reload_of_a_record_that_became_unreadable_begins_a_new_session(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    len(session)
    site.store.corrupt(cookie)
    site.reload(session)
    session["n"] = 2
    reply = site.commit(session)
    assert reply.cookie == "set"
    assert site.data(reply.id) == {"n": 2}


def test_the_user_is_checked_before_a_list_after_the_response(site: Site) -> None:
    cookie = site.new("ana")
    session = site.open(cookie)
    len(session)
    site.commit(session)
    site.logout(cookie)
    with pytest.raises(SessionGone):
        site._either(session, "user_sessions")


@dataclass
class Cart:
    items: list[str] = field(default_factory=list)


def test_a_change_of_a_typed_part_after_an_edit_is_reported(site: Site) -> None:
    session = site.open(site.new(cart={"items": []}))
    cart = session.typed("cart", Cart)
    site.commit(session)
    with site.edit(session):
        session["n"] = 1
    cart.items.append("late")
    site.events.clear()
    site.runner.report_late_changes(session)
    assert [event.name for event in site.events] == ["dropped"]


def test_a_rotation_is_followed_only_within_its_grace(site: Site) -> None:
    cookie = site.new("ana", n=1)
    session = site.open(cookie)
    len(session)
    site.commit(session)
    site.rotate(cookie)
    site.clock.advance(300)
    with pytest.raises(SessionGone), site.edit(session):
        pass
