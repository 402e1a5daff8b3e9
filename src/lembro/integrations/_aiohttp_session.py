"""aiohttp-session: a storage over lembro."""

from __future__ import annotations

import time
from typing import Any, Final, Literal, Unpack

from msgspec.structs import replace

from .._core.effects import Call, Flow
from .._core.session import Session
from .._core.state import LIVE, NOT_LOADED, SetCookie
from .._http.error_response import COMMIT_ERRORS, error_response_for
from ..errors import StoreError
from ..manager import SessionManager, manager_of
from ..options import OptionKeywords, seconds, take_cookie_keywords
from ..stores.base import AsyncStore, Store
from .aiohttp import (
    VISIT,
    Visit,
    begin,
    commit,
    refusal,
    take_in,
)

try:
    import aiohttp_session
    from aiohttp import web
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "LembroStorage needs aiohttp-session: pip install 'lembro[aiohttp]' aiohttp-session"
    ) from _missing

_OWN: Final = web.RequestKey("lembro.storage", Session)
_LIMIT: Final = "max_age"
"""In the session's own map: the max_age that was set for this session alone."""


class LembroStorage(aiohttp_session.AbstractStorage):
    """``aiohttp_session.setup(app, LembroStorage(sessions))``, or with a store and options, or with
    the keywords of aiohttp-session's own storages.

    ``max_age`` (seconds) is the idle timeout and the cookie's Max-Age. Where
    ``lembro.integrations.aiohttp.setup(app, sessions)`` comes before, with the same manager, it is
    the request's session, also for streams and WebSockets. Raises ConfigError.
    """

    def __init__(
        self,
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | None = None,
        cookie_name: str | None = None,
        domain: str | None = None,
        max_age: int | None = None,
        path: str | None = None,
        secure: bool | None = None,
        httponly: bool | None = None,
        samesite: Literal["Lax", "Strict", "None", "lax", "strict", "none"] | None = None,
        **options: Unpack[OptionKeywords],
    ) -> None:
        cookie: dict[str, Any] = {
            "name": cookie_name,
            "domain": domain,
            "max_age": max_age,
            "path": path,
            "secure": secure,
            "httponly": httponly,
            "samesite": samesite.lower() if isinstance(samesite, str) else samesite,
        }
        cookie = {name: value for name, value in cookie.items() if value is not None}
        if manager is not None:  # raises what is to be raised, in the words that were given
            given = {"cookie_name" if name == "name" else name: cookie[name] for name in cookie}
            manager_of(manager, store, {**given, **options})
        take_cookie_keywords(options, cookie)
        self.manager: SessionManager = manager_of(manager, store, options)
        Visit.storages = True
        using = self.manager.options.cookie
        age: Any = self.manager.cookie._max_age
        super().__init__(
            cookie_name=using.name_over(https=False),
            domain=using.domain,
            max_age=None if age is None else int(age),
            path=using.path,
            secure=using.is_secure(https=False),
            httponly=using.httponly,
            samesite=using.samesite.capitalize(),
        )

    async def new_session(self) -> aiohttp_session.Session:
        """An empty session, under a new id once it is saved; the one that there was has ended
        then."""
        return _Session(self, None)

    async def load_session(self, request: web.Request) -> aiohttp_session.Session:
        """The session that the request came with. Raises HTTPServiceUnavailable."""
        session, _ = await self._session_of(request)
        try:
            if session._loaded is NOT_LOADED and self.manager.preloads:
                await session.areload()  # its path is excluded, or the store failed
            return _Session(self, session)
        except StoreError as error:
            raise refusal(error_response_for(error)) from error

    async def save_session(
        self, request: web.Request, response: web.StreamResponse, session: aiohttp_session.Session
    ) -> None:
        """Commit, unless that is the part of ``setup``'s middleware. Raises an HTTPException in
        place of the response if it cannot be stored."""
        if not isinstance(session, _Session):
            raise TypeError(f"{session!r} is not of this storage")
        inner, is_own = await self._session_of(request)
        take_in(session, inner)
        try:
            if session._limited and response.status < 500:
                await self._save_limited(inner, session.max_age)
        except COMMIT_ERRORS as error:
            raise refusal(error_response_for(error)) from error
        if is_own:
            await commit(request, response, inner)

    async def _save_limited(self, inner: Session, limit: int | None) -> None:
        """Save with a max_age of the session's own: in the store, and of the cookie."""
        limit = None if limit == self.max_age else limit
        wanted = b"" if limit is None else b"%d" % limit
        if inner._meta.get(_LIMIT, b"") != wanted:
            inner._meta = {**inner._meta, _LIMIT: wanted}
            inner._assigned = True
        writes = inner._assigned or inner._nested_possible
        await inner.asave()
        if inner._key is None or inner._found is None or limit is None:
            return
        await self.manager._arun(_extend(inner._key, limit), inner)
        # The commit that follows is to leave it at that.
        inner._found = replace(inner._found, idle_left=self.manager.core.writer.idle)
        if isinstance(inner._cookie, SetCookie):
            inner._cookie.max_age = limit
        elif writes and inner._loaded is LIVE and inner._presented.id is not None:
            reputation = self.manager.core.writer._known_reputation(inner)
            inner._cookie = SetCookie(inner._presented.id, reputation, limit)

    async def _session_of(self, request: web.Request) -> tuple[Session, bool]:
        """The session of the request, and whether to commit it is this storage's part."""
        visit = request.get(VISIT)
        while visit is not None:
            if visit.manager is self.manager:
                return visit.session_of(request), False
            visit = visit.outer
        own = request.get(_OWN)
        if own is None:
            outer = request.get(VISIT)
            if outer is not None:  # of another manager: that they share a cookie is said
                self.manager.is_within_itself(outer.session_of(request), https=request.secure)
            own = begin(request, self.manager)
            if self.manager.preloads:
                await self.manager.apreload(own)
            request[_OWN] = own
        return own, True


def _extend(key: bytes, limit: float) -> Flow[None]:
    yield Call("touch", (key,), {"idle": limit})


class _Session(aiohttp_session.Session):
    """A session as aiohttp-session has it, whose data are those of lembro's."""

    def __init__(self, storage: LembroStorage, inner: Session | None) -> None:
        self._storage = storage
        self._inner = inner
        max_age = storage.max_age
        self._limited = False
        """Whether its max_age is, or was, another than that of the storage."""
        if inner is None:
            super().__init__(None, data=None, new=True, max_age=max_age)
            return
        super().__init__(inner.handle, data=None, new=inner.is_new, max_age=max_age)
        self._mapping = inner  # type: ignore[assignment]
        if inner._found is not None:
            self._created = int(time.time() - inner._found.age)
        limit = inner._meta.get(_LIMIT)
        if limit:
            self._max_age, self._limited = int(limit), True

    @property
    def _changed(self) -> bool:
        """Whether aiohttp-session calls ``save_session``: it is to for all that was looked at, for
        ``Vary``, and because nested changes are found there."""
        return self._inner is not None or self._was_changed

    @_changed.setter
    def _changed(self, value: bool) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._was_changed = value

    @property
    def max_age(self) -> int | None:
        """Seconds; None: that of the storage."""
        return self._max_age

    @max_age.setter
    def max_age(self, value: int | None) -> None:
        if value is not None:
            seconds("max_age", value)
        self._max_age, self._limited = value, True

    def changed(self) -> None:
        """Extend the idle timeout. Nested changes are found without it."""
        self._was_changed = True
        if self._inner is not None:
            self._inner.touch()

    def invalidate(self) -> None:
        """End the session. What is written afterwards goes into a new one, under a new id."""
        self._was_changed = True
        if self._inner is None:
            self._mapping = {}
        else:
            self._inner.destroy()

    def _is_made_anew_for(self, manager: SessionManager) -> bool:
        """Whether it is to be taken in."""
        return self._inner is None and self._was_changed and self._storage.manager is manager

    def _take_in(self, inner: Session) -> None:
        """Of ``new_session()``: from here on it is the request's session."""
        if self._inner is not None:
            return
        data, self._inner = self._mapping, inner
        self._mapping = inner  # type: ignore[assignment]
        inner.destroy()
        inner.update(data)
