"""The session engine: ``request.session``, with Django's methods over a lembro session.

A session of lembro's middleware is committed once, when the response begins. There are other
sessions: under Django's own middleware, of a test client, in a script. For them, each method acts
at once, as in Django's engines.
"""

from __future__ import annotations

from typing import Any, Never, TypeVar

from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.backends.base import CreateError, UpdateError

from ..._core import actions, admin, codec
from ..._core.commit import has_changed
from ..._core.effects import Call, Flow, run_flow
from ..._core.lifecycle import Lifecycle
from ..._core.session import Session
from ..._core.state import NEW, NOT_LOADED, Loaded, SetCookie
from ..._http.cookie import Presented
from ...errors import CodecError, SessionGone
from ...ids import SHORT_ID_LENGTH
from .._adapter import no_session
from .config import get_manager
from .exchange import KeyExchange, KeySession, read_key
from .lifetimes import EXPIRY
from .mapping import USUAL_AGE, SessionMapping

T = TypeVar("T")


class SessionStore(SessionMapping):
    """The class of ``request.session`` with ``SESSION_ENGINE = "lembro.integrations.django"``.

    ``session_key`` is the value of the cookie: the session ID, and its signature if there is one.
    """

    # -- changes -----------------------------------------------------------------------------------

    @property
    def modified(self) -> bool:
        """Whether the session must be saved, because it was changed or is due to be extended.

        Nested changes count too. Assign True to extend the session now, False to drop the changes.
        """
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
        self._use_expiry()
        lifecycle = self._lifecycle
        if lifecycle.has_nothing_to_commit(session):
            return False
        if session._regenerate or session._touch:
            return True
        found = session._found
        try:
            return has_changed(session) or (
                found is not None and lifecycle.lifetimes.is_due(session, found)
            )
        except CodecError:  # save() raises it
            return True

    def is_empty(self) -> bool:
        """Return whether the session has neither an ID nor data."""
        session = self._lembro
        presented = self._presented_only()
        if presented is not None:
            return presented.id is None
        if session._destroy and self._owner is None:
            self._do(self._committing())
        return session._key is None and not session._data and session._login is None

    def _presented_only(self) -> Presented | None:
        """Return the cookie of a session that is not loaded yet; None if it is loaded.

        If several cookies came, only the store tells which of them counts, so the session is
        loaded.
        """
        if self._lembro._loaded is not NOT_LOADED:
            return None
        presented = self._presented()
        if not presented.several:
            return presented
        self._get_session()
        return None

    # -- the key -----------------------------------------------------------------------------------

    def _get_session_key(self) -> str | None:
        session = self._lembro
        presented = self._presented_only()
        if presented is not None:
            return self._key_of(presented.id)
        if session._regenerate or session._login is not None:  # a new ID has been asked for
            self._do(self._issuing())
        if session._key is None or session._destroy:
            return None
        return self._key_of(session._issued_id or session._presented.id)

    def _key_of(self, session_id: str | None) -> str | None:
        """Return Django's key of a session: a value of the cookie, without the reputation.

        It has 40 characters, unless another framework has issued the ID.
        """
        if session_id is None:
            return None
        if len(session_id) == SHORT_ID_LENGTH:
            return str.__str__(session_id)
        return self._base.cookie.value(session_id, None).decode("ascii")

    def _set_session_key(self, value: str | None) -> None:
        self._lembro = KeySession(KeyExchange(self._base, value))

    session_key: Any = property(_get_session_key)
    _session_key = property(_get_session_key, _set_session_key)

    def cycle_key(self) -> None:
        """Give the session a new ID and keep its data."""
        self._get_session()
        self._cycle()
        if self._owner is None:
            self._do(self._issuing())

    async def acycle_key(self) -> None:
        """Give the session a new ID; see :meth:`cycle_key`."""
        await self._aget_session()
        self._cycle()
        if self._owner is None or not self._base.in_process:
            await self._ado(self._issuing())

    def _cycle(self) -> None:
        self._lembro.regenerate_id()
        self._dirty = True

    def flush(self) -> None:
        """End the session at once. If its key has been replaced, the session continues.

        ``logout()`` of ``django.contrib.auth`` ends it in any case.
        """
        self._get_session().destroy()
        self._do(self._flushing())

    async def aflush(self) -> None:
        """End the session at once; see :meth:`flush`."""
        (await self._aget_session()).destroy()
        await self._ado(self._flushing())

    # -- the store ---------------------------------------------------------------------------------

    def exists(self, session_key: str | None) -> bool:
        """Return whether there is a session with this key."""
        return self._do(self._finding(session_key))

    async def aexists(self, session_key: str | None) -> bool:
        """Return whether there is a session with this key; see :meth:`exists`."""
        return await self._ado(self._finding(session_key))

    def create(self) -> None:
        """Store the session under a new ID, even if it is empty."""
        self._do(self._creating())

    async def acreate(self) -> None:
        """Store the session under a new ID; see :meth:`create`."""
        await self._ado(self._creating())

    def save(self, must_create: bool = False) -> None:
        """Store the changes now, and extend the session.

        Raises:
            UpdateError: The session has ended.
            CreateError: ``must_create``, and the session is stored already.
            StoreError, SessionTooLarge, CodecError, TooManySessions: Nothing was stored.
        """
        self._do(self._saving(must_create))

    async def asave(self, must_create: bool = False) -> None:
        """Store the changes now; see :meth:`save`."""
        await self._ado(self._saving(must_create))

    def delete(self, session_key: str | None = None) -> None:
        """End the session with this key, by default this session."""
        session = self._session_of(session_key)
        if session is not None:
            self._check_may_block()
            self._base.run(admin.destroy(self._base.lifecycle, session), "destroy", session)
            self._forget_cookie(session)

    async def adelete(self, session_key: str | None = None) -> None:
        """End the session with this key; see :meth:`delete`."""
        session = self._session_of(session_key)
        if session is not None:
            await self._base.arun(admin.destroy(self._base.lifecycle, session), session)
            self._forget_cookie(session)

    def load(self) -> dict[str, Any]:
        """Return the stored data."""
        return self._do(self._loading())

    async def aload(self) -> dict[str, Any]:
        """Return the stored data; see :meth:`load`."""
        return await self._ado(self._loading())

    @classmethod
    def clear_expired(cls) -> None:
        """Remove expired sessions now. The store also purges automatically."""
        get_manager().purge()

    @classmethod
    async def aclear_expired(cls) -> None:
        """Remove expired sessions now; see :meth:`clear_expired`."""
        await get_manager().apurge()

    # -- flows -------------------------------------------------------------------------------------

    def _flushing(self) -> Flow[None]:
        self._dirty = True
        session = self._lembro
        session._ends_successor, self._logging_out = self._logging_out, False
        yield from self._committing()
        session._ends_successor = True

    def _committing(self) -> Flow[None]:
        yield from run_flow(self._lifecycle.commit(self._lembro))

    def _finding(self, session_key: str | None) -> Flow[bool]:
        session_id = read_key(self._base, session_key).id
        if session_id is None:
            return False
        found = yield Call("get", (self._lifecycle.writer.key_of(session_id),))
        return found is not None and found.successor is None

    def _loading(self) -> Flow[dict[str, Any]]:
        session = self._lembro
        if session._loaded is NOT_LOADED:
            yield from run_flow(self._lifecycle.load(session))
            return dict(session._data)
        if session._key is None:
            return {}
        found = yield Call("get", (session._key,))
        if found is None or found.successor is not None:
            return {}
        try:
            return codec.decode(found.payload)[1]
        except CodecError:  # a request would find no session either
            return {}

    def _issuing(self) -> Flow[None]:
        """Commit, and issue an ID. Django promises one for a new and empty session too."""
        self.before_commit()
        yield from self._committing()
        yield from self._adding()

    def _adding(self) -> Flow[None]:
        session = self._lembro
        if session._key is not None:
            return
        if session._loaded is Loaded.STALE:
            if self._owner is not None:  # the browser has another cookie, or will get one
                return
            session._loaded = NEW
        yield from self._lifecycle.writer.add(session, None)

    def _creating(self) -> Flow[None]:
        session = self._lembro
        if session._loaded is NOT_LOADED:
            yield from run_flow(self._lifecycle.load(session))
        if session._key is not None:
            session.regenerate_id()
        self._dirty = True
        yield from self._issuing()

    def _saving(self, must_create: bool) -> Flow[None]:
        session = self._lembro
        if session._loaded is NOT_LOADED:
            yield from run_flow(self._lifecycle.load(session))
        session._check_writable()
        self.before_commit()
        had, ended = session._key, session._destroy
        if had is None and not ended:
            self._dirty = True  # it gets a key, which Django's own middleware has to send
        if must_create and had is not None:
            raise CreateError
        if not (had or ended or session._data or session._login is not None):
            yield from self._adding()
            return
        found, lifecycle = session._found, self._lifecycle
        yield from run_flow(lifecycle.commit(session))
        if session._key is None:
            if not ended:
                raise UpdateError
        elif session._found is found:  # nothing was written, so extend it
            assert found is not None
            idle = lifecycle.lifetimes.idle_of(session._meta, found.user)
            if session._passive:  # set_expiry() has set a fixed time
                idle = min(idle, found.idle_left)
            touched = yield Call("touch", (session._key,), {"idle": idle})
            if not touched:
                try:
                    yield from actions.recheck(lifecycle, session)
                except SessionGone:
                    raise UpdateError from None

    # -- internal ----------------------------------------------------------------------------------

    @property
    def _lifecycle(self) -> Lifecycle:
        lifecycle: Lifecycle = self._lembro._transport.runner.lifecycle
        return lifecycle

    def nothing_to_commit(self) -> bool:
        """Return whether a commit would do nothing, as for most requests."""
        session = self._lembro
        if not session._transport.runner.lifecycle.has_nothing_to_commit(session):
            return False
        return EXPIRY not in session._data and type(self).get_session_cookie_age is USUAL_AGE

    def before_commit(self, *, extend: bool = False) -> None:
        """Apply what Django's methods have recorded, before a commit.

        Args:
            extend: Whether the session is extended even if that is not due, unless the request is
                passive.
        """
        session = self._lembro
        if session._is_unused():
            return
        if extend and session._key is not None and session._data and not session._passive:
            session._touch = True
        if not self._use_expiry():
            session.destroy()

    def _session_of(self, session_key: str | None) -> Session | None:
        presented = read_key(self._base, self.session_key if session_key is None else session_key)
        if presented.id is None:
            return None
        session = KeySession(KeyExchange(self._base, None, presented))
        session._ends_successor = False
        return session

    def _forget_cookie(self, ended: Session) -> None:
        """Send no cookie for a session that was stored and then deleted by this request."""
        cookie = self._lembro._cookie
        if isinstance(cookie, SetCookie) and cookie.session_id == ended._presented.id:
            self._lembro._cookie = None

    def _do(self, flow: Flow[T]) -> T:
        self._check_may_block()
        return self._base.run(flow, "save", self._lembro)

    async def _ado(self, flow: Flow[T]) -> T:
        self._lembro._preloaded = False
        return await self._base.arun(flow, self._lembro)


class NoSession(SessionStore):
    """``request.session`` on an excluded path: any access raises ConfigError.

    It exists because Django's own middlewares require that ``request`` has a ``session``.
    """

    def __init__(self) -> None:
        self._owner = NoSession  # so no middleware commits it

    def __repr__(self) -> str:
        return "<NoSession>"

    @property
    def _lembro(self) -> Never:  # type: ignore[override]
        raise no_session(INSTALL)


def _note_logout(sender: Any, request: Any, **_: Any) -> None:
    """Note that ``logout()`` of ``django.contrib.auth`` is going to flush the session."""
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        session._logging_out = True


user_logged_out.connect(_note_logout)

INSTALL = (
    'SESSION_ENGINE = "lembro.integrations.django", and '
    '"lembro.integrations.django.SessionMiddleware" in MIDDLEWARE'
)


def get_session(request: Any) -> Session:
    """Return lembro's own session of a request, typed.

    Raises:
        ConfigError: The request has no session.
    """
    session = getattr(request, "session", None)
    if not isinstance(session, SessionStore):
        raise no_session(INSTALL)
    return session._lembro
