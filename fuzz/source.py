"""Choices that are read from a fuzzer's bytes.

It replaces atheris's FuzzedDataProvider, so that an input has the same meaning without atheris. An
input that atheris found can be added to the corpus, and fails in the test suite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Source:
    """Bytes, read from the front; zeros once they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return max(0, len(self._data) - self._at)

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken.ljust(count, b"\0")

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self, low: int, high: int) -> int:
        """Return a whole number, both ends included."""
        span = high - low + 1
        size = (span.bit_length() + 7) // 8
        return low + int.from_bytes(self.take(size), "big") % span

    def pick(self, options: Sequence[T]) -> T:
        return options[self.number(0, len(options) - 1)]

    def chunk(self) -> bytes:
        """Return up to 31 bytes, no more than are left."""
        return self.take(min(self.byte() % 32, self.left))
