"""aiohttp-session: a storage that keeps its sessions in lembro."""

from __future__ import annotations

import time
from typing import Any, Final, Literal, Unpack

from ..._core.lifetimes import own_idle, set_lifetime
from ..._core.session import Session
from ..._core.state import NOT_LOADED
from ..._http.error_response import COMMIT_ERRORS
from ...errors import StoreError
from ...options import OptionKeywords, SessionOptions, seconds, take_cookie_keywords
from ...stores.base import AsyncStore, Store
from .._adapter import (
    Runner,
    SessionManager,
    error_response_for,
    manager_of,
    no_session,
    runner_of,
)
from .exchange import (
    EXCLUDED,
    REQUEST_SESSION,
    AiohttpExchange,
    Replacement,
    RequestSession,
    commit,
    error_page,
    replace_session,
)

try:
    import aiohttp_session
    from aiohttp import web
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.aiohttp.aiohttp_session needs aiohttp-session: "
        "pip install 'lembro[aiohttp]' aiohttp-session"
    ) from _missing

__all__ = ["LembroStorage"]

_OWN: Final = web.RequestKey("lembro.storage", Session)


# -- the entry point -------------------------------------------------------------------------------


class LembroStorage(aiohttp_session.AbstractStorage):
    """A storage for ``aiohttp_session.setup(app, LembroStorage())``.

    It takes the keywords of aiohttp-session's own storages. If
    ``lembro.integrations.aiohttp.setup(app, manager)`` comes before, with the same manager, both
    share the session, which then works for streams and WebSockets too.

    Args:
        manager: The manager, if you have made one. Otherwise one is made from ``store``,
            ``options`` and ``keywords``.
        store: A store or its URL; default: ``LEMBRO_STORE`` in the environment, or a MemoryStore.
        options: The options; ``keywords`` replace single ones.
        cookie_name: The cookie's name.
        domain: The cookie's Domain.
        max_age: The idle timeout and the cookie's Max-Age, in seconds.
        path: The cookie's Path.
        secure: The cookie's Secure; over https only by default.
        httponly: The cookie's HttpOnly.
        samesite: The cookie's SameSite.
        keywords: The fields of :class:`~lembro.SessionOptions`.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(
        self,
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | str | None = None,
        options: SessionOptions | None = None,
        cookie_name: str | None = None,
        domain: str | None = None,
        max_age: int | None = None,
        path: str | None = None,
        secure: bool | None = None,
        httponly: bool | None = None,
        samesite: Literal["Lax", "Strict", "None", "lax", "strict", "none"] | None = None,
        **keywords: Unpack[OptionKeywords],
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
        if manager is not None:  # report a conflict by the names that were given
            given = {"cookie_name" if name == "name" else name: cookie[name] for name in cookie}
            manager_of(manager, store, options, {**given, **keywords})
        take_cookie_keywords(keywords, cookie)
        self.manager: SessionManager = manager_of(manager, store, options, keywords)
        self._runner: Runner = runner_of(self.manager)
        RequestSession.may_be_replaced = True
        using = self.manager.options.cookie
        super().__init__(
            cookie_name=using.name_over(https=False),
            domain=using.domain,
            max_age=None if using.max_age is None else int(seconds("max_age", using.max_age)),
            path=using.path,
            secure=using.is_secure(https=False),
            httponly=using.httponly,
            samesite=using.samesite.capitalize(),
        )

    async def new_session(self) -> aiohttp_session.Session:
        """Return an empty session.

        When it is saved, the request's session ends, and this one is stored under a new ID.
        """
        return _StoredSession(self, None)

    async def load_session(self, request: web.Request) -> aiohttp_session.Session:
        """Return the session of the request.

        Raises:
            web.HTTPServiceUnavailable: the store failed.
            ConfigError: ``exclude=`` of ``setup()`` names the path.
        """
        session, _ = await self._session_of(request)
        try:
            if session._loaded is NOT_LOADED and self._runner.preloads:
                await session.areload()  # the preload failed
            return _StoredSession(self, session)
        except StoreError as error:
            raise error_page(error_response_for(error)) from error

    async def save_session(
        self, request: web.Request, response: web.StreamResponse, session: aiohttp_session.Session
    ) -> None:
        """Commit the session, unless the middleware of ``setup()`` will.

        Raises:
            web.HTTPException: the response to send instead, if the session could not be stored.
        """
        if not isinstance(session, _StoredSession):
            raise TypeError(
                f"the session must come from this storage, got {session!r}. Call "
                f"aiohttp_session.new_session(request)"
            )
        inner, is_own = await self._session_of(request)
        if session.is_replacement:
            replace_session(session, inner)
        try:
            if session.has_max_age and response.status < 500:
                limit = None if session.max_age == self.max_age else session.max_age
                set_lifetime(inner, limit, remember=None if limit is None else True)
                await inner.asave()
        except COMMIT_ERRORS as error:
            raise error_page(error_response_for(error)) from error
        if is_own:
            await commit(inner, response)

    async def _session_of(self, request: web.Request) -> tuple[Session, bool]:
        """Return the session of the request, and whether this storage has to commit it."""
        innermost = current = request.get(REQUEST_SESSION)
        while current is not None:
            if current.runner is self._runner:
                return current.session_of(request), False
            current = current.outer
        own = request.get(_OWN)
        if own is None:
            if request.get(EXCLUDED) is self._runner:
                raise no_session("setup(app, manager)")
            if innermost is not None:  # of another manager: warns if they share a cookie
                self._runner.owns(innermost.session_of(request), https=request.secure)
            own = Session(AiohttpExchange(self._runner, request))
            if self._runner.preloads:
                await self._runner.preload(own)
            request[_OWN] = own
        return own, True


# -- the session -----------------------------------------------------------------------------------


class _StoredSession(aiohttp_session.Session, Replacement):
    """A session with aiohttp-session's methods, over one of lembro."""

    def __init__(self, storage: LembroStorage, inner: Session | None) -> None:
        self._storage = storage
        self._inner = inner
        max_age = storage.max_age
        self.has_max_age = False
        """Whether its max_age differs from the storage's, or did so before."""
        if inner is None:
            super().__init__(None, data=None, new=True, max_age=max_age)
            return
        super().__init__(inner.handle, data=None, new=inner.is_new, max_age=max_age)
        self._mapping = inner  # type: ignore[assignment]
        if inner._found is not None:
            self._created = int(time.time() - inner._found.age)
        limit = own_idle(inner._meta)
        if limit is not None:
            self._max_age, self.has_max_age = int(limit), True

    @property
    def _changed(self) -> bool:
        """Whether aiohttp-session calls ``save_session``.

        It does so for each accessed session, because of ``Vary`` and of nested changes.
        """
        return self._inner is not None or self.was_changed

    @_changed.setter
    def _changed(self, value: bool) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.was_changed = value

    @property
    def max_age(self) -> int | None:
        """The idle timeout of this session and its cookie's Max-Age, in seconds.

        None: those of the storage.
        """
        return self._max_age

    @max_age.setter
    def max_age(self, value: int | None) -> None:
        if value is not None:
            seconds("max_age", value)
        self._max_age, self.has_max_age = value, True

    def changed(self) -> None:
        """Extend the idle timeout, unless the request is passive. Nested changes are stored
        without it."""
        self.was_changed = True
        if self._inner is not None:
            self._inner._mark_used()

    def invalidate(self) -> None:
        """End the session. Keys written afterwards begin a new one, under a new ID."""
        self.was_changed = True
        if self._inner is None:
            self._mapping = {}
        else:
            self._inner.destroy()

    @property
    def is_replacement(self) -> bool:
        """Whether it comes from ``new_session()`` and is not the session of the request yet."""
        return self._inner is None

    def replaces_session_of(self, runner: Runner) -> bool:
        """Return whether it replaces the session of this runner."""
        return self.is_replacement and self._storage._runner is runner

    def move_into(self, session: Session) -> None:
        """End the session of the request, and write the data into its successor."""
        data, self._inner = self._mapping, session
        self._mapping = session  # type: ignore[assignment]
        session.destroy()
        session.update(data)
