"""The possible actions of a request, and the invariants that hold after every schedule of them."""

from __future__ import annotations

from collections.abc import Sequence

from lembro import SessionManager
from lembro._core.session import Session
from lembro._core.state import Loaded
from lembro.testing._model import NaiveStore
from tests.schedules.explorer import Request, World


def anonymous(manager: SessionManager) -> str:
    return manager.create({"old": 1, "nested": {}})


def logged_in(manager: SessionManager) -> str:
    return manager.create({"old": 1, "nested": {}}, "ann")


SETTINGS = {"anonymous": anonymous, "logged in": logged_in}


def _set(key: str) -> Request:
    def act(session: Session) -> None:
        session[key] = key

    return Request(f"set {key}", act)


def _nested(key: str) -> Request:
    def act(session: Session) -> None:
        session["nested"][key] = key

    return Request(f"nested {key}", act)


def _failing(session: Session) -> None:
    session["never"] = 1


def _regenerate(session: Session) -> None:
    session.regenerate_id()


def _login(user: str) -> Request:
    def act(session: Session) -> None:
        session.login(user)

    return Request(f"login {user}", act)


def _read(session: Session) -> None:
    len(session)


def _expire(store: NaiveStore) -> None:
    store.now += 10**9


READ = Request("read", _read)
REGENERATE = Request("regenerate", _regenerate)
LOGOUT = Request("logout", lambda session: session.logout())
FAILING = Request("failing", _failing, failed=True)
FAILING_LOGOUT = Request("failing logout", lambda session: session.logout(), failed=True)
DESTROY_USER = Request("destroy_user", outside=lambda store: store.destroy_user("ann"))
EXPIRY = Request("expiry", outside=_expire)
WRITES = [_set("a"), _set("b"), _nested("a"), _nested("b")]
LOGINS = [_login("ann"), _login("bob")]
EVERY = [
    READ, *WRITES, REGENERATE, *LOGINS, LOGOUT, FAILING, FAILING_LOGOUT, DESTROY_USER, EXPIRY,
]  # fmt: skip


def check(setting: str, requests: Sequence[Request], world: World) -> None:
    """Check the invariants that hold after every schedule."""
    names = [request.name for request in requests]
    where = f"{setting}: {' | '.join(names)}: turns {world.turns}"
    # The session that all requests sent. A request that came after its end began a new one.
    old = [data for data in world.live() if "old" in data]
    logins = {name for name in names if name.startswith("login")}
    ended = {"logout", "failing logout", "expiry"} & set(names)
    if setting == "logged in" and "destroy_user" in names:
        ended.add("destroy_user")

    # Each cookie was valid when it was sent, and at most one response clears it.
    assert all(done.issued_live for done in world.done), where
    assert sum(done.cleared for done in world.done) <= 1, where
    # No change of a failed handler is stored.
    assert all("never" not in data for data in world.live()), where
    # No user's data reach another user, and an ID from before a login is not accepted after it.
    before = "ann" if setting == "logged in" else None
    assert {done.user for done in world.done} <= {None, before}, where
    if setting == "anonymous":
        # An ID from before a login is stale, but a second login of the same user continues it.
        followed = [done.request.name for done in world.done if done.loaded is Loaded.ROTATED]
        plain = [name.partition("#")[0] for name in names]
        for name in (each.partition("#")[0] for each in followed):
            assert name.startswith("login"), where
            assert plain.count(name) > 1, where
    if setting == "logged in":
        assert all(b"old" not in found.payload for found in world.of("bob")), where
        # A login in flight does not restore the old session either. (With two logins, bob's may
        # have ended it first, and then the logout did not.)
        if ended and len(logins) < 2:
            assert old == [], where
    if logins:
        return

    # The session exists once. If it was ended, it does not exist. (A rotated ID of an anonymous
    # session is stale, so a request that sends it cannot end the session.)
    out_of_reach = setting == "anonymous" and "regenerate" in names
    if not ended:
        assert len(old) == 1, where
    elif not out_of_reach or "expiry" in ended:
        assert old == [], where
    elif any(done.issued and "regenerate" in done.request.name for done in world.done):
        assert len(old) == 1, where
    # Every change of a key is stored, unless the session has ended or an event reported the loss.
    for done, name in zip(world.done, names, strict=True):
        kind, _, key = name.partition(" ")
        if kind in ("set", "nested") and old and not done.dropped and not done.raised:
            held = world.live() if kind == "set" else [data["nested"] for data in old]
            assert any(data.get(key) == key for data in held), where
    if not ended and not out_of_reach:
        assert not any(done.dropped for done in world.done), where


def with_distinct_names(requests: Sequence[Request]) -> list[Request]:
    """Give two equal requests different names, for the IDs that they make."""
    return [
        Request(f"{request.name}#{i}", request.act, request.failed, request.outside)
        for i, request in enumerate(requests)
    ]
