"""A session as a mapping, with Django's methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY as BACKEND
from django.contrib.auth import SESSION_KEY as USER
from django.contrib.sessions.backends.base import SessionBase
from django.utils.module_loading import import_string

from ..._core import codec
from ..._core.lifetimes import set_lifetime
from ..._core.login import distrust_login
from ..._core.session import Session
from ..._core.state import NOT_LOADED
from ..._http.cookie import Presented
from ...errors import StoreError
from .._adapter import Runner, runner_of
from .config import get_manager, user_id_of
from .exchange import DjangoSession, KeyExchange, KeySession
from .lifetimes import EXPIRY, apply_expiry, check_expiry, is_expiry

_NOT_GIVEN: Final = object()
USUAL_AGE: Final[Any] = SessionBase.get_session_cookie_age

if TYPE_CHECKING:  # Django is not typed

    class _Base:
        def __getattr__(self, name: str) -> Any: ...

        def get_session_cookie_age(self) -> int: ...
else:
    _Base = SessionBase


class SessionMapping(_Base):
    """The methods of ``request.session`` that use the store only to load the session."""

    _lembro: Session
    _base: Runner
    _owner: object = None  # the middleware that commits the session, if one does
    _dirty = False  # changed by a method of this class
    _asked: bool | None = None  # what was assigned to ``modified``
    _unreadable = False  # the store failed when the session was loaded
    _failed = False  # its view raised an error that lembro answers
    _sends = False  # a view has opened it by its key, and changed it
    _logging_out = False  # in logout() of django.contrib.auth

    def __init__(self, session_key: str | Session | None = None, owner: object = None) -> None:
        # The first check is true for each request, and takes a tenth of the second's time.
        if type(session_key) is DjangoSession or isinstance(session_key, Session):
            self._lembro = session_key
            self._owner = owner
            self._base = session_key._transport.runner
        else:
            self._base = runner_of(get_manager())
            self._lembro = KeySession(KeyExchange(self._base, session_key))

    def __repr__(self) -> str:
        return f"<SessionStore of {self._lembro!r}>"

    @property
    def serializer(self) -> Any:
        """Return the serializer of ``encode`` and ``decode``, which lembro does not use."""
        return import_string(settings.SESSION_SERIALIZER)

    # -- the mapping -------------------------------------------------------------------------------

    def _get_session(self, no_load: bool = False) -> Session:
        session = self._lembro
        if not session._ready:
            self._load_session(session)
        return session

    async def _aget_session(self, no_load: bool = False) -> Session:
        session = self._lembro
        if session._loaded is NOT_LOADED and self._base.preloads:
            await session.areload()
        return self._get_session()

    _session = property(_get_session)

    def _load_session(self, session: Session) -> None:
        """Load a session at its first access; see ``Session._load``."""
        if session._loaded is NOT_LOADED:
            if self._base.in_process:  # true of most requests
                self._base.load(session)
                return
            if session._failure is None:
                self._check_may_block()
        try:
            session._load()
        except StoreError:
            self._unreadable = True
            raise

    def __contains__(self, key: object) -> bool:
        return key in self._get_session()

    def __getitem__(self, key: str) -> Any:
        session = self._lembro
        if not session._ready:
            self._load_session(session)
        return session[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._assign(self._get_session(), key, value)

    async def aset(self, key: str, value: Any) -> None:
        """Assign to a key."""
        self._assign(await self._aget_session(), key, value)

    def __delitem__(self, key: str) -> None:
        self._remove(self._get_session(), key)

    def pop(self, key: str, default: Any = _NOT_GIVEN) -> Any:
        """Remove a key and return its value, or the default."""
        return self._take(self._get_session(), key, default)

    async def apop(self, key: str, default: Any = _NOT_GIVEN) -> Any:
        """Remove a key and return its value; see :meth:`pop`."""
        return self._take(await self._aget_session(), key, default)

    def update(self, dict_: Any) -> None:
        """Assign to several keys."""
        session = self._get_session()
        for key, value in dict(dict_).items():
            self._assign(session, key, value)
        self._dirty = True

    async def aupdate(self, dict_: Any) -> None:
        """Assign to several keys."""
        await self._aget_session()
        self.update(dict_)

    def clear(self) -> None:
        """Remove all keys. The session keeps its ID; if a user is logged in, it ends instead."""
        session = self._get_session()
        if session._current_user() is not None:
            session.destroy()
        for key in list(session):
            del session[key]
        self._dirty = True

    def _assign(self, session: Session, key: str, value: Any) -> None:
        if key == USER and value:  # this is how django.contrib.auth logs a user in
            session.login(user_id_of(value))
        elif key == BACKEND and session._login is not None and _is_remote(value):
            distrust_login(session)
        elif key == EXPIRY:
            check_expiry(value)
        session[key] = value
        self._dirty = True

    def _take(self, session: Session, key: str, default: Any) -> Any:
        if key not in session and default is not _NOT_GIVEN:
            return default
        return self._remove(session, key)

    def _remove(self, session: Session, key: str) -> Any:
        value = session.pop(key)
        self._dirty = True
        if key == USER and user_id_of(value) == session._current_user():  # the user is logged out
            kept = dict(session)
            session.destroy()
            session.update(kept)
        return value

    @property
    def accessed(self) -> bool:
        """Whether the session was accessed. Assigning to it changes nothing."""
        return not self._lembro._is_unused()

    @accessed.setter
    def accessed(self, value: bool) -> None: ...

    # -- internal ----------------------------------------------------------------------------------

    def _use_expiry(self) -> bool:
        """Apply ``set_expiry`` and ``get_session_cookie_age`` to the session.

        Returns:
            False if the session has expired already.
        """
        session = self._lembro
        expiry = session._data.get(EXPIRY)
        new = session._assigned and self._stored(EXPIRY) != expiry
        if expiry is not None and not is_expiry(expiry):
            expiry = None
        if expiry is None and type(self).get_session_cookie_age is USUAL_AGE:
            if new:
                set_lifetime(session, None, remember=None)
            return True
        age = self.get_expiry_age(expiry=expiry)
        if age <= 0:
            return False
        apply_expiry(session, expiry, age, browser=self.get_expire_at_browser_close(), new=new)
        return True

    def _stored(self, key: str) -> Any:
        payload = self._lembro._payload
        return codec.decode(payload)[1].get(key) if key.encode() in payload else None

    def _presented(self) -> Presented:
        return self._lembro._transport.read_cookie()

    def _check_may_block(self) -> None:
        self._base.check_may_block(
            "`await session.aget(...)`; the name of each async method begins with an a"
        )


def _is_remote(backend: object) -> bool:
    """Return whether this is the path of a backend that logs in by ``REMOTE_USER``.

    The web server names the user in each request, so the time of the login is unknown.
    """
    # It imports the user model, so it cannot be imported before the applications are ready.
    from django.contrib.auth.backends import RemoteUserBackend  # noqa: PLC0415

    try:
        return issubclass(import_string(backend), RemoteUserBackend)
    except (ImportError, TypeError, AttributeError):  # not the path of a class
        return False
