"""The size of values before they are encoded, and a process without memory for them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Never

import pytest

from lembro import CodecError, MemoryStore, Session, SessionManager, SessionTooLarge
from lembro._core.codec import encode_value
from lembro._core.size_check import is_oversized


class Subclass(dict[str, Any]):
    pass


class Text(str):
    __slots__ = ()


class Unread(list[Any]):
    def __iter__(self) -> Never:
        raise AssertionError("its length is enough")


VALUES: list[Any] = [
    "x" * 100,
    b"x" * 100,
    ["x" * 10] * 10,
    [1] * 100,
    ("x" * 50, "y" * 50),
    {"x" * 100},
    frozenset({"x" * 100}),
    {"k" * 60: "v" * 60},
    {"a": {"b": ["x" * 100]}},
    Subclass(a="x" * 100),
    [Subclass(a="x" * 100)],
    [Text("x" * 50), Text("x" * 50)],
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_an_oversized_value_takes_more_when_encoded(value: Any) -> None:
    assert is_oversized(value, 90)
    size = len(encode_value(value))
    assert not is_oversized(value, size)
    assert is_oversized([value] * 10, 1000) == (len(encode_value([value] * 10)) > 1000)


def test_a_list_as_large_as_the_limit_is_accepted() -> None:
    value = [1] * 10
    assert not is_oversized(value, len(encode_value(value)))
    assert is_oversized(value, len(encode_value(value)) - 1)


def test_the_items_of_an_oversized_list_are_not_read() -> None:
    assert is_oversized(Unread([1] * 100), 90)


def test_an_oversized_value_is_not_encoded_at_the_commit() -> None:
    manager = SessionManager(MemoryStore("64K"))
    with pytest.raises(SessionTooLarge):
        manager.create({"values": [object()] * 10_000})


def test_a_value_that_contains_itself_is_refused_for_that(session: Session) -> None:
    value: list[Any] = []
    value.append(value)
    assert not is_oversized(value, 1000)
    with pytest.raises(CodecError, match="not in themselves"):
        session["loop"] = value


@pytest.fixture
def session() -> Session:
    return SessionManager(MemoryStore("64K", max_session_size="4K")).load()


def test_the_commit_refuses_a_value_that_was_too_large_at_its_assignment(session: Session) -> None:
    session["form"] = ["x" * 1000] * 10
    with pytest.raises(SessionTooLarge):
        session.save()


def test_a_value_that_was_removed_again_is_not_refused(session: Session) -> None:
    session["form"] = "x" * 10_000
    session["form"] = "x"
    session.save()
    assert session.issued_id is not None


def test_a_key_of_another_type_is_refused_first(session: Session) -> None:
    with pytest.raises(CodecError):
        session[1] = "x" * 10_000  # type: ignore[index]


SCRIPT = """
import resource
from lembro import MemoryStore, SessionManager, SessionTooLarge

session = SessionManager(MemoryStore("1M")).load()
parts = ["x" * 1_000_000] * 400
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, used + 2**26))
session["form"] = parts
try:
    session.save()
except SessionTooLarge as error:
    print("refused:", error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS bounds a process on Linux only")
def test_a_value_without_memory_for_it_does_not_end_the_process() -> None:
    """msgspec 0.23 ends the process (SIGSEGV) if it gets no memory to encode a value."""
    child = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout.startswith("refused: the session must take at most")
