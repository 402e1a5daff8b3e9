"""aiohttp: ``setup(app, sessions)`` and ``get_session(request)``; a storage for aiohttp-session, an
identity policy for aiohttp-security."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Unpack

from ..answers import HEADERS, Answer, answer_to
from ..asgi import _paths
from ..errors import ConfigError, StoreError
from ..manager import SessionManager, manager_of
from ..options import OptionKeywords
from ..session import Session
from ..state import OPEN
from ..stores.base import AsyncStore, Store
from . import _hooks

try:
    from aiohttp import hdrs, payload, web
    from aiohttp.typedefs import Handler, Middleware
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.aiohttp needs aiohttp: pip install 'lembro[aiohttp]'"
    ) from _missing

if TYPE_CHECKING:
    from ._aiohttp_security import LembroIdentityPolicy
    from ._aiohttp_session import LembroStorage

__all__ = ["LembroIdentityPolicy", "LembroStorage", "get_session", "setup"]

SESSION: Final = web.RequestKey("lembro.session", Session)
AROUND: Final = web.RequestKey("lembro.around", tuple[Session, ...])
"""The sessions of other managers, of applications around the one that handles the request."""

_NONE: Final[list[str]] = []
_DONE: Final = object()
"""As the ``_send`` of a session: the response has begun. Before that it is the response that has
the session's headers already, or the exception that goes out in place of it."""


def setup(
    app: web.Application,
    sessions: SessionManager | None = None,
    *,
    store: Store | AsyncStore | None = None,
    exclude: Iterable[str] = (),
    **options: Unpack[OptionKeywords],
) -> SessionManager:
    """``setup(app, sessions)``, or ``setup(app, store=MemoryStore("64M"), idle_timeout=...)`` with
    the options of :class:`~lembro.SessionOptions` as keywords.

    Appends a middleware, so it is called before the middlewares are added that use the session, and
    after those that find out the scheme behind a proxy. ``exclude``: beginnings of paths for which
    nothing is loaded; of use with a networked store, where loading comes before the handler.
    Returns the manager. Raises ConfigError.
    """
    manager = manager_of(sessions, store, options)

    async def start(app: web.Application) -> None:
        await manager.astart()

    async def stop(app: web.Application) -> None:
        await manager.astop()

    app.middlewares.append(_middleware(manager, _paths(exclude)))
    app.on_response_prepare.append(_begin_response)
    app.on_startup.append(start)
    app.on_cleanup.append(stop)
    return manager


def get_session(request: web.Request) -> Session:
    """The session of a request. Nothing is awaited; a networked store has been asked already."""
    session: Session | None = request.get(SESSION)
    if session is None:
        raise ConfigError(
            "there is no lembro session here: lembro.integrations.aiohttp.setup(app, sessions), "
            "before the middlewares that use it"
        )
    return session


def _middleware(manager: SessionManager, exclude: tuple[str, ...]) -> Middleware:
    @web.middleware
    async def sessions(request: web.Request, handler: Handler) -> web.StreamResponse:
        https = request.secure
        outer = request.get(SESSION)
        if outer is not None:
            if manager.is_within_itself(outer, https=https):
                return await handler(request)
            request[AROUND] = (*request.get(AROUND, ()), outer)
        session = begin(request, manager)
        if not manager.in_process and not request.path.startswith(exclude):
            await manager.aload_for(session)
        request[SESSION] = session
        try:
            return await _handle(request, session, handler)
        finally:
            if outer is not None:
                request[SESSION] = outer
                request[AROUND] = request[AROUND][:-1]

    return sessions


def begin(request: web.Request, manager: SessionManager) -> Session:
    cookies = "; ".join(request.headers.getall(hdrs.COOKIE, _NONE))
    return _hooks.begin(manager, cookies, https=request.secure, asynchronous=True)


async def _handle(request: web.Request, session: Session, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as raised:
        if session._phase is OPEN:
            await commit(request, raised, session)
        raise
    except BaseException as error:
        begun = session._phase is not OPEN
        if not begun:
            await _hooks.acommit(session, 500)
        if begun or not isinstance(error, StoreError):
            raise
        raise refusal(answer_to(error)) from error
    if session._phase is OPEN:
        # What has no prepare() is answered by aiohttp, with a 500.
        await commit(request, response, session)
        if session._lent and isinstance(getattr(response, "body", None), payload.Payload):
            # It is written after this, and may change something too late.
            task = asyncio.current_task()
            assert task is not None
            task.add_done_callback(lambda _: session._manager.finish(session))
        return response
    refused, session._send = session._send, _DONE
    if isinstance(refused, web.HTTPException):  # and the handler has caught it
        raise refused
    session._manager.finish(session)
    return response


async def _begin_response(request: web.Request, response: web.StreamResponse) -> None:
    """The signal ``on_response_prepare``. A stream or a WebSocket begins inside of the handler, and
    that is when its session is committed; any other response was seen by the middleware, unless
    another middleware has put one of its own in its place."""
    session = request.get(SESSION)
    if session is None:
        return
    for each in (session, *request.get(AROUND, ())):
        if each._phase is OPEN:
            await _commit_stream(request, response, each)
        elif each._send is not response and each._send is not _DONE:
            _add_headers(request, response, each)
        each._send = _DONE


async def _commit_stream(
    request: web.Request, response: web.StreamResponse, session: Session
) -> None:
    # What new_session() of aiohttp-session has made is not known to the request's session yet.
    taken_in = getattr(request.get("aiohttp_session"), "_take_in", None)
    try:
        if taken_in is not None:
            taken_in(session)
        await commit(request, response, session)
    except web.HTTPException as refused:
        # Nothing has gone out so far, so the writer can serve another response.
        session._send = refused
        writer: Any = request.writer
        writer.chunked, writer.length, writer._compress = False, None, None
        response._payload_writer = None
        raise


async def commit(request: web.Request, response: web.StreamResponse, session: Session) -> None:
    """Commit, and add to the response's headers. Raises an HTTPException to be answered instead."""
    answer = await _hooks.acommit(session, getattr(response, "status", 500))
    if answer is not None:
        session._cookie, session._send = None, _DONE
        raise refusal(answer)
    if isinstance(response, web.StreamResponse):
        _add_headers(request, response, session)


def _add_headers(request: web.Request, response: web.StreamResponse, session: Session) -> None:
    if session._untouched():  # so far; an outer middleware may still look
        return
    session._send = response
    headers = response.headers
    added = _hooks.additions(
        session,
        https=request.secure,
        client=request.remote,
        vary=headers.getall(hdrs.VARY, _NONE),
        cache_control=headers.getall(hdrs.CACHE_CONTROL, _NONE),
    )
    if added.vary is not None:
        headers[hdrs.VARY] = added.vary
    if added.cache_control is not None:
        headers[hdrs.CACHE_CONTROL] = added.cache_control
    if added.set_cookie is not None:
        headers.add(hdrs.SET_COOKIE, added.set_cookie)


_REFUSALS: Final[dict[int, type[web.HTTPException]]] = {
    403: web.HTTPForbidden,
    500: web.HTTPInternalServerError,
    503: web.HTTPServiceUnavailable,
}
_HEADERS: Final = {
    name.decode().title(): value.decode() for name, value in HEADERS if name != b"content-type"
}


def refusal(answer: Answer) -> web.HTTPException:
    """The answer as aiohttp has it, so that an application's error pages can dress it."""
    return _REFUSALS[answer.status](text=answer.body.decode(), headers=_HEADERS)


def __getattr__(name: str) -> Any:
    if name == "LembroStorage":  # it needs aiohttp-session, which aiohttp does without
        from ._aiohttp_session import LembroStorage  # noqa: PLC0415

        return LembroStorage
    if name == "LembroIdentityPolicy":
        from ._aiohttp_security import LembroIdentityPolicy  # noqa: PLC0415

        return LembroIdentityPolicy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
