"""Explore every way in which requests of one session can overlap.

The lifecycle yields its store calls, so a schedule is a list of turns: the request whose next store
call is performed. A node of the search is the content of the store and the answers that each
request has received so far. Two schedules that lead to the same node differ only by steps that
commute, so only one of them is followed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count
from typing import Any
from unittest.mock import patch

from lembro import SessionManager
from lembro._core import codec
from lembro._core.effects import Call, run_flow
from lembro._core.session import Session
from lembro._core.state import Loaded, SetCookie
from lembro._http.cookie import Presented
from lembro._runtime.exchange import session_by_id
from lembro.ids import key_for
from lembro.manager import runner_of
from lembro.stores.base import Found
from lembro.testing._model import NaiveStore

Action = Callable[[Session], None]
Outside = Callable[[NaiveStore], object]


@dataclass
class Request:
    """One request, or an event outside of all requests (``outside``)."""

    name: str
    act: Action | None = None
    failed: bool = False
    outside: Outside | None = None


@dataclass
class Done:
    """The result of a request."""

    request: Request
    session: Session | None = None
    issued: str | None = None
    cleared: bool = False
    dropped: bool = False
    issued_live: bool = True
    user: str | None = None
    """The user when the handler was called."""
    loaded: Loaded = Loaded.NOT_LOADED
    raised: bool = False
    """Whether the handler raised, for example because the session had lost a key."""
    order: int = -1
    """The position of its end among the other requests."""


@dataclass
class World:
    """The state after a schedule."""

    store: NaiveStore
    cookie: str
    done: list[Done]
    turns: tuple[int, ...] = ()
    histories: list[list[Any]] = field(default_factory=list)

    def live(self) -> list[dict[str, Any]]:
        return [codec.decode(found.payload)[1] for _, found in self.store.all()]

    def of(self, user: str) -> list[Found]:
        return [found for _, found in self.store.of_user(user)]


Setting = Callable[[SessionManager], str]
"""Fill a store and return the cookie that all requests send."""

Arrive = Callable[[SessionManager, str], Session]
"""Make the session of a request from the cookie."""


def by_id(manager: SessionManager, cookie: str) -> Session:
    return session_by_id(runner_of(manager), Presented(cookie))


def explore(
    setting: Setting, requests: Sequence[Request], arrive: Arrive = by_id, **options: Any
) -> Iterator[World]:
    """Yield every end of every schedule of these requests, up to commuting steps.

    Args:
        options: the manager's options.
    """
    seen: set[Any] = set()
    stack: list[tuple[int, ...]] = [()]
    while stack:
        turns = stack.pop()
        world, ready, node = play(setting, requests, turns, arrive, **options)
        if node in seen:
            continue
        seen.add(node)
        if not ready:
            yield world
        stack += [(*turns, turn) for turn in ready]


Choose = Callable[[list[int]], int | None]
"""The request whose turn it is, of those that can run. None ends the schedule."""


def play(
    setting: Setting,
    requests: Sequence[Request],
    turns: Sequence[int],
    arrive: Arrive = by_id,
    **options: Any,
) -> tuple[World, list[int], Any]:
    """Play these turns from the start. Return the world, the requests that can run next, and the
    node.
    """
    rest = iter(turns)
    return _play(setting, requests, lambda _: next(rest, None), arrive, **options)


def play_out(setting: Setting, requests: Sequence[Request], choose: Choose) -> World:
    """Play one schedule to its end, with turns that are chosen on the way."""
    world, ready, _ = _play(setting, requests, lambda ready: choose(ready) if ready else None)
    assert not ready
    return world


def _play(
    setting: Setting,
    requests: Sequence[Request],
    choose: Choose,
    arrive: Arrive = by_id,
    **options: Any,
) -> tuple[World, list[int], Any]:
    store = NaiveStore()
    manager = SessionManager(store, **options)
    numbers = count()
    current = ["setting"]

    # an ID names the request that made it, not the time, so that nodes can be compared
    def fake_id(*_: Any) -> str:
        return f"{current[0]}-{next(own[current[0]])}".ljust(43, "_")

    def fake_bytes(size: int = codec.MARK) -> bytes:
        return blake2b(fake_id().encode(), digest_size=size).digest()

    own: dict[str, Iterator[int]] = {
        name: count() for name in ("setting", *(request.name for request in requests))
    }
    with (
        patch("lembro._core.commit.new_id", fake_id),
        patch("lembro._core.commit.new_mark", fake_bytes),
        patch("lembro.migrate.lifecycle.token_bytes", fake_bytes),
    ):
        cookie = setting(manager)
        done = [Done(request) for request in requests]
        histories: list[list[Any]] = [[] for _ in requests]
        runs = [_run(manager, cookie, entry, numbers, arrive) for entry in done]
        calls: dict[int, Call] = {}
        for i, run in enumerate(runs):
            current[0] = requests[i].name
            calls[i] = next(run)
        turns: list[int] = []
        while (turn := choose(sorted(calls))) is not None:
            turns.append(turn)
            call = calls.pop(turn)
            current[0] = requests[turn].name
            result = None
            if call.verb != "begin":
                result = getattr(store, call.verb)(*call.args, **call.keywords)
            histories[turn].append((call.verb, repr(result)))
            try:
                calls[turn] = runs[turn].send(result)
            except StopIteration:
                histories[turn].append(("end", done[turn].order))
    node = (
        repr(sorted(store.entries.items())),
        store.now,
        tuple(tuple(h if h[0] != "end" else "end" for h in history) for history in histories),
    )
    return World(store, cookie, done, tuple(turns), histories), sorted(calls), node


def _run(
    manager: SessionManager, cookie: str, done: Done, numbers: Iterator[int], arrive: Arrive
) -> Generator[Call, Any, None]:
    request = done.request
    yield Call("begin", ())
    if request.outside is not None:
        assert isinstance(manager.store, NaiveStore)
        request.outside(manager.store)
        done.order = next(numbers)
        return
    session = done.session = arrive(manager, cookie)
    yield from runner_of(manager).lifecycle.load(session)
    done.user = session.user_id
    if request.act is not None:
        try:
            request.act(session)
        except KeyError:
            done.raised = True
    flow = runner_of(manager).lifecycle.commit(session, failed=request.failed or done.raised)
    yield from run_flow(flow)
    done.order = next(numbers)
    done.loaded = session._loaded
    done.dropped = any(event.name == "dropped" for event in session._events)
    if isinstance(session._cookie, SetCookie):
        done.issued = session._cookie.session_id
        assert isinstance(manager.store, NaiveStore)
        done.issued_live = manager.store.get(key_for(done.issued)) is not None
    elif session._cookie is not None:
        done.cleared = True
