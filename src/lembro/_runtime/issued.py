"""Notice two managers of one process that set the same cookie.

Each overwrites the other's cookie, so visitors lose their sessions. One may be mounted in the other
by a bridge from ASGI to WSGI, which passes on nothing but the headers. Then the only sign is a
request with a session ID that the other manager has issued.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any, Final
from weakref import WeakSet

from .._http.headers import warn_of_shared_cookie

MOST: Final = 1000
"""How many session IDs are remembered, the newest ones."""

_lock: Final = Lock()
_issued: Final[OrderedDict[bytes, int]] = OrderedDict()  # id() of the runner
_runners: Final[WeakSet[Any]] = WeakSet()


def note_issued(key: bytes, runner: Any) -> None:
    """Note the key of a session ID that a runner has issued."""
    with _lock:
        _runners.add(runner)
        _issued[key] = id(runner)
        if len(_issued) > MOST:
            _issued.popitem(last=False)


def note_unknown(key: bytes, runner: Any, *, https: bool) -> None:
    """Warn once if the store does not know a session ID because another manager has issued it."""
    number = _issued.get(key)
    if number is None:
        return
    with _lock:
        other = next((each for each in _runners if id(each) == number), None)
    if other is None or other.store is runner.store:
        return
    ours, theirs = runner.options.cookie, other.options.cookie
    if ours.scope(https=https) == theirs.scope(https=https):
        warn_of_shared_cookie(ours.name_over(https=https))
