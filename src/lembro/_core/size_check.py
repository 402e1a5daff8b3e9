"""The size of values, before they are encoded.

The encoder ends the process if there is no memory for its result. So this module finds a value that
is larger than the store accepts without encoding it.
"""

from __future__ import annotations

from typing import Any, Final

from ..errors import SessionTooLarge
from . import codec
from .state import SessionState
from .tags import MAX_DEPTH

_SIZED: Final = (str, bytes, list, tuple, set, frozenset, dict)


def check_assigned(session: SessionState, key: str, value: Any) -> str:
    """Raise CodecError unless a session can store a value. Return the key, as a plain str.

    A value that is too large is not checked. The commit raises SessionTooLarge for it, unless it
    was removed before.
    """
    limit = session._transport.runner.size_limit
    if limit is not None and is_oversized(value, limit):
        name = codec.check(key, None)
        session._size_limit = limit
        return name
    return codec.check(key, value)


def is_oversized(value: Any, limit: int) -> bool:
    """Return whether the encoding of a value certainly takes more than ``limit`` bytes.

    Counts the characters, the bytes and the items, and stops at the limit.
    """
    size, level = 0, [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for item in level:
            kind = type(item)
            size += 1
            if kind is str or kind is bytes:
                size += len(item)
            elif kind not in codec.FIXED and isinstance(item, _SIZED):
                if size + len(item) > limit:
                    return True
                if isinstance(item, str | bytes):
                    size += len(item)
                else:
                    inner += item
                if isinstance(item, dict):
                    inner += item.values()
            if size > limit:
                return True
        if not inner:
            break
        level = inner
    return False  # if it is nested too deeply, it is refused for that, before it is encoded


def check_size(data: codec.Data, limit: int) -> None:
    """Raise SessionTooLarge if the encoding certainly takes more than ``limit`` bytes."""
    if is_oversized(data, limit):
        raise SessionTooLarge(limit + 1, limit)
