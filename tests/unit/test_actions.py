"""save, reload and atomic while the handler runs. (test_edits.py tests edit.)"""

from __future__ import annotations

from typing import Any

import pytest

from lembro import SessionGone
from tests.support.site import Site

# -- save ------------------------------------------------------------------------------------------


def test_save_stores_at_once_and_the_response_sets_the_cookie(site: Site) -> None:
    session = site.open()
    session["n"] = 1
    site.save(session)
    assert site.data(session.issued_id) == {"n": 1}
    assert not session.is_new
    session["n"] = 2
    reply = site.commit(session)
    assert reply.cookie == "set"
    assert reply.id == session.issued_id
    assert site.data(reply.id) == {"n": 2}


def test_a_logout_after_a_save_clears_the_cookie(site: Site) -> None:
    session = site.open()
    session["n"] = 1
    site.save(session)
    session.logout()
    assert site.commit(session).cookie == "clear"
    assert site.count == 0


def test_save_of_an_unused_session_loads_it(site: Site) -> None:
    session = site.open(site.new(n=1), looks=False)
    site.save(session)
    assert site.commit(session).verbs == ["get"]


def test_save_of_an_ended_session_drops_it_permanently(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    session["n"] = 2
    site.logout(cookie)
    site.events.clear()
    site.save(session)
    assert [event.name for event in site.events] == ["dropped"]
    session["m"] = 3
    assert site.commit(session).cookie == ""
    assert site.count == 0


# -- reload ----------------------------------------------------------------------------------------


def test_reload_drops_the_changes_and_loads_those_of_others(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    session["mine"] = 1
    session.login("alice")
    with site.request(cookie) as r:
        r.session["n"] = 2
    site.reload(session)
    assert dict(session) == {"n": 2}
    assert session.user_id is None
    assert site.commit(session).cookie == ""


def test_reload_keeps_a_logout_that_is_not_committed(site: Site) -> None:
    cookie = site.new("alice")
    session = site.open(cookie)
    session.logout_everywhere()
    site.reload(session)
    assert session.user_id is None
    site.commit(session)
    assert site.data(cookie) is None


def test_reload_of_a_new_session_empties_it(site: Site) -> None:
    session = site.open()
    session["n"] = 1
    site.reload(session)
    assert dict(session) == {}
    assert site.commit(session).verbs == []


def test_reload_of_a_session_that_ended_raises(site: Site) -> None:
    cookie = site.new()
    session = site.open(cookie)
    session.get("n")
    site.logout(cookie)
    with pytest.raises(SessionGone):
        site.reload(session)


def test_reload_loads_an_unused_session(site: Site) -> None:
    session = site.open(site.new(n=1), looks=False)
    site.reload(session)
    assert session["n"] == 1


# -- atomic ----------------------------------------------------------------------------------------


def count(data: dict[str, Any]) -> int:
    data["n"] = data.get("n", 0) + 1
    return int(data["n"])


def test_atomic_works_on_the_stored_data(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    session["mine"] = True
    with site.request(cookie) as r:
        r.session["n"] = 5
    assert site.atomic(session, count) == 6
    assert dict(session) == {"n": 6, "mine": True}
    site.commit(session)
    assert site.data(cookie) == {"n": 6, "mine": True}


def test_atomic_loses_no_increment(site: Site) -> None:
    """Two requests that count from 1 to 2 store equal data, and one of them must try again."""
    cookie = site.new(n=1)
    session = site.open(cookie)
    site.store.before["set"] = lambda: site.elsewhere.load(cookie).atomic(count)
    assert site.atomic(session, count) == 3
    assert site.data(cookie) == {"n": 3}


def test_atomic_on_a_new_session_stores_it(site: Site) -> None:
    session = site.open()
    assert site.atomic(session, count) == 1
    assert site.data(site.commit(session).id) == {"n": 1}


def test_atomic_after_a_login_works_on_the_new_session(site: Site) -> None:
    session = site.open(site.new(n=1))
    session.login("alice")
    assert site.atomic(session, count) == 2
    assert site.data(site.commit(session).id) == {"n": 2}


def test_atomic_after_a_logout_begins_a_new_session(site: Site) -> None:
    session = site.open(site.new("alice", n=7))
    session.logout()
    assert site.atomic(session, count) == 1
    reply = site.commit(session)
    assert site.data(reply.id) == {"n": 1}
    assert reply.id is not None
    assert site.user(reply.id) is None


def test_atomic_follows_a_rotation(site: Site) -> None:
    cookie = site.new("alice", n=1)
    session = site.open(cookie)
    session.get("n")
    new = site.rotate(cookie)
    assert site.atomic(session, count) == 2
    assert site.data(new) == {"n": 2}


def test_atomic_on_a_session_that_ended_raises(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    session.get("n")
    site.logout(cookie)
    with pytest.raises(SessionGone):
        site.atomic(session, count)


def test_atomic_stores_nothing_if_its_function_raises(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)

    def fail(data: dict[str, Any]) -> None:
        data["n"] = 2
        raise KeyError("stock")

    with pytest.raises(KeyError):
        site.atomic(session, fail)
    assert site.data(cookie) == {"n": 1}


def test_atomic_loads_an_unused_session(site: Site) -> None:
    assert site.atomic(site.open(site.new(n=1), looks=False), count) == 2
