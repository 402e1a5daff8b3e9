"""Beaker compatibility: ``environ["beaker.session"]``, with the methods that applications call.

It needs no Beaker.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Never

from .. import wsgi
from .._core.session import Session

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["KEY", "BeakerSession", "SessionMiddleware"]

KEY: Final = "beaker.session"

_TIMES: Final = {"_creation_time": "created", "_accessed_time": "last_accessed"}
_INSTEAD: Final = {
    "get_by_id": "the store does not know session IDs; use handles, with "
    "manager.user_sessions() and manager.revoke()",
    "load": "a session is loaded at its first access; session.reload() loads it again",
    "lock": "concurrent changes are merged without locks; change counters in session.atomic(f)",
    "unlock": "concurrent changes are merged without locks; change counters in session.atomic(f)",
    "persist": "the middleware stores the session; session.save() stores it at once",
    "namespace": "the store is manager.store",
    "domain": "the cookie has one domain, CookieOptions(domain=...)",
    "path": "the cookie has one path, CookieOptions(path=...)",
}


class BeakerSession(Session):
    """A session with Beaker's methods in addition.

    Changes are stored when the response begins, whether ``save()`` was called or not.
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
        """Return whether the session has this key."""
        return key in self

    def delete(self) -> None:
        """End the session, as ``logout()`` does."""
        self.destroy()

    def invalidate(self) -> None:
        """End the session. Keys written afterwards begin a new session."""
        self.destroy()

    def revert(self) -> None:
        """Drop the changes, as ``reload()`` does. An ended session stays ended, as in Beaker."""
        if self._destroy:
            self.destroy()
        else:
            self.reload()

    @property
    def id(self) -> str | None:
        """The public name of the session (``handle``); None while it is new. The session ID itself
        is a secret."""
        return self.handle

    @property
    def created(self) -> float:
        """The time when the session began, or its user logged in, in seconds since the epoch."""
        found = None if self.is_new else self._found
        return time.time() - (0.0 if found is None else found.age)

    @property
    def last_accessed(self) -> float | None:
        """The time when the session was last extended, in seconds since the epoch.

        A session is extended when a tenth of the idle timeout has passed. None while it is new.
        """
        found = None if self.is_new else self._found
        if found is None:
            return None
        lifetimes = self._transport.runner.lifecycle.lifetimes
        return float(time.time() - lifetimes.idle_for(self._meta, found))

    def __getattr__(self, name: str) -> Never:
        instead = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
        raise AttributeError(f"a lembro session has no {name!r}{instead}")

    # An assignment would have no effect. Reading them calls __getattr__.
    domain: Any = property(None, lambda self, _: self.__getattr__("domain"))
    path: Any = property(None, lambda self, _: self.__getattr__("path"))


class SessionMiddleware(wsgi.SessionMiddleware):
    """Add sessions that are also ``environ["beaker.session"]``: ``SessionMiddleware(app)``.

    It takes the arguments of :class:`lembro.wsgi.SessionMiddleware`.
    """

    session_class: type[Session] = BeakerSession

    def add_session(self, environ: WSGIEnvironment, session: Session) -> None:
        """Add the session to the environ, also under Beaker's key."""
        super().add_session(environ, session)
        environ[KEY] = session
