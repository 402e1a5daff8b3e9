"""aiohttp: ``setup(app, sessions)`` and ``get_session(request)``; a storage for aiohttp-session, an
identity policy for aiohttp-security."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Unpack

from .._core.session import Session
from .._core.state import COMMITTED, OPEN
from .._http.error_response import COMMIT_ERRORS, ErrorResponse, error_response_for
from ..asgi import _paths
from ..errors import ConfigError, StoreError
from ..manager import SessionManager, manager_of
from ..options import OptionKeywords
from ..stores.base import AsyncStore, Store
from . import _adapter

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

_NONE: Final[list[str]] = []


class Visit:
    """What a request has of one manager: its session, which is made when it is first asked for.
    It is shared by the clones of the request."""

    storages = False  # whether there is a LembroStorage in this process
    manager: SessionManager
    outer: Visit | None = None  # that of another manager, of an application around this one
    session: Session | None = None
    begun = False  # the response has left the middleware, or has begun
    headed: object = None  # the response that has got the session's headers
    refused: web.HTTPException | None = None  # answered in place of a stream
    done = False  # the response has begun, and has all that it needs

    def session_of(self, request: web.Request) -> Session:
        session = self.session
        if session is None:
            session = self.session = begin(request, self.manager)
            if self.begun:
                session._phase = COMMITTED
                _finish_with_task(session)
        return session


_MANAGER: Final = web.AppKey("lembro.manager", SessionManager)
VISIT: Final = web.RequestKey("lembro.visit", Visit)


class _Nothing:
    """To be awaited, in place of a coroutine that has nothing to do."""

    def __await__(self) -> Generator[Any, Any, None]:
        nothing: Any = iter(())
        return nothing  # type: ignore[no-any-return]


_NOTHING: Final = _Nothing()


def setup(
    app: web.Application,
    manager: SessionManager | None = None,
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
    _adapter.check_app(app, web.Application, "aiohttp", "setup")
    manager = manager_of(manager, store, options)
    around = _middleware(manager, _paths(exclude))
    if _MANAGER in app:
        raise ConfigError("this application has its sessions from lembro already")
    app[_MANAGER] = manager

    async def start(app: web.Application) -> None:
        await manager.astart()

    async def stop(app: web.Application) -> None:
        await manager.astop()

    app.middlewares.append(around)
    app.on_response_prepare.append(_begin_response)
    app.on_startup.append(start)
    app.on_cleanup.append(stop)
    return manager


def get_session(request: web.Request) -> Session:
    """The session of a request, typed. Nothing is awaited: a networked store was asked before.

    Raises ConfigError where there is none.
    """
    visit: Visit | None = request.get(VISIT)
    if visit is None:
        raise ConfigError(
            "there is no lembro session here: lembro.integrations.aiohttp.setup(app, sessions), "
            "before the middlewares that use it"
        )
    return visit.session_of(request)


def _middleware(manager: SessionManager, exclude: tuple[str, ...]) -> Middleware:
    @web.middleware
    async def load_and_commit(request: web.Request, handler: Handler) -> web.StreamResponse:
        # A look for what is not there takes 0.6 us.
        outer = request.get(VISIT) if len(request) else None
        if outer is not None and manager.is_within_itself(
            outer.session_of(request), https=request.secure
        ):
            return await handler(request)
        request[VISIT] = visit = Visit()
        visit.manager = manager
        if outer is not None:
            visit.outer = outer
        if manager.preloads and not request.path.startswith(exclude):
            await manager.apreload(visit.session_of(request))
        try:
            response = await handler(request)
            if visit.session is not None:
                await _handled(request, visit, visit.session, response)
        except web.HTTPException as raised:
            if not visit.begun:
                await _raised(request, visit, raised)
            raise
        except BaseException as error:
            if await _roll_back(visit) and isinstance(error, StoreError):
                raise refusal(error_response_for(error)) from error
            raise
        finally:
            visit.begun = True
            if outer is not None:
                request[VISIT] = outer
        return response

    return load_and_commit


async def _handled(
    request: web.Request, visit: Visit, session: Session, response: web.StreamResponse
) -> None:
    """The handler has returned."""
    if session._phase is OPEN:
        visit.begun = True
        # What has no prepare() is answered by aiohttp, with a 500.
        await commit(request, response, session)
        visit.headed = None if session._is_unused() else response
        if isinstance(getattr(response, "body", None), payload.Payload):
            # It is written after this, and may change something too late.
            _finish_with_task(session)
    elif visit.refused is not None:  # and the handler has caught it
        raise visit.refused
    else:
        session._manager.finish(session)


def _finish_with_task(session: Session) -> None:
    """Have what is changed too late said when the task has ended that serves the request."""
    with suppress(RuntimeError):  # it is looked at in a thread
        task = asyncio.current_task()
        if task is not None:
            task.add_done_callback(lambda _: session._manager.finish(session))


async def _raised(request: web.Request, visit: Visit, raised: web.HTTPException) -> None:
    """The handler has raised its response."""
    visit.begun = True
    if visit.session is not None and visit.session._phase is OPEN:
        await commit(request, raised, visit.session)
        visit.headed = None if visit.session._is_unused() else raised


async def _roll_back(visit: Visit) -> bool:
    """The handler has failed. False if the response had begun already, or has no session."""
    session = visit.session
    if session is None or session._phase is not OPEN:
        return False
    await _adapter.acommit(session, 500)
    return True


def _begin_response(request: web.Request, response: web.StreamResponse) -> Awaitable[None]:
    """The signal ``on_response_prepare``. A stream or a WebSocket begins inside of the handler, and
    that is when its session is committed; any other response was seen by the middleware, unless
    another middleware has put one of its own in its place."""
    try:
        visit = request[VISIT]
    except KeyError:  # it is the original of a request that was cloned around the middleware
        return _NOTHING
    made_anew = visit.storages and len(request) > 1  # perhaps
    if visit.session is None and visit.outer is None and not made_anew:
        visit.begun = True
        return _NOTHING
    return _begin_looked_at(request, response, visit)


async def _begin_looked_at(
    request: web.Request, response: web.StreamResponse, innermost: Visit
) -> None:
    visit: Visit | None = innermost
    while visit is not None:
        made = None if visit.begun else _made_anew(request, visit.manager)
        session = visit.session if made is None else visit.session_of(request)
        if session is not None and not visit.done:
            if session._phase is OPEN:
                visit.begun = True
                await _commit_stream(request, response, visit, session, made)
            elif visit.headed is not response:
                _add_headers(request, response, session)
            visit.done = True
            visit.headed = None  # a response holds its request, and that the visit
        visit.begun = True
        visit = visit.outer


def _made_anew(request: web.Request, manager: SessionManager) -> Any:
    """What ``new_session()`` of aiohttp-session has made, which is to become the request's."""
    made: Any = request.get("aiohttp_session")
    is_made_anew = getattr(made, "_is_made_anew_for", None)
    return made if is_made_anew is not None and is_made_anew(manager) else None


async def _commit_stream(
    request: web.Request, response: web.StreamResponse, visit: Visit, session: Session, made: Any
) -> None:
    try:
        if made is not None:
            take_in(made, session)
        await commit(request, response, session)
    except web.HTTPException as refused:
        # Nothing has gone out so far, so the writer can serve another response.
        visit.refused, visit.done = refused, True
        writer: Any = request.writer
        writer.chunked, writer.length, writer._compress = False, None, None
        response._payload_writer = None
        raise


def take_in(made: Any, session: Session) -> None:
    """Raises an HTTPException to be answered instead."""
    try:
        made._take_in(session)
    except COMMIT_ERRORS as error:
        raise refusal(error_response_for(error)) from error


def begin(request: web.Request, manager: SessionManager) -> Session:
    cookies = "; ".join(request.headers.getall(hdrs.COOKIE, _NONE))
    return _adapter.begin(manager, cookies, https=request.secure, asynchronous=True)


async def commit(request: web.Request, response: web.StreamResponse, session: Session) -> None:
    """Commit, and add to the response's headers. Raises an HTTPException to be answered instead."""
    answer = await _adapter.acommit(session, getattr(response, "status", 500))
    if answer is not None:
        session._cookie = None
        raise refusal(answer)
    if isinstance(response, web.StreamResponse):
        _add_headers(request, response, session)


def _add_headers(request: web.Request, response: web.StreamResponse, session: Session) -> None:
    headers = response.headers
    lines = _adapter.add_headers(
        session,
        headers,
        lambda name: headers.getall(name, _NONE),
        https=request.secure,
        client=request.remote,
        request=request.headers,
    )
    for line in lines:
        headers.add(hdrs.SET_COOKIE, line)


_REFUSALS: Final[dict[int, type[web.HTTPException]]] = {
    403: web.HTTPForbidden,
    500: web.HTTPInternalServerError,
    503: web.HTTPServiceUnavailable,
}
_HEADERS: Final = {name: _adapter.TEXT[name] for name in ("Cache-Control", "Vary")}


def refusal(answer: ErrorResponse) -> web.HTTPException:
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
