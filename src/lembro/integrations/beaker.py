"""For those who come from Beaker: ``environ["beaker.session"]``, with what applications call on it.

``lembro.wsgi.SessionMiddleware(app, sessions, beaker=True)`` makes each session one of these. It
needs no Beaker.
"""

from __future__ import annotations

import time
from typing import Any, Final, Never

from .._core.session import Session

__all__ = ["KEY", "BeakerSession"]

KEY: Final = "beaker.session"

_TIMES: Final = {"_creation_time": "created", "_accessed_time": "last_accessed"}
_INSTEAD: Final = {
    "get_by_id": "the store has no ids; of_user() and end() of the SessionManager go by handles",
    "load": "a session is loaded at the first look; session.reload() loads it again",
    "lock": "nobody has to wait: two requests are merged, and session.atomic(f) is for counters",
    "unlock": "nobody has to wait: two requests are merged, and session.atomic(f) is for counters",
    "persist": "the middleware does that; session.save() does it at once",
    "namespace": "the store is session.manager.store",
}


class BeakerSession(Session):
    """A session that also knows Beaker's words.

    What was changed is stored when the response begins, whether ``save()`` was called or not.
    """

    def __getitem__(self, key: str) -> Any:
        try:
            return super().__getitem__(key)
        except KeyError:
            if key in _TIMES:
                return getattr(self, _TIMES[key]) or time.time()
            raise

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in _TIMES

    def has_key(self, key: str) -> bool:
        """As ``in``."""
        return key in self

    def delete(self) -> None:
        """End the session: as ``logout()``."""
        self.destroy()

    def invalidate(self) -> None:
        """End the session, and begin a new one under a new id with what is written from now on."""
        self.destroy()

    def revert(self) -> None:
        """Drop the changes: as ``reload()``."""
        self.reload()

    @property
    def id(self) -> str | None:
        """The session's public name (``handle``), not the cookie's value, which is a secret; None
        while the session is new."""
        return self.handle

    @property
    def created(self) -> float:
        """When the session began, or its user logged in, as ``time.time()``."""
        found = None if self.is_new else self._found
        return time.time() - (0.0 if found is None else found.age)

    @property
    def last_accessed(self) -> float | None:
        """When the session was last extended, which happens once a tenth of the idle timeout has
        passed; None while it is new."""
        found = None if self.is_new else self._found
        if found is None:
            return None
        longest = min(self._manager.core.writer.idle, found.life_left)
        return time.time() - max(0.0, longest - found.idle_left)

    def __getattr__(self, name: str) -> Never:
        instead = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
        raise AttributeError(f"a session of lembro has no {name!r}{instead}")
