"""A session as a mapping, in Django's words, over lembro's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.contrib.auth import SESSION_KEY as USER
from django.contrib.sessions.backends.base import SessionBase
from django.utils.module_loading import import_string

from ..._core.session import Session
from ..._core.state import NOT_LOADED
from ..._http.cookie import ABSENT, Presented
from ...errors import LembroError, StoreError
from ...manager import SessionManager
from .config import get_manager
from .lifetimes import EXPIRY, check_expiry, is_expiry, lasting

_NOT_GIVEN: Final = object()
USUAL_AGE: Final[Any] = SessionBase.get_session_cookie_age

if TYPE_CHECKING:  # Django is not typed

    class _Base:
        def __getattr__(self, name: str) -> Any: ...

        def get_session_cookie_age(self) -> int: ...
else:
    _Base = SessionBase


class SessionMapping(_Base):
    """What of a ``request.session`` needs no store but to load it."""

    _owner: object = None  # who commits it when the response begins; None: it stands alone
    _dirty = False  # changed by a method of this class
    _asked: bool | None = None  # what was assigned to ``modified``
    _renewed = False  # lasts otherwise than what was loaded
    _unreadable = False  # the store failed when it was looked at

    def __init__(self, session_key: str | Session | None = None, owner: object = None) -> None:
        # The first of these is true for each request, and in a tenth of the second's time.
        if type(session_key) is Session or isinstance(session_key, Session):
            self._lembro = session_key
            self._owner = owner
        else:
            manager = get_manager()
            self._lembro = Session(manager, read_key, (manager, session_key))
        self._base: SessionManager = self._lembro._manager

    def __repr__(self) -> str:
        return f"<SessionStore of {self._lembro!r}>"

    @property
    def serializer(self) -> Any:
        """Of ``encode`` and ``decode``, which lembro does not use."""
        return import_string(settings.SESSION_SERIALIZER)

    # -- the mapping -------------------------------------------------------------------------------

    def _get_session(self, no_load: bool = False) -> Session:
        session = self._lembro
        if not session._ready:
            self._look(session)
        return session

    async def _aget_session(self, no_load: bool = False) -> Session:
        session = self._lembro
        if session._loaded is NOT_LOADED and session._manager.preloads:
            await session.areload()
        return self._get_session()

    _session = property(_get_session)

    def _look(self, session: Session) -> None:
        if session._loaded is NOT_LOADED:
            if self._base.in_process:  # what session._look() comes to
                self._base._load_directly(session)
                return
            self._check_sync()
        try:
            session._look()
        except StoreError:
            self._unreadable = True
            raise

    def __contains__(self, key: object) -> bool:
        return key in self._get_session()

    def __getitem__(self, key: str) -> Any:
        session = self._lembro
        if not session._ready:
            self._look(session)
        return session[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._assign(self._get_session(), key, value)

    async def aset(self, key: str, value: Any) -> None:
        self._assign(await self._aget_session(), key, value)

    def __delitem__(self, key: str) -> None:
        del self._get_session()[key]
        self._dirty = True

    def pop(self, key: str, default: Any = _NOT_GIVEN) -> Any:
        return self._take(self._get_session(), key, default)

    async def apop(self, key: str, default: Any = _NOT_GIVEN) -> Any:
        return self._take(await self._aget_session(), key, default)

    def update(self, dict_: Any) -> None:
        session = self._get_session()
        for key, value in dict(dict_).items():
            self._assign(session, key, value)
        self._dirty = True

    async def aupdate(self, dict_: Any) -> None:
        await self._aget_session()
        self.update(dict_)

    def clear(self) -> None:
        session = self._get_session()
        for key in list(session):
            del session[key]
        self._dirty = True

    def _assign(self, session: Session, key: str, value: Any) -> None:
        if key == USER and value:  # Django's word for who is logged in
            session.login(str(value))
        elif key == EXPIRY:
            check_expiry(value)
        session[key] = value
        self._dirty = True

    def _take(self, session: Session, key: str, default: Any) -> Any:
        if key in session:
            self._dirty = True
        elif default is not _NOT_GIVEN:
            return default
        return session.pop(key)

    @property
    def accessed(self) -> bool:
        """Whether anybody has looked. To assign to it changes nothing."""
        return not self._lembro._is_unused()

    @accessed.setter
    def accessed(self, value: bool) -> None: ...

    # -- within ------------------------------------------------------------------------------------

    def _last(self) -> bool:
        """Have the session last as ``set_expiry`` and ``get_session_cookie_age`` say. False: it is
        over already."""
        session, base = self._lembro, self._base
        expiry = session._data.get(EXPIRY)
        if expiry is not None and not is_expiry(expiry):
            expiry = None
        if expiry is None and type(self).get_session_cookie_age is USUAL_AGE:
            session._manager = base
            return True
        age = self.get_expiry_age(expiry=expiry)
        if age <= 0:
            return False
        session._manager = lasting(base, age, browser=self.get_expire_at_browser_close())
        return True

    def _presented(self) -> Presented:
        session = self._lembro
        return ABSENT if session._read is None else session._read(session._source)

    def _check_sync(self) -> None:
        if not self._base.in_process and _in_event_loop():
            raise LembroError(
                f"{type(self._base.store).__name__} would block the event loop: await the method "
                f"of this name that begins with an a, for example session.aget()"
            )


def read_key(source: tuple[SessionManager, str | None]) -> Presented:
    """What a key of Django's, which is the value of a cookie, stands for."""
    manager, key = source
    if not key or not isinstance(key, str):
        return ABSENT
    name = manager.options.cookie.name_over(https=False)
    return manager.cookie.read([f"{name}={key}".encode("utf-8", "replace")], https=False)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
