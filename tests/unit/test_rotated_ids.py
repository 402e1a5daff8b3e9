"""Rotated IDs and stale IDs, and which request may clear the cookie."""

from __future__ import annotations

import pytest

from lembro._core.load import MAX_ROTATIONS
from tests.support.site import Site

# -- rotated or stale ------------------------------------------------------------------------------


def test_an_id_rotated_within_a_login_works_for_the_grace(site: Site) -> None:
    old = site.new("alice", cart=[1])
    new = site.rotate(old)
    assert site.data(old) == site.data(new) == {"cart": [1]}

    site.clock.advance(31)

    assert site.data(old) is None
    assert site.data(new) == {"cart": [1]}


def test_an_id_rotated_by_a_renewed_login_works(site: Site) -> None:
    old = site.new("alice")
    site.login(old, "alice")
    assert site.user(old) == "alice"


def test_an_id_from_before_the_login_is_stale(site: Site) -> None:
    old = site.new(cart=[1])
    new = site.login(old, "alice")
    assert site.data(old) is None
    assert site.data(new) == {"cart": [1]}


def test_an_anonymous_id_that_was_rotated_is_stale(site: Site) -> None:
    """This is for applications that log in with ``regenerate_id()`` and their own key."""
    old = site.new()
    with site.request(old) as r:
        r.session.regenerate_id()
        r.session["user_id"] = 7
    assert site.data(old) is None


def test_an_id_of_a_session_that_ended_after_its_rotation_is_stale(site: Site) -> None:
    old = site.new("alice", cart=[1])
    site.logout(site.rotate(old))
    assert site.data(old) is None


def test_data_written_after_a_logout_with_a_stale_id_begin_a_session(site: Site) -> None:
    old = site.new(cart=[1])
    site.login(old, "alice")
    session = site.open(old)
    assert not session
    session.logout()
    session["n"] = 1
    reply = site.commit(session)
    assert reply.cookie == "set"
    assert site.data(reply.id) == {"n": 1}


def test_a_logout_that_ends_one_record_leaves_the_session_that_followed(site: Site) -> None:
    old = site.new("alice")
    new = site.rotate(old)
    session = site.open(old)
    session._ends_successor = False  # Django's delete()
    session.logout()
    site.commit(session)
    assert site.user(new) == "alice"


def test_a_session_stored_by_a_login_after_a_rotated_id_can_be_rotated(site: Site) -> None:
    old = site.new("alice")
    new = site.rotate(old)
    session = site.open(old)
    assert session.user_id == "alice"
    site.logout(new)
    session.login("bob")
    site.save(session)
    issued = session.issued_id
    session.regenerate_id()
    reply = site.commit(session)
    assert reply.id != issued
    assert site.user(reply.id or "") == "bob"


def test_an_id_of_another_user_is_stale(site: Site) -> None:
    old = site.new("alice")
    site.login(old, "bob")
    assert site.data(old) is None


def test_a_rotated_id_works_through_several_rotations(site: Site) -> None:
    first = last = site.new("alice", cart=[1])
    for _ in range(MAX_ROTATIONS):
        last = site.rotate(last)
    assert site.data(first) == {"cart": [1]}


def test_an_id_that_was_rotated_too_often_is_stale(site: Site) -> None:
    first = last = site.new("alice", cart=[1])
    for _ in range(MAX_ROTATIONS + 1):
        last = site.rotate(last)
    assert site.data(first) is None
    assert site.data(last) == {"cart": [1]}


def test_of_many_parallel_rotations_only_one_takes_place(site: Site) -> None:
    cookie = site.new("alice", n=1)
    sessions = [site.open(cookie) for _ in range(10)]
    for session in sessions:
        assert session["n"] == 1
        session.regenerate_id()
    replies = [site.commit(session) for session in sessions]
    assert [reply.cookie for reply in replies] == ["set"] + [""] * 9
    assert site.count == 1
    assert not [name for reply in replies for name in reply.happened if name == "dropped"]


def test_a_rotation_does_not_lose_a_change_of_its_request(site: Site) -> None:
    cookie = site.new("alice", n=1)
    a, b = site.open(cookie), site.open(cookie)
    for session, key in ((a, "a"), (b, "b")):
        session[key] = True
        session.regenerate_id()
    new = site.commit(a).id
    assert site.commit(b).cookie == ""
    assert site.data(new) == {"n": 1, "a": True, "b": True}


def test_a_rotation_does_not_succeed_because_another_request_stored_equal_data(site: Site) -> None:
    """After a refused ``replace``, the store may contain data equal to those that were refused."""
    cookie = site.new("alice", n=1)
    a, b = site.open(cookie), site.open(cookie)
    a["step"] = 2
    a.regenerate_id()
    b["step"] = 2
    site.commit(b)
    assert site.data(site.commit(a).id) == {"n": 1, "step": 2}


def test_a_renewed_login_does_not_succeed_because_another_stored_equal_data(site: Site) -> None:
    cookie = site.new("alice", n=1)
    a, b = site.open(cookie), site.open(cookie)
    a["step"] = 2
    a.login("alice")
    b["step"] = 2
    site.commit(b)
    assert site.data(site.commit(a).id) == {"n": 1, "step": 2}


@pytest.mark.parametrize("when", ["reload", "atomic"])
def test_a_session_rotated_by_another_request_is_not_rotated_again(site: Site, when: str) -> None:
    cookie = site.new("alice", n=1)
    session = site.open(cookie)
    assert session["n"] == 1
    new = site.rotate(cookie)
    if when == "reload":
        site.reload(session)
    else:
        site.atomic(session, lambda data: data.update(n=2))
    session.regenerate_id()
    assert site.commit(session).cookie == ""
    assert site.data(new) is not None


# -- only the request that ends the session clears the cookie --------------------------------------


def test_of_two_logouts_one_clears_the_cookie(site: Site) -> None:
    cookie = site.new("alice")
    a, b = site.open(cookie), site.open(cookie)
    a.logout()
    b.logout()
    assert [site.commit(a).cookie, site.commit(b).cookie] == ["clear", ""]


@pytest.mark.parametrize("kind", ["unknown", "expired", "ended", "stale"])
def test_a_logout_without_a_session_clears_no_cookie(site: Site, kind: str) -> None:
    """Clearing it would race with a login in another tab."""
    cookie = site.new()
    if kind == "unknown":
        cookie = "x" * 43
    elif kind == "expired":
        site.clock.advance(site.runner.lifecycle.lifetimes.idle)
    elif kind == "ended":
        site.logout(cookie)
    else:
        site.login(cookie, "alice")
    with site.request(cookie) as r:
        r.session.logout()
    assert r.reply.cookie == ""
    assert "destroyed" not in r.reply.happened


def test_a_logout_that_races_with_a_rotation_ends_the_session(site: Site) -> None:
    cookie = site.new("alice")
    leaving = site.open(cookie)
    assert leaving.user_id == "alice"
    new = site.rotate(cookie)
    leaving.logout()
    reply = site.commit(leaving)
    assert reply.cookie == "clear"
    assert reply.happened == ["destroyed"]
    assert site.data(new) is None


def test_a_logout_ends_a_session_that_was_rotated_several_times(site: Site) -> None:
    cookie = last = site.new("alice")
    leaving = site.open(cookie)
    assert leaving.user_id == "alice"
    for _ in range(2 * MAX_ROTATIONS):
        last = site.rotate(last)
    leaving.logout()
    assert site.commit(leaving).cookie == "clear"
    assert site.count == 0


def test_a_logout_that_races_with_a_login_leaves_the_login(site: Site) -> None:
    cookie = site.new()
    leaving = site.open(cookie)
    leaving.get("n")
    new = site.login(cookie, "alice")
    leaving.logout()
    assert site.commit(leaving).cookie == ""
    assert site.user(new) == "alice"


def test_a_rotation_between_the_steps_of_a_logout_does_not_protect_the_session(site: Site) -> None:
    cookie = site.new("alice")
    leaving = site.open(cookie)
    assert leaving.user_id == "alice"
    new = site.rotate(cookie)
    leaving.logout()
    assert new is not None

    def rotate_then() -> None:  # after the pointer is destroyed, before its target is
        site.store.before["destroy"] = lambda: site.elsewhere.regenerate(new)

    site.store.before["get"] = rotate_then
    reply = site.commit(leaving)
    assert reply.cookie == "clear"
    assert site.count == 0


def test_a_login_is_never_undone_by_a_writer_in_flight(site: Site) -> None:
    cookie = site.new(n=1)
    writer = site.open(cookie)
    writer["n"] = 2
    new = site.login(cookie, "alice")
    reply = site.commit(writer)
    assert reply.cookie == ""
    assert reply.happened == ["dropped"]
    assert site.data(new) == {"n": 1}


def test_a_logout_is_never_undone_by_a_writer_or_a_reader_in_flight(site: Site) -> None:
    cookie = site.new("alice", n=1)
    writer, reader = site.open(cookie), site.open(cookie)
    writer["n"] = reader["n"] + 1
    site.clock.advance(site.runner.lifecycle.lifetimes.idle / 2)
    site.logout(cookie)
    for session in (writer, reader):
        assert site.commit(session).cookie == ""
    assert site.data(cookie) is None
    assert site.count == 0
