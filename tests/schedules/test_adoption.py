"""Exhaustive schedules of requests with one legacy cookie.

In every order of their store calls, the legacy session is adopted once, and never after a logout.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Any, Final

import pytest

from lembro import SessionManager
from lembro._core.effects import run_flow
from lembro._core.session import Session
from lembro._core.state import SetCookie
from lembro._runtime.drivers import run
from lembro._runtime.exchange import session_by_id
from lembro.manager import runner_of
from lembro.migrate import LegacySession, Reader
from lembro.testing._model import NaiveStore
from tests.schedules.explorer import Request, World, explore
from tests.schedules.requests import (
    FAILING,
    FAILING_LOGOUT,
    LOGINS,
    LOGOUT,
    READ,
    REGENERATE,
    WRITES,
    with_distinct_names,
)
from tests.schedules.test_schedules import ALL

DATA: Final = {"old": 1, "nested": {}}


class Before(Reader):
    def read(self, value: str) -> LegacySession:
        return self.session({**DATA, "user": None if value == "nobody" else value}, value)


OPTIONS: Final[Any] = {"migrate_from": Before(cookie="before", lifetime=10**6, user="user")}


def ann(manager: SessionManager) -> str:
    return "ann"


def arrive(manager: SessionManager, cookie: str) -> Session:
    """Make a request with the legacy cookie."""
    runner = runner_of(manager)
    presented = runner.cookie.read([f"before={cookie}".encode()], https=False)
    return session_by_id(runner, presented)


CHOSEN = [READ, WRITES[0], WRITES[2], WRITES[3], REGENERATE, LOGOUT, FAILING, FAILING_LOGOUT]


def check(requests: Sequence[Request], world: World) -> None:
    names = [request.name for request in requests]
    where = f"{' | '.join(names)}: turns {world.turns}"
    rotations = names.count("regenerate")
    # A request after the rotation sent a stale cookie, and so ends nothing.
    came = [(name, done) for name, done in zip(names, world.done, strict=True) if done.user]
    ended = {"logout", "failing logout"} & {name for name, _ in came}
    old = [data for data in world.live() if "old" in data]
    issued = {done.issued for done in world.done} - {None}
    assert all(done.issued_live for done in world.done), where
    assert len(issued) <= 1 + rotations, where
    assert {done.user for done in world.done} <= {None, "ann"}, where
    assert all("never" not in data for data in world.live()), where
    if ended:
        assert old == [], where
        assert _user_of_replay(world) is None, where
        return
    assert rotations or len(came) == len(names), where
    assert not any(done.dropped for _, done in came), where
    stored = [name for name, _ in came if name != "failing"]
    assert len(old) == bool(stored), where
    for name in stored:
        kind, _, key = name.partition(" ")
        if kind == "set":
            assert old[0][key] == key, where
        elif kind == "nested":
            assert old[0]["nested"][key] == key, where
    assert _user_of_replay(world) == (None if rotations else "ann"), where


def _user_of_replay(world: World) -> str | None:
    """Return the user of a request that sends the legacy cookie again, within the grace."""
    manager = SessionManager(world.store, **OPTIONS)
    session = arrive(manager, world.cookie)
    run(runner_of(manager).lifecycle.load(session), world.store)
    return session.user_id


@pytest.mark.parametrize("number", [2, 3])
def test_every_schedule_of_several_requests(number: int) -> None:
    chosen = CHOSEN if number == 2 else [READ, WRITES[0], LOGOUT] if ALL else [WRITES[0], LOGOUT]
    ends = 0
    for requests in combinations_with_replacement(chosen, number):
        for world in explore(ann, with_distinct_names(requests), arrive, **OPTIONS):
            check(requests, world)
            ends += 1
    assert ends > 100


@pytest.mark.parametrize("other", [READ, WRITES[0], LOGOUT], ids=lambda request: request.name)
@pytest.mark.parametrize("login", LOGINS, ids=lambda request: request.name)
def test_every_schedule_with_a_login(login: Request, other: Request) -> None:
    for world in explore(ann, with_distinct_names([login, other]), arrive, **OPTIONS):
        where = f"{other.name}: turns {world.turns}"
        assert all(done.issued_live for done in world.done), where
        assert {done.user for done in world.done} <= {None, "ann"}, where
        assert all(b"old" not in found.payload for found in world.of("bob")), where
        if other.name == "logout" and world.done[1].user:
            assert not any("old" in data for data in world.live()), where


def _rotated(session: Session) -> None:
    session.regenerate_id()
    session["secret"] = 1


def _cleared(session: Session) -> None:
    session.clear()
    session["secret"] = 1


def _logged_in(session: Session) -> None:
    session.login("victim")
    session["secret"] = 1


def _logged_in_twice(session: Session) -> None:
    session.regenerate_id()
    _logged_in(session)


@pytest.mark.parametrize("planted", ["nobody", "ann"])
@pytest.mark.parametrize("other", [READ, WRITES[0], REGENERATE, LOGOUT, FAILING])
@pytest.mark.parametrize("way", [_rotated, _cleared, _logged_in, _logged_in_twice])
def test_only_one_user_gets_a_session_rotated_at_its_adoption(
    way: Any, other: Request, planted: str
) -> None:
    """The two requests are a victim's and that of an attacker who planted the legacy cookie."""
    for world in explore(
        lambda manager: planted, [Request("victim", way), other], arrive, **OPTIONS
    ):
        where = f"turns {world.turns}"
        world.store.now += 31  # after the grace
        manager = SessionManager(world.store, **OPTIONS)
        victim, attacker = world.done
        if other in (READ, WRITES[0], FAILING):
            assert victim.issued is not None, where
            assert manager.get(victim.issued) is not None, where
            assert "secret" in (manager.get(victim.issued) or {}), where
        replay = arrive(manager, planted)
        run(runner_of(manager).lifecycle.load(replay), world.store)
        assert (replay.user_id, dict(replay), replay.is_new) == (None, {}, True), where
        if (issued := attacker.issued) is not None:
            assert issued != victim.issued, where
            assert "secret" not in (manager.get(issued) or {}), where


def test_an_adoption_interrupted_at_any_call_is_completed_by_the_next_request() -> None:
    """A crash or a client that closes the connection may interrupt it."""
    calls = 0
    while True:
        store = NaiveStore()
        manager = SessionManager(store, **OPTIONS)
        first = arrive(manager, "ann")
        run(runner_of(manager).lifecycle.load(first), store)
        flow = runner_of(manager).lifecycle.commit(first)
        assert flow is not None
        finished = False
        call = next(flow)
        for _ in range(calls):
            try:
                call = flow.send(getattr(store, call.verb)(*call.args, **call.keywords))
            except StopIteration:
                finished = True
        flow.close()
        second = arrive(manager, "ann")
        run(runner_of(manager).lifecycle.load(second), store)
        assert (second.user_id, second["old"]) == ("ann", 1)
        run(run_flow(runner_of(manager).lifecycle.commit(second)), store)
        assert isinstance(second._cookie, SetCookie)
        assert [found.user for _, found in store.all()] == ["ann"]
        if finished:
            break
        calls += 1
    assert calls == 1
