"""Express and Python share the sessions of each store: one acts, and the other sees it."""

from __future__ import annotations

import pytest

from tests.support.express.world import MINUTE, Visitor, World, sid_of

ORDERS = pytest.mark.parametrize(
    ("first", "second"),
    [
        ("express", "python"),
        ("python", "express"),
        ("express", "async_python"),
        ("async_python", "express"),
    ],
)
LOGIN = {"username": "ann", "password": "right"}


# -- one after the other ---------------------------------------------------------------------------


@ORDERS
def test_a_login_is_seen_by_the_other(
    world: World, visitor: Visitor, first: str, second: str
) -> None:
    visitor.ask(world.site(first), "/write", key="cart", value=["bread"])
    before = visitor.cookie
    assert visitor.ask(world.site(first), "/login", **LOGIN).json["user"] == "ann"
    assert visitor.cookie != before
    assert visitor.ask(world.site(second), "/read").json["user"] == "ann"
    assert visitor.ask(world.site(first), "/read").json["user"] == "ann"
    old = world.site(second).ask("/read", None, before)
    assert (old.json["user"], old.session) == (None, {})


@ORDERS
def test_a_write_is_seen_by_the_other(
    world: World, visitor: Visitor, first: str, second: str
) -> None:
    value = {"name": "Zoë ☕", "prices": [2.5, -1, 2**53 - 1], "sold": None, "new": True}
    visitor.ask(world.site(first), "/write", key="one", value=value)
    cookie = visitor.cookie
    assert visitor.ask(world.site(second), "/read").session == {"one": value}
    visitor.ask(world.site(second), "/write", key="two", value="")
    assert visitor.ask(world.site(first), "/read").session == {"one": value, "two": ""}
    assert visitor.cookie == cookie


@ORDERS
def test_a_nested_write_is_seen_by_the_other(
    world: World, visitor: Visitor, first: str, second: str
) -> None:
    visitor.ask(world.site(first), "/write", key="cart", value={"items": ["bread"]})
    visitor.ask(world.site(second), "/push", key="cart", value="butter")
    visitor.ask(world.site(first), "/push", key="cart", value="jam")
    expected = {"cart": {"items": ["bread", "butter", "jam"]}}
    assert visitor.ask(world.site(second), "/read").session == expected


@ORDERS
def test_a_logout_is_seen_by_the_other(
    world: World, visitor: Visitor, first: str, second: str
) -> None:
    for logout in ("/logout", "/passport-logout"):
        visitor.ask(world.site(first), "/login", **LOGIN)
        before = visitor.cookie
        assert visitor.ask(world.site(second), "/read").json["user"] == "ann"
        visitor.ask(world.site(second), logout)
        for cookie in (before, visitor.cookie):
            for site in (world.site(first), world.site(second)):
                answer = site.ask("/read", None, cookie)
                assert (answer.json["user"], answer.session) == (None, {})
        assert world.store.read(sid_of(before)) is None


@ORDERS
def test_a_new_id_is_accepted_by_the_other(
    world: World, visitor: Visitor, first: str, second: str
) -> None:
    visitor.ask(world.site(first), "/login", **LOGIN)
    visitor.ask(world.site(second), "/write", key="cart", value=["bread"])
    before = visitor.cookie
    visitor.ask(world.site(first), "/regenerate")
    assert visitor.cookie != before
    answer = visitor.ask(world.site(second), "/read")
    assert (answer.json["user"], answer.session["cart"]) == ("ann", ["bread"])
    assert world.site(second).ask("/read", None, before).session == {}


@pytest.mark.parametrize("toucher", ["express", "python", "async_python"])
def test_a_rolling_touch_extends_the_session_for_both(
    rolling: World, visitor: Visitor, toucher: str
) -> None:
    other = "python" if toucher == "express" else "express"
    visitor.ask(rolling.site(other), "/login", **LOGIN)
    sid = sid_of(visitor.cookie)
    stored = rolling.store.read(sid)
    rolling.store.expire_in(sid, MINUTE - 20)
    answer = visitor.ask(rolling.site(toucher), "/read")
    assert answer.json["user"] == "ann"
    assert len(answer.set_cookies) == 1
    assert rolling.store.read(sid) == stored
    if rolling.store.touches or toucher != "express":
        assert MINUTE - 2 <= rolling.store.expires_in(sid) <= MINUTE + 1
    assert visitor.ask(rolling.site(other), "/read").json["user"] == "ann"


# -- both at once: the first one has loaded its session when the other one acts --------------------


def test_a_write_of_python_keeps_a_write_of_express(world: World, visitor: Visitor) -> None:
    visitor.ask(world.express, "/write", key="cart", value={"items": ["bread"]})
    with world.python.held("/write", {"key": "two", "value": 2}, visitor.cookie) as answers:
        visitor.ask(world.express, "/write", key="one", value=1)
    assert answers[0].status == 200
    expected = {"cart": {"items": ["bread"]}, "one": 1, "two": 2}
    assert visitor.ask(world.express, "/read").session == expected


def test_a_nested_write_of_python_keeps_one_of_express(world: World, visitor: Visitor) -> None:
    visitor.ask(world.express, "/write", key="cart", value={"items": ["bread"]})
    with world.python.held("/push", {"key": "cart", "value": "jam"}, visitor.cookie):
        visitor.ask(world.express, "/write", key="cart", value={"items": ["bread"], "for": "ann"})
    expected = {"cart": {"items": ["bread", "jam"], "for": "ann"}}
    assert visitor.ask(world.express, "/read").session == expected


def test_a_write_of_express_overwrites_one_of_python(world: World, visitor: Visitor) -> None:
    visitor.ask(world.express, "/write", key="cart", value={"items": ["bread"]})
    with world.express.held("/push", {"key": "cart", "value": "jam"}, visitor.cookie):
        visitor.ask(world.python, "/write", key="lost", value=True)
    # Express stores what its request has loaded.
    assert visitor.ask(world.python, "/read").session == {"cart": {"items": ["bread", "jam"]}}


def test_a_touch_of_express_keeps_a_write_of_python(world: World, visitor: Visitor) -> None:
    visitor.ask(world.express, "/write", key="one", value=1)
    with world.express.held("/read", {}, visitor.cookie):
        visitor.ask(world.python, "/write", key="two", value=2)
    assert visitor.ask(world.express, "/read").session == {"one": 1, "two": 2}


def test_python_never_undoes_a_logout_of_express(world: World, visitor: Visitor) -> None:
    for path, body in (("/write", {"key": "one", "value": 1}), ("/read", {}), ("/regenerate", {})):
        visitor.ask(world.express, "/login", **LOGIN)
        with world.python.held(path, body, visitor.cookie) as answers:
            visitor.ask(world.express, "/logout")
        visitor.take(answers[0])
        assert visitor.ask(world.express, "/read").json["user"] is None
        assert visitor.ask(world.python, "/read").json["user"] is None


def test_express_can_undo_a_logout_of_python(world: World, visitor: Visitor) -> None:
    visitor.ask(world.python, "/login", **LOGIN)
    before = visitor.cookie
    with world.express.held("/write", {"key": "one", "value": 1}, before):
        visitor.ask(world.python, "/logout")
        assert world.store.read(sid_of(before)) is None
    # express-session stores a changed session without asking whether it still exists.
    assert world.python.ask("/read", None, before).json["user"] == "ann"


def test_a_request_of_express_that_changes_nothing_keeps_a_logout_of_python(
    world: World, visitor: Visitor
) -> None:
    visitor.ask(world.python, "/login", **LOGIN)
    before = visitor.cookie
    with world.express.held("/read", {}, before):
        visitor.ask(world.python, "/logout")
    assert world.store.read(sid_of(before)) is None


def test_a_login_of_python_survives_a_write_of_express(world: World, visitor: Visitor) -> None:
    visitor.ask(world.express, "/write", key="cart", value={"items": ["bread"]})
    before = visitor.cookie
    with world.express.held("/push", {"key": "cart", "value": "jam"}, before):
        visitor.ask(world.python, "/login", **LOGIN)
    assert visitor.ask(world.express, "/read").json["user"] == "ann"
    # Express has stored the session of before the login again, without the user.
    assert world.python.ask("/read", None, before).json["user"] is None


def test_a_login_of_express_survives_a_write_of_python(world: World, visitor: Visitor) -> None:
    visitor.ask(world.python, "/write", key="cart", value={"items": ["bread"]})
    before = visitor.cookie
    with world.python.held("/push", {"key": "cart", "value": "jam"}, before) as answers:
        visitor.ask(world.express, "/login", **LOGIN)
    assert answers[0].set_cookies == []
    assert visitor.ask(world.python, "/read").json["user"] == "ann"
    assert world.store.read(sid_of(before)) is None


def test_of_two_new_ids_the_one_in_the_cookie_is_valid(world: World, visitor: Visitor) -> None:
    visitor.ask(world.express, "/login", **LOGIN)
    with world.python.held("/regenerate", {}, visitor.cookie) as answers:
        visitor.ask(world.express, "/regenerate")
    visitor.take(answers[0])
    assert visitor.ask(world.express, "/read").json["user"] == "ann"


def test_the_rolling_touches_of_both_keep_the_session(rolling: World, visitor: Visitor) -> None:
    visitor.ask(rolling.express, "/login", **LOGIN)
    sid = sid_of(visitor.cookie)
    stored = rolling.store.read(sid)
    rolling.store.expire_in(sid, MINUTE - 20)
    with rolling.python.held("/read", {}, visitor.cookie):
        visitor.ask(rolling.express, "/read")
    assert rolling.store.read(sid) == stored
    assert MINUTE - 2 <= rolling.store.expires_in(sid) <= MINUTE + 1
