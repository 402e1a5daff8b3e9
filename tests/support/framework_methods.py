"""The methods of frameworks that change, replace and end a session, and their effects.

A :class:`Place` is an application of one framework whose handler calls a list of methods. A
:class:`State` is the simple model: the effect of a method on the session, by the framework's docs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any, Final

from lembro import SessionManager
from tests.support.messages import Answer, Request

Data = dict[str, Any]
Fetch = Callable[[Request], Awaitable[Answer]]

BEFORE: Final = {"old": 1}
KEYS: Final = ("old", "new", "set")
"""The keys that the methods write. Frameworks have their own keys too."""


@dataclass
class State:
    """The expected content of a session."""

    user: str | None = "ada"
    data: Data = field(default_factory=lambda: dict(BEFORE))
    ended: bool = False
    """Whether the session that came with the request has ended."""
    keyed: bool = True
    """Whether the session has Django's key of the user."""


Effect = Callable[[State], None]


@dataclass(frozen=True)
class Method:
    """One method: a function that calls it in a handler, and its effect."""

    call: Callable[[Any], Any]
    effect: Effect


@dataclass
class Place:
    """An application of one framework, its methods, and how to call the application."""

    fetch: Fetch
    methods: dict[str, Method]
    before: Data = field(default_factory=dict)
    """The framework's own keys in the session of the logged-in user."""


current: list[Method] = []
"""The methods that the current request calls."""


def call(context: Any) -> None:
    """Call the methods of the current request, in a handler that is not async."""
    for method in current:
        method.call(context)


async def acall(context: Any) -> None:
    """Call the methods of the current request, in an async handler."""
    for method in current:
        result = method.call(context)
        if isawaitable(result):
            await result


async def check(place: Place, manager: SessionManager, names: tuple[str, ...]) -> None:
    """Call these methods in one request of a logged-in user, and compare with the model."""
    manager.clear()
    methods = [place.methods[name] for name in names]
    old = manager.create({**BEFORE, **place.before}, user_id="ada")
    state = State()
    for method in methods:
        method.effect(state)
    current[:] = methods
    answer = await place.fetch(Request(cookies=[f"sid={old}".encode()]))
    assert answer.status in (200, 201), (names, answer)

    infos = [
        (info.user_id, {key: info.data[key] for key in KEYS if key in info.data})
        for info in manager.all()
    ]
    held = [(user, data) for user, data in infos if user is not None or data]
    expected = [(state.user, state.data)] if state.user is not None or state.data else []
    assert held == expected, names
    if state.ended:
        assert manager.get(old) is None, names
        assert answer.set_cookies, names
        assert not any(old in cookie for cookie in answer.set_cookies), names


# -- effects ---------------------------------------------------------------------------------------


def end(state: State) -> None:
    state.user, state.data, state.ended = None, {}, True
    state.keyed = False


def write(state: State) -> None:
    state.data["new"] = 1


def drop(state: State) -> None:
    state.data.pop("old", None)


def replace(state: State) -> None:
    state.data = {"set": 1}


def begin_new(state: State) -> None:
    end(state)
    replace(state)


def log_in(state: State) -> None:
    if state.user not in (None, "bob"):
        state.data = {}
    state.user = "bob"


def nothing(state: State) -> None: ...
