"""login, logout and their order; the user, the time of the login, and the number of sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from itertools import permutations
from typing import Any, Final
from uuid import UUID

import pytest

from lembro import LoginRequired, Session, TooManySessions
from lembro._core.login import distrust_login
from lembro._http.cookie import Presented
from lembro.ids import UserID
from lembro.manager import runner_of
from tests.support.site import Site

# -- login -----------------------------------------------------------------------------------------


class Staff(StrEnum):
    ALICE = "alice"


class Number(IntEnum):
    SEVEN = 7


class Name(str):
    """A str whose ``str()`` is another text, such as a lazy translation."""

    def __str__(self) -> str:
        return "another"


ID: Final = UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("user_id", "text"),
    [
        (7, "7"),
        (0, "0"),
        (-1, "-1"),
        (2**64, "18446744073709551616"),
        (Number.SEVEN, "7"),
        (ID, "12345678-1234-5678-1234-567812345678"),
        (Staff.ALICE, "alice"),
        (Name("alice"), "alice"),
        ("é" * 128, "é" * 128),
        ("a", "a"),
        ("a\nb;\x00", "a\nb;\x00"),
        ("🙂", "🙂"),
    ],
)
def test_a_user_id_is_stored_as_text(site: Site, user_id: UserID, text: str) -> None:
    with site.request() as r:
        r.session.login(user_id)
        assert r.session.user_id == text
        assert type(r.session.user_id) is str
    assert r.reply.id is not None
    assert site.user(r.reply.id) == text
    (info,) = site.elsewhere.user_sessions(user_id)
    assert info.user_id == text
    assert site.elsewhere.revoke_user(user_id) == 1


@pytest.mark.parametrize("user_id", [7, ID, Staff.ALICE])
def test_a_login_with_another_form_of_the_same_user_id_keeps_the_data(
    site: Site, user_id: UserID
) -> None:
    cookie = site.new(str(user_id), cart=[1])
    with site.request(cookie) as r:
        r.session.login(user_id)
    assert site.data(r.reply.id) == {"cart": [1]}


@pytest.mark.parametrize("user_id", [7.0, b"alice", True, ["alice"], None])
def test_a_user_id_of_another_type_is_refused(site: Site, user_id: Any) -> None:
    session = site.open()
    kind = type(user_id).__name__
    with pytest.raises(TypeError) as raised:
        session.login(user_id)
    assert str(raised.value) == (
        f"login() takes the user ID as str, int or UUID, got {kind}. Example: login(user.id)"
    )
    assert session.user_id is None


def test_user_id_cannot_be_assigned(site: Site) -> None:
    session: Any = site.open()
    with pytest.raises(AttributeError, match=r"call session\.login\(user_id\) or session\.logout"):
        session.user_id = "alice"
    assert session.user_id is None


@pytest.mark.parametrize(
    ("user_id", "problem"),
    [
        ("", r"a non-empty user ID, got ''"),
        ("é" * 129, "at most 256 bytes, got 258"),
        (10**256, "at most 256 bytes, got 257"),
        ("\ud800", "UTF-8"),
    ],
    ids=["empty", "long", "a long int", "a surrogate"],
)
def test_a_user_id_that_a_store_cannot_keep_is_refused(
    site: Site, user_id: UserID, problem: str
) -> None:
    session = site.open()
    with pytest.raises(ValueError, match=problem):
        session.login(user_id)
    assert session.user_id is None
    with pytest.raises(ValueError, match=problem):
        site.elsewhere.create(user_id=user_id)


@pytest.mark.parametrize("user_id", [10**5000, -(10**5000)], ids=["positive", "negative"])
def test_an_int_of_too_many_digits_is_refused_like_any_long_user_id(
    site: Site, user_id: int
) -> None:
    """Python itself refuses to write that many digits, with an error about its own limit."""
    with pytest.raises(ValueError, match="at most 256 bytes"):
        site.open().login(user_id)


def test_a_login_keeps_the_data_of_the_visitor(site: Site) -> None:
    cookie = site.new(cart=[1])
    assert site.data(site.login(cookie, "alice")) == {"cart": [1]}


def test_a_renewed_login_keeps_the_data_under_a_new_id(site: Site) -> None:
    cookie = site.new("alice", cart=[1])
    new = site.login(cookie, "alice")
    assert new != cookie
    assert site.data(new) == {"cart": [1]}


def test_a_login_as_another_user_starts_without_data(site: Site) -> None:
    with site.request(site.new("alice", secret=1)) as r:
        r.session["written before"] = 1
        r.session.login("bob")
        assert dict(r.session) == {}
        r.session["written after"] = 1
    assert site.data(r.reply.id) == {"written after": 1}


def test_a_login_as_another_user_ignores_a_parallel_write(site: Site) -> None:
    cookie = site.new("alice", secret=1)
    session = site.open(cookie)
    session.login("bob")
    with site.request(cookie) as r:
        r.session["alices"] = 2
    assert site.data(site.commit(session).id) == {}


def test_a_login_of_a_visitor_merges_a_parallel_write(site: Site) -> None:
    cookie = site.new(n=1)
    session = site.open(cookie)
    session["mine"] = 1
    session.login("bob")
    with site.request(cookie) as r:
        r.session["theirs"] = 2
    assert site.data(site.commit(session).id) == {"n": 1, "mine": 1, "theirs": 2}


def test_the_user_is_known_at_once(site: Site) -> None:
    session = site.open()
    assert session.user_id is None
    session.login("alice")
    assert session.user_id == "alice"
    session.logout()
    assert session.user_id is None


def test_after_a_logout_no_user_is_logged_in(site: Site) -> None:
    session = site.open(site.new("alice"))
    session.logout()
    assert session.user_id is None
    assert session.authenticated_at is None
    with pytest.raises(LoginRequired):
        session.require_recent(3600)
    with pytest.raises(LoginRequired):
        session.logout_others()


def test_data_written_after_a_logout_is_kept_by_a_login_of_another_user(site: Site) -> None:
    with site.request(site.new("alice", n=1)) as r:
        r.session.logout()
        r.session["after"] = 1
        r.session.login("bob")
    assert site.data(r.reply.id) == {"after": 1}


def test_the_time_of_a_login_in_another_library_is_unknown(site: Site) -> None:
    session = site.open(site.new("alice"))
    assert session.user_id == "alice"
    session._meta["adopted"] = b"a nonce"
    assert session.authenticated_at is None
    with pytest.raises(LoginRequired, match="its age is unknown: it came from a legacy"):
        session.require_recent(3600)
    session.login("alice")
    assert session.authenticated_at is not None
    session.require_recent(1)


@dataclass
class Token:
    token: str


def is_recent(session: Session) -> bool:
    try:
        session.require_recent(3600)
    except LoginRequired:
        return False
    return True


def test_a_login_without_credentials_is_not_recent_until_the_next_one(site: Site) -> None:
    with site.request() as r:
        r.session.login("alice", fresh=False)
        assert not is_recent(r.session)
    assert not is_recent(site.open(site.rotate(r.reply.id or "")))
    with site.request(r.reply.id) as r:
        assert r.session.authenticated_at is None
        r.session.login("alice")
        assert is_recent(r.session)
    assert is_recent(site.open(r.reply.id))


@pytest.mark.parametrize("first", [True, False])
def test_a_login_without_credentials_stays_so_in_a_merge(site: Site, first: bool) -> None:
    cookie = site.new("alice")
    session, other = site.open(cookie), site.open(cookie)
    session["mine"] = 1
    distrust_login(session)
    other["theirs"] = 1
    for each in (session, other) if first else (other, session):
        site.commit(each)
    assert site.data(cookie) == {"n": 1, "mine": 1, "theirs": 1}
    assert not is_recent(site.open(cookie))


def test_a_change_of_an_earlier_request_leaves_a_new_login_recent(site: Site) -> None:
    with site.request() as r:
        r.session.login("alice", fresh=False)
    before = site.open(r.reply.id)
    before["n"] = 1
    with site.request(r.reply.id) as r:
        r.session.login("alice")
    site.commit(before)
    assert site.data(r.reply.id) == {"n": 1}
    assert is_recent(site.open(r.reply.id))


def test_a_login_drops_every_csrf_token(site: Site) -> None:
    tokens = {"_csrft_": "t", "CSRF-Token": "t", "XSRF": "t", "_xsrf": "t"}
    with site.request(site.new(**tokens, cart=1)) as r:
        r.session.login("alice")
        assert dict(r.session) == {"cart": 1}
    assert site.data(r.reply.id) == {"cart": 1}


# -- remember --------------------------------------------------------------------------------------


def test_a_login_drops_a_csrf_token_in_a_typed_part(site: Site) -> None:
    session = site.open(site.new(csrf={"token": "t"}, cart=1))
    token = session.typed("csrf", Token)
    session.login("alice")
    token.token = "planted"
    reply = site.commit(session)
    assert site.data(reply.id) == {"cart": 1}


def test_a_login_without_credentials_is_stored_by_itself(site: Site) -> None:
    cookie = site.new("alice")
    session = site.open(cookie)
    assert session.user_id == "alice"
    distrust_login(session)
    site.commit(session)
    assert not is_recent(site.open(cookie))


def test_a_login_lasts_until_the_browser_closes(site: Site) -> None:
    with site.request() as r:
        r.session.login("alice")
    assert "Max-Age" not in r.reply.header


def test_a_remembered_login_lasts_for_its_own_timeout(site: Site) -> None:
    with site.request() as r:
        r.session.login("alice", remember=True)
    assert f"; Max-Age={30 * 24 * 3600};" in r.reply.header


@pytest.mark.options(absolute_timeout=None, remember_timeout=None)
def test_a_remembered_login_without_end_lasts_as_long_as_browsers_allow(site: Site) -> None:
    with site.request() as r:
        r.session.login("alice", remember=True)
    assert f"; Max-Age={400 * 24 * 3600};" in r.reply.header


@pytest.mark.options(idle_timeout=500, remember_timeout=1000)
def test_a_rotation_keeps_the_remaining_time_of_a_remembered_login(site: Site) -> None:
    with site.request() as r:
        r.session.login("alice", remember=True)
    site.clock.advance(400)
    with site.request(r.reply.id) as r:
        r.session.regenerate_id()
    assert "; Max-Age=600;" in r.reply.header


@pytest.mark.parametrize("remember", [True, False])
def test_the_last_login_decides_whether_it_is_remembered(site: Site, remember: bool) -> None:
    with site.request() as r:
        r.session.login("alice", remember=not remember)
        r.session.login("alice", remember=remember)
    assert ("Max-Age" in r.reply.header) is remember
    with site.request(r.reply.id) as r:
        r.session.login("alice", remember=not remember)
    assert ("Max-Age" in r.reply.header) is not remember


def test_a_write_in_flight_keeps_a_login_remembered(site: Site) -> None:
    cookie = site.new("alice")
    writer = site.open(cookie)
    writer["mine"] = 1
    with site.request(cookie) as r:
        r.session.login("alice", remember=True)
    assert r.reply.id is not None
    site.commit(writer)
    with site.request(r.reply.id) as r:
        assert r.session["mine"] == 1
        r.session.regenerate_id()
    assert "Max-Age" in r.reply.header


def test_data_written_after_a_remembered_login_ended_is_not_remembered(site: Site) -> None:
    with site.request() as r:
        r.session.login("alice", remember=True)
    with site.request(r.reply.id) as r:
        r.session.logout()
        r.session["n"] = 1
    assert r.reply.cookie == "set"
    assert "Max-Age" not in r.reply.header


# -- the last call wins ----------------------------------------------------------------------------

INTENTS: dict[str, Callable[[Session], object]] = {
    "login": lambda session: session.login("alice"),
    "logout": lambda session: session.logout(),
    "regenerate": lambda session: session.regenerate_id(),
    "write": lambda session: session.update(written=True),
}


@pytest.mark.parametrize("arrived", ["anonymous", "carol", "nothing"])
@pytest.mark.parametrize(
    "order", [order for n in range(1, 5) for order in permutations(INTENTS, n)], ids=",".join
)
def test_the_last_call_wins(site: Site, arrived: str, order: tuple[str, ...]) -> None:
    user = "carol" if arrived == "carol" else None
    cookie = None if arrived == "nothing" else site.new(user, old=True)
    # The expected session, computed step by step.
    data = {"old": True} if cookie else {}
    ended = False
    for intent in order:
        if intent == "login":
            data = data if user in (None, "alice") else {}
            user = "alice"
        elif intent == "logout":
            data, user, ended = {}, None, cookie is not None
        elif intent == "write":
            data = {**data, "written": True}
    new_id = "login" in order or "regenerate" in order or ended or cookie is None
    stored = bool(data or user)

    with site.request(cookie) as r:
        for intent in order:
            INTENTS[intent](r.session)

    assert ("destroyed" in r.reply.happened) is ended
    expected = ("set" if new_id else "") if stored else ("clear" if ended else "")
    assert r.reply.cookie == expected
    left = r.reply.id if r.reply.cookie == "set" else cookie
    assert site.data(left) == (data if stored else None)
    if stored:
        assert left is not None
        assert site.user(left) == user
    assert site.count == (1 if stored else 0)


# -- the other sessions ----------------------------------------------------------------------------


def test_logout_others_ends_all_but_this_one(site: Site) -> None:
    mine, other, bobs = site.new("alice"), site.new("alice"), site.new("bob")
    with site.request(mine) as r:
        r.session.logout_others()
    assert r.reply.happened == ["destroyed"]
    assert r.reply.cookie == ""
    assert site.data(mine) is not None
    assert site.data(other) is None
    assert site.data(bobs) is not None


def test_logout_everywhere_ends_this_session_too(site: Site) -> None:
    mine, other = site.new("alice"), site.new("alice")
    with site.request(mine) as r:
        r.session.logout_everywhere()
    assert r.reply.happened == ["destroyed", "destroyed"]
    assert r.reply.cookie == "clear"
    assert [site.data(mine), site.data(other)] == [None, None]


@pytest.mark.parametrize("method", ["logout_others", "logout_everywhere"])
def test_logout_others_and_everywhere_require_a_login(site: Site, method: str) -> None:
    with pytest.raises(LoginRequired):
        getattr(site.open(), method)()
    with pytest.raises(LoginRequired):
        getattr(site.open(site.new()), method)()


@pytest.mark.parametrize("first", ["login", "others"])
def test_a_login_with_logout_others_stays(site: Site, first: str) -> None:
    old, other = site.new("alice"), site.new("alice")
    with site.request(old) as r:
        if first == "login":
            r.session.login("alice")
            r.session.logout_others()
        else:
            r.session.logout_others()
            r.session.login("alice")
    assert r.reply.id is not None
    assert site.user(r.reply.id) == "alice"
    assert site.user(old) == "alice", "the rotated ID works for the grace"
    assert site.data(other) is None
    assert site.count == 1


def test_logout_others_after_a_login_ends_the_new_users_sessions(site: Site) -> None:
    alices, bobs = site.new("alice"), site.new("bob")
    with site.request(site.new()) as r:
        r.session.login("alice")
        r.session.logout_others()
    assert [site.data(alices), site.data(bobs)] == [None, {"n": 1}]


def test_a_logout_everywhere_after_a_login_leaves_no_session(site: Site) -> None:
    other = site.new("alice")
    with site.request(site.new()) as r:
        r.session.login("alice")
        r.session.logout_everywhere()
    assert r.reply.cookie == "clear"
    assert site.data(other) is None
    assert site.count == 0


def test_a_login_after_a_logout_everywhere_stays(site: Site) -> None:
    mine, other = site.new("alice", n=1), site.new("alice")
    with site.request(mine) as r:
        r.session.logout_everywhere()
        r.session.login("alice")
    assert site.data(r.reply.id) == {}
    assert [site.data(mine), site.data(other)] == [None, None]


def test_a_login_in_flight_of_a_revoked_user_is_dropped(site: Site) -> None:
    cookie = site.new("alice")
    session = site.open(cookie)
    session.login("alice")
    site.elsewhere.revoke_user("alice")
    site.events.clear()
    reply = site.commit(session)
    assert (reply.cookie, reply.happened) == ("", ["dropped"])
    assert reply.events[0].reason == "the user's sessions were revoked"
    assert site.count == 0


# -- caps ------------------------------------------------------------------------------------------


@pytest.mark.options(max_sessions_per_user=2)
def test_at_the_cap_the_oldest_session_is_ended(site: Site) -> None:
    first, second = site.new("alice"), site.new("alice")
    third = site.new("alice")
    assert [site.data(cookie) is None for cookie in (first, second, third)] == [True, False, False]
    fourth = site.login(site.new(), "alice")
    assert [site.data(cookie) is None for cookie in (first, second)] == [True, True]
    assert [site.data(cookie) is None for cookie in (third, fourth)] == [False, False]


@pytest.mark.options(max_sessions_per_user=2, at_max_sessions="refuse")
@pytest.mark.parametrize("stored", [False, True])
def test_at_the_cap_a_new_session_may_be_refused(site: Site, stored: bool) -> None:
    first, second = site.new("alice"), site.new("alice")
    cookie = site.new(n=1) if stored else None
    session = site.open(cookie)
    session.login("alice")
    with pytest.raises(TooManySessions, match="2 sessions"):
        site.commit(session)
    assert [site.data(c) for c in (first, second, cookie) if c] == [{"n": 1}] * (2 + stored)
    assert site.count == 2 + stored


@pytest.mark.options(max_sessions_per_user=2, at_max_sessions="refuse")
def test_a_renewed_login_and_a_rotation_are_no_new_sessions(site: Site) -> None:
    site.new("alice")
    cookie = site.login(site.new("alice"), "alice")
    for _ in range(3):
        cookie = site.login(site.rotate(cookie), "alice")
    assert site.count == 2


@pytest.mark.options(max_sessions_per_user=1, at_max_sessions="refuse")
def test_a_renewed_login_above_a_lowered_cap_is_refused_and_stays_logged_in(site: Site) -> None:
    """The stored session has the same data as the refused one."""
    runner_of(site.elsewhere).lifecycle.writer.per_user = None
    cookie = site.elsewhere.create({"n": 1}, user_id="alice")
    site.elsewhere.create({"n": 1}, user_id="alice")
    session = site.open(cookie)
    session.login("alice")
    with pytest.raises(TooManySessions):
        site.commit(session)
    assert site.user(cookie) == "alice"


@pytest.mark.options(max_sessions_per_user=1, at_max_sessions="refuse")
def test_anonymous_sessions_have_no_cap(site: Site) -> None:
    for _ in range(5):
        site.new()
    assert site.count == 5


@pytest.mark.options(max_sessions_per_user=2, at_max_sessions="refuse")
def test_a_refused_login_keeps_the_former_users_session(site: Site) -> None:
    for _ in range(2):
        site.new("bob")
    cookie, other = site.new("alice"), site.new("alice")
    session = site.open(cookie)
    session.logout_others()
    session.login("bob")
    with pytest.raises(TooManySessions):
        site.commit(session)
    assert site.user(other) == "alice"


@pytest.mark.options(max_sessions_per_user=1, at_max_sessions="refuse")
def test_a_handler_may_cancel_a_refused_login(site: Site) -> None:
    site.new("alice")
    session = site.open(site.new(n=1))
    session.login("alice")
    with pytest.raises(TooManySessions):
        site.save(session)
    site.reload(session)
    session["refused"] = True
    reply = site.commit(session)
    assert reply.cookie == ""


@pytest.mark.options(max_sessions_per_user=2, at_max_sessions="refuse")
@pytest.mark.parametrize("arrives", ["new", "anonymous", "as bob"])
@pytest.mark.parametrize("saves", [False, True])
def test_a_login_with_logout_others_makes_room_for_itself(
    site: Site, arrives: str, saves: bool
) -> None:
    others = [site.new("alice"), site.new("alice")]
    cookies = {"new": None, "anonymous": site.new(n=1), "as bob": site.new("bob")}
    session = site.open(cookies[arrives])
    session.login("alice")
    session.logout_others()
    if saves:
        site.save(session)
    reply = site.commit(session)
    assert reply.cookie == "set"
    assert [event.user_id for event in reply.events if event.name == "destroyed"] == ["alice"] * 2
    assert reply.id is not None
    assert site.user(reply.id) == "alice"
    assert [site.data(cookie) for cookie in others] == [None, None]


@pytest.mark.options(max_sessions_per_user=1, at_max_sessions="refuse")
def test_logout_others_of_another_user_makes_no_room(site: Site) -> None:
    alice, bob = site.new("alice"), site.new("bob")
    session = site.open(bob)
    session.logout_others()
    session.login("alice")
    with pytest.raises(TooManySessions):
        site.commit(session)
    assert site.data(alice) == {"n": 1}


@pytest.mark.options(max_sessions_per_user=2, at_max_sessions="refuse")
def test_a_parallel_login_during_logout_others_is_ended_too(site: Site) -> None:
    first = [site.new("alice"), site.new("alice")]
    session = site.open()
    session.login("alice")
    session.logout_others()
    late: list[str] = []

    def logs_in() -> None:
        late.append(site.elsewhere.create({"late": 1}, user_id="alice"))

    site.store.before["destroy_user"] = lambda: site.store.before.update(add=logs_in)
    reply = site.commit(session)
    assert reply.id is not None
    assert site.user(reply.id) == "alice"
    assert [site.data(cookie) for cookie in (*first, *late)] == [None] * 3


# -- the time of the login -------------------------------------------------------------------------


def test_require_recent_raises_after_the_given_time(site: Site) -> None:
    with pytest.raises(LoginRequired, match="nobody"):
        site.open().require_recent(60)
    cookie = site.new("alice")
    site.clock.advance(50)
    cookie = site.rotate(cookie)
    site.clock.advance(10)
    session = site.open(cookie)
    session.require_recent(60)
    session.require_recent(timedelta(minutes=1))
    with pytest.raises(
        LoginRequired, match=r"within the last 59 s is required, but it is 60 s old\. Ask"
    ):
        session.require_recent(59)
    session.login("alice")
    session.require_recent(1)


def test_authenticated_at_is_the_time_of_the_login(site: Site) -> None:
    assert site.open(site.new()).authenticated_at is None
    cookie = site.new("alice")
    site.clock.advance(3600)
    at = site.open(cookie).authenticated_at
    assert at is not None
    assert abs(at - (datetime.now(UTC) - timedelta(hours=1))) < timedelta(minutes=1)


def test_a_login_is_recent_from_its_first_moment(site: Site) -> None:
    session = site.open()
    session.login("alice")
    session.require_recent(0.5)
    site.save(session)
    session.require_recent(0.5)


# -- reputation ------------------------------------------------------------------------------------


def reputation_in(header: str) -> str:
    """Return the second part of a cookie's value."""
    return header.partition("=")[2].partition(";")[0].split(".")[1]


def test_a_new_id_keeps_the_reputation(site: Site) -> None:
    with site.request() as r:
        r.session["n"] = 1
    born = reputation_in(r.reply.header)
    for intent in (Session.regenerate_id, lambda session: session.login("alice")):
        value = r.reply.header.partition("=")[2].partition(";")[0]
        site.clock.advance(60)
        with site.request(Presented(r.reply.id, value.encode())) as r:
            intent(r.session)
        assert reputation_in(r.reply.header) == born


def test_a_reputation_outlives_its_session(site: Site) -> None:
    with site.request() as r:
        r.session["n"] = 1
    value, born = r.reply.header.partition("=")[2].partition(";")[0], reputation_in(r.reply.header)
    site.store.clear()
    site.clock.advance(60)
    with site.request(Presented(r.reply.id, value.encode())) as r:
        r.session["n"] = 1
    assert reputation_in(r.reply.header) == born


def test_a_cookie_without_a_reputation_gets_that_of_its_session(site: Site) -> None:
    """For example after a restart without a secret: the store still has the token."""
    with site.request() as r:
        r.session["n"] = 1
    born = reputation_in(r.reply.header)
    with site.request(r.reply.id) as r:
        r.session.regenerate_id()
    assert reputation_in(r.reply.header) == born


# -- after a save() of a session that has ended ----------------------------------------------------


def saved_too_late(site: Site, user: str | None) -> Session:
    cookie = site.new(user, n=1)
    session = site.open(cookie)
    session["n"] = 2
    site.logout(cookie)
    site.save(session)
    return session


def test_a_revoked_session_is_not_restored_by_the_same_login(site: Site) -> None:
    session = saved_too_late(site, "alice")
    session.login("alice")
    reply = site.commit(session)
    assert (reply.cookie, reply.happened[-1]) == ("", "dropped")


def test_a_login_of_another_user_begins_without_data(site: Site) -> None:
    session = saved_too_late(site, "alice")
    session.login("bob")
    reply = site.commit(session)
    assert reply.cookie == "set"
    assert site.data(reply.id) == {}


def test_a_first_login_keeps_the_data_of_the_visitor(site: Site) -> None:
    session = saved_too_late(site, None)
    session.login("alice")
    reply = site.commit(session)
    assert site.data(reply.id) == {"n": 2}


def test_a_login_after_a_logout_is_a_new_login(site: Site) -> None:
    session = saved_too_late(site, "alice")
    session.logout()
    site.save(session)
    session.login("alice")
    assert site.commit(session).cookie == "set"


def test_a_login_after_a_save_that_lost_to_another_login(site: Site) -> None:
    """No session was revoked, so this login is valid too."""
    cookie = site.new("alice")
    session = site.open(cookie)
    session["n"] = 2
    site.login(cookie, "bob")
    site.save(session)
    session.login("alice")
    assert site.commit(session).cookie == "set"
