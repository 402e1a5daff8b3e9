"""79. An assignment in quadratic time: 1 MB of JSON with a long key blocked the event loop for
seconds.

The cause was a path that was built for each element. The tests count steps instead of time: the
characters joined to paths, and the calls of functions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from lembro import CodecError, MemoryStore, Session, SessionManager
from lembro._core import codec
from lembro._core.merge import merge


class Key(str):
    """A key that counts how often its text is copied into another text."""

    __slots__ = ()
    copies = 0

    def __format__(self, spec: str) -> str:
        Key.copies += 1
        return str.__format__(self, spec)

    def __str__(self) -> str:
        Key.copies += 1
        return str.__str__(self)


class Uncarried:
    """A value that a session cannot store."""


SHAPES: dict[str, Callable[[int], Any]] = {
    "a list of numbers": lambda n: [1] * n,
    "a list of lists": lambda n: [[] for _ in range(n)],
    "a dict": lambda n: {f"k{i}": i for i in range(n)},
    "a list of dicts": lambda n: [{"a": {"b": 1}} for _ in range(n)],
    "a long key": lambda n: {"k" * n: [1] * n},
    "long keys at each level": lambda n: {"k" * n: {"l" * n: {"m" * n: [(1,)] * n}}},
    "tuples": lambda n: [(1, 2)] * n,
    "sets": lambda n: [{1, 2}] * n,
    "large integers": lambda n: [2**70] * n,
}
REFUSED: dict[str, Callable[[int], Any]] = {
    "a value": lambda n: {"k" * n: [*([[]] * n), Uncarried()]},
    "a surrogate": lambda n: {"k" * n: [*(["a"] * n), "\ud800"]},
    "a surrogate in a tuple": lambda n: {"k" * n: [*([("a",)] * n), ("\ud800",)]},
    "too deep": lambda n: {"k" * n: [*([[]] * n), nested(200)]},
}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def calls_of(function: Callable[[Session], object]) -> int:
    """Count the calls of functions, including C functions, in ``function(session)``."""
    session = SessionManager(MemoryStore("16M", max_session_size="4M")).load()
    count = 0

    def profile(frame: Any, event: str, arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function(session)
    finally:
        sys.setprofile(before)
    return count


def refused(session: Session, value: Any) -> None:
    with pytest.raises(CodecError) as caught:
        session["key"] = value
    assert len(str(caught.value)) < 1000


def calls_to_assign(value: Any) -> int:
    return calls_of(lambda session: session.__setitem__("key", value))


def calls_to_refuse(value: Any) -> int:
    return calls_of(lambda session: refused(session, value))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_calls_are_proportional_to_the_size(shape: str) -> None:
    make = SHAPES[shape]
    small, large = make(1000), make(2000)
    assert calls_to_assign(large) <= 2.2 * calls_to_assign(small)


@pytest.mark.parametrize("shape", REFUSED)
def test_the_calls_for_a_refused_value_are_proportional_to_the_size(shape: str) -> None:
    make = REFUSED[shape]
    small, large = make(1000), make(2000)
    assert calls_to_refuse(large) <= 2.2 * calls_to_refuse(small)


@pytest.mark.parametrize("items", [10, 1000])
def test_a_key_is_copied_only_if_a_value_is_refused(items: int) -> None:
    Key.copies = 0
    value = {"outer": [1] * items, "list": [(1,)] * items}
    codec.encode_value(value, Key("path"))
    assert Key.copies == 0
    with pytest.raises(CodecError):
        codec.encode_value({**value, "last": Uncarried()}, Key("path"))
    assert Key.copies <= 1


def test_a_merge_builds_only_the_paths_that_it_names() -> None:
    def conflicting(n: int, side: int) -> dict[str, Any]:
        return {"k" * n: {"l" * n: {str(i): side for i in range(n)}}}

    def calls(n: int) -> int:
        base, theirs, ours = (conflicting(n, side) for side in range(3))
        return calls_of(lambda session: merge(base, theirs, ours))

    assert calls(400) <= 2.2 * calls(200)
    _, conflicts = merge(*(conflicting(200, side) for side in range(3)))
    assert (conflicts.number, len(conflicts.paths)) == (200, 5)
