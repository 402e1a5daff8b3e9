"""The session engine: Django's words for a session, over lembro's.

Bound to a request by our middleware, what is asked for takes place once, when the response begins.
Alone (under Django's own middleware, in a test client, in a script) each method does at once what
it does in Django's engines.
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.contrib.auth import SESSION_KEY as USER
from django.contrib.sessions.backends.base import CreateError, UpdateError

from ..._core import actions, codec
from ..._core.commit import has_changed
from ..._core.effects import Call, Flow
from ..._core.load import load
from ..._core.session import Session
from ..._core.state import LIVE, NEW, NOT_LOADED, Loaded, SetCookie
from ...errors import CodecError, ConfigError, SessionGone
from ...ids import key_for
from .config import get_manager
from .lifetimes import EXPIRY
from .mapping import USUAL_AGE, SessionMapping, read_key

T = TypeVar("T")


class SessionStore(SessionMapping):
    """What ``SESSION_ENGINE = "lembro.integrations.django"`` makes of ``request.session``.

    ``session_key`` is the value of the cookie: an id, and what vouches for it.
    """

    # -- what became of it -------------------------------------------------------------------------

    @property
    def modified(self) -> bool:
        """Whether it has to be saved; nested changes and a life to be extended are found. True can
        be assigned to extend it, False to drop the changes."""
        if self._dirty or self._asked is not None:
            return self._dirty or bool(self._asked)
        return not self._lembro._is_unused() and self._is_unsaved()

    @modified.setter
    def modified(self, value: bool) -> None:
        self._dirty, self._asked = False, bool(value)

    def _is_unsaved(self) -> bool:
        session = self._lembro
        if session._login is not None or session._destroy or session._revoke is not None:
            return True
        if session._key is None:
            return bool(session._data)
        self._last()
        if session._manager.core.nothing_to_commit(session):
            return False
        if session._regenerate or session._touch:
            return True
        found, writer = session._found, session._manager.core.writer
        try:
            return has_changed(session) or (found is not None and writer.is_due(found))
        except CodecError:  # to be said when it is saved
            return True

    def is_empty(self) -> bool:
        session = self._lembro
        if session._loaded is NOT_LOADED:
            return self._presented().id is None
        if session._destroy and self._owner is None:
            self._do(session._manager.core.commit(session))
        return session._key is None and not session._data and session._login is None

    # -- the key -----------------------------------------------------------------------------------

    def _get_session_key(self) -> str | None:
        session = self._lembro
        if session._loaded is NOT_LOADED:
            presented = self._presented()
            return None if presented.id is None else presented.value.decode("ascii")
        if session._regenerate or session._login is not None:  # a new one has been asked for
            self._do(self._issuing())
        if session._key is None or session._destroy:
            return None
        if session._issued_id is None:
            return session._presented.value.decode("ascii") or None  # it came by a cookie of old
        reputation = None if session._found is None else session._found.reputation
        return session._manager.cookie.value(session._issued_id, reputation).decode("ascii")

    def _set_session_key(self, value: str | None) -> None:
        self._lembro = Session(self._base, read_key, (self._base, value))

    session_key: Any = property(_get_session_key)
    _session_key = property(_get_session_key, _set_session_key)

    def cycle_key(self) -> None:
        self._get_session()
        self._cycle()
        if self._owner is None:
            self._do(self._issuing())

    async def acycle_key(self) -> None:
        await self._aget_session()
        self._cycle()
        if self._owner is None or not self._base.in_process:
            await self._ado(self._issuing())

    def _cycle(self) -> None:
        self._lembro.regenerate_id()
        self._dirty = True

    def flush(self) -> None:
        self._get_session().destroy()
        self._dirty = True
        self._do(self._lembro._manager.core.commit(self._lembro))

    async def aflush(self) -> None:
        (await self._aget_session()).destroy()
        self._dirty = True
        await self._ado(self._lembro._manager.core.commit(self._lembro))

    # -- the store ---------------------------------------------------------------------------------

    def exists(self, session_key: str | None) -> bool:
        return self._do(self._finding(session_key))

    async def aexists(self, session_key: str | None) -> bool:
        return await self._ado(self._finding(session_key))

    def create(self) -> None:
        self._do(self._creating())

    async def acreate(self) -> None:
        await self._ado(self._creating())

    def save(self, must_create: bool = False) -> None:
        """Raises UpdateError if the session has ended, and what lembro's ``save`` raises."""
        self._do(self._saving(must_create))

    async def asave(self, must_create: bool = False) -> None:
        await self._ado(self._saving(must_create))

    def delete(self, session_key: str | None = None) -> None:
        session_id = self._id_of(session_key)
        if session_id is not None:
            self._check_sync()
            self._base.destroy(session_id)

    async def adelete(self, session_key: str | None = None) -> None:
        session_id = self._id_of(session_key)
        if session_id is not None:
            await self._base.adestroy(session_id)

    def load(self) -> dict[str, Any]:
        return self._do(self._loading())

    async def aload(self) -> dict[str, Any]:
        return await self._ado(self._loading())

    @classmethod
    def clear_expired(cls) -> None:
        get_manager().purge()

    @classmethod
    async def aclear_expired(cls) -> None:
        await get_manager().apurge()

    # -- flows -----------------------------------------------------------------------------------

    def _finding(self, session_key: str | None) -> Flow[bool]:
        session_id = read_key((self._base, session_key)).id
        if session_id is None:
            return False
        found = yield Call("get", (key_for(session_id),))
        return found is not None and found.successor is None

    def _loading(self) -> Flow[dict[str, Any]]:
        session = self._lembro
        if session._loaded is NOT_LOADED:
            yield from load(session)
            return dict(session._data)
        if session._key is None:
            return {}
        found = yield Call("get", (session._key,))
        if found is None or found.successor is not None:
            return {}
        try:
            return codec.decode(found.payload)[1]
        except CodecError:  # as a request would find it
            return {}

    def _issuing(self) -> Flow[None]:
        """Carry out what brings a new key; Django promises one also for what is new and empty."""
        self.before_commit()
        session = self._lembro
        yield from session._manager.core.commit(session)
        self.after_commit()
        yield from self._adding()

    def _adding(self) -> Flow[None]:
        session = self._lembro
        if session._key is not None:
            return
        if session._loaded is Loaded.STALE:
            if self._owner is not None:  # the browser has another cookie, or will have
                return
            session._loaded = NEW
        yield from session._manager.core.writer.add(session, None)

    def _creating(self) -> Flow[None]:
        session = self._lembro
        if session._loaded is NOT_LOADED:
            yield from load(session)
        if session._key is not None:
            session.regenerate_id()
        self._dirty = True
        yield from self._issuing()

    def _saving(self, must_create: bool) -> Flow[None]:
        session = self._lembro
        if session._loaded is NOT_LOADED:
            yield from load(session)
        session._write()
        self.before_commit()
        core, had, ended = session._manager.core, session._key, session._destroy
        if must_create and had is not None:
            raise CreateError
        if not (had or ended or session._data or session._login is not None):
            yield from self._adding()
            return
        found = session._found
        yield from core.commit(session)
        self.after_commit()
        if session._key is None:
            if not ended:
                raise UpdateError
        elif session._found is found:  # nothing was written: it is extended at least
            touched = yield Call("touch", (session._key,), {"idle": core.writer.idle})
            if not touched:
                try:
                    yield from actions.recheck(core, session)
                except SessionGone:
                    raise UpdateError from None

    # -- within ------------------------------------------------------------------------------------

    def nothing_to_commit(self) -> bool:
        """Whether nothing has to be done for it, as after most requests, which only read."""
        session = self._lembro
        if self._asked is not None or not session._manager.core.nothing_to_commit(session):
            return False
        return EXPIRY not in session._data and type(self).get_session_cookie_age is USUAL_AGE

    def before_commit(self, *, extend: bool = False) -> None:
        """Have lembro do what Django's words say; ``extend``: however little time has passed."""
        session = self._lembro
        if session._is_unused():
            return
        if self._has_lost_its_user():
            kept = dict(session)
            session.destroy()
            session.update(kept)
        if not self._last():
            session.destroy()
        self._renewed = self._lasts_otherwise()
        if extend and session._key is not None and session._data:
            session._touch = True

    def after_commit(self) -> None:
        """The browser learns how long a session now lasts."""
        session = self._lembro
        if not self._renewed or session._cookie is not None:
            return
        # Of the request that came with the id, which is known to no one else.
        if session._loaded is LIVE and session._presented.id is not None:
            reputation = session._manager.core.writer._known_reputation(session)
            session._cookie = SetCookie(session._presented.id, reputation, None)

    def _has_lost_its_user(self) -> bool:
        """Whether somebody removed ``_auth_user_id``: a logout, which lembro can't know of."""
        session = self._lembro
        found = session._found
        if found is None or found.user is None or USER in session._data or session._destroy:
            return False
        return session._login is None and self._loaded(USER) == found.user

    def _lasts_otherwise(self) -> bool:
        session = self._lembro
        return session._assigned and self._loaded(EXPIRY) != session._data.get(EXPIRY)

    def _loaded(self, key: str) -> Any:
        payload = self._lembro._payload
        return codec.decode(payload)[1].get(key) if key.encode() in payload else None

    def _id_of(self, session_key: str | None) -> str | None:
        if session_key is None:
            session_key = self.session_key
        return read_key((self._base, session_key)).id

    def _do(self, flow: Flow[T]) -> T:
        self._check_sync()
        return self._base._run(flow, self._lembro)

    async def _ado(self, flow: Flow[T]) -> T:
        self._lembro._preloaded = False
        return await self._base._arun(flow, self._lembro)


def get_session(request: Any) -> Session:
    """lembro's own session of a request, typed: ``get_session(request).logout_everywhere()``.

    Raises ConfigError where there is none.
    """
    session = getattr(request, "session", None)
    if not isinstance(session, SessionStore):
        raise ConfigError(
            'there is no lembro session here: SESSION_ENGINE = "lembro.integrations.django", and '
            '"lembro.integrations.django.SessionMiddleware" in MIDDLEWARE'
        )
    return session._lembro
