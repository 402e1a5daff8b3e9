"""The frameworks' own words for changing, replacing and ending a session, and what they mean.

A :class:`Place` is an application of one framework whose handler carries out a list of words. A
:class:`State` is the plain model: what a word means for the session, by the framework's docs.
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
"""The keys that the words write. Frameworks have more of their own."""


@dataclass
class State:
    """What a session is expected to hold."""

    user: str | None = "ada"
    data: Data = field(default_factory=lambda: dict(BEFORE))
    ended: bool = False
    """Whether the session that came with the request has ended."""
    keyed: bool = True
    """Whether Django's key of the user is there."""


Effect = Callable[[State], None]


@dataclass(frozen=True)
class Word:
    """One word: how it is said in a handler, and what it means."""

    say: Callable[[Any], Any]
    means: Effect


@dataclass
class Place:
    """An application of one framework, its words, and how to call it."""

    fetch: Fetch
    words: dict[str, Word]
    before: Data = field(default_factory=dict)
    """Keys of the framework's own in the session of the logged-in user."""


said: list[Word] = []
"""The words of the current request."""


def say(context: Any) -> None:
    """Carry out the words of the current request, in a handler that is not async."""
    for word in said:
        word.say(context)


async def asay(context: Any) -> None:
    """Carry out the words of the current request, in an async handler."""
    for word in said:
        result = word.say(context)
        if isawaitable(result):
            await result


async def check(place: Place, manager: SessionManager, names: tuple[str, ...]) -> None:
    """Say these words in one request of a logged-in user, and compare with the model."""
    manager.clear()
    words = [place.words[name] for name in names]
    old = manager.create({**BEFORE, **place.before}, user_id="ada")
    state = State()
    for word in words:
        word.means(state)
    said[:] = words
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


# -- what words mean -------------------------------------------------------------------------------


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
